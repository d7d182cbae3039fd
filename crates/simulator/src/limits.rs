//! The providers' rate limits, for those who switch them on.

use std::collections::HashMap;

/// Forgotten buckets are swept when there are more than this.
const SWEEP: usize = 100_000;

/// Token buckets by key.
#[derive(Default)]
pub(crate) struct Buckets(HashMap<String, Bucket>);

struct Bucket {
    tokens: f64,
    at_ms: u64,
}

impl Buckets {
    /// Takes a token from a bucket of `burst` that gains `per_second`. `Err`: none is left; seconds until one is.
    pub(crate) fn take(&mut self, key: &str, burst: u32, per_second: f64, now_ms: u64) -> Result<(), u64> {
        let burst = f64::from(burst.max(1));
        let gained = |since: u64| now_ms.saturating_sub(since) as f64 / 1000.0 * per_second;
        if self.0.len() > SWEEP {
            self.0.retain(|_, bucket| bucket.tokens + gained(bucket.at_ms) < burst);
        }
        let bucket = self.0.entry(key.to_owned()).or_insert(Bucket { tokens: burst, at_ms: now_ms });
        bucket.tokens = (bucket.tokens + gained(bucket.at_ms)).min(burst);
        bucket.at_ms = now_ms;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(((1.0 - bucket.tokens) / per_second).ceil().max(1.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.take("a", 2, 0.5, 0), Ok(()));
        assert_eq!(buckets.take("a", 2, 0.5, 0), Ok(()));
        assert_eq!(buckets.take("a", 2, 0.5, 0), Err(2));
        assert_eq!(buckets.take("b", 2, 0.5, 0), Ok(()));
        assert_eq!(buckets.take("a", 2, 0.5, 1_999), Err(1));
        assert_eq!(buckets.take("a", 2, 0.5, 2_000), Ok(()));
    }
}
