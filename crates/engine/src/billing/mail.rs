//! What owners and administrators are told by e-mail, where there is a mail server. Events tell it to programs.

use std::collections::BTreeMap;

use kabar_domain::{OrganisationId, Timestamp};
use kabar_store::{Tx, organisations, users};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::notifications::SendNotification;

/// Amounts with their currency.
pub(super) enum Letter {
    Due { number: String, amount: String, due: Timestamp },
    Paid { number: String, amount: String, until: Timestamp },
    Refunded { number: String, amount: String },
    PastDue { read_only_at: Timestamp },
    ReadOnly,
}

/// `26 November 2026`.
fn day(at: Timestamp) -> String {
    let local = kabar_domain::hours::local(at, &jiff::tz::TimeZone::UTC);
    local.map(|at| at.strftime("%-d %B %Y").to_string()).unwrap_or_default()
}

impl Letter {
    /// Subject and text.
    fn words(&self, organisation: &str, page: &str) -> (String, String) {
        match self {
            Self::Due { number, amount, due } => (
                format!("Invoice {number} for {organisation}"),
                format!("Invoice {number} of {amount} is due on {}. You can pay it at {page}.", day(*due)),
            ),
            Self::Paid { number, amount, until } => (
                format!("Payment received for {organisation}"),
                format!(
                    "Thank you: {amount} were received for invoice {number}. {organisation} is paid for until {}. \
                     The receipt is at {page}.",
                    day(*until)
                ),
            ),
            Self::Refunded { number, amount } => (
                format!("Refund for {organisation}"),
                format!("{amount} of invoice {number} were given back. See {page}."),
            ),
            Self::PastDue { read_only_at } => (
                format!("{organisation} has to be paid for"),
                format!(
                    "The time that was paid for has run out. Everything goes on until {}. After that {organisation} can \
                     be read, and messages still come in, but nothing can be changed or sent. You can pay at {page}.",
                    day(*read_only_at)
                ),
            ),
            Self::ReadOnly => (
                format!("{organisation} is read-only"),
                format!(
                    "Nothing is paid for {organisation}. Messages still come in and everything can be read, but nothing \
                     can be changed or sent until it is paid for at {page}."
                ),
            ),
        }
    }
}

impl Engine {
    /// Queues it with what it tells of. What cannot be sent is logged: nobody's payment is to fail for it.
    pub(super) async fn queue_letter(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        letter: &Letter,
    ) -> Result<()> {
        if self.config.smtp.is_none() {
            return Ok(());
        }
        let to = users::administrators(tx, organisation).await?;
        let found = organisations::by_id(tx, organisation).await?;
        let (Some(first), Some(found)) = (to.first(), found) else { return Ok(()) };
        let user = first.id;
        // A subject is one line.
        let name = found.name.split_whitespace().collect::<Vec<_>>().join(" ");
        let (subject, text) = letter.words(&name, &self.own_address("app/billing"));
        let request = SendNotification {
            channels: vec!["email".into()],
            to: BTreeMap::from([("email".into(), to.into_iter().map(|member| member.email).collect())]),
            subject: Some(subject),
            text: Some(text),
            ..SendNotification::default()
        };
        match Box::pin(self.queue_notification(tx, organisation, user, request)).await {
            Ok(_) => Ok(()),
            Err(Error::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, %organisation, "nobody could be told about a bill");
                Ok(())
            }
        }
    }
}
