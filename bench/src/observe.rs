//! Runs a load against Kabar and watches, from outside, what it acknowledged, applied and still owes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::context::Context;
use crate::http::Api;
use crate::load::{Load, Progress, Tally, run};
use crate::metrics::{Metrics, Observed};
use crate::server_under_test::{Memory, Server, scrape};

const APPLY_HISTOGRAM: &str = "kabar_inbound_apply_seconds";
/// A backlog that has not moved for so long never will.
const STALLED: Duration = Duration::from_mins(1);

/// The server's own counts at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    acknowledged: f64,
    applied: f64,
    backlog: f64,
}

impl Counts {
    fn of(metrics: &Metrics) -> Outcome<Self> {
        let sum = |name: &str| metrics.sum(name).ok_or_else(|| format!("/metrics does not export {name}"));
        Ok(Self {
            // Counters may be absent before they are first raised; the backlog is a gauge and always there.
            acknowledged: metrics.sum("kabar_inbound_acknowledged_total").unwrap_or(0.0),
            applied: metrics.sum("kabar_inbound_applied_total").unwrap_or(0.0),
            backlog: sum("kabar_inbound_backlog")?,
        })
    }
}

struct Sample {
    at: Duration,
    counts: Counts,
    memory: Memory,
}

pub struct Observation {
    pub tally: Tally,
    samples: Vec<Sample>,
    /// Applied by the server while the load ran, and in all.
    applied_under_load: f64,
    pub applied: f64,
    /// Counted by the server, to be compared with the tally.
    pub acknowledged: f64,
    pub backlog_at_end: f64,
    pub drain: Duration,
    /// False when the backlog stopped shrinking before it was empty.
    pub drained: bool,
    /// How long webhooks waited to be applied, where the server exports it.
    pub apply_times: Observed,
    /// The highest resident memory seen while the load ran, and the process's own peak.
    pub memory: Memory,
}

impl Observation {
    /// Webhooks acknowledged and applied, over the time of the load and of working off what it left.
    pub fn sustained(&self) -> f64 {
        self.applied / (self.tally.elapsed + self.drain).as_secs_f64().max(f64::EPSILON)
    }

    pub fn applied_per_second_under_load(&self) -> f64 {
        self.applied_under_load / self.tally.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    pub fn backlog_max(&self) -> f64 {
        self.samples.iter().map(|sample| sample.counts.backlog).fold(self.backlog_at_end, f64::max)
    }

    /// Whether the server fell behind: its backlog in the last quarter of the load was higher than in the second by
    /// more than half a second's work.
    pub fn backlog_grew(&self) -> bool {
        let quarter = self.samples.len() / 4;
        if quarter == 0 {
            return false;
        }
        let mean = |samples: &[Sample]| {
            samples.iter().map(|sample| sample.counts.backlog).sum::<f64>() / samples.len() as f64
        };
        let early = mean(&self.samples[quarter..2 * quarter]);
        let late = mean(&self.samples[self.samples.len() - quarter..]);
        late - early > self.applied_per_second_under_load() / 2.0
    }

    pub fn json(&self) -> Value {
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|Sample { at, counts, memory }| {
                json!([
                    at.as_secs_f64(),
                    counts.acknowledged,
                    counts.applied,
                    counts.backlog,
                    memory.resident
                ])
            })
            .collect();
        json!({
            "load": self.tally.json(),
            "sustained_per_second": self.sustained(),
            "applied_per_second_under_load": self.applied_per_second_under_load(),
            "applied": self.applied,
            "acknowledged_by_the_server": self.acknowledged,
            "backlog_max": self.backlog_max(),
            "backlog_at_end": self.backlog_at_end,
            "backlog_grew": self.backlog_grew(),
            "drain_seconds": self.drain.as_secs_f64(),
            "drained": self.drained,
            "resident_max_mib": self.memory.resident,
            "resident_peak_mib": self.memory.peak,
            "samples_seconds_acknowledged_applied_backlog_resident_mib": samples,
        })
    }

