//! Places at which a test has the process die, as if it were killed there. Release builds have none.

/// Ends the process when `KABAR_FAILPOINT` names this place, `after_lease`, or `after_lease:3` for its third time.
#[cfg(debug_assertions)]
pub(crate) fn reach(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("KABAR_FAILPOINT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(times.parse().unwrap_or(1))))
    });
    if let Some((name, left)) = wanted
        && name == place
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) const fn reach(_place: &str) {}
