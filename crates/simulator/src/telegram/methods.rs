//! The Bot API's methods.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::content::{self, Content};
use super::{Answer, BotError, files, groups, user, webhook};
use crate::config::Bot;
use crate::ids::{now_ms, now_seconds};
use crate::params::Params;
use crate::state::{Inner, Provider, Sent};

/// Every method, in Telegram's spelling.
pub(super) const NAMES: &[&str] = &[
    "getMe",
    "setWebhook",
    "deleteWebhook",
    "getWebhookInfo",
    "getUpdates",
    "sendMessage",
    "sendPhoto",
    "sendVideo",
    "sendAudio",
    "sendVoice",
    "sendDocument",
    "sendAnimation",
    "sendSticker",
    "sendLocation",
    "sendVenue",
    "sendContact",
    "sendMediaGroup",
    "sendChatAction",
    "setMessageReaction",
    "editMessageText",
    "editMessageCaption",
    "editMessageReplyMarkup",
    "deleteMessage",
    "answerCallbackQuery",
    "getFile",
    "getChat",
    "setMyCommands",
    "leaveChat",
    "logOut",
    "close",
];

const ACTIONS: &[&str] = &[
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
];

/// The emoji a bot may react with.
const REACTIONS: &str = "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 \
    💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡";

pub(super) async fn call(
    inner: &Arc<Inner>,
    bot: &Bot,
    method: &str,
    params: &Params,
    raw: Arc<RawValue>,
) -> Answer {
    match method {
        "getMe" => {
            let mut me = user(bot);
            for (key, value) in [
                ("can_join_groups", true),
                ("can_read_all_group_messages", false),
                ("supports_inline_queries", false),
                ("can_connect_to_business", false),
                ("has_main_web_app", false),
            ] {
                me[key] = json!(value);
            }
            Ok(me.into())
        }
        "setWebhook" => webhook::set(inner, bot, params),
        "deleteWebhook" => Ok(webhook::delete(inner, bot, params)),
        "getWebhookInfo" => Ok(webhook::info(inner, bot).into()),
        "getUpdates" => webhook::get_updates(inner, bot, params).await,
        "getFile" => files::get(inner, bot, params).map(Into::into),
        "getChat" => {
            let chat = chat_id(params)?;
            let mut telegram = inner.telegram();
            let state = telegram.bot(&bot.token);
            let mut info = state.chat(chat);
            groups::describe(&mut info, state.chats.entry(chat).or_default());
            drop(telegram);
            info["accent_color_id"] = json!(0);
            info["max_reaction_count"] = json!(11);
            info["accepted_gift_types"] = json!({
                "unlimited_gifts": false, "limited_gifts": false, "unique_gifts": false,
                "premium_subscription": false, "gifts_from_channels": false,
            });
            Ok(info.into())
        }
        "sendChatAction" => {
            chat_id(params)?;
            match params.text("action") {
                Some(action) if ACTIONS.contains(&action.as_str()) => Ok(json!(true).into()),
                _ => Err(BotError::bad("wrong parameter action in request")),
            }
        }
        "sendMediaGroup" => {
            let chat = chat_id(params)?;
            let reply = replied_to(inner, bot, chat, params)?;
            let contents = content::album(inner, bot, params)?;
            let group = inner.ids.object();
            let messages: Vec<Value> = contents
                .into_iter()
                .map(|mut content| {
                    content.fields.insert("media_group_id".into(), json!(group));
                    post(inner, bot, method, chat, content, reply.as_ref(), None, &raw)
                })
                .collect();
            Ok(Value::Array(messages).into())
        }
        "setMessageReaction" => react(inner, bot, params, raw),
        "editMessageText" | "editMessageCaption" | "editMessageReplyMarkup" => {
            edit(inner, bot, method, params)
        }
        "deleteMessage" => delete(inner, bot, params),
        "answerCallbackQuery" => {
            let id = params.text("callback_query_id").unwrap_or_default();
            if inner.telegram().bot(&bot.token).queries.remove(&id) {
                Ok(json!(true).into())
            } else {
                Err(BotError::bad("query is too old and response timeout expired or query ID is invalid"))
            }
        }
        "setMyCommands" | "leaveChat" | "logOut" | "close" => Ok(json!(true).into()),
        _ if groups::NAMES.contains(&method) => groups::call(inner, bot, method, chat_id(params)?, params),
        _ if method.starts_with("send") && NAMES.contains(&method) => {
            let chat = chat_id(params)?;
            let content = content::of(inner, bot, method, params)?;
            let markup = content::reply_markup(params)?;
            let reply = replied_to(inner, bot, chat, params)?;
            limit(inner, bot, chat)?;
            Ok(post(inner, bot, method, chat, content, reply.as_ref(), markup, &raw).into())
        }
        "" => Err(BotError::of(404, None)),
        _ => Err(BotError::of(404, Some("Not Found: method not found".to_owned()))),
    }
}

