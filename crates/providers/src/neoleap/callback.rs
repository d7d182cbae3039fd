//! What the gateway tells of a payment by itself. Nothing of it is signed: it says that it is time to inquire.

use super::fields::{Fields, minor_units};

/// How a transaction ended, by the word the gateway has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Captured,
    /// It did not.
    Failed,
    /// It was given back before it was settled.
    Voided,
    /// The gateway does not know (`HOST TIMEOUT`), or says what we do not know.
    Unclear,
}

/// What the gateway says of one transaction. Ids are the gateway's but `track_id`, which is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    pub payment_id: Option<String>,
    pub track_id: Option<String>,
    pub transaction_id: Option<String>,
    /// Of a refund or a void: the transaction that it undoes.
    pub original_id: Option<String>,
    /// The gateway's word, as `NOT CAPTURED`.
    pub result: Option<String>,
    /// In minor units.
    pub amount: Option<i64>,
    /// `1` of a purchase, `2` of a refund, `3` of a void; never a result.
    pub action: Option<String>,
    /// The retrieval reference number, which banks find it by.
    pub reference: Option<String>,
    pub authorisation: Option<String>,
    /// As `IPAY0200025`.
    pub error: Option<String>,
}

impl Transaction {
    pub fn of(fields: &Fields) -> Self {
        // Older terminals write `tranid`.
        let transaction_id = fields.get("transId").or_else(|| fields.get("tranid"));
        Self {
            payment_id: fields.get("paymentId"),
            track_id: fields.get("trackId"),
            transaction_id,
            original_id: fields.get("origTransactionID"),
            result: fields.get("result").or_else(|| fields.get("status")),
            amount: fields.get("amt").as_deref().and_then(minor_units),
            action: fields.get("actionCode").or_else(|| fields.get("action")),
            reference: fields.get("ref"),
            authorisation: fields.get("authCode"),
            error: fields.get("error"),
        }
    }

    pub fn outcome(&self) -> Outcome {
        let words = self.result.as_deref().unwrap_or_default().to_uppercase();
        let says = |word: &str| words == word || words.ends_with(&format!("- {word}"));
        if ["NOT CAPTURED", "NOT APPROVED", "DENIED BY RISK", "CANCELED", "CANCELLED"]
            .iter()
            .any(|word| says(word))
        {
            return Outcome::Failed;
        }
        match words.as_str() {
            "CAPTURED" | "SUCCESS" => Outcome::Captured,
            "VOIDED" => Outcome::Voided,
            _ => Outcome::Unclear,
        }
    }

    /// Whether it is money that went back: a refund or a void, not the payment itself.
    pub fn is_reversal(&self) -> bool {
        matches!(self.action.as_deref(), Some("2" | "3"))
    }
}

/// One of the two messages a server gets at the one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// In the clear, and repeated until it is answered with `[{"status":"1"}]`.
    Webhook(Transaction),
    /// Encrypted. Without an answer the gateway gives the money back.
    Notification { payment_id: Option<String>, trandata: String },
}

impl Callback {
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        // The guide's own samples have typographic quotes.
        let straight = text.replace(['\u{201c}', '\u{201d}'], "\"");
        let Some(fields) = Fields::parse(&straight) else { return scanned(&straight) };
        if let Some(trandata) = fields.get("trandata") {
            return Some(Self::Notification { payment_id: fields.get("paymentId"), trandata });
        }
        let Some(payload) = fields.nested("payLoad") else {
            return fields.has("type").then_some(scanned(&straight)?);
        };
        let verdict = fields.nested("result").unwrap_or_default();
        let mut told = Transaction::of(&payload);
        told.result = verdict.get("status").or(told.result);
        told.error = verdict.get("error").or(told.error);
        Some(Self::Webhook(told))
    }
}

/// What a webhook that is no JSON says of whom it is about: some of the guide's samples lack quotes.
fn scanned(text: &str) -> Option<Callback> {
    let told = Transaction {
        payment_id: after(text, "paymentid"),
        track_id: after(text, "trackid"),
        transaction_id: after(text, "transid"),
        ..Transaction::default()
    };
    (told.payment_id.is_some() || told.track_id.is_some()).then_some(Callback::Webhook(told))
}

fn after(text: &str, name: &str) -> Option<String> {
    let start = text.to_ascii_lowercase().find(name)? + name.len();
    let rest = text.get(start..)?.trim_start_matches(|letter: char| "\"'\\: \t\r\n".contains(letter));
    let value: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(255).collect();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(body: &str) -> Transaction {
        match Callback::read(body.as_bytes()) {
            Some(Callback::Webhook(told)) => told,
            other => panic!("{other:?} of {body}"),
        }
    }

    #[test]
    fn a_webhook_is_read_in_every_form_of_the_guide() {
        let paid = webhook(
            r#"[{"type":"PAYMENT","responseURL":"https://a.example","result":[{"status":"CAPTURED"}],
                "payLoad":[{"transId":2021100000000001234,"ref":"128012345678","trackId":"77","amt":70.0,
                "udf1":"null","actionCode":"1","card":"512345******2346"}]}]"#,
        );
        assert_eq!(
            (paid.outcome(), paid.amount, paid.payment_id.as_deref()),
            (Outcome::Captured, Some(7_000), None)
        );
        assert_eq!(paid.transaction_id.as_deref(), Some("2021100000000001234"));
        let denied = webhook(
            r#"{"Type":"RISK FAILURE","Result":"[{\"status\":\"IPAY0100045 - DENIED BY RISK\"}]",
                "PayLoad":"[{\"paymentId\":\"600202110000000001\",\"trackId\":\"77\"}]"}"#,
        );
        assert_eq!((denied.outcome(), denied.track_id.as_deref()), (Outcome::Failed, Some("77")));
        let broken =
            webhook("[{“type”:“PAYMENT”,“payLoad”:[{“paymentId”: 600202110000000001, “trackId”:ab12,}]}]");
        assert_eq!(broken.payment_id.as_deref(), Some("600202110000000001"));
        assert_eq!((broken.track_id.as_deref(), broken.outcome()), (Some("ab12"), Outcome::Unclear));
    }

    #[test]
    fn a_notification_is_known_by_what_it_hides() {
        let body = r#"[{"paymentId":600202110000000001,"trandata":"AB12"}]"#;
        let expected =
            Callback::Notification { payment_id: Some("600202110000000001".into()), trandata: "AB12".into() };
        assert_eq!(Callback::read(body.as_bytes()), Some(expected));
        for wrong in ["", "{}", "[]", "null", "<html>", r#"{"type":"PAYMENT"}"#, r#"[{"trandata":null}]"#] {
            assert_eq!(Callback::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_word_is_taken_whole() {
        let outcome =
            |word: &str| Transaction { result: Some(word.into()), ..Transaction::default() }.outcome();
        assert_eq!(outcome("success"), Outcome::Captured);
        assert_eq!(outcome("NOT CAPTURED"), Outcome::Failed);
        for unclear in ["HOST TIMEOUT", "UNCAPTURED", "NOT VOIDED", ""] {
            assert_eq!(outcome(unclear), Outcome::Unclear, "{unclear}");
        }
    }
}
