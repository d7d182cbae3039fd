//! Asking the gateway how a payment stands: the one thing that is believed.

use std::time::Duration;

use kabar_domain::PaymentId;
use kabar_domain::billing::PaymentStatus;
use kabar_providers::neoleap::{By, Failure, Outcome, Question, Transaction};
use kabar_store::jobs::{self, Leased};
use kabar_store::organisations;
use kabar_store::payments::{self, Notice, Payment};

use super::Billing;
use super::settle::about_payment;
use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::Done;

/// A payment of which nothing is heard is first asked about after this.
pub(super) const FIRST_LOOK: Duration = Duration::from_mins(1);
/// Between two questions about one payment.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
/// The longest between two questions while nobody knows.
const LONGEST: Duration = Duration::from_hours(1);
/// A payment that the gateway does not know of by then was never made.
const EXPIRES: Duration = Duration::from_hours(24);
/// What is not clear by then a person has to look at.
const GIVE_UP: Duration = Duration::from_hours(72);

/// What an answer means for a payment.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Captured,
    Failed,
    /// It was captured, and given back.
    Voided,
    /// Nobody knows yet.
    Unclear,
    /// It does not fit the payment.
    Wrong(&'static str),
}

impl Engine {
    /// Asks about a payment, and about refunds and voids that were told of. Asking again changes nothing.
    pub(crate) async fn inquire_payment(&self, job: &Leased) -> Done {
        let Some(billing) = &self.billing else { return Done::Again(LONGEST) };
        match self.attempt_inquiry(billing, job).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, payment = %PaymentId::from_uuid(job.subject_id), "an inquiry failed; it is tried again");
                Done::Again(Duration::from_secs(30))
            }
        }
    }

    /// A person has to look at the payment.
    pub(crate) async fn give_up_inquiry(&self, job: &Leased) -> Result<()> {
        let (id, now) = (PaymentId::from_uuid(job.subject_id), self.clock.now());
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, job.organisation_id).await?;
        let found = payments::find(&mut tx, job.organisation_id, id).await?;
        let pending = found.filter(|payment| payment.status == PaymentStatus::Pending);
        let Some(mut payment) = pending else { return Ok(()) };
        payment.status = PaymentStatus::Review;
        tx.record(payment.organisation_id, now, [about_payment(&payment)]);
        payments::update(&mut tx, &payment, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn attempt_inquiry(&self, billing: &Billing, job: &Leased) -> Result<Done> {
        let id = PaymentId::from_uuid(job.subject_id);
        let mut db = self.store.reader().await?;
        let Some(payment) = payments::find(&mut db, job.organisation_id, id).await? else {
            return Ok(Done::Finished);
        };
        drop(db);
        crate::failpoint::reach("payment_inquiry");
        if !matches!(payment.status, PaymentStatus::Captured | PaymentStatus::Reversed) {
            let answer = ask(billing, &payment, None).await;
            crate::failpoint::reach("payment_answered");
            self.apply_answer(billing, &payment, answer).await?;
        }
        let mut db = self.store.reader().await?;
        let Some(payment) = payments::find(&mut db, job.organisation_id, id).await? else {
            return Ok(Done::Finished);
        };
        let notices = payments::unsettled(&mut db, &payment).await?;
        drop(db);
        let mut waits = payment.status == PaymentStatus::Pending;
        if !waits {
            for notice in notices {
                waits |= !self.settle_notice(billing, &payment, &notice).await?;
            }
        }
        let mut db = self.store.reader().await?;
        if !waits || jobs::has_newer(&mut db, job).await? {
            return Ok(Done::Finished);
        }
        let since = self.clock.now().since(payment.heard_at.unwrap_or(payment.created_at));
        Ok(Done::Again((since / 2).clamp(PAUSE, LONGEST)))
    }

    /// Writes what the gateway said of a payment that was not over.
    async fn apply_answer(
        &self,
        billing: &Billing,
        asked: &Payment,
        answer: Result<Transaction, Failure>,
    ) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, asked.organisation_id).await?;
        // Somebody else may have asked, too.
        let found = payments::find(&mut tx, asked.organisation_id, asked.id).await?;
        let Some(mut payment) = found.filter(|payment| payment.status == asked.status) else { return Ok(()) };
        let age = now.since(payment.created_at);
        payment.asked_at = Some(now);
        let verdict = match &answer {
            Ok(told) => {
                payment.result.clone_from(&told.result);
                payment.error.clone_from(&told.error);
                verdict(&payment, told)
            }
            Err(failure) => {
                tracing::warn!(payment = %payment.id, %failure, "an inquiry gave no answer");
                Verdict::Unclear
            }
        };
        let told = answer.as_ref().ok();
        let mut letter = None;
        let concluded = match verdict {
            Verdict::Captured => {
                let told = told.cloned().unwrap_or_default();
                letter = Some(self.capture(&mut tx, billing, &mut payment, &told, now).await?);
                None
            }
            Verdict::Failed => Some(PaymentStatus::Failed),
            Verdict::Voided => Some(PaymentStatus::Reversed),
            Verdict::Wrong(why) => {
                tracing::error!(payment = %payment.id, why, "the gateway's answer does not fit a payment; look at it in the merchant portal");
                Some(PaymentStatus::Review)
            }
            Verdict::Unclear if payment.status != PaymentStatus::Pending => None,
            Verdict::Unclear => match &answer {
                Err(failure) if failure.is_not_found() && age >= EXPIRES => Some(PaymentStatus::Expired),
                _ if age >= GIVE_UP => Some(PaymentStatus::Review),
                _ => None,
            },
        };
        if let Some(status) = concluded.filter(|status| *status != payment.status) {
            payment.status = status;
            tx.record(payment.organisation_id, now, [about_payment(&payment)]);
        }
        payments::update(&mut tx, &payment, now).await?;
        if let Some(letter) = letter {
            self.queue_letter(&mut tx, asked.organisation_id, &letter).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Whether the gateway's answer to a notice is known now.
    async fn settle_notice(&self, billing: &Billing, payment: &Payment, notice: &Notice) -> Result<bool> {
        let is_other = notice.transaction_id.is_some() && notice.transaction_id != payment.transaction_id;
        let is_void = told_of(notice).outcome() == Outcome::Voided;
        if payment.status != PaymentStatus::Captured || notice.source == "return" || !(is_other || is_void) {
            let mut tx = self.store.begin().await?;
            payments::settle_notice(&mut tx, payment, notice, self.clock.now()).await?;
            tx.commit().await?;
            return Ok(true);
        }
        let told = match ask(billing, payment, notice.transaction_id.as_deref().filter(|_| is_other)).await {
            Ok(told) => told,
            // Nobody has heard of it: it was somebody's invention.
            Err(failure) if failure.is_not_found() => Transaction::default(),
            Err(failure) => {
                tracing::warn!(payment = %payment.id, %failure, "an inquiry about a refund gave no answer");
                return Ok(false);
            }
        };
        let back = given_back(payment, notice, &told);
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, payment.organisation_id).await?;
        let is_first = payments::settle_notice(&mut tx, payment, notice, now).await?;
        let mut letter = None;
        if let Some(amount) = back.filter(|_| is_first) {
            letter = self.give_back(&mut tx, billing, payment, amount, now).await?;
        }
        if let Some(letter) = letter {
            self.queue_letter(&mut tx, payment.organisation_id, &letter).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

fn told_of(notice: &Notice) -> Transaction {
    Transaction { result: notice.result.clone(), ..Transaction::default() }
}

async fn ask(
    billing: &Billing,
    payment: &Payment,
    transaction: Option<&str>,
) -> Result<Transaction, Failure> {
    let by = match (transaction, &payment.gateway_id) {
        (Some(id), _) => By::Transaction(id),
        (None, Some(id)) => By::Payment(id),
        // The answer to our request was lost.
        (None, None) => By::Track(&payment.track_id),
    };
    let Payment { track_id, amount, addresses, .. } = payment;
    billing.gateway.inquire(&Question { by, track_id, amount: *amount, addresses }).await
}

/// What an answer to a question about a payment means. Money counts only when track id, amount and payment id are ours.
fn verdict(payment: &Payment, told: &Transaction) -> Verdict {
    let is_ours = told.track_id.as_deref() == Some(payment.track_id.as_str());
    match told.outcome() {
        Outcome::Failed if is_ours => Verdict::Failed,
        Outcome::Failed | Outcome::Unclear => Verdict::Unclear,
        Outcome::Captured | Outcome::Voided if !is_ours => Verdict::Wrong("another track id"),
        Outcome::Captured | Outcome::Voided if told.amount != Some(payment.amount) => {
            Verdict::Wrong("another amount")
        }
        // By its payment id it was asked for; an answer need not repeat that.
        Outcome::Captured | Outcome::Voided
            if match (&told.payment_id, &payment.gateway_id) {
                (Some(told), Some(ours)) => told != ours,
                (told, ours) => told.is_none() && ours.is_none(),
            } =>
        {
            Verdict::Wrong("another payment id")
        }
        Outcome::Captured if told.is_reversal() => Verdict::Wrong("no purchase"),
        Outcome::Captured => Verdict::Captured,
        Outcome::Voided => Verdict::Voided,
    }
}

/// How much of a captured payment went back, by the gateway's answer.
fn given_back(payment: &Payment, notice: &Notice, told: &Transaction) -> Option<i64> {
    let is_about = told.track_id.as_ref() == Some(&payment.track_id)
        || (told.original_id.is_some() && told.original_id == payment.transaction_id);
    let is_told = notice.transaction_id.is_none() || told.transaction_id == notice.transaction_id;
    if !is_about || !is_told {
        return None;
    }
    match told.outcome() {
        Outcome::Voided => Some(payment.amount),
        Outcome::Captured if told.is_reversal() => {
            told.amount.filter(|amount| (1..=payment.amount).contains(amount))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kabar_domain::billing::Language;
    use kabar_domain::{Clock, InvoiceId, OrganisationId, Timestamp};

    use super::*;

    fn payment(gateway_id: Option<&str>) -> Payment {
        let clock = Clock::manual(Timestamp::from_unix(1_700_000_000));
        Payment {
            organisation_id: OrganisationId::new(&clock),
            id: PaymentId::new(&clock),
            invoice_id: InvoiceId::new(&clock),
            track_id: "77".into(),
            gateway_id: gateway_id.map(str::to_owned),
            transaction_id: Some("1".into()),
            amount: 1_200,
            status: PaymentStatus::Pending,
            result: None,
            error: None,
            reference: None,
            authorisation: None,
            addresses: "203.0.113.7".into(),
            language: Language::English,
            heard_at: None,
            asked_at: None,
            created_at: clock.now(),
        }
    }

    fn told(result: &str) -> Transaction {
        let some = |text: &str| Some(text.to_owned());
        Transaction {
            payment_id: some("P1"),
            track_id: some("77"),
            amount: Some(1_200),
            action: some("1"),
            result: some(result),
            ..Transaction::default()
        }
    }

    #[test]
    fn money_counts_only_when_all_three_are_ours() {
        let ours = payment(Some("P1"));
        assert_eq!(verdict(&ours, &told("CAPTURED")), Verdict::Captured);
        assert_eq!(verdict(&ours, &told("success")), Verdict::Captured);
        assert_eq!(verdict(&ours, &told("VOIDED")), Verdict::Voided);
        assert_eq!(verdict(&ours, &told("NOT CAPTURED")), Verdict::Failed);
        assert_eq!(verdict(&ours, &told("HOST TIMEOUT")), Verdict::Unclear);
        let wrong = [
            Transaction { amount: Some(1_199), ..told("CAPTURED") },
            Transaction { amount: None, ..told("CAPTURED") },
            Transaction { track_id: Some("78".into()), ..told("CAPTURED") },
            Transaction { track_id: None, ..told("CAPTURED") },
            Transaction { payment_id: Some("P2".into()), ..told("CAPTURED") },
            Transaction { action: Some("2".into()), ..told("CAPTURED") },
        ];
        for told in wrong {
            assert!(matches!(verdict(&ours, &told), Verdict::Wrong(_)), "{told:?}");
        }
        // Asked for by its payment id, an answer need not repeat it; asked for by our own name, it must tell.
        let silent = Transaction { payment_id: None, ..told("CAPTURED") };
        assert_eq!(verdict(&ours, &silent), Verdict::Captured);
        assert_eq!(verdict(&payment(None), &silent), Verdict::Wrong("another payment id"));
        assert_eq!(verdict(&payment(None), &told("CAPTURED")), Verdict::Captured);
    }

    #[test]
    fn what_went_back_is_what_the_gateway_says_of_that_very_transaction() {
        let ours = payment(Some("P1"));
        let notice = Notice {
            key: "k".into(),
            source: "webhook".into(),
            transaction_id: Some("2".into()),
            result: Some("CAPTURED".into()),
            error: None,
        };
        let refund = Transaction {
            transaction_id: Some("2".into()),
            action: Some("2".into()),
            amount: Some(500),
            ..told("CAPTURED")
        };
        assert_eq!(given_back(&ours, &notice, &refund), Some(500));
        for none in [
            Transaction { action: Some("1".into()), ..refund.clone() },
            Transaction { amount: Some(1_201), ..refund.clone() },
            Transaction { transaction_id: Some("3".into()), ..refund.clone() },
            Transaction { track_id: Some("78".into()), ..refund.clone() },
            Transaction::default(),
        ] {
            assert_eq!(given_back(&ours, &notice, &none), None, "{none:?}");
        }
        let elsewhere = Transaction { track_id: None, original_id: Some("1".into()), ..refund };
        assert_eq!(given_back(&ours, &notice, &elsewhere), Some(500));
    }
}
