//! What organisations pay for the use of this server, over a page of the bank. Off unless the operator sets it up.
//!
//! Nothing that the gateway or a browser says of a payment is believed. It is kept and acknowledged at once, for an
//! unacknowledged payment is given back; a job then asks the gateway, and only that answer counts.

mod callbacks;
mod checkout;
mod inquiry;
mod invoices;
mod mail;
mod plans;
mod settle;
mod sweep;

use std::time::Duration;

use kabar_domain::billing::Standing;
use kabar_domain::{Ability, OrganisationId, Timestamp};
use kabar_providers::neoleap;
use kabar_store::billing::{self, Subscription};
use kabar_store::{Db, Tx, organisations};

pub use callbacks::PaymentAnswer;
pub use checkout::{Checkout, CheckoutRequest};
pub use invoices::{Paper, PaymentView};
pub use kabar_domain::billing::{InvoiceStatus, Language, PaymentStatus};
pub use kabar_providers::neoleap::{Fields, amount_text, minor_units};
pub use kabar_store::billing::{Invoice, Plan};
pub use kabar_store::payments::Payment;
pub use plans::{NewPlan, Term};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// The one currency the gateway takes.
pub const CURRENCY: &str = "SAR";

/// How long before its time runs out an organisation gets the next invoice.
const RENEWAL: Duration = Duration::from_hours(7 * 24);

/// How payments are taken, as the operator set it up.
#[derive(Clone, Debug)]
pub struct Settings {
    pub gateway: neoleap::Config,
    /// For a new organisation.
    pub trial: Duration,
    /// After its time has run out an organisation goes on as before for so long.
    pub grace: Duration,
    /// Who sells: printed on invoices, line by line.
    pub seller: Option<String>,
}

/// The settings at work.
#[derive(Clone, Debug)]
pub(crate) struct Billing {
    pub gateway: neoleap::Client,
    pub trial: Duration,
    pub grace: Duration,
    pub seller: Option<String>,
}

impl Billing {
    fn standing(&self, of: &Subscription, now: Timestamp) -> Standing {
        match of.paid_until {
            None => Standing::Exempt,
            Some(until) if now < until && of.plan_id.is_none() => Standing::Trial,
            Some(until) if now < until => Standing::Active,
            Some(until) if now < until.plus(self.grace) => Standing::PastDue,
            Some(_) => Standing::ReadOnly,
        }
    }

    /// What is paid for an organisation; one that was made a moment ago is on trial.
    async fn subscription(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> Result<Subscription> {
        let found = billing::subscription_of(db, organisation).await?;
        Ok(found.unwrap_or_else(|| Subscription {
            organisation_id: organisation,
            plan_id: None,
            paid_until: Some(now.plus(self.trial)),
            anchor_day: None,
            standing: Standing::Trial,
        }))
    }

    /// The same for who changes it: nobody else does until the transaction ends.
    async fn subscription_locked(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> Result<Subscription> {
        organisations::lock(tx, organisation).await?;
        self.subscription(tx, organisation, now).await
    }
}

/// How an organisation stands with what it has to pay.
#[derive(Clone, Debug)]
pub struct Overview {
    pub standing: Standing,
    pub plan: Option<Plan>,
    /// `None`: it need not pay.
    pub paid_until: Option<Timestamp>,
    /// From then on it is read-only.
    pub read_only_at: Option<Timestamp>,
    pub open_invoice: Option<Invoice>,
}

impl Engine {
    fn billing(&self) -> Result<&Billing> {
        let off = || Error::Conflict("Nothing has to be paid on this server.".into());
        self.billing.as_ref().ok_or_else(off)
    }

    /// An address on this server.
    fn own_address(&self, path: &str) -> String {
        format!("{}/{path}", self.config.public_url.as_str().trim_end_matches('/'))
    }

    /// `None`: nothing has to be paid on this server.
    pub async fn get_billing(&self, principal: &Principal) -> Result<Option<Overview>> {
        principal.require(Ability::Read)?;
        let Some(billing) = &self.billing else { return Ok(None) };
        let (organisation, now) = (principal.organisation_id, self.clock.now());
        let mut db = self.store.reader().await?;
        let subscription = billing.subscription(&mut db, organisation, now).await?;
        let plan = match subscription.plan_id {
            Some(id) => billing::plan_by_id(&mut db, id).await?,
            None => None,
        };
        Ok(Some(Overview {
            standing: billing.standing(&subscription, now),
            plan,
            paid_until: subscription.paid_until,
            read_only_at: subscription.paid_until.map(|until| until.plus(billing.grace)),
            open_invoice: billing::open_invoice(&mut db, organisation).await?,
        }))
    }

    /// Lets a caller who would change or send something only read, when his organisation is not paid for.
    pub async fn hold_unpaid(&self, principal: &mut Principal) -> Result<()> {
        if self.billing.is_some() {
            let mut db = self.store.reader().await?;
            principal.unpaid = self.unpaid(&mut db, principal.organisation_id).await?;
        }
        Ok(())
    }

    /// Why an organisation is read-only, if it is.
    pub(crate) async fn unpaid(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
    ) -> Result<Option<String>> {
        let Some(billing) = &self.billing else { return Ok(None) };
        let now = self.clock.now();
        let subscription = billing.subscription(db, organisation, now).await?;
        Ok((billing.standing(&subscription, now) == Standing::ReadOnly).then(|| {
            format!(
                "This organisation is read-only: nothing is paid for it since {}. An administrator can pay at {}.",
                subscription.paid_until.map(|until| until.to_string()).unwrap_or_default(),
                self.own_address("app/billing"),
            )
        }))
    }
}
