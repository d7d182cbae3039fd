//! Reading all of history again, after a new model. What people decided, what became of items and what was said stay.

use kabar_domain::channel::InboxStatus;
use kabar_domain::{InboxItemId, OrganisationId, Timestamp};
use kabar_store::understanding;
use kabar_store::{counters, organisations};
use uuid::Uuid;

use super::{BATCH, read_items};
use crate::engine::Engine;
use crate::error::Result;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    pub items: u64,
    /// Of which are of another class than before.
    pub changed: u64,
}

/// An id below those of items made since.
fn below(since: Option<Timestamp>) -> InboxItemId {
    let millis = since.map_or(0, |since| since.as_micros().max(0) / 1_000) as u128;
    InboxItemId::from_uuid(Uuid::from_u128(millis << 80))
}

impl Engine {
    /// Reads the inbox again: of one organisation (by id or slug) or of all, what came since a time or everything.
    /// `progress` hears how many items are done and how many there are.
    pub async fn reread(
        &self,
        organisation: Option<&str>,
        since: Option<Timestamp>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Option<Reread>> {
        let mut db = self.store.reader().await?;
        let all: Vec<OrganisationId> = match organisation {
            None => organisations::all(&mut db).await?,
            Some(name) => {
                let found = match name.parse::<OrganisationId>() {
                    Ok(id) => organisations::by_id(&mut db, id).await?,
                    Err(_) => organisations::by_slug(&mut db, name).await?,
                };
                let Some(found) = found else { return Ok(None) };
                vec![found.id]
            }
        };
        let mut total = 0;
        for id in &all {
            total += counters::inbox(&mut db, *id, None).await?.max(0) as u64;
        }
        drop(db);
        let mut reread = Reread::default();
        for id in all {
            let mut after = below(since);
            loop {
                let items = understanding::history(&mut self.store.reader().await?, id, after, BATCH).await?;
                let Some(last) = items.last() else { break };
                after = last.id;
                let count = items.len() as u64;
                reread.changed += self.reread_page(id, items).await?;
                reread.items += count;
                progress(reread.items, total.max(reread.items));
            }
        }
        Ok(Some(reread))
    }

    async fn reread_page(&self, id: OrganisationId, items: Vec<understanding::Unread>) -> Result<u64> {
        let desks = self.desks([id].into_iter()).await?;
        let read = read_items(items, &desks).await;
        let mut changed = 0;
        let mut tx = self.store.begin().await?;
        let keys = read.iter().map(|(item, _)| (item.organisation_id, item.id));
        let mut standing = understanding::lock(&mut tx, keys).await?;
        let mut written = Vec::with_capacity(read.len());
        for (item, reading) in &read {
            let (Some(was), Some(reading)) = (standing.remove(&item.id), reading) else { continue };
            // What waits in the queue is read when its turn comes; what a model service read is the better reading.
            if was.confidence.is_none() || was.refined {
                continue;
            }
            // Why a person is to look at it comes last, and still holds.
            let note = was.reasons.last().filter(|_| was.status == InboxStatus::NeedsReview).cloned();
            let again = reading.written(item, &was, was.status, note);
            changed += u64::from(again.class != was.class);
            written.push(again);
        }
        understanding::write(&mut tx, &written, self.clock.now()).await?;
        tx.commit().await?;
        Ok(changed)
    }
}
