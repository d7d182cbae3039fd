//! Telling those who wait in this process that there are new events, and what is said and kept nowhere.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kabar_domain::{ConversationId, OrganisationId};
use tokio::sync::{broadcast, watch};

use crate::error::Result;
use crate::events;
use crate::store::Store;

/// Who falls further behind misses some.
const TYPING: usize = 64;

/// Touched once for each committed transaction that recorded events.
#[derive(Debug)]
pub(crate) struct Announcer {
    /// The number of the last event known, of the organisations that somebody waits for.
    watched: Mutex<HashMap<OrganisationId, watch::Sender<i64>>>,
    any: watch::Sender<()>,
    /// Touched for what this process recorded alone.
    own: watch::Sender<()>,
    /// Conversations in which somebody is just writing, on whatever node.
    typing: broadcast::Sender<ConversationId>,
    /// Those of them that other nodes have to be told.
    own_typing: broadcast::Sender<ConversationId>,
}

impl Default for Announcer {
    fn default() -> Self {
        Self {
            watched: Mutex::default(),
            any: watch::Sender::default(),
            own: watch::Sender::default(),
            typing: broadcast::Sender::new(TYPING),
            own_typing: broadcast::Sender::new(TYPING),
        }
    }
}

impl Announcer {
    fn watched(&self) -> MutexGuard<'_, HashMap<OrganisationId, watch::Sender<i64>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever this process has recorded events, and for nothing that others did.
    pub fn own(&self) -> watch::Receiver<()> {
        self.own.subscribe()
    }

    pub fn own_typing(&self) -> broadcast::Receiver<ConversationId> {
        self.own_typing.subscribe()
    }

    /// Another node says so.
    pub fn heard_typing(&self, conversation: ConversationId) {
        // Nobody may be listening.
        self.typing.send(conversation).unwrap_or_default();
    }

    /// A transaction of this process recorded events.
    pub fn recorded(&self, last: &[(OrganisationId, i64)]) {
        self.announce(last);
        if !last.is_empty() {
            self.own.send_replace(());
        }
    }

    pub fn announce(&self, last: &[(OrganisationId, i64)]) {
        if last.is_empty() {
            return;
        }
        let watched = self.watched();
        for (organisation, last) in last {
            if let Some(sender) = watched.get(organisation) {
                // Commits may be announced in another order than they were made in.
                sender.send_if_modified(|known| {
                    let grew = *last > *known;
                    *known = (*known).max(*last);
                    grew
                });
            }
        }
        drop(watched);
        self.any.send_replace(());
    }
}

impl Store {
    /// The number of an organisation's last event: as it is now, then as it grows. What others than this process
    /// record is seen by [`Store::look_for_events`].
    pub async fn watch_events(&self, organisation: OrganisationId) -> Result<watch::Receiver<i64>> {
        // Waiting comes first: nothing recorded meanwhile is missed.
        let receiver = self.1.watched().entry(organisation).or_default().subscribe();
        let last = events::last_seq(&mut self.reader().await?, organisation).await?;
        self.1.announce(&[(organisation, last)]);
        Ok(receiver)
    }

    /// Somebody is writing in this conversation. Told to those who listen now, on every node, and to nobody later.
    pub fn show_typing(&self, conversation: ConversationId) {
        self.1.heard_typing(conversation);
        self.1.own_typing.send(conversation).unwrap_or_default();
    }

    pub fn watch_typing(&self) -> broadcast::Receiver<ConversationId> {
        self.1.typing.subscribe()
    }

    /// Changes whenever this process has recorded events.
    pub fn watch_all_events(&self) -> watch::Receiver<()> {
        self.1.any.subscribe()
    }

    /// Asks the database for events that other processes recorded, if anybody waits for some.
    pub async fn look_for_events(&self) -> Result<()> {
        let organisations: Vec<_> = {
            let mut watched = self.1.watched();
            watched.retain(|_, sender| sender.receiver_count() > 0);
            watched.keys().copied().collect()
        };
        if !organisations.is_empty() {
            let last = events::last_seqs(&mut self.reader().await?, organisations).await?;
            self.1.announce(&last);
        }
        Ok(())
    }
}
