//! Calls to the Bot API. The bot's token is part of every address, so no address and no text from a wire goes
//! into an error unsearched.

use kabar_domain::Timestamp;
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::outbound::{Accepted, OutboundMessage, SendFailure, Verdict};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::errors::{LOOK, classify, failure};
use super::send::request;
use crate::http::Upload;

/// Everything Telegram can tell. Membership and reactions come only to those who name them, and naming some
/// leaves out the rest.
const UPDATE_KINDS: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "guest_message",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
    "subscription",
];

/// How many updates Telegram may deliver at once; its maximum. Those of one chat always come one by one.
const MAX_CONNECTIONS: u32 = 100;

/// The Bot API at one address, for any bot.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
}

/// The bot a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BotInfo {
    pub id: i64,
    #[serde(default)]
    pub username: Option<String>,
    pub first_name: String,
    /// False while privacy mode is on: in groups the bot then sees only what is meant for it.
    #[serde(default)]
    pub can_read_all_group_messages: bool,
}

/// What Telegram knows of a bot's webhook. `url` is empty when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WebhookInfo {
    pub url: String,
    #[serde(default)]
    pub pending_update_count: u64,
    #[serde(default)]
    pub ip_address: Option<String>,
    /// UNIX seconds; see [`WebhookInfo::last_error_at`].
    #[serde(default)]
    pub last_error_date: Option<i64>,
    #[serde(default)]
    pub last_error_message: Option<String>,
    #[serde(default)]
    pub max_connections: Option<u32>,
    /// Absent when it is Telegram's default.
    #[serde(default)]
    pub allowed_updates: Option<Vec<String>>,
}

impl WebhookInfo {
    /// When a delivery last failed.
    pub fn last_error_at(&self) -> Option<Timestamp> {
        self.last_error_date.map(Timestamp::from_unix)
    }
}

impl Client {
    /// `base` is `https://api.telegram.org/` or a Bot API server of one's own, with or without a path.
    pub fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    /// Sends one message. Telegram knows no idempotency: what ends `Uncertain` may have arrived.
    pub async fn send(&self, bot_token: &str, message: &OutboundMessage) -> Result<Accepted, SendFailure> {
        let (method, parameters) =
            request(message).map_err(|refused| failure(0, &refused.reason, None, None, Verdict::Fail))?;
        let sent: Value = self.call(bot_token, method, &parameters).await?;
        accepted(&sent, &parameters, message)
    }

    /// Sends a message with the file that belongs to it. Beside the outcome: what Telegram calls the file.
    pub async fn send_file(
        &self,
        bot_token: &str,
        message: &OutboundMessage,
        file: Upload,
    ) -> Result<(Accepted, Option<String>), SendFailure> {
        let (method, parameters) =
            request(message).map_err(|refused| failure(0, &refused.reason, None, None, Verdict::Fail))?;
        // `sendPhoto` takes it as `photo`, and so on.
        let field = method.trim_start_matches("send").to_ascii_lowercase();
        let sent: Value = self.call_with_file(bot_token, method, &parameters, &field, file).await?;
        let held = &sent[field.as_str()];
        // Of a photo's sizes the last is the largest.
        let held = held.as_array().and_then(|sizes| sizes.last()).unwrap_or(held);
        let file_id = held["file_id"].as_str().map(str::to_owned);
        Ok((accepted(&sent, &parameters, message)?, file_id))
    }

    /// A call whose `field` is a file.
    pub(super) async fn call_with_file<T: DeserializeOwned>(
        &self,
        bot_token: &str,
        method: &str,
        parameters: &Value,
        field: &str,
        file: Upload,
    ) -> Result<T, SendFailure> {
        let unusable =
            |_| failure(0, "The file's type cannot be given to Telegram.", None, None, Verdict::Fail);
        let mut form = reqwest::multipart::Form::new();
        for (name, value) in parameters.as_object().into_iter().flatten() {
            // Whatever is no text is written as JSON.
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            form = form.text(name.clone(), text);
        }
        let time = file.time();
        form = form.part(field.to_owned(), file.part().map_err(unusable)?);
        let call = self.http.post(self.address(bot_token, method)?).timeout(time).multipart(form);
        answer(call).await.map_err(|failure| without_token(failure, bot_token))
    }

    /// Which bot the token belongs to.
    pub async fn me(&self, bot_token: &str) -> Result<BotInfo, SendFailure> {
        self.call(bot_token, "getMe", &json!({})).await
    }

