//! Places at which a test has the process die, as if it were killed there, or an answer go lost. Release builds have none.

use kabar_store::Error as StoreError;

/// Ends the process when `KABAR_FAILPOINT` names this place, `after_lease`, or `after_lease:3` for its third time.
pub(crate) fn reach(place: &str) {
    if is_wanted(place) {
        std::process::abort();
    }
}

/// What came of a commit; lost, though it was made, when `KABAR_FAILPOINT` names this place.
pub(crate) fn answer(place: &str, committed: Result<(), StoreError>) -> Result<(), StoreError> {
    if is_wanted(place) { Err(StoreError::Unavailable("the answer is lost".into())) } else { committed }
}

#[cfg(debug_assertions)]
fn is_wanted(place: &str) -> bool {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("KABAR_FAILPOINT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(times.parse().unwrap_or(1))))
    });
    wanted.as_ref().is_some_and(|(name, left)| name == place && left.fetch_sub(1, Ordering::SeqCst) == 1)
}

#[cfg(not(debug_assertions))]
const fn is_wanted(_place: &str) -> bool {
    false
}
