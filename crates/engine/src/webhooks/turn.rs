//! One endpoint's turn: what is due and what is new, a few at a time, until there is no more or its time is up.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kabar_domain::webhook::{DeliveryStatus, DisabledReason};
use kabar_domain::{EventFilter, Timestamp};
use kabar_providers::webhooks::Secret;
use kabar_store::events;
use kabar_store::webhooks::Endpoint;
use kabar_store::webhooks::deliveries::{self, Delivery, delivery_id};
use kabar_store::webhooks::serving::Standing;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Made, payload, wait_after};
use super::deliveries::webhook_id;
use crate::crypto::unit;
use crate::engine::Engine;
use crate::error::Result;
use crate::events::{Event, render};

/// Requests to one endpoint at once; one that fails gets one at a time.
const AT_ONCE: usize = 4;
/// After this the others have their turn; requests under way are finished.
const LONGEST: Duration = Duration::from_secs(2);
/// Retries taken up in a turn.
const RETRIES: i64 = 64;
/// Failures in a row after which an endpoint is left alone for a while.
const PATIENCE: i64 = 5;
const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_mins(10);
/// An endpoint whose every attempt fails for so long, and so often, is switched off.
const GIVE_UP: Duration = Duration::from_hours(5 * 24);
const GIVE_UP_FAILURES: i64 = 10;
/// As long as one waits whom the server asks to wait.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What the writer is told.
#[derive(Debug)]
pub(super) struct Progress {
    pub standing: Standing,
    pub delivery: Option<Delivery>,
    pub disable: Option<DisabledReason>,
    /// Outcome and time, for the figures.
    pub attempt: Option<(&'static str, Duration)>,
}

/// An event to deliver.
struct Item {
    event: Arc<Event>,
    /// Attempts of this round before.
    attempts: i64,
    /// It is at the endpoint's place, not one that waited.
    is_next: bool,
}

pub(super) struct Turn {
    pub engine: Arc<Engine>,
    pub endpoint: Endpoint,
    pub filter: EventFilter,
    /// The organisation's last event when the turn began.
    pub last_seq: i64,
    pub out: mpsc::Sender<Progress>,
    /// Of all endpoints together; the turn has one already.
    pub slots: Arc<Semaphore>,
    pub stop: CancellationToken,
}

impl Turn {
    pub async fn run(self) {
        let standing = Standing {
            organisation_id: self.endpoint.organisation_id,
            id: self.endpoint.id,
            version: self.endpoint.version,
            next_seq: self.endpoint.next_seq,
            failures: self.endpoint.failures,
            failing_since: self.endpoint.failing_since,
            hold_until: None,
            last_success_at: None,
            ended: false,
        };
        let mut work = Work {
            turn: &self,
            place: self.endpoint.next_seq,
            standing,
            under_way: BTreeSet::new(),
            due: VecDeque::new(),
            new: VecDeque::new(),
            disable: None,
        };
        if let Err(error) = work.run().await {
            tracing::warn!(endpoint = %self.endpoint.id, %error, "events cannot be delivered now; it is tried again");
        }
        work.standing.ended = true;
        let disable = work.disable;
        work.tell(None, disable, None).await;
    }
}

struct Work<'a> {
    turn: &'a Turn,
    /// The first event not looked at.
    place: i64,
    standing: Standing,
    /// Events at the endpoint's place that are being attempted.
    under_way: BTreeSet<i64>,
    due: VecDeque<Item>,
    new: VecDeque<Arc<Event>>,
    disable: Option<DisabledReason>,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<()> {
        let turn = self.turn;
        let endpoint = &turn.endpoint;
        let begun = Instant::now();
        let secrets =
            turn.engine.open_webhook_secrets(endpoint.organisation_id, endpoint.id, &endpoint.secrets)?;
        self.take_due().await?;
        let mut running = FuturesUnordered::new();
        let mut broken = Ok(());
        loop {
            while broken.is_ok() && begun.elapsed() < LONGEST && self.may_begin(running.len()) {
                let more = !running.is_empty();
                let slot = more.then(|| Arc::clone(&turn.slots).try_acquire_owned());
                let Ok(slot) = slot.transpose() else { break };
                let item = match self.next().await {
                    Ok(Some(item)) => item,
                    Ok(None) => break,
                    Err(error) => {
                        broken = Err(error);
                        break;
                    }
                };
                if item.is_next {
                    self.under_way.insert(item.event.seq);
                }
                let signing = secrets.signing(turn.engine.clock.now());
                running.push(async move {
                    let made = attempt(turn, &item, &signing).await;
                    drop(slot);
                    (item, made)
                });
            }
            let Some((item, made)) = running.next().await else { return broken };
            self.settle(&item, made).await;
        }
    }

    fn may_begin(&self, running: usize) -> bool {
        let at_once = if self.standing.failures > 0 { 1 } else { AT_ONCE };
        running < at_once
            && self.standing.hold_until.is_none()
            && self.disable.is_none()
            && !self.turn.stop.is_cancelled()
    }

