//! One call to a provider.

use kabar_domain::message::{Media, MessageKind, Platform, ProviderError};
use kabar_domain::outbound::{Accepted, OutboundMessage, Recipient, SendFailure, Verdict};
use kabar_store::outbound::Leased;
use serde_json::json;

use crate::engine::Engine;

/// Whether the provider shows a text beside this kind. Where it does not, the text stays with us.
pub(crate) const fn shows_text(platform: Platform, kind: MessageKind) -> bool {
    !matches!(
        (platform, kind),
        (_, MessageKind::Sticker) | (Platform::Whatsapp, MessageKind::Audio | MessageKind::Voice)
    )
}

/// The message as its provider's module takes it.
fn outbound_message(lease: &Leased) -> Result<OutboundMessage, SendFailure> {
    let refuse = |title: &str, action: &str| SendFailure {
        error: ProviderError { code: 0, title: title.into(), detail: None, action: Some(action.into()) },
        verdict: Verdict::Fail,
    };
    let recipient = if let Some(group) = &lease.group {
        let topic = (!lease.topic.is_empty()).then(|| lease.topic.clone());
        Recipient::Group { external_id: group.clone(), topic }
    } else {
        use kabar_domain::inbound::IdentityKind;
        let fits = |kind| match lease.platform {
            Platform::Whatsapp => matches!(kind, IdentityKind::WaId | IdentityKind::Bsuid),
            Platform::Telegram => kind == IdentityKind::Telegram,
            Platform::Widget | Platform::Other => false,
        };
        let identity = lease.recipients.iter().find(|identity| fits(identity.kind)).ok_or_else(|| {
            refuse(
                "The contact cannot be reached over this channel",
                "Add the contact's number for this channel, or write over another channel.",
            )
        })?;
        Recipient::Person(identity.clone())
    };
    let media = lease
        .media
        .as_deref()
        .and_then(|text| serde_json::from_str::<Vec<Media>>(text).ok())
        .and_then(|media| media.into_iter().next());
    let payload = lease.payload.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Ok(OutboundMessage {
        callback_data: lease.message_id.to_string(),
        recipient,
        kind: lease.kind,
        body: lease.body.clone().filter(|_| shows_text(lease.platform, lease.kind)),
        media,
        payload: payload.unwrap_or_else(|| json!({})),
        reply_to: lease.reply_to.clone(),
    })
}

impl Engine {
    pub(super) async fn call_provider(&self, lease: &Leased) -> Result<Accepted, SendFailure> {
        if lease.platform == Platform::Widget {
            // The visitor's page reads it from here: it is sent by being stored.
            let provider_message_id = lease.message_id.to_string();
            return Ok(Accepted { provider_message_id, recipient: None });
        }
        let message = outbound_message(lease)?;
        let broken = |detail: String| SendFailure {
            error: ProviderError {
                code: 0,
                title: "The account's credentials cannot be used".into(),
                detail: Some(detail),
                action: Some("Give the account its access token again.".into()),
            },
            verdict: Verdict::PauseAccount,
        };
        let credentials = self
            .open_credentials(lease.organisation_id, lease.account_id, &lease.credentials)
            .map_err(|error| broken(error.to_string()))?;
        match (lease.platform, credentials.access_token, credentials.bot_token) {
            (Platform::Whatsapp, Some(token), _) | (Platform::Telegram, _, Some(token)) => {
                self.send_with_files(lease, &token, message).await
            }
            _ => Err(broken("it has no token for its platform".into())),
        }
    }
}
