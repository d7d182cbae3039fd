//! Starting a payment: our part is written before the gateway is asked, so that none is lost between the two.

use kabar_domain::billing::{InvoiceStatus, Language, PaymentStatus, utc_date};
use kabar_domain::job::JobKind;
use kabar_domain::{Ability, InvoiceId, JobId, OrganisationId, PaymentId, PlanId, Timestamp};
use kabar_providers::neoleap::{Failure, Purchase};
use kabar_store::Tx;
use kabar_store::billing::{self, Invoice, Plan};
use kabar_store::events::NewEvent;
use kabar_store::jobs::{self, NewJob};
use kabar_store::payments::{self, Payment};
use serde_json::json;
use url::Url;

use super::inquiry::FIRST_LOOK;
use crate::auth::Principal;
use crate::crypto::random;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// What is to be paid, and by whom.
#[derive(Clone, Debug, Default)]
pub struct CheckoutRequest {
    pub plan_id: Option<String>,
    /// An open invoice instead of a plan.
    pub invoice_id: Option<String>,
    /// `en`, `id` or `ar`; of the bank's page too, as far as it has it.
    pub language: Option<String>,
    /// The customer's network address, those of proxies behind it.
    pub addresses: String,
}

/// A payment that waits for its customer.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub invoice_id: InvoiceId,
    pub payment_id: PaymentId,
    /// The bank's page.
    pub payment_url: Url,
}

impl Engine {
    /// Starts a payment. An open invoice for the same is taken up; one for something else becomes void.
    pub async fn create_checkout(&self, principal: &Principal, request: CheckoutRequest) -> Result<Checkout> {
        principal.require(Ability::Admin)?;
        let billing = self.billing()?;
        let (organisation, now) = (principal.organisation_id, self.clock.now());
        let mut invalid = Invalid::default();
        let language = match request.language.as_deref() {
            None => Some(Language::English),
            Some(name) => Language::from_name(name),
        };
        if language.is_none() {
            rules::selected(&mut invalid, "language");
        }
        if request.plan_id.is_none() && request.invoice_id.is_none() {
            invalid.add("plan_id", "The plan id field is required when invoice id is not present.");
        }
        invalid.check()?;

        let mut tx = self.store.begin().await?;
        let subscription = billing.subscription_locked(&mut tx, organisation, now).await?;
        let Some(paid_until) = subscription.paid_until else {
            return Err(Error::Conflict("This organisation need not pay.".into()));
        };
        let open = billing::open_invoice(&mut tx, organisation).await?;
        let invoice = match (request.invoice_id, request.plan_id) {
            (Some(id), _) => {
                let id = id.parse::<InvoiceId>().map_err(|_| Error::NotFound("Invoice"))?;
                let found = billing::find_invoice(&mut tx, organisation, id).await?;
                let found = found.ok_or(Error::NotFound("Invoice"))?;
                if found.status != InvoiceStatus::Open {
                    return Err(Error::Conflict(format!("This invoice is {}.", found.status)));
                }
                found
            }
            (None, plan) => {
                let id = plan.and_then(|id| id.parse::<PlanId>().ok());
                let plan = match id {
                    Some(id) => billing::plan_by_id(&mut tx, id).await?,
                    None => None,
                };
                let plan = plan
                    .filter(|plan| plan.archived_at.is_none())
                    .ok_or_else(|| Invalid::one("plan_id", "The selected plan id is invalid."))?;
                match open {
                    Some(open) if is_for(&open, &plan) => open,
                    open => {
                        if let Some(open) = open {
                            self.void_invoice(&mut tx, organisation, open, now).await?;
                        }
                        self.write_invoice(&mut tx, organisation, &plan, paid_until.max(now), now).await?
                    }
                }
            }
        };
        let mut payment = Payment {
            organisation_id: organisation,
            id: PaymentId::new(&self.clock),
            invoice_id: invoice.id,
            track_id: track_id()?,
            gateway_id: None,
            transaction_id: None,
            amount: invoice.amount,
            status: PaymentStatus::Pending,
            result: None,
            error: None,
            reference: None,
            authorisation: None,
            addresses: request.addresses.chars().take(500).collect(),
            language: language.unwrap_or(Language::English),
            heard_at: None,
            asked_at: None,
            created_at: now,
        };
        payments::insert(&mut tx, &payment).await?;
        let look = NewJob {
            organisation_id: organisation,
            id: JobId::new(&self.clock),
            kind: JobKind::InquirePayment,
            subject_id: payment.id.uuid(),
            data: None,
            due_at: now.plus(FIRST_LOOK),
        };
        jobs::enqueue(&mut tx, look, now).await?;
        tx.commit().await?;

        let return_url = self.return_url(payment.id)?;
        let started = billing
            .gateway
            .start(&Purchase {
                track_id: &payment.track_id,
                amount: payment.amount,
                return_url: &return_url,
                language: payment.language,
                addresses: &payment.addresses,
            })
            .await;
        crate::failpoint::reach("payment_started");
        match started {
            Ok(started) => {
                payment.gateway_id = Some(started.payment_id);
                self.note_started(&payment).await?;
                let (invoice_id, payment_id) = (invoice.id, payment.id);
                Ok(Checkout { invoice_id, payment_id, payment_url: started.page })
            }
            Err(failure) => {
                tracing::warn!(payment = %payment.id, %failure, "a payment could not be started");
                if let Failure::Refused { code, .. } = &failure {
                    payment.status = PaymentStatus::Failed;
                    payment.error = Some(code.clone());
                    self.note_started(&payment).await?;
                }
                Err(Error::Unavailable(format!("No payment could be started: {failure}. Try again later.")))
            }
        }
    }