    async fn take_due(&mut self) -> Result<()> {
        let Turn { engine, endpoint, .. } = self.turn;
        let organisation = endpoint.organisation_id;
        let now = engine.clock.now();
        let mut db = engine.store.reader().await?;
        let waiting = deliveries::due(&mut db, endpoint.id, endpoint.next_seq, now, RETRIES).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let seqs: Vec<_> = waiting.iter().map(|delivery| delivery.seq).collect();
        let found = events::by_seqs(&mut db, organisation, &seqs).await?;
        let found = render(&mut db, organisation, found).await?;
        drop(db);
        let mut found: HashMap<_, _> = found.into_iter().map(|event| (event.seq, Arc::new(event))).collect();
        for delivery in waiting {
            if let Some(event) = found.remove(&delivery.seq) {
                self.due.push_back(Item { event, attempts: delivery.attempts, is_next: false });
            } else {
                let error = Some("The event is not kept any more.".into());
                let attempt = Attempt { at: now, status: None, latency_ms: 0, error, response: None };
                let dead = Delivery {
                    status: DeliveryStatus::Dead,
                    next_attempt_at: None,
                    log: attempt.line(),
                    updated_at: now,
                    ..delivery
                };
                self.tell(Some(dead), None, None).await;
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Item>> {
        if let Some(item) = self.due.pop_front() {
            return Ok(Some(item));
        }
        loop {
            if let Some(event) = self.new.pop_front() {
                self.place = event.seq + 1;
                if self.turn.filter.matches(&event.kind) {
                    return Ok(Some(Item { event, attempts: 0, is_next: true }));
                }
                continue;
            }
            if self.place > self.turn.last_seq {
                return Ok(None);
            }
            let organisation = self.turn.endpoint.organisation_id;
            let (events, upto) =
                self.turn.engine.feed(organisation, self.place - 1, self.turn.last_seq).await?;
            self.new = events.into();
            if self.new.is_empty() {
                self.place = upto + 1;
            }
        }
    }

    async fn settle(&mut self, item: &Item, made: Made) {
        let turn = self.turn;
        let now = turn.engine.clock.now();
        let event = &item.event;
        self.under_way.remove(&event.seq);
        let mut delivery = Delivery {
            organisation_id: turn.endpoint.organisation_id,
            endpoint_id: turn.endpoint.id,
            seq: event.seq,
            id: delivery_id(turn.endpoint.id, event.seq, event.at),
            kind: event.kind.clone(),
            status: DeliveryStatus::Delivered,
            attempts: item.attempts + 1,
            next_attempt_at: None,
            log: made.attempt.line(),
            created_at: event.at,
            updated_at: now,
        };
        let outcome = if made.attempt.succeeded() {
            self.standing.failures = 0;
            self.standing.failing_since = None;
            self.standing.last_success_at = Some(now);
            "delivered"
        } else {
            self.failed(&made, now);
            let wait = wait_after(delivery.attempts, unit());
            match wait {
                // It is delivered when the endpoint is switched on again.
                _ if made.is_gone() => {
                    delivery.attempts = item.attempts;
                    (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Pending, Some(now));
                    "gone"
                }
                Some(wait) => {
                    let wait = wait.max(made.retry_after.unwrap_or_default());
                    (delivery.status, delivery.next_attempt_at) =
                        (DeliveryStatus::Pending, Some(now.plus(wait)));
                    "retry"
                }
                None => {
                    delivery.status = DeliveryStatus::Dead;
                    "dead"
                }
            }
        };
        let took = Duration::from_millis(made.attempt.latency_ms);
        self.tell(Some(delivery), None, Some((outcome, took))).await;
    }

    fn failed(&mut self, made: &Made, now: Timestamp) {
        let standing = &mut self.standing;
        standing.failures += 1;
        let since = *standing.failing_since.get_or_insert(now);
        if made.is_gone() {
            self.disable = Some(DisabledReason::Gone);
        } else if standing.failures >= GIVE_UP_FAILURES && now.since(since) >= GIVE_UP {
            self.disable = Some(DisabledReason::Failing);
        }
        let beyond = u32::try_from(standing.failures - PATIENCE).ok();
        let hold = beyond.map(|beyond| FIRST_HOLD.saturating_mul(1 << beyond.min(16)).min(LONGEST_HOLD));
        let asked = made.retry_after.map(|wait| wait.min(LONGEST_PAUSE));
        if let Some(hold) = hold.max(asked) {
            standing.hold_until = Some(now.plus(hold));
        }
    }

    async fn tell(
        &mut self,
        delivery: Option<Delivery>,
        disable: Option<DisabledReason>,
        attempt: Option<(&'static str, Duration)>,
    ) {
        self.standing.next_seq = self.under_way.first().copied().unwrap_or(self.place);
        let progress = Progress { standing: self.standing.clone(), delivery, disable, attempt };
        if self.turn.out.send(progress).await.is_err() {
            tracing::error!("an outcome could not be handed over; the webhook is sent again");
        }
    }
}

async fn attempt(turn: &Turn, item: &Item, secrets: &[Secret]) -> Made {
    let event = &item.event;
    let id = webhook_id(delivery_id(turn.endpoint.id, event.seq, event.at));
    turn.engine.attempt_webhook(&turn.endpoint.url, &id, &payload(event), secrets).await
}
