//! The people on the other side: messages they write, files they send, statuses their phones report.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use url::Url;

use crate::Simulator;
use crate::callbacks::{Post, lane, wire_form};
use crate::graph::MediaFile;
use crate::ids::{now_ms, now_seconds, user_id};
use crate::state::{Inner, digits};
use crate::statuses::{StatusJob, entry, envelope, value_of};
use crate::telegram::Pushed;

/// Someone writes to a WhatsApp number.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhatsappInbound {
    /// Absent: the first number.
    pub phone_number_id: Option<String>,
    /// The sender's phone. Absent: a person who hides it, known by `user_id` alone.
    pub from: Option<String>,
    /// The business-scoped user id, e.g. `ID.123abc`. Absent: derived from the account and the phone. Empty: none,
    /// as before 2026.
    pub user_id: Option<String>,
    pub name: Option<String>,
    /// A text message; or else `message`.
    pub text: Option<String>,
    /// The entry of `messages[]`. `from`, `id`, `timestamp` and `type` are filled in unless present.
    pub message: Option<Map<String, Value>>,
    /// How many times the same body is posted. Default 1.
    pub copies: Option<u32>,
}

/// A webhook body of one's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatsappWebhook {
    /// Posted byte for byte; when it is a JSON string, the string's content is.
    pub body: Box<RawValue>,
    /// In place of the right signature. Empty: no signature header at all.
    #[serde(default)]
    pub signature: Option<String>,
    /// In place of the configured webhook.
    #[serde(default)]
    pub url: Option<Url>,
}

/// How a webhook took a message.
#[derive(Debug, Clone, Serialize)]
pub struct Delivered {
    /// The message's id; absent for a body of one's own.
    pub wamid: Option<String>,
    /// The HTTP status of the first attempt; absent when there was no answer, or no webhook.
    pub webhook_status: Option<u16>,
    pub error: Option<String>,
}

/// A file that an inbound WhatsApp message can refer to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatsappMedia {
    #[serde(default)]
    pub phone_number_id: Option<String>,
    pub mime_type: String,
    #[serde(default)]
    pub filename: Option<String>,
    pub content_base64: String,
}

/// Someone writes to a bot.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelegramInbound {
    /// Absent: the first bot.
    pub token: Option<String>,
    /// Absent: the sender's private chat.
    pub chat_id: Option<i64>,
    /// The `Chat` object's fields beyond id and type.
    pub chat: Option<Map<String, Value>>,
    /// The `User` object; `id` defaults to the chat's.
    pub from: Option<Map<String, Value>>,
    pub text: Option<String>,
    /// The `Message`'s fields. `message_id`, `date`, `chat` and `from` are filled in unless present.
    pub message: Option<Map<String, Value>>,
    /// A whole `Update`; `update_id` is filled in unless present.
    pub update: Option<Map<String, Value>>,
}

/// A file that an inbound Telegram message can refer to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelegramFile {
    #[serde(default)]
    pub token: Option<String>,
    /// `photo`, `video`, `audio`, `voice`, `document`, `animation` or `sticker`. Default `document`.
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub file_name: Option<String>,
    #[serde(default)]
    pub mime_type: Option<String>,
    pub content_base64: String,
}

/// What somebody does to a WhatsApp group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAction {
    /// Opens the link: is in, or asks to be let in where that must be approved.
    Join,
    Leave,
    /// Asks no longer.
    Withdraw,
    /// Meta suspends the group, or lets it go on; nobody acts then.
    Suspend,
    Clear,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPerson {
    pub group_id: String,
    /// The person's phone.
    #[serde(default)]
    pub from: String,
    pub action: GroupAction,
}

/// One status by hand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    pub wamid: String,
    pub status: String,
    #[serde(default)]
    pub code: Option<i64>,
}

/// A reviewer's decision about a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateStatus {
    pub waba_id: String,
    pub name: String,
    pub language: String,
    /// `APPROVED`, `REJECTED`, `PAUSED`, …
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
}

