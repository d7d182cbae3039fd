//! The control plane below `/_sim/`: what tests and the demo's phone do to the simulator.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::Simulator;
use crate::config::{Bot, Config, Number};
use crate::faults::Fault;
use crate::graph::{NumberState, TokenState};
use crate::inbound::{
    GroupPerson, StatusRequest, TelegramFile, TelegramInbound, TemplateStatus, WhatsappInbound,
    WhatsappMedia, WhatsappWebhook,
};
use crate::state::{Provider, digits};

/// A partial configuration: what is absent stays as it is. `numbers` and `bots` are added, or replace those with
/// the same id.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigPatch {
    pub public_base: Option<String>,
    pub webhook_whatsapp: Option<Url>,
    pub app_secret: Option<String>,
    pub verify_token: Option<String>,
    pub auto_statuses: Option<bool>,
    pub status_delays_ms: Option<[u64; 3]>,
    pub status_batch: Option<usize>,
    pub callback_timeout_ms: Option<u64>,
    pub retry_delays_ms: Option<Vec<u64>>,
    /// 0 lifts the limit; so for the two below.
    pub messages_per_second: Option<u32>,
    pub pair_burst: Option<u32>,
    pub chat_burst: Option<u32>,
    pub enforce_window: Option<bool>,
    pub unknown_templates: Option<bool>,
    pub new_template_status: Option<String>,
    pub numbers: Vec<Number>,
    pub bots: Vec<Bot>,
    pub neoleap: Option<crate::neoleap::Terminal>,
}

impl ConfigPatch {
    pub(crate) fn apply(self, config: &mut Config) {
        fn set<T>(slot: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *slot = value;
            }
        }
        if self.public_base.is_some() {
            config.public_base = self.public_base;
        }
        if self.webhook_whatsapp.is_some() {
            config.webhook_whatsapp = self.webhook_whatsapp;
        }
        if self.verify_token.is_some() {
            config.verify_token = self.verify_token;
        }
        for (slot, limit) in [
            (&mut config.messages_per_second, self.messages_per_second),
            (&mut config.pair_burst, self.pair_burst),
            (&mut config.chat_burst, self.chat_burst),
        ] {
            set(slot, limit.map(|limit| Some(limit).filter(|limit| *limit > 0)));
        }
        set(&mut config.app_secret, self.app_secret);
        set(&mut config.auto_statuses, self.auto_statuses);
        set(&mut config.status_delays_ms, self.status_delays_ms);
        set(&mut config.status_batch, self.status_batch);
        set(&mut config.callback_timeout_ms, self.callback_timeout_ms);
        set(&mut config.retry_delays_ms, self.retry_delays_ms);
        set(&mut config.enforce_window, self.enforce_window);
        set(&mut config.unknown_templates, self.unknown_templates);
        set(&mut config.new_template_status, self.new_template_status);
        set(&mut config.neoleap, self.neoleap);
        for number in self.numbers {
            config.numbers.retain(|known| known.phone_number_id != number.phone_number_id);
            config.numbers.push(number);
        }
        for bot in self.bots {
            config.bots.retain(|known| known.token != bot.token);
            config.bots.push(bot);
        }
    }
}

#[derive(Deserialize)]
struct Filter {
    provider: Option<Provider>,
    method: Option<String>,
    to: Option<String>,
    /// Only entries with a greater `seq`.
    #[serde(default)]
    after: u64,
    /// At most this many, the oldest of those that match.
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    phone_number_id: String,
    access_token: String,
}

/// 422 with a reason, for what the control plane cannot do.
fn outcome<T: Serialize>(result: Result<T, String>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(reason) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": reason}))).into_response(),
    }
}

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

type Sim = State<Simulator>;

pub(crate) fn router<S>(simulator: Simulator) -> Router<S> {
    Router::new()
        .route("/whatsapp/inbound", post(whatsapp_inbound))
        .route("/whatsapp/webhook", post(whatsapp_webhook))
        .route("/whatsapp/groups", post(whatsapp_group))
        .route("/whatsapp/verify", post(whatsapp_verify))
        .route("/whatsapp/number", post(whatsapp_number))
        .route("/whatsapp/token", post(whatsapp_token))
        .route("/whatsapp/media", post(whatsapp_media))
        .route("/telegram/inbound", post(telegram_inbound))
        .route("/telegram/files", post(telegram_file))
        .route("/sent", get(sent).delete(forget))
        .route("/received-requests", get(received).delete(forget))
        .route("/requests", get(received).delete(forget))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/config", get(config).post(configure))
        .route("/tokens", post(set_token))
        .route("/status", post(status))
        .route("/templates", post(template))
        .with_state(simulator)
}

