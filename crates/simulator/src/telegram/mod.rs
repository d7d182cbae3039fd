//! Telegram's Bot API.

mod content;
mod files;
mod groups;
mod methods;
mod text;
mod webhook;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub(crate) use files::BotFile;
pub use webhook::Pushed;

use crate::config::Bot;
use crate::ids::now_seconds;
use crate::params::Params;
use crate::state::Inner;

/// How many messages of a bot can still be edited, deleted or replied to.
const KEEP_MESSAGES: usize = 50_000;

/// Longer tokens are refused without a look at the list of bots.
const TOKEN_LIMIT: usize = 80;

pub(crate) struct Call {
    pub token: String,
    /// The method in Telegram's own spelling; `file` for a download.
    pub method: String,
    /// The rest of a download's path.
    pub path: String,
}

pub(crate) fn is_bot_path(path: &str) -> bool {
    path.starts_with("/bot") || path.starts_with("/file/bot")
}

impl Call {
    /// `/bot<token>/<method>`, `/bot<token>/test/<method>` or `/file/bot<token>/<path>`.
    pub(crate) fn parse(path: &str) -> Self {
        let (is_file, rest) = match path.strip_prefix("/file/bot") {
            Some(rest) => (true, rest),
            None => (false, path.strip_prefix("/bot").unwrap_or(path)),
        };
        let (token, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let token = token.replace("%3A", ":").replace("%3a", ":");
        if is_file {
            return Self { token, method: "file".to_owned(), path: rest.to_owned() };
        }
        let name = rest.strip_prefix("test/").unwrap_or(rest).trim_end_matches('/');
        let mut names = methods::NAMES.iter().chain(groups::NAMES);
        let known = names.find(|known| known.eq_ignore_ascii_case(name));
        Self { token, method: known.map_or(name, |known| known).to_owned(), path: String::new() }
    }
}

/// A refusal in the Bot API's shape.
#[derive(Debug)]
pub(crate) struct BotError {
    pub code: u16,
    pub description: String,
    pub retry_after: Option<u64>,
    pub migrate_to_chat_id: Option<i64>,
}

impl BotError {
    /// The error of a code; without a description, its most common text.
    pub(crate) fn of(code: u16, description: Option<String>) -> Self {
        let description = description.unwrap_or_else(|| {
            match code {
                400 => "Bad Request: chat not found",
                401 => "Unauthorized",
                403 => "Forbidden: bot was blocked by the user",
                404 => "Not Found",
                409 => "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                413 => "Request Entity Too Large",
                429 => "Too Many Requests: retry after 1",
                502 => "Bad Gateway",
                _ => "Internal Server Error",
            }
            .to_owned()
        });
        Self { code, description, retry_after: None, migrate_to_chat_id: None }
    }

    fn bad(reason: &str) -> Self {
        Self::of(400, Some(format!("Bad Request: {reason}")))
    }

    pub(crate) fn too_many_requests(seconds: u64) -> Self {
        let description = Some(format!("Too Many Requests: retry after {seconds}"));
        Self { retry_after: Some(seconds), ..Self::of(429, description) }
    }

    pub(crate) fn respond(&self) -> Response {
        let mut body = json!({"ok": false, "error_code": self.code, "description": self.description});
        let mut parameters = Map::new();
        if let Some(seconds) = self.retry_after {
            parameters.insert("retry_after".into(), json!(seconds));
        }
        if let Some(chat) = self.migrate_to_chat_id {
            parameters.insert("migrate_to_chat_id".into(), json!(chat));
        }
        if !parameters.is_empty() {
            body["parameters"] = Value::Object(parameters);
        }
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::BAD_REQUEST);
        match self.retry_after {
            Some(seconds) => (status, [(RETRY_AFTER, seconds.to_string())], Json(body)).into_response(),
            None => (status, Json(body)).into_response(),
        }
    }
}

/// A method's result, with the description a few successes carry.
struct Success {
    result: Value,
    description: Option<&'static str>,
}

impl From<Value> for Success {
    fn from(result: Value) -> Self {
        Self { result, description: None }
    }
}

type Answer = Result<Success, BotError>;

#[derive(Default)]
pub(crate) struct TelegramState {
    bots: HashMap<String, BotState>,
}

#[derive(Default)]
pub(crate) struct BotState {
    webhook: Option<webhook::Webhook>,
    allowed_updates: Option<Vec<String>>,
    last_update: i64,
    /// Updates waiting for `getUpdates`.
    pending: VecDeque<Value>,
    /// Updates whose webhook call is being tried again.
    undelivered: usize,
    last_error: Option<(u64, String)>,
    chats: HashMap<i64, Chat>,
    messages: HashMap<(i64, i64), Value>,
    message_order: VecDeque<(i64, i64)>,
    files: HashMap<String, BotFile>,
    /// Callback queries not answered yet.
    queries: HashSet<String>,
}

