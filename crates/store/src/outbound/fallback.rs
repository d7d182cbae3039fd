//! What goes out in a message's place when WhatsApp says that its window is closed.

use kabar_domain::message::MessageKind;
use kabar_domain::{ConversationId, MessageId, OrganisationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::args;
use crate::error::{Error, Result};
use crate::store::{Db, Tx};

/// A filled-in template, as a message's columns have it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Fallback {
    pub body: Option<String>,
    pub media: Option<String>,
    pub payload: Option<String>,
}

/// Notes that WhatsApp refused `message` because the window of its conversation was closed at `at`, and puts the
/// message's fallback in its place. `false`: it has none. The message is locked.
pub async fn window_refused(
    tx: &mut Tx,
    organisation: OrganisationId,
    conversation: ConversationId,
    message: MessageId,
    at: Timestamp,
) -> Result<bool> {
    tx.execute(
        "UPDATE conversations SET window_refused_at = $1
         WHERE organisation_id = $2 AND id = $3 AND (window_refused_at IS NULL OR window_refused_at < $1)",
        args![at, organisation, conversation],
    )
    .await?;
    fall_back(tx, organisation, message).await
}

/// Puts a message's fallback in its place. `false`: it has none.
pub async fn fall_back(tx: &mut Tx, organisation: OrganisationId, message: MessageId) -> Result<bool> {
    let found = tx
        .fetch_optional(
            "SELECT fallback FROM messages WHERE organisation_id = $1 AND id = $2",
            args![organisation, message],
        )
        .await?;
    let Some(mut row) = found else { return Ok(false) };
    let Some(text) = row.get::<Option<String>>(0)? else { return Ok(false) };
    let fallback: Fallback = serde_json::from_str(&text)
        .map_err(|error| Error::Database(format!("a message's fallback cannot be read: {error}")))?;
    tx.execute(
        "UPDATE messages SET kind = $1, body = $2, media = $3, payload = $4, fallback = NULL
         WHERE organisation_id = $5 AND id = $6",
        args![MessageKind::Template, fallback.body, fallback.media, fallback.payload, organisation, message],
    )
    .await?;
    Ok(true)
}
