//! Applying again: what was held back, or a stretch of the log. Idempotent.

use std::collections::HashSet;

use kabar_domain::HeldId;
use kabar_store::Error as StoreError;
use kabar_store::log::{LogReader, Logged};

use super::{Item, Mode, TRIES, items};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Log entries read at a time: a body may be 3 MB.
const REPLAY: i64 = 16;

/// What a replay came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub bodies: u64,
    pub updates: u64,
    /// Held back (again).
    pub held: u64,
}

impl std::ops::AddAssign for Replayed {
    fn add_assign(&mut self, other: Self) {
        self.bodies += other.bodies;
        self.updates += other.updates;
        self.held += other.held;
    }
}

impl Engine {
    /// Applies one logged body again: all of it, or only what is held of it.
    async fn replay_body(&self, logged: &Logged, only_held: bool) -> Result<Replayed> {
        for _ in 0..TRIES {
            let outcome = self.replay_as(Mode::OneByOne, logged, only_held).await;
            let again = matches!(outcome, Err(Error::Store(StoreError::Contention(_))));
            if !again || !self.stand_back().await {
                return outcome;
            }
        }
        self.replay_as(Mode::Finally, logged, only_held).await
    }

    async fn replay_as(&self, mode: Mode, logged: &Logged, only_held: bool) -> Result<Replayed> {
        let mut tx = self.store.begin().await?;
        let open: HashSet<i64> =
            kabar_store::apply::open_items(&mut tx, logged.stream, logged.seq).await?.into_iter().collect();
        let (held_before, rest): (Vec<Item>, Vec<Item>) =
            items(logged).into_iter().partition(|item| open.contains(&item.number));
        let mut replayed = Replayed { bodies: 1, ..Replayed::default() };
        // What was never applied is new: its events of state count. The rest was applied before.
        let mut released: Vec<i64> = held_before.iter().map(|item| item.number).collect();
        replayed.updates += released.len() as u64;
        let held = self.apply_items(&mut tx, held_before, mode, false).await?;
        released.retain(|number| !held.iter().any(|(.., item)| item == number));
        replayed.held += held.len() as u64;
        if !only_held {
            replayed.updates += rest.len() as u64;
            replayed.held += self.apply_items(&mut tx, rest, mode, true).await?.len() as u64;
        }
        kabar_store::apply::release(&mut tx, logged.stream, logged.seq, &released, self.clock.now()).await?;
        tx.commit().await?;
        Ok(replayed)
    }

    /// Applies the body that a held update belongs to.
    pub async fn replay_held(&self, id: HeldId) -> Result<Replayed> {
        self.load_secrets().await?;
        let place = kabar_store::held::place(&mut self.store.reader().await?, id).await?;
        let (stream, seq) = place.ok_or(Error::NotFound("HeldUpdate"))?;
        let log = LogReader::open(&self.store)?;
        let logged = log.get(stream, seq).await?.ok_or(Error::NotFound("InboundLogEntry"))?;
        self.replay_body(&logged, true).await
    }

    /// Applies every open held update; `progress` is called with the number of bodies done.
    pub async fn replay_all_held(&self, mut progress: impl FnMut(u64)) -> Result<Replayed> {
        self.load_secrets().await?;
        let places = kabar_store::held::open_places(&mut self.store.reader().await?).await?;
        let log = LogReader::open(&self.store)?;
        let mut total = Replayed::default();
        for (stream, seq) in places {
            if let Some(logged) = log.get(stream, seq).await? {
                total += self.replay_body(&logged, true).await?;
                progress(total.bodies);
            }
        }
        Ok(total)
    }

    /// Applies the entries `from..=to` of a stream again.
    pub async fn replay_range(
        &self,
        stream: i64,
        from: i64,
        to: i64,
        mut progress: impl FnMut(u64),
    ) -> Result<Replayed> {
        self.load_secrets().await?;
        let log = LogReader::open(&self.store)?;
        let mut total = Replayed::default();
        let mut next = from;
        loop {
            let entries = log.range(stream, next, to, REPLAY).await?;
            let Some(last) = entries.last() else { return Ok(total) };
            next = last.seq + 1;
            for logged in &entries {
                total += self.replay_body(logged, false).await?;
                progress(total.bodies);
            }
        }
    }

    /// Applies what waited for an account that is registered by now.
    pub(crate) async fn replay_claimable(&self) -> Result<Replayed> {
        let mut total = Replayed::default();
        let log = LogReader::open(&self.store)?;
        let mut after = (-1, -1);
        loop {
            let places = kabar_store::apply::claimable(&mut self.store.reader().await?, after, 256).await?;
            let Some(last) = places.last().copied() else { return Ok(total) };
            after = last;
            for (stream, seq) in places {
                if self.stopping.is_cancelled() {
                    return Ok(total);
                }
                if let Some(logged) = log.get(stream, seq).await? {
                    total += self.replay_body(&logged, true).await?;
                }
            }
        }
    }
}
