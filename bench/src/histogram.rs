//! A latency histogram: 64 linear steps in each power of two, so a value is known to within 1.6 %.

use std::time::Duration;

const STEP_BITS: u32 = 6;
const STEPS: u64 = 1 << STEP_BITS;

/// Microseconds, from 0 to about 500 hours.
#[derive(Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let index = index_of(micros);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    /// The highest value recorded, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// The value that the fraction `quantile` of all records does not exceed; never below the truth by more than
    /// rounding, as it is the upper edge of the step.
    pub fn percentile(&self, quantile: f64) -> Duration {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(upper_edge(index).min(self.max));
            }
        }
        self.max()
    }

    pub fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }
}

fn index_of(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(STEP_BITS + 1);
    // Below 2 * STEPS the shift is 0 and each value has its own step.
    (u64::from(shift) * STEPS + (micros >> shift)) as usize
}

fn upper_edge(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    let step = index - shift * STEPS;
    ((step + 1) << shift) - 1
}

/// Milliseconds with three decimals, for people.
pub fn milliseconds(value: Duration) -> String {
    format!("{:.3} ms", value.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.record(Duration::from_micros(value));
        }
        histogram
    }

    #[test]
    fn every_value_falls_into_the_step_whose_edge_bounds_it() {
        for value in (0..10_000).chain([65_535, 65_536, 1_000_003, 86_400_000_000]) {
            let edge = upper_edge(index_of(value));
            assert!(edge >= value, "{value} above its edge {edge}");
            assert!(edge - value <= value / 64, "{value} is {edge} away");
            assert!(edge == value || index_of(edge + 1) == index_of(value) + 1);
        }
    }

    #[test]
    fn percentiles_of_a_known_distribution() {
        let histogram = of(1..=100_000);
        for (quantile, truth) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let found = histogram.percentile(quantile).as_micros() as f64;
            assert!(found >= truth && found <= truth * 1.016, "p{quantile}: {found}");
        }
        assert_eq!(histogram.percentile(1.0), Duration::from_millis(100));
        assert_eq!(histogram.max(), Duration::from_millis(100));
        assert_eq!(histogram.count(), 100_000);
    }

    #[test]
    fn small_values_are_exact_and_an_empty_one_is_zero() {
        assert_eq!(of([7]).percentile(0.5), Duration::from_micros(7));
        assert_eq!(of([1, 2, 3]).percentile(0.5), Duration::from_micros(2));
        assert_eq!(Histogram::default().percentile(0.99), Duration::ZERO);
    }

    #[test]
    fn merging_is_recording_both() {
        let mut left = of(1..=500);
        left.merge(&of(501..=1_000));
        let whole = of(1..=1_000);
        for quantile in [0.01, 0.5, 0.77, 0.99, 1.0] {
            assert_eq!(left.percentile(quantile), whole.percentile(quantile));
        }
        assert_eq!(left.count(), 1_000);
    }
}
