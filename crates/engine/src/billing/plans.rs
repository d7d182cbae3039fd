//! Plans, and what the operator grants without a payment. Plans belong to the installation: its command line sets them.

use kabar_domain::billing::{PaymentStatus, Standing};
use kabar_domain::{Ability, PlanId, Timestamp};
use kabar_store::billing::{self, Plan, Subscription};
use kabar_store::organisations;
use kabar_store::payments::{self, Payment};

use super::CURRENCY;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

/// A plan to offer, or to change under its slug.
#[derive(Clone, Debug, Default)]
pub struct NewPlan {
    pub slug: String,
    pub name: String,
    pub description: Option<String>,
    /// In minor units.
    pub amount: i64,
    pub months: i64,
}

/// Until when an organisation need not pay.
#[derive(Clone, Copy, Debug)]
pub enum Term {
    Until(Timestamp),
    ForEver,
}

impl Engine {
    /// The cheapest first.
    pub async fn list_plans(&self, principal: &Principal, page: &PageRequest) -> Result<Page<Plan>> {
        principal.require(Ability::Read)?;
        let plans = match self.billing {
            Some(_) => billing::plans(&mut self.store.reader().await?, false).await?,
            None => Vec::new(),
        };
        let total = plans.len();
        // A handful: the page is cut out of all of them.
        let skipped = match page.after()? {
            Some(place) => {
                plans.iter().position(|plan| plan.id.uuid() == place.id).map_or(total, |at| at + 1)
            }
            None => page.offset() as usize,
        };
        let rows = plans.into_iter().skip(skipped).take(page.fetch() as usize).collect();
        Ok(page.page_of(rows, total as i64, |plan| plan.id.uuid().into()))
    }

    /// Every plan, archived ones too. For the operator.
    pub async fn all_plans(&self) -> Result<Vec<Plan>> {
        Ok(billing::plans(&mut self.store.reader().await?, true).await?)
    }

    /// Offers a plan. Invoices that are written already stay as they are.
    pub async fn set_plan(&self, new: NewPlan) -> Result<()> {
        let mut invalid = Invalid::default();
        let slug = rules::required(&mut invalid, "slug", Some(new.slug), 50);
        let name = rules::required(&mut invalid, "name", Some(new.name), 100);
        let description = rules::optional(&mut invalid, "description", new.description, 500);
        if !slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            invalid.add("slug", "The slug field must only contain lower-case letters, numbers and dashes.");
        }
        // What the gateway takes has up to ten digits before the point.
        if !(1..=999_999_999_999).contains(&new.amount) {
            invalid.add(
                "amount",
                "The amount field must be more than nothing and less than ten thousand million.",
            );
        }
        if !(1..=120).contains(&new.months) {
            invalid.add("months", "The months field must be between 1 and 120.");
        }
        invalid.check()?;
        let plan = Plan {
            id: PlanId::new(&self.clock),
            slug,
            name,
            description,
            amount: new.amount,
            currency: CURRENCY.into(),
            months: new.months,
            archived_at: None,
            created_at: self.clock.now(),
        };
        let mut tx = self.store.begin().await?;
        billing::set_plan(&mut tx, &plan).await?;
        Ok(tx.commit().await?)
    }

    /// A plan is no longer offered; who has paid for it keeps it.
    pub async fn archive_plan(&self, slug: &str) -> Result<()> {
        let mut tx = self.store.begin().await?;
        if !billing::archive_plan(&mut tx, slug, self.clock.now()).await? {
            return Err(Error::NotFound("Plan"));
        }
        Ok(tx.commit().await?)
    }

    /// What is paid for every organisation, by slug. For the operator.
    pub async fn list_subscriptions(&self) -> Result<Vec<(String, Subscription, Standing)>> {
        let (now, billing) = (self.clock.now(), self.billing()?);
        let found = billing::subscriptions(&mut self.store.reader().await?).await?;
        let standing = |(slug, of): (String, Subscription)| {
            let standing = billing.standing(&of, now);
            (slug, of, standing)
        };
        Ok(found.into_iter().map(standing).collect())
    }

    /// Takes an organisation as paid: what came in some other way, or what need not be paid.
    pub async fn grant_term(&self, organisation: &str, term: Term) -> Result<()> {
        let (now, billing) = (self.clock.now(), self.billing()?);
        let mut tx = self.store.begin().await?;
        let found =
            organisations::by_slug(&mut tx, organisation).await?.ok_or(Error::NotFound("Organisation"))?;
        let mut subscription = billing.subscription_locked(&mut tx, found.id, now).await?;
        subscription.paid_until = match term {
            Term::Until(until) => Some(until),
            Term::ForEver => None,
        };
        subscription.anchor_day = None;
        self.save_subscription(&mut tx, subscription, now).await?;
        Ok(tx.commit().await?)
    }

    /// Attempts to pay, the newest first, with their organisations' slugs. For the operator.
    pub async fn recent_payments(
        &self,
        status: Option<PaymentStatus>,
        limit: i64,
    ) -> Result<Vec<(String, Payment)>> {
        Ok(payments::recent(&mut self.store.reader().await?, status, limit).await?)
    }
}