fn decode(content: &str) -> Result<Bytes, String> {
    STANDARD.decode(content).map(Bytes::from).map_err(|error| format!("content_base64: {error}"))
}

fn delivered(wamid: Option<String>, outcome: Result<u16, String>) -> Delivered {
    match outcome {
        Ok(status) => Delivered { wamid, webhook_status: Some(status), error: None },
        Err(reason) => Delivered { wamid, webhook_status: None, error: Some(reason) },
    }
}

impl Inner {
    fn number_or_first(&self, id: Option<&str>) -> Result<crate::Number, String> {
        let found = match id {
            Some(id) => self.number(id),
            None => self.config().numbers.first().cloned(),
        };
        found.ok_or_else(|| format!("no such number: {}", id.unwrap_or("none is configured")))
    }

    fn token_or_first(&self, token: Option<&str>) -> Result<String, String> {
        let config = self.config();
        let found = match token {
            Some(token) => config.bots.iter().find(|bot| bot.token == token),
            None => config.bots.first(),
        };
        found.map(|bot| bot.token.clone()).ok_or_else(|| "no such bot".to_owned())
    }

    fn sign(&self, url: Url, body: Vec<u8>, key: &str) -> Post {
        let secret = self.config().app_secret.clone();
        Post::whatsapp(url, &secret, body, lane(key))
    }
}

impl Simulator {
    /// Posts a message to the number's webhook, signed. The answer is the first attempt's; a webhook that does not
    /// take it is tried again in the background.
    pub async fn whatsapp_inbound(&self, inbound: WhatsappInbound) -> Result<Delivered, String> {
        let inner = &self.inner;
        let number = inner.number_or_first(inbound.phone_number_id.as_deref())?;
        let phone = inbound.from.as_deref().map(digits);
        let user = match (inbound.user_id, &phone) {
            (Some(user), _) => Some(user).filter(|user| !user.is_empty()),
            (None, Some(phone)) => Some(user_id(&number.waba_id, phone)),
            (None, None) => None,
        };
        let sender = phone.clone().or_else(|| user.clone());
        let sender = sender.ok_or("one of `from` and `user_id` is required")?;
        let mut message = inbound.message.unwrap_or_default();
        if let Some(text) = inbound.text {
            message.insert("text".into(), json!({"body": text}));
            message.insert("type".into(), json!("text"));
        }
        if let Some(phone) = &phone {
            message.entry("from").or_insert_with(|| json!(phone));
        }
        if let Some(user) = &user {
            message.entry("from_user_id").or_insert_with(|| json!(user));
        }
        message.entry("id").or_insert_with(|| json!(inner.ids.wamid(&sender, false)));
        message.entry("timestamp").or_insert_with(|| json!(now_seconds().to_string()));
        if !message.contains_key("type") {
            let known = ["context", "from", "from_user_id", "group_id", "id", "referral", "timestamp"];
            let kind = message.keys().find(|key| !known.contains(&key.as_str())).cloned();
            message.insert("type".into(), json!(kind.ok_or("one of `text` and `message` is required")?));
        }
        let wamid = message["id"].as_str().map(str::to_owned);
        let mut contact = Map::new();
        let name = inbound.name.unwrap_or_else(|| "Simulated person".to_owned());
        contact.insert("profile".into(), json!({"name": name}));
        inner.graph().names.insert(sender.clone(), name);
        if let Some(phone) = phone {
            contact.insert("wa_id".into(), json!(phone));
        }
        if let Some(user) = user {
            contact.insert("user_id".into(), json!(user));
        }
        let mut value = value_of(&number);
        if message["type"] != "system" {
            value.insert("contacts".into(), json!([contact]));
        }
        value.insert("messages".into(), json!([message]));
        inner.graph().last_inbound.insert((number.phone_number_id.clone(), sender.clone()), now_ms());
        let Some(url) = inner.webhook_of(&number) else {
            return Ok(Delivered {
                wamid,
                webhook_status: None,
                error: Some("no webhook is set".to_owned()),
            });
        };
        let body = wire_form(&envelope(vec![entry(&number.waba_id, "messages", value)]));
        for _ in 1..inbound.copies.unwrap_or(1) {
            drop(inner.deliver(inner.sign(url.clone(), body.clone(), &sender)).await);
        }
        Ok(delivered(wamid, inner.deliver(inner.sign(url, body, &sender)).await))
    }

