//! Messages that a person has to look at.

use kabar_domain::{MessageId, OrganisationId, Timestamp};

use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::Bind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub message_id: MessageId,
    /// `failed` or `uncertain`.
    pub reason: String,
    pub listed_at: Timestamp,
}

/// Notes messages that failed, or that will be listed as uncertain from `listed_at` on unless they are settled.
pub async fn note_dead(
    tx: &mut Tx,
    messages: &[(OrganisationId, MessageId)],
    reason: &str,
    listed_at: Timestamp,
) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("message_id", of::<MessageId>()),
        ("reason", of::<String>()),
        ("listed_at", of::<i64>()),
        ("announced", of::<bool>()),
    ]);
    for (organisation, message) in messages {
        // A failure is an event of its own.
        let announced = reason == "failed";
        rows.push([
            organisation.value(),
            message.value(),
            reason.value(),
            listed_at.value(),
            announced.value(),
        ]);
    }
    tx.bulk_insert(
        "dead_letters",
        rows,
        "ON CONFLICT (organisation_id, message_id) DO UPDATE SET reason = excluded.reason,
             listed_at = excluded.listed_at, announced = excluded.announced",
    )
    .await?;
    Ok(())
}

pub(super) async fn forget(tx: &mut Tx, organisation: OrganisationId, messages: &[MessageId]) -> Result<()> {
    for message in messages {
        forget_dead(tx, organisation, *message).await?;
    }
    Ok(())
}

/// Takes a message off the list: it was settled, or a person has seen it. `false`: it was not there.
pub async fn forget_dead(tx: &mut Tx, organisation: OrganisationId, message: MessageId) -> Result<bool> {
    let changed = tx
        .execute(
            "DELETE FROM dead_letters WHERE organisation_id = $1 AND message_id = $2",
            args![organisation, message],
        )
        .await?;
    Ok(changed == 1)
}

fn select(what: &str, organisation: OrganisationId, reason: Option<&str>, now: Timestamp) -> Select {
    let mut select = Select::new(what, args![organisation, now]);
    select.push_some("AND reason = ?", reason.map(Bind::value));
    select
}

/// Newest first.
pub async fn list_dead(
    db: &mut impl Db,
    organisation: OrganisationId,
    reason: Option<&str>,
    now: Timestamp,
    window: Window<(Timestamp, MessageId)>,
) -> Result<Vec<DeadLetter>> {
    let mut select = select(
        "SELECT message_id, reason, listed_at FROM dead_letters WHERE organisation_id = ? AND listed_at <= ?",
        organisation,
        reason,
        now,
    );
    if let Some((at, id)) = window.after {
        select.push("AND (listed_at, message_id) < (?, ?)", args![at, id]);
    }
    select.push(
        "ORDER BY listed_at DESC, message_id DESC LIMIT ? OFFSET ?",
        args![window.limit, window.offset],
    );
    select
        .fetch(db)
        .await?
        .iter_mut()
        .map(|row| Ok(DeadLetter { message_id: row.get(0)?, reason: row.get(1)?, listed_at: row.get(2)? }))
        .collect()
}

pub async fn count_dead(
    db: &mut impl Db,
    organisation: OrganisationId,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<i64> {
    let what = "SELECT COUNT(*) FROM dead_letters WHERE organisation_id = ? AND listed_at <= ?";
    select(what, organisation, reason, now).count(db).await
}

/// Uncertain messages whose time to be settled has run out, each once.
pub async fn announce(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<(OrganisationId, MessageId)>> {
    let lock = tx.skip_locked();
    let sql = format!(
        "SELECT organisation_id, message_id FROM dead_letters WHERE NOT announced AND listed_at <= $1
         ORDER BY listed_at LIMIT $2 {lock}"
    );
    let found: Vec<(OrganisationId, MessageId)> = tx
        .fetch(&sql, args![now, limit])
        .await?
        .iter_mut()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .collect::<Result<_>>()?;
    for (organisation, message) in &found {
        tx.execute(
            "UPDATE dead_letters SET announced = $1 WHERE organisation_id = $2 AND message_id = $3",
            args![true, *organisation, *message],
        )
        .await?;
    }
    Ok(found)
}
