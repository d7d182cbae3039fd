//! A part of a transaction that can be undone alone.

use std::collections::BTreeMap;

use kabar_domain::OrganisationId;

use crate::args;
use crate::counters::Counter;
use crate::error::Result;
use crate::store::Tx;

/// Where a part begins, with what was counted and recorded until then. One at a time; end it with [`Tx::keep`] or
/// [`Tx::undo_to`].
#[derive(Debug)]
#[must_use]
pub struct Savepoint {
    counts: BTreeMap<(OrganisationId, Counter), i64>,
    events: BTreeMap<OrganisationId, usize>,
}

impl Tx {
    pub async fn savepoint(&mut self) -> Result<Savepoint> {
        self.execute("SAVEPOINT part", args![]).await?;
        let events = self.events.iter().map(|(organisation, events)| (*organisation, events.len())).collect();
        Ok(Savepoint { counts: self.counts.clone(), events })
    }

    /// Undoes all since then.
    pub async fn undo_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.execute("ROLLBACK TO SAVEPOINT part", args![]).await?;
        self.counts = savepoint.counts;
        for (organisation, events) in &mut self.events {
            events.truncate(savepoint.events.get(organisation).copied().unwrap_or_default());
        }
        self.execute("RELEASE SAVEPOINT part", args![]).await?;
        Ok(())
    }

    pub async fn keep(&mut self, _: Savepoint) -> Result<()> {
        self.execute("RELEASE SAVEPOINT part", args![]).await?;
        Ok(())
    }
}