    async fn note_started(&self, payment: &Payment) -> Result<()> {
        let mut tx = self.store.begin().await?;
        payments::note_start(&mut tx, payment, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Where the customer's browser comes back to.
    pub(super) fn return_url(&self, payment: PaymentId) -> Result<Url> {
        Url::parse(&self.own_address(&format!("billing/return/{payment}")))
            .map_err(|error| Error::Internal(format!("the public address cannot be used: {error}")))
    }

    pub(super) async fn void_invoice(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        mut invoice: Invoice,
        now: Timestamp,
    ) -> Result<()> {
        invoice.status = InvoiceStatus::Void;
        billing::update_invoice(tx, organisation, &invoice).await?;
        tx.record(organisation, now, [about("invoice.voided", &invoice)]);
        Ok(())
    }

    pub(super) async fn write_invoice(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        plan: &Plan,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Invoice> {
        let invoice = Invoice {
            id: InvoiceId::new(&self.clock),
            number: self.invoice_number(tx, now).await?,
            plan_id: plan.id,
            plan_name: plan.name.clone(),
            amount: plan.amount,
            currency: plan.currency.clone(),
            months: plan.months,
            status: InvoiceStatus::Open,
            due_at,
            period: None,
            paid_at: None,
            refunded: 0,
            created_at: now,
        };
        billing::insert_invoice(tx, organisation, &invoice).await?;
        tx.record(organisation, now, [about("invoice.created", &invoice)]);
        Ok(invoice)
    }

    pub(super) async fn invoice_number(&self, tx: &mut Tx, now: Timestamp) -> Result<String> {
        let (year, ..) = utc_date(now);
        let number = billing::next_invoice_number(tx, year).await?;
        Ok(format!("INV-{year}-{number:06}"))
    }
}

/// Whether an invoice asks for what the plan costs now.
fn is_for(invoice: &Invoice, plan: &Plan) -> bool {
    (invoice.plan_id, invoice.amount, invoice.months) == (plan.id, plan.amount, plan.months)
}

pub(super) fn about(kind: &'static str, invoice: &Invoice) -> NewEvent {
    let data = json!({
        "number": invoice.number, "status": invoice.status, "amount": invoice.amount, "currency": invoice.currency,
        "due_at": invoice.due_at, "paid_at": invoice.paid_at, "refunded": invoice.refunded,
    });
    NewEvent { kind, subject_id: Some(invoice.id.uuid()), data: Some(data.to_string()) }
}

/// Eighteen digits that nobody guesses: the gateway takes numbers only, and each once.
fn track_id() -> Result<String> {
    let number = u64::from_be_bytes(random()?);
    Ok((100_000_000_000_000_000 + number % 900_000_000_000_000_000).to_string())
}
