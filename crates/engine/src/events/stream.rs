//! One who follows the events of an organisation.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::EventFilter;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Event;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::Result;

/// How often a token is looked at, and the longest silence.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Reads on by its own number: it misses nothing, and nobody waits for it.
#[derive(Debug)]
pub struct EventStream {
    engine: Arc<Engine>,
    principal: Principal,
    filter: EventFilter,
    after: i64,
    last: watch::Receiver<i64>,
    checked: Instant,
}

/// What a stream has to say.
#[derive(Clone, Debug)]
pub enum Heard {
    /// At least one; few.
    Events(Vec<Arc<Event>>),
    /// Nothing for a while.
    Silence,
    /// The token is not good any more.
    Over,
}

impl EventStream {
    pub(super) fn new(
        engine: Arc<Engine>,
        principal: Principal,
        filter: EventFilter,
        after: Option<i64>,
        last: watch::Receiver<i64>,
    ) -> Self {
        let known = *last.borrow();
        // A number beyond the last is of another database.
        let after = after.map_or(known, |after| after.min(known));
        Self { engine, principal, filter, after, last, checked: Instant::now() }
    }

    /// The number up to which everything was heard: where another stream goes on from.
    pub const fn position(&self) -> i64 {
        self.after
    }

    /// Waits for what comes next. An error ends the stream.
    pub async fn next(&mut self) -> Result<Heard> {
        loop {
            if self.checked.elapsed() >= HEARTBEAT {
                if !self.engine.is_still_good(&self.principal).await? {
                    return Ok(Heard::Over);
                }
                self.checked = Instant::now();
            }
            let last = *self.last.borrow_and_update();
            if last > self.after {
                let (mut events, upto) =
                    self.engine.feed(self.principal.organisation_id, self.after, last).await?;
                self.after = upto;
                events.retain(|event| self.filter.matches(&event.kind) && self.principal.hears(event));
                if !events.is_empty() {
                    return Ok(Heard::Events(events));
                }
                continue;
            }
            tokio::select! {
                changed = self.last.changed() => if changed.is_err() { return Ok(Heard::Over) },
                () = tokio::time::sleep(HEARTBEAT) => return Ok(Heard::Silence),
            }
        }
    }
}