    /// Signs and posts a body as it is, once.
    pub async fn whatsapp_webhook(&self, webhook: WhatsappWebhook) -> Result<Delivered, String> {
        let body = match serde_json::from_str::<String>(webhook.body.get()) {
            Ok(text) => text.into_bytes(),
            Err(_) => webhook.body.get().as_bytes().to_vec(),
        };
        let url = webhook.url.or_else(|| self.inner.config().webhook_whatsapp.clone());
        let mut post = self.inner.sign(url.ok_or("no webhook is set")?, body, "");
        match webhook.signature {
            Some(signature) if signature.is_empty() => post.header = None,
            Some(signature) => post.header = Some(("X-Hub-Signature-256", signature)),
            None => {}
        }
        Ok(delivered(None, self.inner.post(&post).await.map(|(status, _)| status)))
    }

    /// Plays the subscription handshake against the configured webhook.
    pub async fn whatsapp_verify(&self) -> Result<(), String> {
        let (url, token) = {
            let config = self.inner.config();
            (config.webhook_whatsapp.clone(), config.verify_token.clone().unwrap_or_default())
        };
        let url = url.ok_or("no webhook is set")?;
        crate::graph::handshake(&self.inner, &url, &token).await.map_err(|error| error.message)
    }

    /// Stores a file; the answer has the fields of a media object in a message.
    pub fn whatsapp_media(&self, media: WhatsappMedia) -> Result<Value, String> {
        let number = self.inner.number_or_first(media.phone_number_id.as_deref())?;
        let bytes = decode(&media.content_base64)?;
        let file = MediaFile::new(number.phone_number_id, media.mime_type, media.filename.clone(), bytes);
        let id = self.inner.ids.object();
        let mut answer = json!({"id": id, "mime_type": file.mime_type, "sha256": file.sha256});
        if let Some(name) = media.filename {
            answer["filename"] = json!(name);
        }
        self.inner.graph().add_media(id, file);
        Ok(answer)
    }

    /// Reports one status of an accepted message.
    pub async fn send_status(&self, request: StatusRequest) -> Result<Delivered, String> {
        let message = self.inner.graph().accepted(&request.wamid);
        let message = message.ok_or_else(|| format!("no such message: {}", request.wamid))?;
        let lane = lane(message.recipient.as_str());
        let job = StatusJob { message, status: request.status, code: request.code, lane };
        let wamid = Some(request.wamid);
        let mut posts = self.inner.status_posts(&[job]);
        match posts.pop() {
            Some(post) => Ok(delivered(wamid, self.inner.deliver(post).await)),
            None => {
                Ok(Delivered { wamid, webhook_status: None, error: Some("no webhook is set".to_owned()) })
            }
        }
    }

    /// Decides about a template and reports it by webhook.
    pub async fn set_template_status(&self, request: TemplateStatus) -> Result<Delivered, String> {
        let inner = &self.inner;
        let TemplateStatus { waba_id, name, language, status, reason } = request;
        let changed = inner.graph().set_template_status(&waba_id, &name, &language, &status);
        let (id, category) = changed.ok_or_else(|| format!("no such template: {name} in {language}"))?;
        let value = json!({
            "event": status,
            "message_template_id": id.parse::<u64>().unwrap_or_default(),
            "message_template_name": name,
            "message_template_language": language,
            "message_template_category": category,
            "reason": reason.unwrap_or_else(|| "NONE".to_owned()),
        });
        let change = json!({"field": "message_template_status_update", "value": value});
        let body = envelope(vec![json!({"id": waba_id, "time": now_seconds(), "changes": [change]})]);
        // Overrides do not cover template fields: they always go to the app's own URL.
        let Some(url) = inner.config().webhook_whatsapp.clone() else {
            return Ok(Delivered {
                wamid: None,
                webhook_status: None,
                error: Some("no webhook is set".into()),
            });
        };
        Ok(delivered(None, inner.deliver(inner.sign(url, wire_form(&body), &waba_id)).await))
    }

