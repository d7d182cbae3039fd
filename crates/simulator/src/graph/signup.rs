//! Embedded signup and what comes after: codes, tokens, registration, the data of the WhatsApp Business app.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::response::{Html, IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::accounts::APP_ID;
use super::{Answer, GraphError, success};
use crate::callbacks::{Job, Post, lane, signature, wire_form};
use crate::config::Number;
use crate::ids::now_seconds;
use crate::params::Params;
use crate::state::{Inner, digits};
use crate::statuses::{entry, envelope, value_of};

/// How a number stands. What is absent stays as it is; every number begins verified, registered and out of the app.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NumberState {
    pub phone_number_id: String,
    pub registered: Option<bool>,
    pub verified: Option<bool>,
    /// The two-step PIN; empty: none.
    pub pin: Option<String>,
    /// Whether it stays in the WhatsApp Business app.
    pub is_on_biz_app: Option<bool>,
}

/// What is odd about a token. What is absent is as usual.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenState {
    pub access_token: String,
    pub scopes: Option<Vec<String>>,
    pub waba_ids: Option<Vec<String>>,
    pub app_id: Option<String>,
    /// UNIX seconds; 0: never.
    pub expires_at: Option<u64>,
}

#[derive(Default)]
pub(super) struct Signups {
    numbers: HashMap<String, NumberState>,
    tokens: HashMap<String, TokenState>,
    used_codes: HashSet<String>,
    /// Where the dialog gave a code to.
    redirects: HashMap<String, String>,
    /// What a number's app was asked for: (phone number id, sync type).
    asked: HashSet<(String, String)>,
}

impl Signups {
    fn number(&self, id: &str) -> NumberState {
        self.numbers.get(id).cloned().unwrap_or_default()
    }

    /// Whether the number takes part in the Cloud API.
    pub(super) fn is_registered(&self, id: &str) -> bool {
        self.number(id).registered.unwrap_or(true)
    }

    pub(super) fn is_verified(&self, id: &str) -> bool {
        self.number(id).verified.unwrap_or(true)
    }

    pub(super) fn is_on_biz_app(&self, id: &str) -> bool {
        self.number(id).is_on_biz_app.unwrap_or(false)
    }

    pub(super) fn is_expired(&self, token: &str) -> bool {
        let at = self.tokens.get(token).and_then(|token| token.expires_at);
        at.is_some_and(|at| at != 0 && at <= now_seconds())
    }
}

impl Inner {
    pub(crate) fn set_number_state(&self, state: NumberState) -> Result<(), String> {
        if self.number(&state.phone_number_id).is_none() {
            return Err(format!("no such number: {}", state.phone_number_id));
        }
        let mut graph = self.graph();
        let known = graph.signups.numbers.entry(state.phone_number_id.clone()).or_default();
        known.registered = state.registered.or(known.registered);
        known.verified = state.verified.or(known.verified);
        known.pin = state.pin.or_else(|| known.pin.take());
        known.is_on_biz_app = state.is_on_biz_app.or(known.is_on_biz_app);
        Ok(())
    }

    pub(crate) fn set_token_state(&self, state: TokenState) {
        self.graph().signups.tokens.insert(state.access_token.clone(), state);
    }
}

