//! What is asked of Telegram at once, without the queue: that somebody is typing, edits, deletions.

use kabar_domain::outbound::{OutboundMessage, Recipient, SendFailure, Unsendable, Verdict};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::errors::failure;
use super::send::{address, number_in, request};

/// What a keyboard under a message must be to be kept when the message is edited.
const INLINE: &str = "inline_keyboard";

/// The method and parameters that give the sent message `provider_message_id` the content of `message`.
///
/// # Errors
/// When it is no message whose text or caption Telegram can change.
pub fn edit(
    message: &OutboundMessage,
    provider_message_id: &str,
) -> Result<(&'static str, Value), Unsendable> {
    let (chat, _) = address(&message.recipient)?;
    let number = number_in(provider_message_id, chat)
        .ok_or_else(|| Unsendable::new("body", "Telegram cannot change this message."))?;
    let (_, mut content) = request(message)?;
    let method = if content.get("text").is_some() {
        "editMessageText"
    } else if content.get("caption").is_some() {
        "editMessageCaption"
    } else {
        return Err(Unsendable::new("body", "Only texts and captions can be changed."));
    };
    let mut parameters = Map::new();
    parameters.insert("chat_id".to_owned(), json!(chat));
    parameters.insert("message_id".to_owned(), json!(number));
    for name in ["text", "entities", "caption", "caption_entities", "link_preview_options", "reply_markup"] {
        let value = content[name].take();
        if !value.is_null() && (name != "reply_markup" || value.get(INLINE).is_some()) {
            parameters.insert(name.to_owned(), value);
        }
    }
    Ok((method, Value::Object(parameters)))
}

impl Client {
    /// Shows for five seconds that something is being written.
    pub async fn typing(&self, bot_token: &str, recipient: &Recipient) -> Result<(), SendFailure> {
        let (chat, topic) = address(recipient).map_err(|refused| unsendable(&refused))?;
        let mut parameters = json!({ "chat_id": chat, "action": "typing" });
        if let Some(topic) = topic {
            parameters["message_thread_id"] = json!(topic);
        }
        self.call::<bool>(bot_token, "sendChatAction", &parameters).await.map(drop)
    }

    /// Changes a sent message's text or caption.
    pub async fn edit(
        &self,
        bot_token: &str,
        message: &OutboundMessage,
        provider_message_id: &str,
    ) -> Result<(), SendFailure> {
        let (method, parameters) =
            edit(message, provider_message_id).map_err(|refused| unsendable(&refused))?;
        let edited = self.call::<Value>(bot_token, method, &parameters).await.map(drop);
        or_done(edited, "message is not modified")
    }

    /// Deletes a message for everyone.
    pub async fn delete(
        &self,
        bot_token: &str,
        recipient: &Recipient,
        provider_message_id: &str,
    ) -> Result<(), SendFailure> {
        let (chat, _) = address(recipient).map_err(|refused| unsendable(&refused))?;
        let number = number_in(provider_message_id, chat).ok_or_else(|| {
            unsendable(&Unsendable::new("id", "Telegram knows no such message in this chat."))
        })?;
        let parameters = json!({ "chat_id": chat, "message_id": number });
        let deleted = self.call::<bool>(bot_token, "deleteMessage", &parameters).await.map(drop);
        or_done(deleted, "message to delete not found")
    }
}

fn unsendable(refused: &Unsendable) -> SendFailure {
    failure(0, &refused.reason, None, None, Verdict::Fail)
}

/// A refusal that says that it is so already.
fn or_done(result: Result<(), SendFailure>, already: &str) -> Result<(), SendFailure> {
    result.or_else(|failure| {
        let error = &failure.error;
        let said = [Some(error.title.as_str()), error.detail.as_deref()];
        if said.into_iter().flatten().any(|text| text.to_lowercase().contains(already)) {
            Ok(())
        } else {
            Err(failure)
        }
    })
}

#[cfg(test)]
mod tests {
    use kabar_domain::inbound::{Identity, IdentityKind};
    use kabar_domain::message::MessageKind;

    use super::*;

    fn message(kind: MessageKind, payload: Value) -> OutboundMessage {
        OutboundMessage {
            callback_data: String::new(),
            recipient: Recipient::Person(Identity::new(IdentityKind::Telegram, "7")),
            kind,
            body: Some("b".to_owned()),
            media: None,
            payload,
            reply_to: None,
        }
    }

    #[test]
    fn an_edit_keeps_the_buttons_and_only_those() {
        let buttons = json!({ "type": "buttons", "buttons": [{ "id": "y", "title": "Yes" }] });
        let (method, parameters) = edit(&message(MessageKind::Interactive, buttons), "7:42").unwrap();
        assert_eq!(method, "editMessageText");
        let key = json!([[{ "text": "Yes", "callback_data": "y" }]]);
        assert_eq!(
            parameters,
            json!({ "chat_id": 7, "message_id": 42, "text": "b", "reply_markup": { "inline_keyboard": key } })
        );
        let asking = message(MessageKind::Interactive, json!({ "type": "location_request" }));
        assert!(edit(&asking, "7:42").unwrap().1.get("reply_markup").is_none());
    }

    #[test]
    fn only_what_has_a_text_in_this_chat_is_edited() {
        let text = message(MessageKind::Text, json!({}));
        for elsewhere in ["8:42", "cb:1", "7:42:reaction:01", ""] {
            assert!(edit(&text, elsewhere).is_err(), "{elsewhere}");
        }
        assert!(
            edit(&message(MessageKind::Location, json!({ "latitude": 1, "longitude": 2 })), "7:42").is_err()
        );
    }

    #[test]
    fn what_is_so_already_is_no_failure() {
        let refused = |title: &str| Err(failure(400, title, None, None, Verdict::Fail));
        assert!(
            or_done(refused("Bad Request: message is not modified: x"), "message is not modified").is_ok()
        );
        assert!(or_done(refused("Bad Request: message can't be edited"), "message is not modified").is_err());
    }
}
