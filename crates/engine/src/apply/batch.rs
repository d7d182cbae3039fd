//! What a batch gathers on its way: totals, events, last-seen times, held updates; written once at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kabar_domain::inbound::{Event, InboundMessage, StatusUpdate};
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, ChannelId, OrganisationId, Timestamp};
use kabar_store::apply::{self, AccountRef, NewHeld};
use kabar_store::counters::Counter;
use kabar_store::events::NewEvent;
use kabar_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::accounts::{Resolved, Unresolved};
use crate::engine::Engine;

pub(super) struct Batch<'a> {
    pub engine: &'a Engine,
    pub now: Timestamp,
    /// The items were applied before: only what cannot happen twice is done.
    again: bool,
    events: BTreeMap<OrganisationId, Vec<NewEvent>>,
    counters: BTreeMap<(OrganisationId, Counter), i64>,
    seen_accounts: BTreeSet<(OrganisationId, AccountId)>,
    seen_channels: BTreeSet<(OrganisationId, ChannelId)>,
    held: Vec<NewHeld>,
}

/// A message and its account.
pub(super) struct Incoming {
    pub account: Arc<AccountRef>,
    pub received_at: Timestamp,
    pub message: InboundMessage,
}

/// A delivery report and its account.
pub(super) struct Report {
    pub account: Arc<AccountRef>,
    pub update: StatusUpdate,
}

impl<'a> Batch<'a> {
    pub fn new(engine: &'a Engine, again: bool) -> Self {
        Self {
            engine,
            now: engine.clock.now(),
            again,
            events: BTreeMap::new(),
            counters: BTreeMap::new(),
            seen_accounts: BTreeSet::new(),
            seen_channels: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    pub fn event(
        &mut self,
        organisation: OrganisationId,
        kind: &'static str,
        subject: Uuid,
        data: Option<String>,
    ) {
        self.events.entry(organisation).or_default().push(NewEvent { kind, subject_id: Some(subject), data });
    }

    pub fn count(&mut self, organisation: OrganisationId, counter: Counter, by: i64) {
        *self.counters.entry((organisation, counter)).or_default() += by;
    }

    pub fn saw_channel(&mut self, organisation: OrganisationId, channel: ChannelId) {
        self.seen_channels.insert((organisation, channel));
    }

    /// Applies items that do not depend on each other's order, apart from messages among themselves.
    pub async fn apply(&mut self, tx: &mut Tx, items: Vec<Resolved>) -> Result<(), StoreError> {
        let mut messages = Vec::with_capacity(items.len());
        let mut reports = Vec::new();
        for mut resolved in items {
            let event = std::mem::replace(&mut resolved.item.update.event, Err(String::new()));
            let event = match event {
                Ok(event) => event,
                Err(reason) => {
                    self.held.push(resolved.hold(&self.engine.clock, false, reason));
                    continue;
                }
            };
            let accounts = match &resolved.accounts {
                Ok(accounts) => accounts.clone(),
                Err(Unresolved::Unclaimed)
                    if resolved.item.source == Platform::Telegram && resolved.item.account_id.is_none() =>
                {
                    let reason =
                        "it came to the common Telegram address under the server's secret, which does not \
                                  say which of the bots it is for; let each bot use its own address"
                            .into();
                    self.held.push(resolved.hold(&self.engine.clock, false, reason));
                    continue;
                }
                Err(Unresolved::Unclaimed) => {
                    let reason =
                        "no account with this id is registered; it is applied once there is one".into();
                    self.held.push(resolved.hold(&self.engine.clock, true, reason));
                    continue;
                }
                Err(Unresolved::ForeignSignature(_)) => {
                    let reason = "it is signed with an app secret that is not this account's; \
                                  correct the account's app_secret, then replay it"
                        .into();
                    self.held.push(resolved.hold(&self.engine.clock, false, reason));
                    continue;
                }
            };
            for account in &accounts {
                self.seen_accounts.insert((account.organisation_id, account.id));
            }
            let received_at = resolved.item.received_at;
            match (event, accounts.first()) {
                (Event::Message(message), Some(account)) => {
                    messages.push(Incoming { account: Arc::clone(account), received_at, message: *message });
                }
                (Event::Status(update), Some(account)) => {
                    reports.push(Report { account: Arc::clone(account), update });
                }
                (event, Some(_)) => {
                    // Those of state may have been overtaken since: a replay does not bring an old one back.
                    let is_state = matches!(
                        event,
                        Event::Template(_) | Event::Account(_) | Event::Group { .. } | Event::Other { .. }
                    );
                    if !(self.again && is_state) {
                        self.apply_other(tx, &accounts, event, received_at).await?;
                    }
                }
                (_, None) => {}
            }
        }
        self.apply_messages(tx, messages).await?;
        self.apply_reports(tx, reports).await
    }

    /// Writes what was gathered. The places of the items that were held.
    pub async fn finish(self, tx: &mut Tx) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        let places: Vec<_> = self.held.iter().map(|held| (held.stream, held.seq, held.item)).collect();
        self.engine.metrics.held(places.len() as u64);
        apply::hold(tx, self.held).await?;
        apply::touch_accounts(tx, self.seen_accounts.into_iter().collect(), self.now).await?;
        apply::touch_channels(tx, self.seen_channels.into_iter().collect(), self.now).await?;
        for ((organisation, counter), by) in self.counters {
            tx.count(organisation, counter, by);
        }
        for (organisation, recorded) in self.events {
            tx.record(organisation, self.now, recorded);
        }
        Ok(places)
    }
}