/// The pace to one chat, where it is limited.
fn limit(inner: &Inner, bot: &Bot, chat: i64) -> Result<(), BotError> {
    let Some(burst) = inner.config().chat_burst else { return Ok(()) };
    let key = format!("{}/{chat}", bot.token);
    inner.limits().take(&key, burst, 1.0, now_ms()).map_err(BotError::too_many_requests)
}

/// The chat. `@username`s of channels get a number derived from the name.
fn chat_id(params: &Params) -> Result<i64, BotError> {
    let text = params.text("chat_id").ok_or_else(|| BotError::bad("chat_id is empty"))?;
    if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
        let hash = name.bytes().fold(7_i64, |hash, byte| (hash * 31 + i64::from(byte)) % 999_999_937);
        return Ok(-1_000_000_000_000 - hash);
    }
    match text.parse::<i64>() {
        Ok(id) if id != 0 && id.unsigned_abs() < 1 << 52 => Ok(id),
        _ => Err(BotError::bad("chat not found")),
    }
}

fn message_id(params: &Params, missing: &str) -> Result<i64, BotError> {
    params.int("message_id").ok_or_else(|| BotError::bad(missing))
}

/// The message that a send answers, if it names one.
fn replied_to(inner: &Inner, bot: &Bot, chat: i64, params: &Params) -> Result<Option<Value>, BotError> {
    let (id, optional) = match params.json("reply_parameters") {
        Some(Ok(reply)) => (reply["message_id"].as_i64(), reply["allow_sending_without_reply"] == true),
        Some(Err(())) => return Err(BotError::bad("can't parse reply parameters JSON object")),
        None => (params.int("reply_to_message_id"), params.flag("allow_sending_without_reply")),
    };
    let Some(id) = id else { return Ok(None) };
    match inner.telegram().bot(&bot.token).messages.get(&(chat, id)) {
        Some(message) => Ok(Some(message.clone())),
        None if optional => Ok(None),
        None => Err(BotError::bad("message to be replied not found")),
    }
}

/// Makes the message, remembers it, and shows it on the phone.
#[expect(clippy::too_many_arguments, reason = "the parts of one message, each from another parameter")]
fn post(
    inner: &Arc<Inner>,
    bot: &Bot,
    method: &str,
    chat: i64,
    content: Content,
    reply: Option<&Value>,
    markup: Option<Value>,
    raw: &Arc<RawValue>,
) -> Value {
    let mut telegram = inner.telegram();
    let state = telegram.bot(&bot.token);
    let id = state.next_message_id(chat);
    let mut message = json!({
        "message_id": id,
        "from": user(bot),
        "chat": state.chat(chat),
        "date": now_seconds(),
    });
    if let Value::Object(fields) = &mut message {
        fields.extend(content.fields);
        if let Some(reply) = reply {
            let mut reply = reply.clone();
            if let Value::Object(reply) = &mut reply {
                reply.remove("reply_to_message");
            }
            fields.insert("reply_to_message".into(), reply);
        }
        if let Some(markup) = markup {
            fields.insert("reply_markup".into(), markup);
        }
    }
    state.keep_message(chat, id, message.clone());
    drop(telegram);
    show(inner, bot, method, chat, &id.to_string(), content.body, Arc::clone(raw));
    message
}

