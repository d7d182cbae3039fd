//! What a merchant's server asks: to start a payment, and how one stands.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::{Payment, Trouble, addresses, cipher};
use crate::ids::now_ms;
use crate::state::Inner;

fn refuse(code: &str, text: &str) -> Response {
    Json(json!([{"status": "2", "error": code, "errorText": format!("{code}-{text}"), "result": null, "trandata": null}]))
        .into_response()
}

pub(super) async fn by_get() -> Response {
    refuse("IPAY0300115", "Request is not POST.")
}

/// The request's hidden fields, of the terminal that the gateway knows; else its error and what that is called.
fn open(inner: &Inner, headers: &HeaderMap, body: &[u8]) -> Result<Value, [&'static str; 2]> {
    let terminal = inner.terminal();
    let outer: Value =
        serde_json::from_slice(body).map_err(|_| ["IPAY0100013", "Invalid transaction data."])?;
    if outer[0]["id"].as_str() != Some(&terminal.tranportal_id) {
        return Err(["IPAY0100006", "Invalid Tranportal ID."]);
    }
    if addresses(headers).is_empty() {
        return Err(["IPAY0100045", "Denied by Risk."]);
    }
    let plain =
        outer[0]["trandata"].as_str().and_then(|trandata| cipher::decrypt(&terminal.resource_key, trandata));
    let fields: Option<Value> = plain.and_then(|plain| serde_json::from_str(&plain).ok());
    let fields = fields.ok_or(["IPAY0100013", "Invalid transaction data."])?;
    let fields = fields[0].clone();
    if fields["password"].as_str() != Some(&terminal.password) {
        return Err(["IPAY0100015", "Invalid Tranportal password."]);
    }
    if fields["currencyCode"] != "682" {
        return Err(["IPAY0100025", "Invalid currency."]);
    }
    Ok(fields)
}

fn text(fields: &Value, name: &str) -> String {
    fields[name].as_str().unwrap_or_default().to_owned()
}

/// The answers of troubles that come before anything is done.
fn early(trouble: Option<&Trouble>) -> Option<Response> {
    let trouble = trouble?;
    match trouble.fault.as_str() {
        "error" => Some(refuse(trouble.code.as_deref().unwrap_or("IPAY0800061"), "Try again later.")),
        "server_error" => Some((StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>").into_response()),
        "garbage" => Some("<html>Maintenance</html>".into_response()),
        _ => None,
    }
}

/// Ends the connection without an answer.
fn lost() -> Response {
    let broken =
        futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("connection dropped")) });
    Response::new(Body::from_stream(broken))
}

pub(super) async fn hosted(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let trouble = inner.gateway().trouble("hosted");
    if let Some(answer) = early(trouble.as_ref()) {
        return answer;
    }
    let fields = match open(&inner, &headers, &body) {
        Ok(fields) => fields,
        Err([code, text]) => return refuse(code, text),
    };
    let (track_id, amount) = (text(&fields, "trackId"), text(&fields, "amt"));
    let is_amount = amount.split_once('.').is_some_and(|(whole, part)| {
        part.len() == 2
            && [whole, part]
                .iter()
                .all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    });
    if fields["action"] != "1" || !is_amount {
        return refuse("IPAY0100024", "Invalid amount.");
    }
    if track_id.is_empty() || track_id.len() > 255 || !track_id.bytes().all(|byte| byte.is_ascii_digit()) {
        return refuse("IPAY0100124", "Problem occurred while validating transaction data.");
    }
    let base = inner.config().public_base.clone().unwrap_or_default();
    let mut gateway = inner.gateway();
    if gateway.find(&track_id).is_some() {
        return refuse("IPAY0100293", "Duplicate Merchant Track ID.");
    }
    let payment_id = gateway.id(6);
    gateway.payments.push(Payment {
        payment_id,
        track_id,
        amount,
        language: text(&fields, "langid"),
        response_url: text(&fields, "responseURL"),
        error_url: text(&fields, "errorURL"),
        addresses: addresses(&headers),
        transactions: Vec::new(),
        calls: Vec::new(),
        at: now_ms(),
    });
    drop(gateway);
    if trouble.is_some_and(|trouble| trouble.fault == "lost") {
        return lost();
    }
    let result = format!("{payment_id}:{base}/pg/paymentpage.htm");
    Json(json!([{"status": "1", "result": result, "error": null, "errorText": null}])).into_response()
}

pub(super) async fn tranportal(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let trouble = inner.gateway().trouble("inquiry");
    if let Some(answer) = early(trouble.as_ref()) {
        return answer;
    }
    let fields = match open(&inner, &headers, &body) {
        Ok(fields) => fields,
        Err([code, text]) => return refuse(code, text),
    };
    if fields["action"] != "8" {
        return refuse("IPAY0100124", "The simulated gateway answers inquiries only.");
    }
    let (kind, id) = (text(&fields, "udf5"), text(&fields, "transId"));
    let mut gateway = inner.gateway();
    let found = gateway.payments.iter_mut().find_map(|payment| {
        let of = match kind.as_str() {
            "TRANID" => payment.transactions.iter().find(|of| of.id.to_string() == id),
            "PaymentID" if payment.payment_id.to_string() == id => newest(payment),
            "TrackID" if payment.track_id == id => newest(payment),
            _ => None,
        }?;
        Some(Inner::details(payment, of))
    });
    drop(gateway);
    let Some(mut details) = found else { return refuse("IPAY0100263", "Transaction not found.") };
    if let Some(Trouble { fault, value, .. }) = &trouble {
        if fault == "lost" {
            return lost();
        }
        details[fault.as_str()] = json!(value);
    }
    let tranid = details["transId"].clone();
    let trandata = inner.seal(&details);
    Json(json!([{"tranid": tranid, "trandata": trandata, "status": "1", "error": null, "errorText": null}]))
        .into_response()
}

/// The payment's own transaction, or the void that ended it.
fn newest(payment: &Payment) -> Option<&super::Transaction> {
    payment.transactions.iter().rfind(|of| of.action != "2")
}
