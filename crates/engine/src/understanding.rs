//! Reads the inbox: what each item is, how grave, where and about what. It comes after the item is stored, many in a
//! transaction, and waits while webhooks are applied late. An item that cannot be understood is left to people; no
//! message waits for it.

mod read;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::{InboxItemId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::understanding::{self, Understood, Unread};
use kabar_store::{Error as StoreError, Tx};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{Error, Result};
use read::Reading;

/// Items in one transaction at most.
const BATCH: i64 = 256;
/// Items read before other work on the thread gets its turn.
const TURN: usize = 32;
/// How often items are looked for when nobody says that there are some.
const POLL: Duration = Duration::from_millis(500);
/// Wait after the database could not be read or written.
const PAUSE: Duration = Duration::from_millis(250);
/// While webhooks are applied late, one batch comes in so long.
const GIVE_WAY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);

/// An item and what was read in it; `None` when reading failed.
pub(crate) type Read = (Unread, Option<Reading>);

impl Engine {
    /// Understands items until `stop`.
    pub(crate) async fn run_understanding(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wake = self.items_waiting.notified();
            match self.understand_next().await {
                Ok(0) => tokio::select! {
                    () = wake => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = stop.cancelled() => {}
                },
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "inbox items cannot be understood now; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            let mut waited = Duration::ZERO;
            while self.lag.is_behind() && waited < GIVE_WAY && !stop.is_cancelled() {
                tokio::time::sleep(LOOK).await;
                waited += LOOK;
            }
        }
    }

    /// Understands what waits longest; how many items that were.
    pub(crate) async fn understand_next(&self) -> Result<usize> {
        let unread = understanding::next(&mut self.store.reader().await?, BATCH).await?;
        if unread.is_empty() {
            return Ok(0);
        }
        let count = unread.len();
        let read = self.read_items(unread).await?;
        match self.settle(&read).await {
            Ok(()) => {}
            Err(error) if transient(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a batch of inbox items is taken one by one");
                for one in &read {
                    self.settle_alone(one).await?;
                }
            }
        }
        Ok(count)
    }

    async fn read_items(&self, unread: Vec<Unread>) -> Result<Vec<Read>> {
        let mut read = Vec::with_capacity(unread.len());
        for (index, item) in unread.into_iter().enumerate() {
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let reading = std::panic::catch_unwind(AssertUnwindSafe(|| Reading::of(&item)));
            if reading.is_err() {
                tracing::error!(item = %item.id, "an inbox item cannot be read; it is left to people");
            }
            read.push((item, reading.ok()));
        }
        Ok(read)
    }

    /// Writes what was read, all of it or nothing.
    async fn settle(&self, read: &[Read]) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let taken =
            understanding::take(&mut tx, read.iter().map(|(item, _)| (item.organisation_id, item.id)))
                .await?;
        let mut standing: HashMap<InboxItemId, InboxStatus> =
            understanding::lock(&mut tx, taken).await?.into_iter().collect();
        let mut written = Vec::with_capacity(read.len());
        for (item, reading) in read {
            // Another server took it, or it is gone.
            let Some(status) = standing.remove(&item.id) else { continue };
            let Some(reading) = reading else {
                give_up(&mut tx, item, "it could not be read", now).await?;
                continue;
            };
            written.push(reading.written(item, status));
        }
        understanding::write(&mut tx, &written, now).await?;
        for item in written.iter().filter(|item| is_news(item)) {
            tx.record(item.organisation_id, now, [updated(item)]);
        }
        Ok(tx.commit().await?)
    }

    async fn settle_alone(&self, one: &Read) -> Result<()> {
        match self.settle(std::slice::from_ref(one)).await {
            Err(error) if !transient(&error) => {
                let item = &one.0;
                tracing::error!(%error, item = %item.id, "an inbox item cannot be settled; it is left to people");
                let mut tx = self.store.begin().await?;
                give_up(&mut tx, item, "what was understood could not be stored", self.clock.now()).await?;
                Ok(tx.commit().await?)
            }
            settled => settled,
        }
    }
}

async fn give_up(tx: &mut Tx, item: &Unread, reason: &str, now: Timestamp) -> Result<(), StoreError> {
    understanding::give_up(tx, (item.organisation_id, item.id), reason, now).await?;
    let data = json!({ "status": InboxStatus::NeedsReview }).to_string();
    let event = NewEvent { kind: "inbox.updated", subject_id: Some(item.id.uuid()), data: Some(data) };
    tx.record(item.organisation_id, now, [event]);
    Ok(())
}

const fn transient(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.is_transient())
}

/// Chatter says nothing to anybody: most of what comes is understood without an event.
fn is_news(item: &Understood) -> bool {
    item.class != InboxClass::Unknown || item.status != item.was
}

fn updated(item: &Understood) -> NewEvent {
    let data = json!({ "class": item.class, "status": item.status, "confidence": item.confidence });
    NewEvent { kind: "inbox.updated", subject_id: Some(item.id.uuid()), data: Some(data.to_string()) }
}