fn show(inner: &Inner, bot: &Bot, method: &str, chat: i64, id: &str, body: String, payload: Arc<RawValue>) {
    inner.record_sent(Sent {
        seq: 0,
        provider: Provider::Telegram,
        id: record_id(bot, chat, id),
        from: bot.id().to_string(),
        to: chat.to_string(),
        kind: method.to_owned(),
        body,
        payload,
        status: "sent".to_owned(),
        at: 0,
        callback_data: None,
    });
}

fn record_id(bot: &Bot, chat: i64, message: &str) -> String {
    format!("{}:{chat}:{message}", bot.id())
}

fn react(inner: &Inner, bot: &Bot, params: &Params, raw: Arc<RawValue>) -> Answer {
    let chat = chat_id(params)?;
    let id = message_id(params, "message to react not found")?;
    if !inner.telegram().bot(&bot.token).messages.contains_key(&(chat, id)) {
        return Err(BotError::bad("message to react not found"));
    }
    let reactions = match params.json("reaction") {
        None => Vec::new(),
        Some(Ok(Value::Array(reactions))) => reactions,
        Some(_) => return Err(BotError::bad("can't parse reaction types JSON object")),
    };
    if reactions.len() > 1 {
        return Err(BotError::bad("REACTIONS_TOO_MANY"));
    }
    let emoji = reactions.first().map_or("", |reaction| reaction["emoji"].as_str().unwrap_or_default());
    if !reactions.is_empty() && !REACTIONS.split_whitespace().any(|known| known == emoji) {
        return Err(BotError::bad("REACTION_INVALID"));
    }
    show(inner, bot, "setMessageReaction", chat, &format!("{id}:reaction"), emoji.to_owned(), raw);
    Ok(json!(true).into())
}

fn edit(inner: &Inner, bot: &Bot, method: &str, params: &Params) -> Answer {
    let chat = chat_id(params)?;
    let id = message_id(params, "message identifier is not specified")?;
    let (mut fields, mut body) = (serde_json::Map::new(), None);
    if method == "editMessageText" {
        let content = content::message_text(params)?;
        fields = content.fields;
        body = Some(content.body);
    } else if method == "editMessageCaption" {
        let text = params.text("caption");
        let (caption, plain) = content::caption(text.as_deref(), params.text("parse_mode").as_deref())?;
        fields = caption;
        body = Some(plain);
    }
    let markup = content::reply_markup(params)?;
    let mut telegram = inner.telegram();
    let stored = telegram.bot(&bot.token).messages.get_mut(&(chat, id));
    let stored = stored.ok_or_else(|| BotError::bad("message to edit not found"))?;
    if stored["from"]["id"] != bot.id() {
        return Err(BotError::bad("message can't be edited"));
    }
    if method == "editMessageText" && stored.get("text").is_none() {
        return Err(BotError::bad("there is no text in the message to edit"));
    }
    let mut changed = stored.clone();
    if let Value::Object(message) = &mut changed {
        match method {
            "editMessageText" => drop(message.remove("entities")),
            "editMessageCaption" => {
                message.remove("caption");
                message.remove("caption_entities");
            }
            _ => {}
        }
        message.remove("reply_markup");
        message.extend(fields);
        if let Some(markup) = markup {
            message.insert("reply_markup".into(), markup);
        }
    }
    if changed == *stored {
        return Err(BotError::bad(
            "message is not modified: specified new message content and reply markup are exactly the same as a \
             current content and reply markup of the message",
        ));
    }
    changed["edit_date"] = json!(now_seconds());
    *stored = changed.clone();
    drop(telegram);
    if let Some(sent) = inner.records().sent_by_id(&record_id(bot, chat, &id.to_string())) {
        "edited".clone_into(&mut sent.status);
        if let Some(body) = body {
            sent.body = body;
        }
    }
    Ok(changed.into())
}

fn delete(inner: &Inner, bot: &Bot, params: &Params) -> Answer {
    let chat = chat_id(params)?;
    let id = message_id(params, "message identifier is not specified")?;
    if inner.telegram().bot(&bot.token).messages.remove(&(chat, id)).is_none() {
        return Err(BotError::bad("message to delete not found"));
    }
    if let Some(sent) = inner.records().sent_by_id(&record_id(bot, chat, &id.to_string())) {
        "deleted".clone_into(&mut sent.status);
    }
    Ok(json!(true).into())
}
