//! What comes with time: trials that begin, invoices for what follows, organisations whose time runs out.

use kabar_domain::Timestamp;
use kabar_domain::billing::Standing;
use kabar_store::Tx;
use kabar_store::billing::{self, Subscription};

use super::mail::Letter;
use super::settle::priced;
use super::{Billing, RENEWAL};
use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    pub(crate) async fn sweep_billing(&self) -> Result<()> {
        let Some(billing) = &self.billing else { return Ok(()) };
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        self.begin_trials(&mut tx, now).await?;
        tx.commit().await?;
        let ending = billing::ending(&mut self.store.reader().await?, now.plus(RENEWAL)).await?;
        for subscription in ending {
            self.look_at_end(billing, subscription).await?;
        }
        Ok(())
    }

    /// Of every organisation that has none yet: a new one, and all of them where nobody had to pay before.
    pub(crate) async fn begin_trials(&self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        if let Some(Billing { trial, .. }) = &self.billing {
            billing::begin_trials(tx, now.plus(*trial), now).await?;
        }
        Ok(())
    }

    async fn look_at_end(&self, billing: &Billing, seen: Subscription) -> Result<()> {
        let (organisation, now) = (seen.organisation_id, self.clock.now());
        let renews = seen.plan_id.is_some() && seen.paid_until.is_some_and(|until| now < until);
        let open = billing::open_invoice(&mut self.store.reader().await?, organisation).await?;
        if billing.standing(&seen, now) == seen.standing && (!renews || open.is_some()) {
            return Ok(());
        }
        let mut letters = Vec::new();
        let mut tx = self.store.begin().await?;
        let subscription = billing.subscription_locked(&mut tx, organisation, now).await?;
        if subscription != seen {
            // It was paid meanwhile, or another server looks after it.
            return Ok(());
        }
        let open = billing::open_invoice(&mut tx, organisation).await?;
        if let (true, None, Some(id), Some(until)) =
            (renews, open, subscription.plan_id, subscription.paid_until)
        {
            // A plan that is no longer offered has to be replaced by the customer's choice.
            let plan = billing::plan_by_id(&mut tx, id).await?.filter(|plan| plan.archived_at.is_none());
            if let Some(plan) = plan {
                let invoice = self.write_invoice(&mut tx, organisation, &plan, until, now).await?;
                let amount = priced(invoice.amount, &invoice.currency);
                letters.push(Letter::Due { number: invoice.number, amount, due: until });
            }
        }
        let standing = billing.standing(&subscription, now);
        let until = subscription.paid_until.unwrap_or(now);
        if standing != subscription.standing {
            match standing {
                Standing::PastDue => {
                    letters.push(Letter::PastDue { read_only_at: until.plus(billing.grace) });
                }
                Standing::ReadOnly => letters.push(Letter::ReadOnly),
                Standing::Exempt | Standing::Trial | Standing::Active => {}
            }
        }
        self.save_subscription(&mut tx, subscription, now).await?;
        for letter in &letters {
            self.queue_letter(&mut tx, organisation, letter).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
