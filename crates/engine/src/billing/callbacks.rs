//! What the gateway tells by itself, and what a browser brings back: kept, acknowledged, and a reason to ask the gateway.

use kabar_domain::billing::PaymentStatus;
use kabar_domain::job::JobKind;
use kabar_domain::{JobId, PaymentId};
use kabar_providers::neoleap::callback::Callback;
use kabar_providers::neoleap::{Fields, Outcome, Transaction};
use kabar_store::jobs::{self, NewJob};
use kabar_store::payments::{self, Notice, Payment};
use url::Url;

use super::inquiry::PAUSE;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Notices kept of one payment; a gateway sends a handful.
const MOST: i64 = 50;

/// What the gateway waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentAnswer {
    Webhook,
    /// With the address that the customer's browser is sent to.
    Notification(Url),
}

impl Engine {
    /// Takes either of the gateway's two messages. The answer says that it is on disk; whatever is wrong with a
    /// notification is an error, for without an answer the gateway gives the money back.
    pub async fn accept_payment_callback(&self, body: &[u8]) -> Result<PaymentAnswer> {
        let off = Error::NotFoundText("Payments are not set up on this server.");
        let key = self.config.payment_key.as_ref().ok_or(off)?;
        let unreadable = || Error::Incomplete("This is no message of the payment gateway.".into());
        match Callback::read(body).ok_or_else(unreadable)? {
            Callback::Webhook(told) => {
                if let Some(payment) = self.payment_told_of(&told).await? {
                    self.hear(&payment, "webhook", &told).await?;
                } else {
                    // It would come again for ever. Anybody may have sent it, so there is nothing to keep.
                    tracing::warn!("a payment webhook names no payment of ours");
                }
                Ok(PaymentAnswer::Webhook)
            }
            Callback::Notification { payment_id, trandata } => {
                let told = key.open(&trandata).map(|fields| Transaction::of(&fields));
                let mut told = told.filter(|told| told.track_id.is_some()).ok_or_else(unreadable)?;
                let outer = payment_id.clone();
                let inner = told.payment_id.clone();
                told.payment_id = told.payment_id.or(payment_id);
                let payment = self.payment_told_of(&told).await?.ok_or(Error::NotFound("Payment"))?;
                self.hear(&payment, "notification", &told).await?;
                let named = [outer, inner].into_iter().flatten();
                let other_payment =
                    named.into_iter().any(|id| payment.gateway_id.as_ref().is_some_and(|ours| *ours != id));
                let other_amount = told.outcome() == Outcome::Captured && told.amount != Some(payment.amount);
                if told.track_id.as_ref() != Some(&payment.track_id) || other_payment || other_amount {
                    tracing::error!(payment = %payment.id, "a payment notification does not fit its payment; it is not acknowledged");
                    return Err(Error::Conflict("This does not fit the payment.".into()));
                }
                Ok(PaymentAnswer::Notification(self.return_url(payment.id)?))
            }
        }
    }

    /// Notes that a customer's browser is back. What it says is shown, and not believed.
    pub async fn note_payment_return(&self, id: PaymentId, fields: &Fields) -> Result<()> {
        let Some(key) = &self.config.payment_key else { return Err(Error::NotFound("Payment")) };
        let payment = payments::by_id(&mut self.store.reader().await?, id).await?;
        let payment = payment.ok_or(Error::NotFound("Payment"))?;
        let inside = fields.get("trandata").and_then(|trandata| key.open(&trandata));
        let mut told = Transaction::of(inside.as_ref().unwrap_or(fields));
        told.error = told.error.or_else(|| fields.get("error"));
        self.hear(&payment, "return", &told).await
    }

    async fn payment_told_of(&self, told: &Transaction) -> Result<Option<Payment>> {
        let mut db = self.store.reader().await?;
        let [track, gateway] = [&told.track_id, &told.payment_id].map(Option::as_deref);
        Ok(payments::named(&mut db, track, gateway, told.original_id.as_deref()).await?)
    }

    async fn hear(&self, payment: &Payment, source: &str, told: &Transaction) -> Result<()> {
        let now = self.clock.now();
        let short = |text: Option<&String>| text.map(|text| text.chars().take(100).collect::<String>());
        let (result, error) = (short(told.result.as_ref()), short(told.error.as_ref()));
        let what = short(told.transaction_id.as_ref())
            .or_else(|| short(told.payment_id.as_ref()))
            .unwrap_or_default();
        let said = result.as_deref().or(error.as_deref()).unwrap_or_default();
        let notice = Notice {
            // A browser repeats what the gateway said; what it showed is kept beside it.
            key: format!("{}{what}:{said}", if source == "return" { "return:" } else { "" }),
            source: source.to_owned(),
            transaction_id: short(told.transaction_id.as_ref()),
            result,
            error,
        };
        let mut tx = self.store.begin().await?;
        let is_new = payments::keep_notice(&mut tx, payment, &notice, MOST, now).await?;
        // A browser says nothing new of a payment that is over.
        let wanted = is_new && (source != "return" || payment.status == PaymentStatus::Pending);
        if wanted {
            let due = payment.asked_at.map_or(now, |asked| asked.plus(PAUSE).max(now));
            let (kind, subject) = (JobKind::InquirePayment, payment.id.uuid());
            // A job that is being worked on may have asked already.
            if !jobs::hurry(&mut tx, kind, subject, due).await? {
                let (organisation_id, id) = (payment.organisation_id, JobId::new(&self.clock));
                let job = NewJob { organisation_id, id, kind, subject_id: subject, data: None, due_at: due };
                jobs::enqueue(&mut tx, job, now).await?;
            }
        }
        tx.commit().await?;
        if wanted {
            self.jobs_ready.notify_waiters();
        }
        Ok(())
    }
}