    /// Has Telegram deliver every kind of update to `url`, with `secret` (1 to 256 of `A-Z a-z 0-9 _ -`) in the
    /// header that [`super::secret_matches`] checks. Updates already waiting stay.
    pub async fn set_webhook(&self, bot_token: &str, url: &str, secret: &str) -> Result<(), SendFailure> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=256).contains(&secret.len()) || !secret.bytes().all(allowed) {
            let reason = "The webhook secret must be 1 to 256 letters, digits, \"_\" or \"-\".";
            return Err(failure(0, reason, None, None, Verdict::Fail));
        }
        let parameters = json!({
            "url": url,
            "secret_token": secret,
            "max_connections": MAX_CONNECTIONS,
            "allowed_updates": UPDATE_KINDS,
        });
        self.call::<bool>(bot_token, "setWebhook", &parameters).await.map(|_| ())
    }

    pub async fn webhook_info(&self, bot_token: &str) -> Result<WebhookInfo, SendFailure> {
        self.call(bot_token, "getWebhookInfo", &json!({})).await
    }

    /// Stops deliveries. Updates wait at Telegram, for a day at most.
    pub async fn delete_webhook(&self, bot_token: &str) -> Result<(), SendFailure> {
        self.call::<bool>(bot_token, "deleteWebhook", &json!({})).await.map(|_| ())
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        bot_token: &str,
        method: &str,
        parameters: &Value,
    ) -> Result<T, SendFailure> {
        self.attempt(bot_token, method, parameters).await.map_err(|failure| without_token(failure, bot_token))
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        bot_token: &str,
        method: &str,
        parameters: &Value,
    ) -> Result<T, SendFailure> {
        answer(self.http.post(self.address(bot_token, method)?).json(parameters)).await
    }

    fn address(&self, bot_token: &str, method: &str) -> Result<Url, SendFailure> {
        let mut address = self.base.clone();
        let refusal = |()| {
            let action = Some("Set the Telegram API address to an HTTPS address.");
            failure(0, "The Telegram API address is unusable.", None, action, Verdict::PauseAccount)
        };
        address
            .path_segments_mut()
            .map_err(refusal)?
            .pop_if_empty()
            .extend([&format!("bot{bot_token}"), method]);
        Ok(address)
    }
}

async fn answer<T: DeserializeOwned>(call: reqwest::RequestBuilder) -> Result<T, SendFailure> {
    let response = call.send().await.map_err(unanswered)?;
    let status = response.status();
    let body = response.bytes().await.map_err(unanswered)?;
    let result = match serde_json::from_slice::<Value>(&body) {
        Ok(mut answer) if status.is_success() && answer["ok"] == true => answer["result"].take(),
        _ => return Err(classify(status.as_u16(), &body)),
    };
    serde_json::from_value(result).map_err(|_| unreadable())
}

fn accepted(sent: &Value, parameters: &Value, message: &OutboundMessage) -> Result<Accepted, SendFailure> {
    if *sent == Value::Bool(true) {
        // A reaction is no message: it is named by the one it stands on, and by ours, since there may be several.
        let (chat, target) = (&parameters["chat_id"], &parameters["message_id"]);
        let provider_message_id = format!("{chat}:{target}:reaction:{}", message.callback_data);
        return Ok(Accepted { provider_message_id, recipient: None });
    }
    let chat = &sent["chat"];
    let (Some(chat_id), Some(message_id)) = (chat["id"].as_i64(), sent["message_id"].as_i64()) else {
        return Err(unreadable());
    };
    Ok(Accepted {
        provider_message_id: format!("{chat_id}:{message_id}"),
        recipient: (chat["type"] == "private")
            .then(|| Identity::new(IdentityKind::Telegram, chat_id.to_string())),
    })
}

pub(super) fn unreadable() -> SendFailure {
    failure(0, "Telegram's answer could not be read.", None, Some(LOOK), Verdict::Uncertain)
}

/// No answer: certainly not sent if there was no connection, unknown otherwise.
pub(super) fn unanswered(error: reqwest::Error) -> SendFailure {
    let error = error.without_url();
    let (title, action, verdict) = if error.is_connect() {
        let action = "Nothing to do if it passes: Kabar tries again; else check the network.";
        ("Telegram could not be reached.", action, Verdict::Hold { after: None })
    } else if error.is_builder() {
        let action = "Check the bot's token and the address of Telegram's API.";
        ("The call to Telegram could not be made.", action, Verdict::Fail)
    } else if error.is_timeout() {
        ("Telegram did not answer in time.", LOOK, Verdict::Uncertain)
    } else {
        ("The connection to Telegram broke before its answer.", LOOK, Verdict::Uncertain)
    };
    let mut detail = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        detail = format!("{detail}: {inner}");
        cause = inner.source();
    }
    failure(0, title, Some(detail), Some(action), verdict)
}

/// What stands between us and Telegram may repeat the address in its answer.
pub(super) fn without_token(mut failure: SendFailure, bot_token: &str) -> SendFailure {
    // The part after the colon is the secret; an address may show it with the colon encoded.
    let secret = bot_token.split_once(':').map_or(bot_token, |(_, secret)| secret);
    if !secret.is_empty() {
        let error = &mut failure.error;
        error.title = error.title.replace(secret, "…");
        error.detail = error.detail.take().map(|detail| detail.replace(secret, "…"));
    }
    failure
}

#[cfg(test)]
mod tests;
