//! What tests do to the gateway, below `/_sim/neoleap/`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Trouble, cipher};
use crate::state::Inner;

type Gateway = State<Arc<Inner>>;

pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/payments", get(payments))
        .route("/pay", post(pay))
        .route("/result", post(result))
        .route("/refund", post(refund))
        .route("/void", post(void))
        .route("/troubles", post(troubles).delete(calm))
        .route("/encrypt", post(encrypt))
}

/// A payment by its payment id or track id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    payment: String,
    #[serde(default = "captured")]
    outcome: String,
    /// Whether the merchant's server is told.
    #[serde(default = "yes")]
    tell: bool,
    #[serde(default)]
    amount: Option<String>,
}

fn captured() -> String {
    "captured".into()
}

const fn yes() -> bool {
    true
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": "no such payment"}))).into_response()
}

async fn payments(State(inner): Gateway) -> Json<Value> {
    let payments = inner.gateway().payments.clone();
    Json(json!({"data": payments}))
}

/// A customer pays, or does not: `captured`, `not_captured`, `denied`, `host_timeout`, `cancel`.
async fn pay(State(inner): Gateway, Json(named): Json<Named>) -> Response {
    match inner.pay(&named.payment, &named.outcome, named.tell).await {
        Some(to) => Json(json!({"redirect": to})).into_response(),
        None => unknown(),
    }
}

/// What the gateway finds out later about a payment's transaction; `outcome` is its word, as `CAPTURED`.
async fn result(State(inner): Gateway, Json(named): Json<Named>) -> Response {
    let changed =
        inner.gateway().find(&named.payment).and_then(|payment| payment.transactions.first_mut()).map(|of| {
            of.result = named.outcome;
            of.clone()
        });
    let Some(of) = changed else { return unknown() };
    if named.tell {
        inner.announce(&named.payment, &of, false).await;
    }
    Json(json!({"ok": true})).into_response()
}

async fn refund(State(inner): Gateway, Json(named): Json<Named>) -> Response {
    reverse(&inner, named, "2", "CAPTURED").await
}

async fn void(State(inner): Gateway, Json(named): Json<Named>) -> Response {
    reverse(&inner, named, "3", "VOIDED").await
}

async fn reverse(inner: &Arc<Inner>, named: Named, action: &'static str, result: &str) -> Response {
    let made = inner.gateway().transact(&named.payment, action, result, named.amount);
    let Some(of) = made else { return unknown() };
    if named.tell {
        inner.announce(&named.payment, &of, false).await;
    }
    Json(json!({"transaction": of})).into_response()
}

async fn troubles(State(inner): Gateway, Json(trouble): Json<Trouble>) -> Json<Value> {
    inner.gateway().troubles.push_back(trouble);
    Json(json!({"ok": true}))
}

async fn calm(State(inner): Gateway) -> Json<Value> {
    inner.gateway().troubles.clear();
    Json(json!({"ok": true}))
}

#[derive(Deserialize)]
struct Plain {
    json: Value,
    key: Option<String>,
}

/// A body's `trandata`, under the terminal's key or another.
async fn encrypt(State(inner): Gateway, Json(plain): Json<Plain>) -> Json<Value> {
    let key = plain.key.unwrap_or_else(|| inner.terminal().resource_key);
    Json(json!({"trandata": cipher::encrypt(&key, &plain.json.to_string())}))
}
