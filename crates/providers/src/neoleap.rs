//! Neoleap's payment gateway, which is Al Rajhi Bank's: payments on a page of the bank ("REST API Integration Guide",
//! version 1.31). What the gateway says of a payment reaches us in several ways ([`callback`]), none of which is signed;
//! only the answer to [`Client::inquire`] is to be believed.

pub mod callback;
mod cipher;
mod fields;

use kabar_domain::billing::Language;
use serde_json::json;
use url::Url;

pub use callback::{Outcome, Transaction};
pub use cipher::Key;
pub use fields::{Fields, amount_text, minor_units};

/// The gateway's number of the Saudi riyal, the one currency it takes (ISO 4217).
const RIYAL: &str = "682";
/// The page that starts a payment, and the one for everything else, beside each other.
const HOSTED: &str = "hosted.htm";
const TRANPORTAL: &str = "tranportal.htm";
/// Bytes of an answer that are read.
const ANSWER_LIMIT: usize = 64 * 1024;
const PURCHASE: &str = "1";
const INQUIRY: &str = "8";

/// A terminal, as the bank's letter names it.
#[derive(Clone)]
pub struct Config {
    /// The folder of the gateway's pages, with its slash.
    pub base: Url,
    pub tranportal_id: String,
    pub password: String,
    /// The terminal's resource key.
    pub key: Key,
    /// Decrypts what the gateway sends, and does both directions of all but purchases. Most terminals have one key.
    pub response_key: Key,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// A payment to start.
#[derive(Clone, Debug)]
pub struct Purchase<'a> {
    /// Ours, and of no other payment.
    pub track_id: &'a str,
    /// In minor units.
    pub amount: i64,
    /// Where the customer's browser ends.
    pub return_url: &'a Url,
    pub language: Language,
    /// The customer's address, those of proxies behind it; the gateway declines a payment without one.
    pub addresses: &'a str,
}

/// A payment that waits for its customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub payment_id: String,
    pub page: Url,
}

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub by: By<'a>,
    pub track_id: &'a str,
    pub amount: i64,
    pub addresses: &'a str,
}

/// Which of a payment's names it is looked up by.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    Payment(&'a str),
    Track(&'a str),
    /// One transaction of it: the payment itself, a refund, a void.
    Transaction(&'a str),
}

/// Why there is no answer of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the payment gateway cannot be reached: {0}")]
    Unreachable(String),
    /// It may have done what it was asked.
    #[error("the payment gateway gave no answer: {0}")]
    Lost(String),
    #[error("the payment gateway refused: {code} {text}")]
    Refused { code: String, text: String },
    /// Not encrypted with our key, or not of the gateway's form.
    #[error("the payment gateway's answer cannot be read; check the resource key and the gateway's address")]
    Unreadable,
}

impl Failure {
    /// The gateway knows of no such payment.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "IPAY0100263")
    }
}

/// The gateway, for one terminal. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    config: Config,
}

impl Client {
    pub const fn new(http: reqwest::Client, config: Config) -> Self {
        Self { http, config }
    }

    /// Has the gateway make a page on which the customer pays.
    pub async fn start(&self, purchase: &Purchase<'_>) -> Result<Started, Failure> {
        let Config { tranportal_id, password, key, .. } = &self.config;
        let plain = json!([{
            "id": tranportal_id, "password": password, "action": PURCHASE,
            "amt": amount_text(purchase.amount), "currencyCode": RIYAL, "trackId": purchase.track_id,
            "responseURL": purchase.return_url.as_str(), "errorURL": purchase.return_url.as_str(),
            "langid": purchase.language.as_str(),
        }]);
        let body = json!([{
            "id": tranportal_id, "trandata": key.encrypt(&plain.to_string()).ok_or(Failure::Unreadable)?,
            "responseURL": purchase.return_url.as_str(), "errorURL": purchase.return_url.as_str(),
        }]);
        let answer = self.call(HOSTED, &body.to_string(), purchase.addresses).await?;
        // `<payment id>:<page>`; the page's own address has more colons.
        let result = answer.get("result").ok_or_else(|| refusal(&answer))?;
        let (payment_id, page) = result.split_once(':').ok_or(Failure::Unreadable)?;
        let mut page = Url::parse(page).map_err(|_| Failure::Unreadable)?;
        let is_id =
            (1..=64).contains(&payment_id.len()) && payment_id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_id || !(page.scheme() == "https" || page.scheme() == self.config.base.scheme()) {
            return Err(Failure::Unreadable);
        }
        page.query_pairs_mut().append_pair("PaymentID", payment_id);
        Ok(Started { payment_id: payment_id.to_owned(), page })
    }

    /// How a payment, or one transaction of it, stands.
    pub async fn inquire(&self, question: &Question<'_>) -> Result<Transaction, Failure> {
        let Config { tranportal_id, password, response_key, .. } = &self.config;
        let (kind, id) = match question.by {
            By::Payment(id) => ("PaymentID", id),
            By::Track(id) => ("TrackID", id),
            By::Transaction(id) => ("TRANID", id),
        };
        let plain = json!([{
            "id": tranportal_id, "password": password, "action": INQUIRY,
            "amt": amount_text(question.amount), "currencyCode": RIYAL, "trackId": question.track_id,
            "udf5": kind, "transId": id,
        }]);
        let trandata = response_key.encrypt(&plain.to_string()).ok_or(Failure::Unreadable)?;
        let body = json!([{ "id": tranportal_id, "trandata": trandata }]);
        let answer = self.call(TRANPORTAL, &body.to_string(), question.addresses).await?;
        let trandata = answer.get("trandata").ok_or_else(|| refusal(&answer))?;
        let fields = response_key.open(&trandata).ok_or(Failure::Unreadable)?;
        Ok(Transaction::of(&fields))
    }

    async fn call(&self, page: &str, body: &str, addresses: &str) -> Result<Fields, Failure> {
        let url = self.config.base.join(page).map_err(|_| Failure::Unreadable)?;
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("x-forwarded-for", addresses)
            .body(body.to_owned());
        let mut response = request.send().await.map_err(unanswered)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                return Err(Failure::Unreadable);
            }
            bytes.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(Failure::Lost(format!("it answered with {}", status.as_u16())));
        }
        std::str::from_utf8(&bytes).ok().and_then(Fields::parse).ok_or(Failure::Unreadable)
    }
}

/// `{"status": "2", "error": "IPAY…", "errorText": "…"}`.
fn refusal(answer: &Fields) -> Failure {
    let text = |name| answer.get(name).unwrap_or_default().chars().take(200).collect();
    match answer.get("error") {
        Some(_) => Failure::Refused { code: text("error"), text: text("errorText") },
        None => Failure::Unreadable,
    }
}

fn unanswered(error: reqwest::Error) -> Failure {
    let (connect, timeout) = (error.is_connect(), error.is_timeout());
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match (connect, timeout) {
        (true, _) => Failure::Unreachable(cause.to_string()),
        (_, true) => Failure::Lost("its time ran out".into()),
        _ => Failure::Lost(cause.to_string()),
    }
}
