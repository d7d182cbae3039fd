//! Updates: the webhook, the queue behind `getUpdates`, and how an update gets into either.
//!
//! One deviation from Telegram: `setWebhook` takes `http://` URLs and any port when the host is a loopback name
//! or address, because that is where a simulator's webhooks are. Every other URL follows Telegram's rules.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::{Answer, BotError, BotState, Success};
use crate::callbacks::{Post, lane};
use crate::config::Bot;
use crate::params::Params;
use crate::state::{Inner, Provider};

/// Kinds that are sent only to bots which ask for them.
const OFF_BY_DEFAULT: &[&str] = &["chat_member", "message_reaction", "message_reaction_count"];

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Webhook {
    url: Url,
    secret_token: Option<String>,
    max_connections: i64,
    ip_address: Option<String>,
    has_certificate: bool,
}

fn allowed(params: &Params) -> Result<Option<Vec<String>>, BotError> {
    match params.json("allowed_updates") {
        None => Ok(None),
        Some(Ok(Value::Array(kinds))) => {
            Ok(Some(kinds.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()))
        }
        Some(_) => Err(BotError::bad("can't parse allowed updates JSON object")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn check_url(text: &str) -> Result<Url, BotError> {
    let url = Url::parse(text).map_err(|_| BotError::bad("invalid webhook URL specified"))?;
    if is_loopback(&url) && matches!(url.scheme(), "http" | "https") {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err(BotError::bad("bad webhook: An HTTPS URL must be provided for webhook"));
    }
    if !matches!(url.port_or_known_default(), Some(80 | 88 | 443 | 8443)) {
        return Err(BotError::bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"));
    }
    match url.host() {
        Some(Host::Ipv6(_)) => Err(BotError::bad("bad webhook: IPv6-only addresses are not allowed")),
        Some(Host::Ipv4(ip)) if ip.is_private() || ip.is_link_local() || ip.is_unspecified() => {
            Err(BotError::bad(&format!("bad webhook: IP address {ip} is reserved")))
        }
        _ => Ok(url),
    }
}

pub(super) fn set(inner: &Inner, bot: &Bot, params: &Params) -> Answer {
    let Some(text) = params.text("url") else { return Ok(delete(inner, bot, params)) };
    let secret_token = params.text("secret_token");
    if let Some(secret) = &secret_token {
        if secret.len() > 256 {
            return Err(BotError::bad("secret token is too long"));
        }
        if !secret.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(BotError::bad("secret token contains unallowed characters"));
        }
    }
    let webhook = Webhook {
        url: check_url(&text)?,
        secret_token,
        max_connections: params.int("max_connections").unwrap_or(40).clamp(1, 100),
        ip_address: params.text("ip_address"),
        has_certificate: params.upload("certificate").is_some(),
    };
    let allowed = allowed(params)?;
    let mut telegram = inner.telegram();
    let state = telegram.bot(&bot.token);
    if params.flag("drop_pending_updates") {
        state.pending.clear();
    }
    let unchanged =
        state.webhook.as_ref() == Some(&webhook) && (allowed.is_none() || allowed == state.allowed_updates);
    state.webhook = Some(webhook);
    if let Some(kinds) = allowed {
        state.allowed_updates = Some(kinds);
    }
    let description = if unchanged { "Webhook is already set" } else { "Webhook was set" };
    Ok(Success { result: json!(true), description: Some(description) })
}

pub(super) fn delete(inner: &Inner, bot: &Bot, params: &Params) -> Success {
    let mut telegram = inner.telegram();
    let state = telegram.bot(&bot.token);
    if params.flag("drop_pending_updates") {
        state.pending.clear();
    }
    let description =
        if state.webhook.take().is_some() { "Webhook was deleted" } else { "Webhook is already deleted" };
    Success { result: json!(true), description: Some(description) }
}

pub(super) fn info(inner: &Inner, bot: &Bot) -> Value {
    let mut telegram = inner.telegram();
    let state = telegram.bot(&bot.token);
    let mut info = json!({
        "url": "",
        "has_custom_certificate": false,
        "pending_update_count": state.pending.len() + state.undelivered,
    });
    if let Some(webhook) = &state.webhook {
        info["url"] = json!(webhook.url.as_str());
        info["has_custom_certificate"] = json!(webhook.has_certificate);
        info["max_connections"] = json!(webhook.max_connections);
        info["ip_address"] = json!(webhook.ip_address.as_deref().unwrap_or("127.0.0.1"));
    }
    if let Some((at, reason)) = &state.last_error {
        info["last_error_date"] = json!(at);
        info["last_error_message"] = json!(reason);
    }
    if let Some(kinds) = state.allowed_updates.as_ref().filter(|kinds| !kinds.is_empty()) {
        info["allowed_updates"] = json!(kinds);
    }
    info
}

/// `getUpdates`: confirms what lies below `offset`, then waits up to `timeout` seconds for something to give.
pub(super) async fn get_updates(inner: &Arc<Inner>, bot: &Bot, params: &Params) -> Answer {
    let limit = params.int("limit").unwrap_or(100).clamp(1, 100) as usize;
    let offset = params.int("offset").unwrap_or(0);
    let allowed = allowed(params)?;
    let mut polls = params.int("timeout").unwrap_or(0).clamp(0, 50) * 20;
    loop {
        {
            let mut telegram = inner.telegram();
            let state = telegram.bot(&bot.token);
            if state.webhook.is_some() {
                let reason = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to \
                              delete the webhook first";
                return Err(BotError::of(409, Some(reason.to_owned())));
            }
            if let Some(kinds) = &allowed {
                state.allowed_updates = Some(kinds.clone());
            }
            if offset < 0 {
                let keep = state.pending.len().saturating_sub(offset.unsigned_abs() as usize);
                state.pending.drain(..keep);
            } else {
                state.pending.retain(|update| update["update_id"].as_i64() >= Some(offset));
            }
            if !state.pending.is_empty() || polls == 0 {
                let updates: Vec<Value> = state.pending.iter().take(limit).cloned().collect();
                return Ok(Value::Array(updates).into());
            }
        }
        polls -= 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What became of an update.
#[derive(Debug, Clone, Serialize)]
pub struct Pushed {
    pub update_id: i64,
    /// The webhook's HTTP status; absent when it was not reached, or when there is none.
    pub webhook_status: Option<u16>,
    /// Why the webhook was not reached.
    pub error: Option<String>,
    /// The update waits for `getUpdates`.
    pub queued: bool,
    /// The update's kind is not among the bot's `allowed_updates`.
    pub dropped: bool,
    pub message_id: Option<i64>,
}

fn is_wanted(state: &BotState, update: &Value) -> bool {
    let kind = update.as_object().and_then(|update| update.keys().find(|key| *key != "update_id"));
    let Some(kind) = kind else { return true };
    match state.allowed_updates.as_deref() {
        None | Some([]) => !OFF_BY_DEFAULT.contains(&kind.as_str()),
        Some(kinds) => kinds.contains(kind),
    }
}

impl Inner {
    /// Gives an update to the bot: to its webhook at once, or to the queue. `update_id` is filled in unless there.
    pub(crate) async fn push_update(self: &Arc<Self>, token: &str, mut update: Value) -> Pushed {
        let (id, webhook, wanted) = {
            let mut telegram = self.telegram();
            let state = telegram.bot(token);
            let id = update["update_id"].as_i64().unwrap_or_else(|| {
                if state.last_update == 0 {
                    state.last_update = 100_000_000;
                }
                state.last_update + 1
            });
            state.last_update = state.last_update.max(id);
            update["update_id"] = json!(id);
            state.learn(&update);
            let wanted = is_wanted(state, &update);
            let webhook = state.webhook.clone();
            if wanted && webhook.is_none() {
                state.pending.push_back(update.clone());
            }
            (id, webhook, wanted)
        };
        let message_id = update.pointer("/message/message_id").and_then(Value::as_i64);
        let queued = wanted && webhook.is_none();
        let mut pushed =
            Pushed { update_id: id, webhook_status: None, error: None, queued, dropped: !wanted, message_id };
        if let Some(webhook) = webhook.filter(|_| wanted) {
            let chat = update.pointer("/message/chat/id").unwrap_or(&Value::Null).to_string();
            let post = Post {
                provider: Provider::Telegram,
                url: webhook.url,
                body: Bytes::from(update.to_string()),
                header: webhook.secret_token.map(|secret| ("X-Telegram-Bot-Api-Secret-Token", secret)),
                bot: Some(token.to_owned()),
                attempts: 0,
                lane: lane(&chat),
            };
            match self.deliver(post).await {
                Ok(status) => pushed.webhook_status = Some(status),
                Err(reason) => pushed.error = Some(reason),
            }
        }
        pushed
    }
}
