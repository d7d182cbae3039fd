//! Finds endpoints that are behind and gives each its turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kabar_domain::{EventFilter, WebhookEndpointId};
use kabar_store::webhooks::serving::{self, Behind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::turn::Turn;
use super::write::Serving;
use crate::engine::Engine;
use crate::error::Result;

/// How often endpoints are looked for when nobody says that there is something for them.
const POLL: Duration = Duration::from_millis(500);
/// Between two looks at least, and as a multiple of what the last one took.
const REST: Duration = Duration::from_millis(10);
const REST_FACTOR: u32 = 3;
/// Longer than any turn: its time, and a request that began at its end.
const LEASE: Duration = Duration::from_mins(1);
/// What is under way when the server stops may take this long; then it is sent again by the next.
const GRACE: Duration = Duration::from_secs(5);
/// Pages of events looked through for an endpoint at a time.
const LOOKED_THROUGH: usize = 8;
/// How often endpoints that want nothing are moved on in the database.
const PASS_OVER: Duration = Duration::from_secs(10);

/// What is known of an endpoint without asking the database.
struct Memo {
    version: i64,
    filter: EventFilter,
    /// There is nothing for it before this event.
    seen: i64,
    /// When the database was told, or need not be.
    told: Instant,
}

struct Dispatcher {
    engine: Arc<Engine>,
    owner: Uuid,
    memos: HashMap<WebhookEndpointId, Memo>,
    queue: VecDeque<Behind>,
    slots: Arc<Semaphore>,
    /// Endpoints that fail share half of the slots: the others need not wait for theirs.
    failing: Arc<Semaphore>,
    serving: Serving,
    stop: CancellationToken,
}

impl Engine {
    pub(crate) async fn run_webhooks(self: &Arc<Self>, stop: CancellationToken) {
        let slots = self.config.webhook_concurrency.max(2);
        let mut dispatcher = Dispatcher {
            engine: Arc::clone(self),
            owner: self.clock.uuid(),
            memos: HashMap::new(),
            queue: VecDeque::new(),
            slots: Arc::new(Semaphore::new(slots)),
            failing: Arc::new(Semaphore::new(slots / 2)),
            serving: Serving::default(),
            stop: stop.clone(),
        };
        if self.store.is_sqlite() {
            self.free_webhook_leases(None).await;
        }
        let (out, progress) = mpsc::channel(1_024);
        let (engine, owner, serving) = (Arc::clone(self), dispatcher.owner, dispatcher.serving.clone());
        let writer = tokio::spawn(async move { engine.write_webhooks(owner, progress, serving).await });
        let mut turns = JoinSet::new();
        let mut recorded = self.store.watch_all_events();
        while !stop.is_cancelled() {
            let ready = self.webhooks_ready.notified();
            recorded.mark_unchanged();
            let begun = Instant::now();
            let more = match dispatcher.look(&mut turns, &out).await {
                Ok(more) => more,
                Err(error) => {
                    tracing::error!(%error, "webhooks cannot be delivered now");
                    false
                }
            };
            while turns.try_join_next().is_some() {}
            let rest = REST.max(begun.elapsed() * REST_FACTOR);
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => break,
            }
            if more {
                continue;
            }
            tokio::select! {
                () = ready => {}
                _ = recorded.changed() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
        let ended = async { while turns.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            turns.shutdown().await;
        }
        drop(out);
        if let Err(error) = writer.await {
            tracing::error!(%error, "deliveries could not be written; they are made again");
        }
        self.free_webhook_leases(Some(dispatcher.owner)).await;
    }

    /// Frees an owner's leases, or those of servers that are gone.
    pub(crate) async fn free_webhook_leases(&self, owner: Option<Uuid>) {
        let work = async {
            let mut tx = self.store.begin().await?;
            match owner {
                Some(owner) => serving::free_own(&mut tx, owner).await?,
                None => serving::free_abandoned(&mut tx, self.clock.now()).await?,
            };
            tx.commit().await
        };
        if let Err(error) = work.await {
            tracing::warn!(%error, "leases of webhook endpoints could not be freed; they run out");
        }
    }
}

impl Dispatcher {
    /// Gives turns to those who are behind, as many as there is room for. Whether there is more to do at once.
    async fn look(
        &mut self,
        turns: &mut JoinSet<()>,
        out: &mpsc::Sender<super::turn::Progress>,
    ) -> Result<bool> {
        let mut unfinished = false;
        if self.queue.is_empty() {
            unfinished = self.find().await?;
        }
        let mut taken: Vec<(Behind, Vec<OwnedSemaphorePermit>)> = Vec::new();
        while let Some(behind) = self.queue.front() {
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { break };
            let mut held = Vec::from([slot]);
            if behind.is_failing {
                let Ok(slot) = Arc::clone(&self.failing).try_acquire_owned() else {
                    // It is found again.
                    self.queue.pop_front();
                    continue;
                };
                held.push(slot);
            }
            if let Some(behind) = self.queue.pop_front() {
                taken.push((behind, held));
            }
        }
        let has_room = self.slots.available_permits() > 0;
        self.begin(taken, turns, out).await?;
        Ok(has_room && (unfinished || !self.queue.is_empty()))
    }

    /// Puts those into the queue for whom there is something. Whether some were not looked at to the end.
    async fn find(&mut self) -> Result<bool> {
        let now = self.engine.clock.now();
        let rows = serving::behind(&mut self.engine.store.reader().await?, now).await?;
        if self.memos.len() > 10_000 + 2 * rows.len() {
            self.memos.clear();
        }
        let mut unfinished = false;
        let mut passed = Vec::new();
        for row in rows {
            if self.serving.has(row.id) {
                continue;
            }
            let memo = self.memos.entry(row.id).or_insert_with(|| memo(&row));
            if memo.version != row.version {
                *memo = self::memo(&row);
            }
            memo.seen = memo.seen.max(row.next_seq);
            let mut found = row.retry_due;
            let mut pages = 0;
            while !found && memo.seen <= row.last_seq && pages < LOOKED_THROUGH {
                let (events, upto) =
                    self.engine.feed(row.organisation_id, memo.seen - 1, row.last_seq).await?;
                let wanted = events.iter().find(|event| memo.filter.matches(&event.kind));
                found = wanted.is_some();
                memo.seen = wanted.map_or(upto + 1, |event| event.seq);
                pages += 1;
            }
            if found {
                self.queue.push_back(row);
            } else {
                unfinished |= memo.seen <= row.last_seq;
                if memo.seen > row.next_seq && memo.told.elapsed() >= PASS_OVER {
                    memo.told = Instant::now();
                    passed.push((row.organisation_id, row.id, row.version, memo.seen));
                }
            }
        }
        if !passed.is_empty() {
            passed.sort_unstable_by_key(|place| (place.0, place.1));
            let mut tx = self.engine.store.begin().await?;
            serving::pass_over(&mut tx, passed).await?;
            tx.commit().await?;
        }
        Ok(unfinished)
    }

    async fn begin(
        &mut self,
        mut taken: Vec<(Behind, Vec<OwnedSemaphorePermit>)>,
        turns: &mut JoinSet<()>,
        out: &mpsc::Sender<super::turn::Progress>,
    ) -> Result<()> {
        if taken.is_empty() {
            return Ok(());
        }
        // Rows are locked in one order everywhere.
        taken.sort_unstable_by_key(|(behind, _)| (behind.organisation_id, behind.id));
        let now = self.engine.clock.now();
        let mut tx = self.engine.store.begin().await?;
        let endpoints = taken.iter().map(|(behind, _)| (behind.organisation_id, behind.id));
        let leased = serving::lease(&mut tx, self.owner, now, now.plus(LEASE), endpoints).await?;
        tx.commit().await?;
        let mut taken: HashMap<_, _> =
            taken.into_iter().map(|(behind, slots)| (behind.id, (behind, slots))).collect();
        for endpoint in leased {
            let Some((behind, held)) = taken.remove(&endpoint.id) else { continue };
            let filter = filter_of(endpoint.events.iter().map(String::as_str));
            self.serving.begin(endpoint.id);
            let turn = Turn {
                engine: Arc::clone(&self.engine),
                endpoint,
                filter,
                last_seq: behind.last_seq,
                out: out.clone(),
                slots: Arc::clone(&self.slots),
                stop: self.stop.clone(),
            };
            turns.spawn(async move {
                turn.run().await;
                drop(held);
            });
        }
        Ok(())
    }
}

/// Patterns were checked when they were stored.
fn filter_of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> EventFilter {
    EventFilter::parse(patterns).unwrap_or_default()
}

fn memo(behind: &Behind) -> Memo {
    let patterns: Vec<String> = serde_json::from_str(&behind.events).unwrap_or_default();
    Memo {
        version: behind.version,
        filter: filter_of(patterns.iter().map(String::as_str)),
        seen: behind.next_seq,
        told: Instant::now(),
    }
}
