//! Recent events in memory, made once for all who read them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use kabar_domain::{EventFilter, OrganisationId};
use kabar_store::events;
use tokio::sync::Mutex as AsyncMutex;

use super::{Event, render};
use crate::engine::Engine;
use crate::error::Result;

/// Numbers on a page.
const PAGE: i64 = 32;
/// Pages kept. An event takes 20 kB at most and some hundred bytes as a rule.
const PAGES: usize = 64;

type Key = (OrganisationId, i64);
/// Locked while it is read from the database: those who wait find it done.
type Shared = Arc<AsyncMutex<Page>>;

/// Pages of events, the longest-kept dropped first.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    by_key: HashMap<Key, Shared>,
    order: VecDeque<Key>,
}

#[derive(Debug, Default)]
struct Page {
    /// The last number that was looked for.
    upto: i64,
    events: Vec<Arc<Event>>,
}

impl Feed {
    fn page(&self, key: Key) -> Shared {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.by_key.get(&key) {
            return Arc::clone(page);
        }
        while pages.order.len() >= PAGES {
            if let Some(oldest) = pages.order.pop_front() {
                pages.by_key.remove(&oldest);
            }
        }
        let page = Shared::default();
        pages.by_key.insert(key, Arc::clone(&page));
        pages.order.push_back(key);
        page
    }
}

impl Engine {
    /// Some of the events after `after`, up to `last` at most, and the number they reach to: call it again from there.
    pub(crate) async fn feed(
        &self,
        organisation: OrganisationId,
        after: i64,
        last: i64,
    ) -> Result<(Vec<Arc<Event>>, i64)> {
        let number = after / PAGE;
        let wanted = last.min((number + 1) * PAGE);
        let page = self.feed.page((organisation, number));
        let mut page = page.lock().await;
        if page.upto < wanted {
            let mut db = self.store.reader().await?;
            let from = page.upto.max(number * PAGE);
            let rows = events::range(&mut db, organisation, from, wanted, &EventFilter::all(), PAGE).await?;
            page.events.extend(render(&mut db, organisation, rows).await?.into_iter().map(Arc::new));
            page.upto = wanted;
        }
        let upto = page.upto;
        let at = page.events.partition_point(|event| event.seq <= after);
        Ok((page.events[at..].to_vec(), upto))
    }
}