    pub fn line(&self) -> String {
        format!(
            "{:.0} applied/s sustained ({:.0}/s under load, drained in {:.2} s), backlog max {:.0}, at end {:.0}{}, \
             resident {:.0} MiB\n            acknowledgement: {}",
            self.sustained(),
            self.applied_per_second_under_load(),
            self.drain.as_secs_f64(),
            self.backlog_max(),
            self.backlog_at_end,
            if self.backlog_grew() { " AND GROWING" } else { "" },
            self.memory.resident,
            self.tally.line(),
        )
    }
}

/// Runs `load` to its end, then waits until the server owes nothing.
pub async fn observe(
    context: &Context,
    label: &str,
    server: &Server,
    api: &mut Api,
    load: Load,
) -> Outcome<Observation> {
    let first_scrape = scrape(api).await?;
    let before = Counts::of(&first_scrape)?;
    let times_before = first_scrape.buckets(APPLY_HISTOGRAM);

    let progress = Arc::new(Progress::default());
    let started = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let work = run(load, Arc::clone(&progress));
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    let mut said = 0;
    let tally = loop {
        tokio::select! {
            tally = &mut work => break tally?,
            _ = ticks.tick() => {
                let counts = Counts::of(&scrape(api).await?)?;
                samples.push(Sample { at: started.elapsed(), counts, memory: server.memory() });
                if samples.len().is_multiple_of(2) {
                    let acknowledged = progress.acknowledged.load(Ordering::Relaxed);
                    let refused = progress.refused.load(Ordering::Relaxed);
                    context.say(&format!(
                        "{label}: {} s, {}/s, {acknowledged} acknowledged, {refused} refused, backlog {:.0}",
                        samples.len(), (acknowledged - said) / 2, counts.backlog
                    ));
                    said = acknowledged;
                }
            }
        }
    };
    let stopped = Instant::now();
    let at_stop = Counts::of(&scrape(api).await?)?;
    let memory = server.memory();
    let drained = drain(context, label, api).await?;
    let drain = if at_stop.backlog > 0.0 { stopped.elapsed() } else { Duration::ZERO };
    let last_scrape = scrape(api).await?;
    let after = Counts::of(&last_scrape)?;
    if after.acknowledged <= before.acknowledged {
        return Err("/metrics does not count kabar_inbound_acknowledged_total".into());
    }
    Ok(Observation {
        tally,
        applied_under_load: at_stop.applied - before.applied,
        applied: after.applied - before.applied,
        acknowledged: after.acknowledged - before.acknowledged,
        backlog_at_end: at_stop.backlog,
        drain,
        drained,
        apply_times: Observed::between(&times_before, &last_scrape.buckets(APPLY_HISTOGRAM)),
        memory: Memory {
            resident: samples.iter().map(|sample| sample.memory.resident).fold(memory.resident, f64::max),
            peak: server.memory().peak,
        },
        samples,
    })
}

/// Waits until nothing waits to be applied; false when it no longer shrinks.
pub async fn drain(context: &Context, label: &str, api: &mut Api) -> Outcome<bool> {
    let (mut lowest, mut moved, mut said) = (f64::INFINITY, Instant::now(), Instant::now());
    loop {
        let counts = Counts::of(&scrape(api).await?)?;
        // A batch leaves the backlog a moment before it is counted as applied.
        let backlog = counts.backlog.max(counts.acknowledged - counts.applied);
        if backlog <= 0.0 {
            return Ok(true);
        }
        if backlog < lowest {
            (lowest, moved) = (backlog, Instant::now());
        }
        if moved.elapsed() > STALLED {
            return Ok(false);
        }
        if said.elapsed() > Duration::from_secs(2) {
            context.say(&format!("{label}: load over, {backlog:.0} still to apply"));
            said = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