#[derive(Default)]
struct Chat {
    /// Names and type as the last inbound message gave them.
    info: Option<Value>,
    last_message: i64,
    description: Option<String>,
    has_photo: bool,
    invite_link: Option<String>,
    /// `ChatMember` objects by user.
    members: BTreeMap<i64, Value>,
    /// The bot's own.
    own: Option<Value>,
    /// Who asks to be let in: `User` objects.
    requests: BTreeMap<i64, Value>,
}

impl TelegramState {
    pub(crate) fn bot(&mut self, token: &str) -> &mut BotState {
        self.bots.entry(token.to_owned()).or_default()
    }

    /// Notes how a webhook call ended: `reason` when it failed, `again` when it will be tried again.
    pub(crate) fn note_delivery(
        &mut self,
        token: &str,
        attempts: usize,
        reason: Option<String>,
        again: bool,
    ) {
        let bot = self.bot(token);
        if attempts == 0 && again {
            bot.undelivered += 1;
        }
        if attempts > 0 && !again {
            bot.undelivered = bot.undelivered.saturating_sub(1);
        }
        if let Some(reason) = reason {
            bot.last_error = Some((now_seconds(), reason));
        }
    }
}

impl BotState {
    fn chat(&mut self, id: i64) -> Value {
        let known = self.chats.entry(id).or_default().info.clone();
        known.unwrap_or_else(|| match id {
            0.. => json!({"id": id, "type": "private", "first_name": "User"}),
            -999_999_999_999..=-1 => json!({"id": id, "type": "group", "title": "Group"}),
            _ => json!({"id": id, "type": "supergroup", "title": "Group"}),
        })
    }

    pub(crate) fn next_message_id(&mut self, chat: i64) -> i64 {
        let chat = self.chats.entry(chat).or_default();
        chat.last_message += 1;
        chat.last_message
    }

    fn keep_message(&mut self, chat: i64, id: i64, message: Value) {
        self.messages.insert((chat, id), message);
        self.message_order.push_back((chat, id));
        if self.message_order.len() > KEEP_MESSAGES
            && let Some(oldest) = self.message_order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }

    /// Learns the chat, the message and the callback query that an inbound update brings.
    fn learn(&mut self, update: &Value) {
        groups::learn(self, update);
        for kind in ["message", "edited_message", "channel_post", "edited_channel_post"] {
            if let Some(message) = update.get(kind) {
                self.learn_message(message);
            }
        }
        if let Some(query) = update.get("callback_query") {
            if let Some(id) = query["id"].as_str() {
                self.queries.insert(id.to_owned());
            }
            self.learn_message(&query["message"]);
        }
    }

    fn learn_message(&mut self, message: &Value) {
        let (Some(chat), Some(id)) = (message["chat"]["id"].as_i64(), message["message_id"].as_i64()) else {
            return;
        };
        let known = self.chats.entry(chat).or_default();
        known.info = Some(message["chat"].clone());
        known.last_message = known.last_message.max(id);
        if !self.messages.contains_key(&(chat, id)) {
            self.keep_message(chat, id, message.clone());
        }
    }
}

/// The bot as the `User` object of its messages.
pub(crate) fn user(bot: &Bot) -> Value {
    json!({"id": bot.id(), "is_bot": true, "first_name": bot.first_name, "username": bot.username})
}

pub(crate) async fn handle(inner: &Arc<Inner>, call: Call, params: Params, raw: Arc<RawValue>) -> Response {
    match serve(inner, &call, &params, raw).await {
        Ok(response) => response,
        Err(error) => error.respond(),
    }
}

/// Makes the call that a webhook's answer holds, if it holds one. Nobody learns its result.
pub(crate) async fn carry_out(inner: &Arc<Inner>, token: &str, answer: Bytes) {
    let Ok(Value::Object(parameters)) = serde_json::from_slice::<Value>(&answer) else { return };
    let Some(method) = parameters.get("method").and_then(Value::as_str) else { return };
    let ignored = ["setwebhook", "deletewebhook", "close", "logout"];
    let name = method.to_ascii_lowercase();
    if name.starts_with("get") || ignored.contains(&name.as_str()) {
        return;
    }
    let request = Request::post(format!("/bot{token}/{method}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(answer));
    if let Ok(request) = request {
        drop(crate::dispatch::serve(State(Arc::clone(inner)), request).await);
    }
}

async fn serve(
    inner: &Arc<Inner>,
    call: &Call,
    params: &Params,
    raw: Arc<RawValue>,
) -> Result<Response, BotError> {
    if call.token.len() > TOKEN_LIMIT || !call.token.contains(':') {
        return Err(BotError::of(401, Some("Unauthorized: invalid token specified".to_owned())));
    }
    let bot = inner.config().bots.iter().find(|bot| bot.token == call.token).cloned();
    let bot = bot.ok_or_else(|| BotError::of(401, None))?;
    if call.method == "file" {
        return files::download(inner, &bot, &call.path);
    }
    let success = methods::call(inner, &bot, &call.method, params, raw).await?;
    let mut body = json!({"ok": true, "result": success.result});
    if let Some(description) = success.description {
        body["description"] = json!(description);
    }
    Ok(Json(body).into_response())
}
