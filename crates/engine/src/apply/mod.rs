//! The applier: turns the inbound log into contacts, conversations, messages, inbox items and events.
//!
//! One transaction a batch, which also records how far the log is applied: an entry is applied once or not at all.
//! Inside a batch everything is set-based; where a database error spoils it, the batch is done again with a
//! savepoint around each update, and the one at fault is quarantined.

mod accounts;
mod batch;
mod groups;
mod messages;
mod others;
mod replay;
mod statuses;

pub use replay::Replayed;
pub(crate) use statuses::Standing;

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::inbound::{Event, Update};
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, Timestamp};
use kabar_providers::{telegram, whatsapp};
use kabar_store::log::{LogReader, Logged};
use kabar_store::{Error as StoreError, Tx};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::Result;
use batch::Batch;

/// Log entries in one transaction at most.
const BATCH: usize = 2_048;
/// Their bodies together, but for the last: parsed they are several times that.
const BATCH_BYTES: usize = 32 << 20;
/// How often the log is looked at when nobody says that there is something new.
const POLL: Duration = Duration::from_millis(500);
/// Wait after the database could not be written.
const PAUSE: Duration = Duration::from_millis(250);
/// So often something is applied again because another transaction won. Others end; an update that is in its own way
/// would be tried for ever.
const TRIES: u32 = 10;
/// Wait before each of these.
const BREATH: Duration = Duration::from_millis(20);

/// One update of a logged body.
#[derive(Debug)]
struct Item {
    stream: i64,
    seq: i64,
    /// Its number in the body.
    number: i64,
    received_at: Timestamp,
    source: Platform,
    /// Of the address that was called.
    account_id: Option<AccountId>,
    signed_by: Option<i64>,
    update: Update,
}

/// How items are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// All at once; an error spoils the transaction.
    Together,
    /// Each inside a savepoint; an error quarantines it.
    OneByOne,
    /// As one by one, and contention quarantines, too: it came again and again.
    Finally,
}

fn items(logged: &Logged) -> Vec<Item> {
    let entry = &logged.entry;
    let parsed = match entry.source {
        Platform::Whatsapp => whatsapp::parse(&entry.body),
        Platform::Telegram => telegram::parse(&entry.body, entry.received_at),
        Platform::Widget => crate::widgets::parse(&entry.body),
        Platform::Other => Err("the source of this body is not known".into()),
    };
    let updates = parsed.unwrap_or_else(|reason| {
        Vec::from([Update {
            pointer: String::new(),
            account: kabar_domain::inbound::AccountKey::Address,
            event: Err(reason),
        }])
    });
    (0..)
        .zip(updates)
        .map(|(number, update)| Item {
            stream: logged.stream,
            seq: logged.seq,
            number,
            received_at: entry.received_at,
            source: entry.source,
            account_id: entry.account_id,
            signed_by: entry.signed_by,
            update,
        })
        .collect()
}

/// Events after which the ones that follow may look different: they are applied alone, in their place.
const fn is_barrier(event: &Event) -> bool {
    matches!(
        event,
        Event::Edit(_)
            | Event::Revoke { .. }
            | Event::IdentityChange { .. }
            | Event::GroupMigrated { .. }
            | Event::Group { .. }
            | Event::GroupRefused { .. }
    )
}

