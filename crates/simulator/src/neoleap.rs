//! Plays the Neoleap (Al Rajhi Bank) payment gateway: the two calls of a merchant's server, the page a customer pays
//! on, and both messages to the merchant's server. Written from the bank's guide, apart from the server's own client.
//!
//! Deviations: what the guide leaves open (how often a webhook is repeated, how long a notification may take) is as the
//! configuration says, and a refund is made over the control plane, not over the merchant portal.

mod calls;
mod cipher;
mod control;
mod page;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

pub(crate) use control::router as control;

use crate::ids::now_ms;
use crate::state::Inner;

/// The terminal that the gateway knows, and where its merchant's server is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terminal {
    pub tranportal_id: String,
    pub password: String,
    pub resource_key: String,
    /// Gets the plain webhook, again and again until it acknowledges.
    pub webhook: Option<Url>,
    /// Gets the encrypted notification; a payment that it does not acknowledge is voided.
    pub notification: Option<Url>,
    /// Pauses before the second, third, … webhook.
    pub retry_delays_ms: Vec<u64>,
}

impl Default for Terminal {
    /// With the key of the guide's samples.
    fn default() -> Self {
        Self {
            tranportal_id: "simulated".into(),
            password: "simulated-password".into(),
            resource_key: "12345678901234567890123456789012".into(),
            webhook: None,
            notification: None,
            retry_delays_ms: vec![50, 200, 500, 1_000, 2_000],
        }
    }
}

/// What goes wrong with the next calls of a merchant's server, in the order given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trouble {
    /// `hosted` or `inquiry`.
    pub call: String,
    /// `error` (with `code`, before anything is done), `lost` (after it is done), `server_error`, `garbage`, or a field
    /// of the answer that is to be `value`: `amt`, `trackId`, `paymentId`, `result`.
    pub fault: String,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
    #[serde(default = "once")]
    pub times: u32,
}

const fn once() -> u32 {
    1
}

#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "as the gateway names it")]
pub(crate) struct Payment {
    pub payment_id: u64,
    pub track_id: String,
    /// As the merchant wrote it.
    pub amount: String,
    pub language: String,
    pub response_url: String,
    pub error_url: String,
    /// The header that names the customer's address.
    pub addresses: String,
    pub transactions: Vec<Transaction>,
    /// What was sent to the merchant's server, and what it said.
    pub calls: Vec<Value>,
    pub at: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Transaction {
    pub id: u64,
    pub action: &'static str,
    pub result: String,
    pub amount: String,
    pub reference: String,
    /// Of a refund: what it undoes.
    pub original: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Gateway {
    payments: Vec<Payment>,
    troubles: VecDeque<Trouble>,
    next: u64,
}

impl Gateway {
    /// Longer than a float holds, and another in each run.
    fn id(&mut self, kind: u64) -> u64 {
        self.next += 1;
        kind * 100_000_000_000_000_000 + now_ms() % 10_000_000_000 * 1_000_000 + self.next
    }

    fn trouble(&mut self, call: &str) -> Option<Trouble> {
        let index = self.troubles.iter().position(|trouble| trouble.call == call)?;
        let trouble = self.troubles.get_mut(index)?;
        trouble.times = trouble.times.saturating_sub(1);
        let taken = trouble.clone();
        if taken.times == 0 {
            self.troubles.remove(index);
        }
        Some(taken)
    }

    fn find(&mut self, name: &str) -> Option<&mut Payment> {
        self.payments
            .iter_mut()
            .find(|payment| payment.track_id == name || payment.payment_id.to_string() == name)
    }

    /// Adds a transaction to a payment.
    fn transact(
        &mut self,
        name: &str,
        action: &'static str,
        result: &str,
        amount: Option<String>,
    ) -> Option<Transaction> {
        let id = self.id(2);
        let payment = self.find(name)?;
        let original = payment.transactions.first().map(|first| first.id).filter(|_| action != "1");
        let amount = amount.unwrap_or_else(|| payment.amount.clone());
        let reference = format!("{:012}", id % 1_000_000_000_000);
        let made = Transaction { id, action, result: result.to_owned(), amount, reference, original };
        payment.transactions.push(made.clone());
        Some(made)
    }
}

/// The gateway's own pages.
pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/pg/payment/hosted.htm", post(calls::hosted).get(calls::by_get))
        .route("/pg/payment/tranportal.htm", post(calls::tranportal).get(calls::by_get))
        .route("/pg/paymentpage.htm", get(page::show).post(page::submit))
}

impl Inner {
    fn terminal(&self) -> Terminal {
        self.config().neoleap.clone()
    }

    fn seal(&self, fields: &Value) -> String {
        cipher::encrypt(&self.terminal().resource_key, &json!([fields]).to_string()).unwrap_or_default()
    }