async fn whatsapp_inbound(State(sim): Sim, Json(body): Json<WhatsappInbound>) -> Response {
    outcome(sim.whatsapp_inbound(body).await)
}

async fn whatsapp_webhook(State(sim): Sim, Json(body): Json<WhatsappWebhook>) -> Response {
    outcome(sim.whatsapp_webhook(body).await)
}

async fn whatsapp_group(State(sim): Sim, Json(body): Json<GroupPerson>) -> Response {
    outcome(sim.whatsapp_group(body).await)
}

async fn whatsapp_verify(State(sim): Sim) -> Response {
    outcome(sim.whatsapp_verify().await.map(|()| json!({"ok": true})))
}

async fn whatsapp_number(State(sim): Sim, Json(body): Json<NumberState>) -> Response {
    outcome(sim.inner.set_number_state(body).map(|()| json!({"ok": true})))
}

async fn whatsapp_token(State(sim): Sim, Json(body): Json<TokenState>) -> Json<Value> {
    sim.inner.set_token_state(body);
    done()
}

async fn whatsapp_media(State(sim): Sim, Json(body): Json<WhatsappMedia>) -> Response {
    outcome(sim.whatsapp_media(body))
}

async fn telegram_inbound(State(sim): Sim, Json(body): Json<TelegramInbound>) -> Response {
    outcome(sim.telegram_inbound(body).await)
}

async fn telegram_file(State(sim): Sim, Json(body): Json<TelegramFile>) -> Response {
    outcome(sim.telegram_file(body))
}

async fn status(State(sim): Sim, Json(body): Json<StatusRequest>) -> Response {
    outcome(sim.send_status(body).await)
}

async fn template(State(sim): Sim, Json(body): Json<TemplateStatus>) -> Response {
    outcome(sim.set_template_status(body).await)
}

impl Filter {
    fn accepts(&self, provider: Provider, method: &str, to: Option<&str>) -> bool {
        let is_phone = |to: &str| to.starts_with('+');
        self.provider.is_none_or(|wanted| wanted == provider)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.to.as_deref().is_none_or(|wanted| {
                if is_phone(wanted) { to == Some(&digits(wanted)) } else { to == Some(wanted.trim()) }
            })
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }
}

async fn sent(State(sim): Sim, Query(filter): Query<Filter>) -> Response {
    let entries: Vec<_> = sim
        .inner
        .records()
        .sent
        .after(filter.after)
        .filter(|sent| filter.accepts(sent.provider, &sent.kind, Some(&sent.to)))
        .take(filter.limit())
        .cloned()
        .collect();
    Json(json!({"data": entries})).into_response()
}

async fn received(State(sim): Sim, Query(filter): Query<Filter>) -> Response {
    let entries: Vec<_> = sim
        .inner
        .records()
        .received
        .after(filter.after)
        .filter(|received| filter.accepts(received.provider, &received.method, received.to.as_deref()))
        .take(filter.limit())
        .cloned()
        .collect();
    Json(json!({"data": entries})).into_response()
}

async fn forget(State(sim): Sim) -> Json<Value> {
    sim.forget();
    done()
}

async fn faults(State(sim): Sim) -> Response {
    Json(json!({"data": sim.faults()})).into_response()
}

/// One fault or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Fault>),
    One(Box<Fault>),
}

async fn add_faults(State(sim): Sim, Json(body): Json<OneOrMany>) -> Json<Value> {
    match body {
        OneOrMany::One(fault) => sim.push_fault(*fault),
        OneOrMany::Many(faults) => faults.into_iter().for_each(|fault| sim.push_fault(fault)),
    }
    done()
}

async fn clear_faults(State(sim): Sim) -> Json<Value> {
    sim.clear_faults();
    done()
}

async fn config(State(sim): Sim) -> Response {
    Json(sim.config()).into_response()
}

async fn configure(State(sim): Sim, Json(patch): Json<ConfigPatch>) -> Json<Value> {
    sim.configure(patch);
    done()
}

async fn set_token(State(sim): Sim, Json(body): Json<Token>) -> Response {
    if sim.set_token(&body.phone_number_id, &body.access_token) {
        done().into_response()
    } else {
        outcome::<Value>(Err(format!("no such number: {}", body.phone_number_id)))
    }
}
