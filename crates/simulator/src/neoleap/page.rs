//! The page on which a customer pays, for people who try things out.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use url::Url;

use super::failed;
use crate::state::Inner;

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(rename = "PaymentID")]
    payment_id: String,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(rename = "PaymentID")]
    payment_id: String,
    outcome: String,
}

pub(super) async fn show(State(inner): State<Arc<Inner>>, Query(named): Query<Named>) -> Response {
    let found = inner.gateway().find(&named.payment_id).cloned();
    let Some(payment) = found.filter(|payment| payment.transactions.is_empty()) else {
        return (StatusCode::NOT_FOUND, Html("<p>This payment has expired.</p>")).into_response();
    };
    let buttons = [("captured", "Pay"), ("not_captured", "Decline"), ("cancel", "Cancel")]
        .map(|(outcome, label)| format!("<button name=\"outcome\" value=\"{outcome}\">{label}</button> "))
        .concat();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Simulated bank</title><body style=\"font:16px system-ui;margin:3rem\">\
         <h1>Simulated bank</h1><p>Payment of {} SAR. No money moves.</p><form method=\"post\">\
         <input type=\"hidden\" name=\"PaymentID\" value=\"{}\">{buttons}</form></body></html>",
        payment.amount, payment.payment_id
    ))
    .into_response()
}

pub(super) async fn submit(State(inner): State<Arc<Inner>>, Form(choice): Form<Choice>) -> Response {
    match inner.pay(&choice.payment_id, &choice.outcome, true).await {
        Some(to) => Redirect::to(to.as_str()).into_response(),
        None => (StatusCode::NOT_FOUND, Html("<p>This payment has expired.</p>")).into_response(),
    }
}

impl Inner {
    /// Plays a customer; where the browser goes. `tell`: the merchant's server is told.
    pub(super) async fn pay(self: &Arc<Self>, name: &str, outcome: &str, tell: bool) -> Option<Url> {
        let payment = self.gateway().find(name)?.clone();
        let result = match outcome {
            "captured" => "CAPTURED",
            "not_captured" => "NOT CAPTURED",
            "denied" => "DENIED BY RISK",
            "host_timeout" => "HOST TIMEOUT",
            _ => return failed(&payment, "IPAY0100357", "Canceled by the customer"),
        };
        let of = self.gateway().transact(name, "1", result, None)?;
        if tell {
            return self.announce(name, &of, matches!(result, "CAPTURED" | "NOT CAPTURED")).await;
        }
        Url::parse(&payment.response_url).ok()
    }
}