    /// The fields of an encrypted answer about one transaction.
    fn details(payment: &Payment, of: &Transaction) -> Value {
        json!({
            "paymentId": payment.payment_id.to_string(), "result": of.result, "ref": of.reference, "transId": of.id.to_string(),
            "date": "1126", "trackId": payment.track_id, "amt": of.amount, "authRespCode": "00", "authCode": "123456",
            "cardType": "MADA", "actionCode": of.action, "card": "512345******2346", "expMonth": "12", "expYear": "2029",
            "udf1": null, "udf2": "null",
            "origTransactionID": of.original.map(|id| id.to_string()),
        })
    }

    /// The plain webhook's body. As in the guide's samples, a success has no payment id and a failure is a text.
    fn webhook_body(payment: &Payment, of: &Transaction) -> Value {
        let mut payload = Self::details(payment, of);
        payload["transId"] = json!(of.id);
        payload["amt"] = of.amount.parse::<f64>().map_or(Value::Null, |amount| json!(amount));
        if of.result == "CAPTURED" || of.result == "VOIDED" {
            if let Some(fields) = payload.as_object_mut() {
                fields.remove("paymentId");
                fields.remove("result");
            }
            return json!([{"type": "PAYMENT", "responseURL": payment.response_url,
                "result": [{"status": of.result}], "payLoad": [payload]}]);
        }
        let status =
            json!([{"status": of.result, "error": "IPAY0100054", "errorText": of.result}]).to_string();
        json!([{"type": "PAYMENT FAILURE", "responseURL": payment.response_url, "Result": status,
            "payload": json!([payload]).to_string()}])
    }

    async fn tell(&self, url: &Url, body: &Value, name: &str, kind: &str) -> Option<Value> {
        let client = self.callbacks.client()?;
        let timeout = Duration::from_millis(self.config().callback_timeout_ms);
        let request = client.post(url.clone()).header("content-type", "application/json").timeout(timeout);
        let answer = request.body(body.to_string()).send().await;
        let (status, answer) = match answer {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(error) => (0, error.to_string()),
        };
        let parsed: Value = serde_json::from_str(&answer).unwrap_or(Value::Null);
        let call = json!({"kind": kind, "body": body, "status": status, "answer": answer, "at": now_ms()});
        if let Some(payment) = self.gateway().find(name) {
            payment.calls.push(call);
        }
        let is_acknowledged = status == 200 && parsed[0]["status"] == "1";
        is_acknowledged.then_some(parsed)
    }

    /// Sends a webhook until it is acknowledged, or the pauses are used up.
    async fn tell_webhook(self: Arc<Self>, url: Url, body: Value, name: String) {
        for pause in std::iter::once(0).chain(self.terminal().retry_delays_ms) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.tell(&url, &body, &name, "webhook").await.is_some() {
                return;
            }
        }
    }

    /// Plays a transaction's messages to the merchant's server; where its customer's browser goes.
    async fn announce(self: &Arc<Self>, name: &str, of: &Transaction, notify: bool) -> Option<Url> {
        let terminal = self.terminal();
        let payment = self.gateway().find(name)?.clone();
        if let Some(url) = terminal.webhook {
            let body = Self::webhook_body(&payment, of);
            tokio::spawn(Arc::clone(self).tell_webhook(url, body, name.to_owned()));
        }
        let trandata = self.seal(&Self::details(&payment, of));
        let mut to = Url::parse(&payment.response_url).ok()?;
        if let Some(url) = terminal.notification.filter(|_| notify) {
            let body = json!([{"paymentId": payment.payment_id, "trandata": trandata}]);
            let answer = self.tell(&url, &body, name, "notification").await;
            let Some(result) = answer.and_then(|answer| Url::parse(answer[0]["result"].as_str()?).ok())
            else {
                if of.result == "CAPTURED" {
                    self.gateway().transact(name, "3", "VOIDED", None);
                }
                return failed(&payment, "IPAY0200025", "Voided");
            };
            to = result;
        }
        to.query_pairs_mut()
            .append_pair("paymentId", &payment.payment_id.to_string())
            .append_pair("trandata", &trandata);
        Some(to)
    }
}

/// The error page's address, with what the gateway says there.
fn failed(payment: &Payment, code: &str, text: &str) -> Option<Url> {
    let mut to = Url::parse(&payment.error_url).ok()?;
    to.query_pairs_mut()
        .append_pair("paymentid", &payment.payment_id.to_string())
        .append_pair("trackid", &payment.track_id)
        .append_pair("Error", code)
        .append_pair("ErrorText", text)
        .append_pair("amt", &payment.amount);
    Some(to)
}

fn addresses(headers: &HeaderMap) -> String {
    headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
