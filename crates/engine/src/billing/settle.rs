//! What a payment that is known to be made, or given back, does to its invoice and its organisation.

use kabar_domain::billing::{InvoiceStatus, PaymentStatus, period_end, utc_date};
use kabar_domain::{InvoiceId, Timestamp};
use kabar_providers::neoleap::{Transaction, amount_text};
use kabar_store::Tx;
use kabar_store::billing::{self, Subscription};
use kabar_store::events::NewEvent;
use kabar_store::payments::{self, Payment};
use serde_json::json;

use super::checkout::about;
use super::mail::Letter;
use super::{Billing, Invoice};
use crate::engine::Engine;
use crate::error::{Error, Result};

pub(super) fn about_payment(payment: &Payment) -> NewEvent {
    let data = json!({
        "invoice_id": payment.invoice_id, "status": payment.status, "amount": payment.amount,
        "result": payment.result, "error": payment.error,
    });
    NewEvent { kind: "payment.updated", subject_id: Some(payment.id.uuid()), data: Some(data.to_string()) }
}

impl Engine {
    /// The money is there: the invoice is paid, and the organisation's time goes on. Whoever calls holds the
    /// organisation's lock and writes the payment.
    pub(super) async fn capture(
        &self,
        tx: &mut Tx,
        billing: &Billing,
        payment: &mut Payment,
        told: &Transaction,
        now: Timestamp,
    ) -> Result<Letter> {
        let organisation = payment.organisation_id;
        let gone = || Error::Internal("a payment's invoice is gone".into());
        let mut invoice =
            billing::find_invoice(tx, organisation, payment.invoice_id).await?.ok_or_else(gone)?;
        let is_second = invoice.paid_at.is_some();
        if is_second {
            // Paid twice, from two windows perhaps: the money buys another period.
            invoice.id = InvoiceId::new(&self.clock);
            invoice.number = self.invoice_number(tx, now).await?;
            invoice.refunded = 0;
            invoice.due_at = now;
            invoice.created_at = now;
            payment.invoice_id = invoice.id;
        }
        let mut subscription = billing.subscription_locked(tx, organisation, now).await?;
        // Who pays within the grace period pays from when the time ran out.
        let goes_on = subscription.paid_until.filter(|until| now < until.plus(billing.grace));
        let from = goes_on.unwrap_or(now);
        let anchor =
            subscription.anchor_day.filter(|_| goes_on.is_some()).unwrap_or_else(|| utc_date(from).2.into());
        let to = period_end(from, invoice.months, anchor)
            .ok_or_else(|| Error::Internal("a period ends beyond all calendars".into()))?;
        invoice.status = InvoiceStatus::Paid;
        invoice.period = Some((from, to));
        invoice.paid_at = Some(now);
        if is_second {
            billing::insert_invoice(tx, organisation, &invoice).await?;
        } else {
            billing::update_invoice(tx, organisation, &invoice).await?;
        }
        // One that was written after this is not wanted any more.
        if let Some(open) = billing::open_invoice(tx, organisation).await? {
            self.void_invoice(tx, organisation, open, now).await?;
        }
        subscription.plan_id = Some(invoice.plan_id);
        subscription.anchor_day = Some(anchor);
        subscription.paid_until = subscription.paid_until.map(|_| to);
        self.save_subscription(tx, subscription, now).await?;

        payment.status = PaymentStatus::Captured;
        payment.gateway_id = payment.gateway_id.take().or_else(|| told.payment_id.clone());
        payment.transaction_id.clone_from(&told.transaction_id);
        payment.reference.clone_from(&told.reference);
        payment.authorisation.clone_from(&told.authorisation);
        tx.record(organisation, now, [about("invoice.paid", &invoice), about_payment(payment)]);
        Ok(Letter::Paid {
            number: invoice.number,
            amount: priced(invoice.amount, &invoice.currency),
            until: to,
        })
    }

    /// Money went back. All of it: the time it bought is taken back, but never more than what is left of it.
    pub(super) async fn give_back(
        &self,
        tx: &mut Tx,
        billing: &Billing,
        payment: &Payment,
        amount: i64,
        now: Timestamp,
    ) -> Result<Option<Letter>> {
        let organisation = payment.organisation_id;
        let found = billing::find_invoice(tx, organisation, payment.invoice_id).await?;
        let Some(mut invoice) = found.filter(|invoice| invoice.status == InvoiceStatus::Paid) else {
            return Ok(None);
        };
        invoice.refunded = (invoice.refunded + amount).min(invoice.amount);
        if invoice.refunded == invoice.amount {
            invoice.status = InvoiceStatus::Refunded;
            self.take_back(tx, billing, &invoice, payment, now).await?;
        }
        billing::update_invoice(tx, organisation, &invoice).await?;
        tx.record(organisation, now, [about("invoice.refunded", &invoice)]);
        Ok(Some(Letter::Refunded { number: invoice.number, amount: priced(amount, &invoice.currency) }))
    }

    async fn take_back(
        &self,
        tx: &mut Tx,
        billing: &Billing,
        invoice: &Invoice,
        payment: &Payment,
        now: Timestamp,
    ) -> Result<()> {
        let mut subscription = billing.subscription_locked(tx, payment.organisation_id, now).await?;
        if let (Some(until), Some((from, to))) = (subscription.paid_until, invoice.period) {
            // The grace period begins now, not when the time began that is taken back.
            subscription.paid_until = Some(until.minus(to.since(from)).max(until.min(now)));
            self.save_subscription(tx, subscription, now).await?;
        }
        let mut payment = payment.clone();
        payment.status = PaymentStatus::Reversed;
        payments::update(tx, &payment, now).await?;
        tx.record(payment.organisation_id, now, [about_payment(&payment)]);
        Ok(())
    }

    /// Writes what is paid, and tells of another standing.
    pub(super) async fn save_subscription(
        &self,
        tx: &mut Tx,
        mut subscription: Subscription,
        now: Timestamp,
    ) -> Result<()> {
        let standing = self.billing()?.standing(&subscription, now);
        if standing != subscription.standing {
            subscription.standing = standing;
            let data = json!({ "standing": standing, "paid_until": subscription.paid_until }).to_string();
            let event = NewEvent { kind: "billing.standing_changed", subject_id: None, data: Some(data) };
            tx.record(subscription.organisation_id, now, [event]);
        }
        billing::save_subscription(tx, &subscription, now).await?;
        Ok(())
    }
}

/// `299.00 SAR`.
pub(super) fn priced(amount: i64, currency: &str) -> String {
    format!("{} {currency}", amount_text(amount))
}