impl Engine {
    /// Applies the log until `stop`; what is claimed by then is finished.
    pub(crate) async fn run_applier(self: &Arc<Self>, log: LogReader, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wake = self.appended.notified();
            match self.apply_next(&log).await {
                Ok(0) => {
                    self.lag.set(Duration::ZERO);
                    tokio::select! {
                        () = wake => {}
                        () = tokio::time::sleep(POLL) => {}
                        () = stop.cancelled() => {}
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the inbound log cannot be applied now; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Applies one batch; how many log entries it held.
    pub(crate) async fn apply_next(&self, log: &LogReader) -> Result<usize> {
        let mut mode = Mode::Together;
        let mut tries = 0;
        loop {
            let mut tx = self.store.begin().await?;
            let Some(claim) = log.claim(&mut tx, BATCH, BATCH_BYTES).await? else { return Ok(0) };
            let all: Vec<Item> = claim.entries.iter().flat_map(items).collect();
            let updates = all.len();
            let outcome = match self.apply_items(&mut tx, all, mode, false).await {
                Ok(_) => claim.done(&mut tx).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    tx.commit().await?;
                    self.wake_expected();
                    self.items_waiting.notify_one();
                    let now = self.clock.now();
                    if let Some(first) = claim.entries.first() {
                        self.lag.set(now.since(first.entry.received_at));
                    }
                    for logged in &claim.entries {
                        self.metrics.applied(logged.entry.source, now.since(logged.entry.received_at));
                    }
                    tracing::debug!(entries = claim.entries.len(), updates, "applied");
                    return Ok(claim.entries.len());
                }
                Err(StoreError::Contention(reason)) if tries < TRIES => {
                    tracing::debug!(reason, "applying again");
                    tries += 1;
                    drop(tx);
                    if !self.stand_back().await {
                        return Ok(0);
                    }
                }
                Err(StoreError::Contention(reason)) if mode != Mode::Finally => {
                    tracing::warn!(
                        reason,
                        "a batch that met with contention is applied one update at a time"
                    );
                    mode = Mode::Finally;
                }
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(error) if mode == Mode::Together => {
                    tracing::warn!(%error, "a batch is applied one update at a time");
                    mode = Mode::OneByOne;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets another transaction end. Whether to go on.
    async fn stand_back(&self) -> bool {
        tokio::select! {
            () = self.stopping.cancelled() => false,
            () = tokio::time::sleep(BREATH) => true,
        }
    }

    /// Applies delivery reports received since `since` that crossed with their message.
    pub(crate) async fn sweep_reports(&self, since: Timestamp) -> Result<()> {
        let found = kabar_store::statuses::overtaken(&mut self.store.reader().await?, since, 1).await?;
        let mut more = !found.is_empty();
        while more {
            let mut tx = self.store.begin().await?;
            let mut batch = Batch::new(self, false);
            more = batch.sweep(&mut tx, since).await? == statuses::SWEEP as usize;
            batch.finish(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Applies items in `tx`. The items that were held back instead.
    async fn apply_items(
        &self,
        tx: &mut Tx,
        items: Vec<Item>,
        mode: Mode,
        again: bool,
    ) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        let resolved = self.resolve_accounts(tx, items).await?;
        let organisations = resolved
            .iter()
            .filter_map(|item| item.accounts.as_ref().ok())
            .flat_map(|accounts| accounts.iter().map(|account| account.organisation_id))
            .collect();
        kabar_store::apply::lock_organisations(tx, &organisations).await?;
        let mut batch = Batch::new(self, again);
        match mode {
            Mode::Together => {
                let mut run = Vec::new();
                for item in resolved {
                    let barrier = item.item.update.event.as_ref().is_ok_and(is_barrier);
                    if barrier {
                        batch.apply(tx, std::mem::take(&mut run)).await?;
                        batch.apply(tx, Vec::from([item])).await?;
                    } else {
                        run.push(item);
                    }
                }
                batch.apply(tx, run).await?;
                batch.finish(tx).await
            }
            Mode::OneByOne | Mode::Finally => {
                let mut held = Vec::new();
                for item in resolved {
                    let place = item.hold(&self.clock, false, String::new());
                    let savepoint = tx.savepoint().await?;
                    let mut one = Batch::new(self, again);
                    let outcome = match one.apply(tx, Vec::from([item])).await {
                        Ok(()) => one.finish(tx).await,
                        Err(error) => Err(error),
                    };
                    match outcome {
                        Ok(also) => {
                            tx.keep(savepoint).await?;
                            held.extend(also);
                        }
                        Err(error)
                            if error.is_transient()
                                && !(mode == Mode::Finally && matches!(error, StoreError::Contention(_))) =>
                        {
                            return Err(error);
                        }
                        Err(error) => {
                            tx.undo_to(savepoint).await?;
                            held.push((place.stream, place.seq, place.item));
                            let reason = format!("it could not be stored: {error}");
                            tracing::warn!(stream = place.stream, seq = place.seq, pointer = place.pointer, %error, "quarantined");
                            kabar_store::apply::hold(
                                tx,
                                Vec::from([kabar_store::apply::NewHeld { error: reason, ..place }]),
                            )
                            .await?;
                        }
                    }
                }
                Ok(held)
            }
        }
    }
}