/// Graph checks the proof whenever there is one.
pub(super) fn check_proof(inner: &Inner, token: &str, params: &Params) -> Result<(), GraphError> {
    let Some(proof) = params.text("appsecret_proof") else { return Ok(()) };
    let right = signature(&inner.config().app_secret, token.as_bytes());
    if right.strip_prefix("sha256=") == Some(proof.as_str()) {
        return Ok(());
    }
    Err(GraphError::text(100, "Invalid appsecret_proof provided in the API argument"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// `GET /dialog/oauth`: a page to choose a business in, which leads back with a code.
pub(super) fn dialog(inner: &Inner, params: &Params) -> Response {
    let back = params.text("redirect_uri").and_then(|uri| Url::parse(&uri).ok());
    let Some(back) = back.filter(|_| params.text("client_id").as_deref() == Some(APP_ID)) else {
        return GraphError::text(101, "Error validating application.").respond(&inner.ids);
    };
    let state = params.text("state").unwrap_or_default();
    let with = |pairs: &[(&str, &str)]| {
        let mut to = back.clone();
        to.query_pairs_mut().extend_pairs(pairs).append_pair("state", &state);
        escape(to.as_str())
    };
    let numbers = inner.config().numbers.clone();
    let choices: Vec<_> = numbers
        .iter()
        .map(|number| {
            let code = format!("sim-{}-{}", number.phone_number_id, inner.ids.object());
            inner.graph().signups.redirects.insert(code.clone(), back.to_string());
            let name = escape(&format!("{} {}", number.verified_name, number.display_phone_number));
            format!("<li><a href=\"{}\">{name}</a>", with(&[("code", &code)]))
        })
        .collect();
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulated Meta</title><h1>Connect a business</h1>\
         <ul>{}</ul><a href=\"{}\">Cancel</a>",
        choices.join(""),
        with(&[("error", "access_denied")])
    );
    Html(page).into_response()
}

/// The OAuth exchange. A code works once: `sim-<phone number id>`, with or without `-<anything>`, gives that number's
/// token, any other the first number's, and `expired` is refused as a code older than 30 seconds is.
pub(super) fn access_token(inner: &Inner, params: &Params) -> Answer {
    let client_id =
        params.text("client_id").ok_or_else(|| oauth(101, None, "Missing client_id parameter."))?;
    if client_id != APP_ID {
        let why = "Error validating application. Cannot get application info due to a system error.";
        return Err(oauth(101, None, why));
    }
    let secret = params.text("client_secret").unwrap_or_default();
    if secret != inner.config().app_secret {
        return Err(oauth(1, None, "Error validating client secret."));
    }
    if params.text("grant_type").as_deref() == Some("client_credentials") {
        return Ok(json!({"access_token": format!("{client_id}|{secret}"), "token_type": "bearer"}));
    }
    let code = params.text("code").ok_or_else(|| oauth(1, None, "Missing authorization code"))?;
    if code == "expired" {
        return Err(oauth(100, Some(36_007), "This authorization code has expired."));
    }
    let config = inner.config();
    let named = code.strip_prefix("sim-").unwrap_or_default();
    let named = named.split_once('-').map_or(named, |(id, _)| id);
    let number = config.numbers.iter().find(|number| number.phone_number_id == named);
    let token = number.or_else(|| config.numbers.first()).map(|number| number.access_token.clone());
    drop(config);
    let mut graph = inner.graph();
    let redirect = graph.signups.redirects.get(&code).cloned();
    let token = token.filter(|_| code != "garbage" && redirect == params.text("redirect_uri"));
    let token = token.ok_or_else(|| {
        let why = "Error validating verification code. Please make sure your redirect_uri is identical to the one you \
                   used in the OAuth dialog request";
        oauth(100, Some(36_008), why)
    })?;
    if !graph.signups.used_codes.insert(code) {
        return Err(oauth(100, Some(36_009), "This authorization code has been used."));
    }
    Ok(json!({"access_token": token, "token_type": "bearer", "expires_in": 5_184_000}))
}

fn oauth(code: i64, subcode: Option<i64>, message: &str) -> GraphError {
    GraphError { status: 400, subcode, ..GraphError::text(code, message) }
}

pub(super) fn debug_token(inner: &Inner, params: &Params) -> Answer {
    let token = params.text("input_token").ok_or_else(|| GraphError::missing("input_token"))?;
    let config = inner.config();
    let mut wabas: Vec<String> = config
        .numbers
        .iter()
        .filter(|number| number.access_token == token)
        .map(|number| number.waba_id.clone())
        .collect();
    drop(config);
    wabas.dedup();
    let graph = inner.graph();
    if wabas.is_empty() || graph.signups.is_expired(&token) {
        return Ok(json!({"data": {
            "is_valid": false,
            "scopes": [],
            "error": {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"},
        }}));
    }
    let state = graph.signups.tokens.get(&token).cloned().unwrap_or_default();
    drop(graph);
    let usual = ["whatsapp_business_management", "whatsapp_business_messaging"];
    let scopes = state.scopes.unwrap_or_else(|| usual.map(str::to_owned).to_vec());
    let wabas = state.waba_ids.unwrap_or(wabas);
    let granular: Vec<Value> =
        scopes.iter().map(|scope| json!({"scope": scope, "target_ids": wabas})).collect();
    Ok(json!({"data": {
        "app_id": state.app_id.unwrap_or_else(|| APP_ID.to_owned()),
        "application": "Simulated app",
        "type": "SYSTEM_USER",
        "is_valid": true,
        "issued_at": now_seconds(),
        "expires_at": state.expires_at.unwrap_or(0),
        "data_access_expires_at": 0,
        "user_id": "100000000000002",
        "scopes": scopes,
        "granular_scopes": granular,
    }}))
}

/// `POST /{phone_number_id}/register`.
pub(super) fn register(inner: &Inner, number: &Number, params: &Params) -> Answer {
    let pin = pin(params)?;
    let mut graph = inner.graph();
    let state = graph.signups.numbers.entry(number.phone_number_id.clone()).or_default();
    if state.is_on_biz_app == Some(true) {
        return Err(GraphError::with(100, "Numbers of the WhatsApp Business app are not registered."));
    }
    if state.verified == Some(false) {
        return Err(GraphError::with(133_006, "Phone number needs to be verified before registering."));
    }
    if state.pin.as_ref().is_some_and(|set| !set.is_empty() && *set != pin) {
        return Err(GraphError::with(133_005, "Two-step verification PIN mismatch."));
    }
    state.pin = Some(pin);
    state.registered = Some(true);
    Ok(success())
}

pub(super) fn set_pin(inner: &Inner, number: &Number, params: &Params) -> Answer {
    let pin = pin(params)?;
    let mut graph = inner.graph();
    graph.signups.numbers.entry(number.phone_number_id.clone()).or_default().pin = Some(pin);
    Ok(success())
}

fn pin(params: &Params) -> Result<String, GraphError> {
    let pin = params.text("pin").ok_or_else(|| GraphError::missing("pin"))?;
    if pin.len() == 6 && pin.chars().all(|c| c.is_ascii_digit()) {
        return Ok(pin);
    }
    Err(GraphError::text(100, "(#100) Param pin must be a string of 6 digits."))
}

/// `POST /{phone_number_id}/smb_app_data`: the app's contacts, or its chats, which come by webhook; once each.
pub(super) fn app_data(inner: &Arc<Inner>, number: &Number, params: &Params) -> Answer {
    let kind = params.text("sync_type").unwrap_or_default();
    if !matches!(kind.as_str(), "smb_app_state_sync" | "history") {
        return Err(GraphError::missing("sync_type"));
    }
    let mut graph = inner.graph();
    if !graph.signups.is_on_biz_app(&number.phone_number_id) {
        return Err(GraphError::with(100, "The number is not in the WhatsApp Business app."));
    }
    if !graph.signups.asked.insert((number.phone_number_id.clone(), kind.clone())) {
        return Err(GraphError::text(2_593_107, "(#2593107) The synchronization was requested already."));
    }
    drop(graph);
    if kind == "history" {
        send_history(inner, number);
    }
    Ok(json!({"messaging_product": "whatsapp", "request_id": inner.ids.object()}))
}

/// One chat, from before the signup.
fn send_history(inner: &Arc<Inner>, number: &Number) {
    let (ours, theirs) = (digits(&number.display_phone_number), "6281300000001");
    let day_ago = now_seconds() - 86_400;
    let message = |from: &str, at: u64, text: &str| {
        json!({"from": from, "to": if from == theirs { &ours } else { theirs }, "id": inner.ids.wamid(theirs, from != theirs),
            "timestamp": at.to_string(), "type": "text", "text": {"body": text}, "history_context": {"status": "READ"}})
    };
    let messages =
        [message(theirs, day_ago, "Is the pump back?"), message(&ours, day_ago + 60, "Since this morning.")];
    let history = json!([{"metadata": {"phase": 0, "chunk_order": 1, "progress": 100},
        "threads": [{"id": theirs, "messages": messages}]}]);
    let mut value = value_of(number);
    value.insert("history".into(), history);
    let body = envelope(vec![entry(&number.waba_id, "history", value)]);
    let Some(url) = inner.webhook_of(number) else { return };
    let secret = inner.config().app_secret.clone();
    let post = Post::whatsapp(url, &secret, wire_form(&body), lane(theirs));
    inner.schedule(Duration::from_millis(20), Job::Post(Box::new(post)));
}
