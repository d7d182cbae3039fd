//! When a message that is queued now will leave: a look at figures that the sender keeps fresh, since counting what
//! waits for each new message would cost more than queueing it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kabar_domain::AccountId;
use kabar_domain::outbound::SendPriority;
use kabar_store::Error as StoreError;
use kabar_store::outbound;
use tokio::time::Instant;

use crate::engine::Engine;

/// Counting what waits may take this part of the time at most.
const SHARE: u32 = 50;
/// And is not done more often than this.
const REFRESH: Duration = Duration::from_secs(1);

/// Waiting messages by account and priority, as they were counted last and were added since.
#[derive(Debug, Default)]
pub(crate) struct Estimates(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    waiting: HashMap<AccountId, [i64; 3]>,
    next: Option<Instant>,
}

impl Estimates {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many go before a message that is queued now; the message is counted from here on.
    pub(crate) fn queued(&self, account: AccountId, priority: SendPriority) -> i64 {
        let mut counted = self.counted();
        let waiting = counted.waiting.entry(account).or_default();
        let before = waiting[..=priority as usize].iter().sum();
        waiting[priority as usize] += 1;
        before
    }
}

impl Engine {
    /// Counts anew, when it is time.
    pub(super) async fn refresh_estimates(&self) {
        if self.estimates.counted().next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        let begun = Instant::now();
        let found: Result<_, StoreError> =
            async { outbound::backlog(&mut self.store.reader().await?).await }.await;
        let mut counted = self.estimates.counted();
        counted.next = Some(Instant::now() + REFRESH.max(begun.elapsed() * SHARE));
        match found {
            Ok(found) => {
                counted.waiting = found.into_iter().map(|row| (row.account_id, row.waiting)).collect();
            }
            Err(error) => tracing::error!(%error, "the outbound queue cannot be read now"),
        }
    }
}
