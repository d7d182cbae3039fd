//! Reads figures out of Prometheus text.

/// One scrape.
pub struct Metrics(String);

impl Metrics {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum of a metric over all its labels; none when the server does not export it.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.samples(name).map(|(_, value)| value).fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// A histogram's cumulative counts by upper bound (seconds), summed over all other labels.
    pub fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (labels, value) in self.samples(&format!("{name}_bucket")) {
            let Some(bound) = label(labels, "le").and_then(|bound| match bound {
                "+Inf" => Some(f64::INFINITY),
                bound => bound.parse().ok(),
            }) else {
                continue;
            };
            match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += value,
                None => buckets.push((bound, value)),
            }
        }
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        buckets
    }

    fn samples<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None if rest.starts_with(' ') => ("", rest),
                None => return None,
            };
            Some((labels, value.split_ascii_whitespace().next()?.parse().ok()?))
        })
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

/// What was observed between two scrapes of the same histogram.
pub struct Observed(Vec<(f64, f64)>);

impl Observed {
    pub fn between(before: &[(f64, f64)], after: &[(f64, f64)]) -> Self {
        let earlier = |bound: f64| {
            before.iter().find(|(known, _)| known.total_cmp(&bound).is_eq()).map_or(0.0, |(_, count)| *count)
        };
        Self(after.iter().map(|(bound, count)| (*bound, count - earlier(*bound))).collect())
    }

    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// In seconds, interpolated within its bucket as Prometheus does; the highest finite bound when it lies above.
    pub fn percentile(&self, quantile: f64) -> Option<f64> {
        let rank = self.count() * quantile;
        if rank <= 0.0 {
            return None;
        }
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                if bound.is_infinite() {
                    return Some(lower);
                }
                return Some(lower + (bound - lower) * (rank - below) / (count - below));
            }
            (lower, below) = (*bound, *count);
        }
        None
    }

    /// The share observed within `seconds`, which must be a bucket's bound.
    pub fn within(&self, seconds: f64) -> Option<f64> {
        let (_, count) = self.0.iter().find(|(bound, _)| (bound - seconds).abs() < 1e-9)?;
        (self.count() > 0.0).then(|| count / self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP kabar_inbound_applied_total Applied.
# TYPE kabar_inbound_applied_total counter
kabar_inbound_applied_total{platform=\"whatsapp\"} 40
kabar_inbound_applied_total{platform=\"telegram\"} 2
kabar_inbound_backlog 7
kabar_inbound_backlog_age_seconds 0.25
kabar_inbound_apply_seconds_bucket{platform=\"whatsapp\",le=\"0.1\"} 50
kabar_inbound_apply_seconds_bucket{platform=\"whatsapp\",le=\"0.5\"} 90
kabar_inbound_apply_seconds_bucket{platform=\"telegram\",le=\"0.5\"} 10
kabar_inbound_apply_seconds_bucket{platform=\"whatsapp\",le=\"+Inf\"} 90
kabar_inbound_apply_seconds_bucket{platform=\"telegram\",le=\"+Inf\"} 10
";

    #[test]
    fn labels_are_summed_and_longer_names_left_alone() {
        let metrics = Metrics::new(TEXT.into());
        assert_eq!(metrics.sum("kabar_inbound_applied_total"), Some(42.0));
        assert_eq!(metrics.sum("kabar_inbound_backlog"), Some(7.0));
        assert_eq!(metrics.sum("kabar_inbound"), None);
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let after = Metrics::new(TEXT.into()).buckets("kabar_inbound_apply_seconds");
        let observed = Observed::between(&[(0.1, 10.0), (0.5, 20.0), (f64::INFINITY, 20.0)], &after);
        assert!((observed.count() - 80.0).abs() < 1e-9);
        let median = observed.percentile(0.5).unwrap();
        assert!((median - 0.1).abs() < 1e-9, "{median}");
        let p75 = observed.percentile(0.75).unwrap();
        assert!((p75 - 0.3).abs() < 1e-9, "{p75}");
        assert_eq!(observed.within(0.5), Some(1.0));
        assert_eq!(Observed::between(&after, &after).percentile(0.99), None);
    }
}
