//! When messages reached the provider.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Times in order.
pub struct Arrivals(Vec<Instant>);

impl Arrivals {
    pub fn new(times: impl IntoIterator<Item = Instant>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }

    /// Within `length` from `from` on, per second.
    pub fn rate(&self, from: Instant, length: Duration) -> f64 {
        let before = |end: Instant| self.0.partition_point(|at| *at < end);
        (before(from + length) - before(from)) as f64 / length.as_secs_f64()
    }

    /// From the first to the last, per second.
    pub fn mean_rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return 0.0 };
        (self.0.len() - 1) as f64 / last.duration_since(*first).as_secs_f64().max(f64::EPSILON)
    }

    /// The most that came in any one second, wherever it begins.
    pub fn most_in_a_second(&self) -> usize {
        let mut begin = 0;
        let mut most = 0;
        for (at, time) in self.0.iter().enumerate() {
            while time.duration_since(self.0[begin]) >= SECOND {
                begin += 1;
            }
            most = most.max(at + 1 - begin);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_second_may_begin_anywhere() {
        let start = Instant::now();
        let at = |millis: &[u64]| Arrivals::new(millis.iter().map(|at| start + Duration::from_millis(*at)));
        assert_eq!(at(&[]).most_in_a_second(), 0);
        assert_eq!(at(&[0, 1_000, 2_000]).most_in_a_second(), 1);
        assert_eq!(at(&[0, 900, 1_000, 1_800, 1_899, 1_900]).most_in_a_second(), 4);
        assert!((at(&[0, 500, 1_000]).mean_rate() - 2.0).abs() < 1e-9);
        assert!((at(&[0, 500, 1_000]).rate(start, SECOND) - 2.0).abs() < 1e-9);
    }
}