    /// Plays what a person does to a group, and reports it by webhook.
    pub async fn whatsapp_group(&self, action: GroupPerson) -> Result<Delivered, String> {
        let Some(post) = crate::graph::act_in_group(&self.inner, &action)? else {
            let error = Some("no webhook is set".to_owned());
            return Ok(Delivered { wamid: None, webhook_status: None, error });
        };
        Ok(delivered(None, self.inner.deliver(post).await))
    }

    /// Gives a bot an update.
    pub async fn telegram_inbound(&self, inbound: TelegramInbound) -> Result<Pushed, String> {
        let token = self.inner.token_or_first(inbound.token.as_deref())?;
        if let Some(update) = inbound.update {
            return Ok(self.inner.push_update(&token, Value::Object(update)).await);
        }
        let mut from = inbound.from.unwrap_or_default();
        let from_id = from.get("id").and_then(Value::as_i64);
        let chat_id = inbound.chat_id.or(from_id).ok_or("one of `chat_id` and `from.id` is required")?;
        from.entry("id").or_insert_with(|| json!(chat_id.abs()));
        from.entry("is_bot").or_insert_with(|| json!(false));
        from.entry("first_name").or_insert_with(|| json!("Simulated person"));
        let mut message = inbound.message.unwrap_or_default();
        if let Some(text) = inbound.text {
            message.insert("text".into(), json!(text));
        }
        if message.is_empty() {
            return Err("one of `text`, `message` and `update` is required".to_owned());
        }
        let mut chat = inbound.chat.unwrap_or_default();
        chat.insert("id".into(), json!(chat_id));
        if chat_id > 0 {
            chat.entry("type").or_insert_with(|| json!("private"));
            for key in ["first_name", "last_name", "username"] {
                if let Some(value) = from.get(key) {
                    chat.entry(key).or_insert_with(|| value.clone());
                }
            }
        } else {
            let kind = if chat_id <= -1_000_000_000_000 { "supergroup" } else { "group" };
            chat.entry("type").or_insert_with(|| json!(kind));
            chat.entry("title").or_insert_with(|| json!("Simulated group"));
        }
        message.entry("chat").or_insert(Value::Object(chat));
        message.entry("from").or_insert(Value::Object(from));
        message.entry("date").or_insert_with(|| json!(now_seconds()));
        if !message.contains_key("message_id") {
            let id = self.inner.telegram().bot(&token).next_message_id(chat_id);
            message.insert("message_id".into(), json!(id));
        }
        Ok(self.inner.push_update(&token, json!({"message": message})).await)
    }

    /// Stores a file for a bot; the answer has the fields of a file object in a message.
    pub fn telegram_file(&self, file: TelegramFile) -> Result<Value, String> {
        let token = self.inner.token_or_first(file.token.as_deref())?;
        let bytes = decode(&file.content_base64)?;
        let kind = file.kind.unwrap_or_else(|| "document".to_owned());
        let inner: &Arc<Inner> = &self.inner;
        let stored =
            inner.telegram().add_file(&inner.ids, &token, &kind, file.file_name, file.mime_type, bytes);
        Ok(json!({
            "file_id": stored.id, "file_unique_id": stored.unique_id, "file_size": stored.bytes.len(),
            "file_name": stored.name, "mime_type": stored.mime_type,
        }))
    }
}
