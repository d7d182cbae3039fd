//! Figures for Prometheus.

use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_domain::notification::NotificationChannel;
use prometheus::{
    Counter, Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::error::{Error, Result};

const LATENCIES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Every figure the server shows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_seconds: HistogramVec,
    acknowledged: IntCounterVec,
    refused: IntCounterVec,
    applied: IntCounterVec,
    apply_seconds: HistogramVec,
    held: IntCounter,
    backlog: IntGauge,
    backlog_age: Gauge,
    outbound: IntGaugeVec,
    outbound_outcomes: IntCounterVec,
    provider_seconds: HistogramVec,
    provider_errors: IntCounterVec,
    webhook_attempts: IntCounterVec,
    webhook_seconds: HistogramVec,
    webhook_lag: IntGauge,
    webhook_pending: IntGauge,
    notification_legs: IntCounterVec,
    model_seconds: HistogramVec,
    model_tokens: IntCounterVec,
    model_cost: Counter,
}

/// What is read from the database when somebody asks.
#[derive(Debug, Default)]
pub struct Depths {
    pub backlog: i64,
    pub backlog_age: Duration,
    /// State name and number of messages.
    pub outbound: Vec<(&'static str, i64)>,
    /// Events that the webhook endpoint furthest behind has not been past.
    pub webhook_lag: i64,
    /// Deliveries that wait for another attempt.
    pub webhook_pending: i64,
}

impl Metrics {
    pub fn new() -> Result<Self> {
        Self::build().map_err(|error| Error::Internal(format!("metrics: {error}")))
    }

    fn build() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        macro_rules! add {
            ($metric:expr) => {{
                let metric = $metric?;
                registry.register(Box::new(metric.clone()))?;
                metric
            }};
        }
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(LATENCIES.to_vec()), labels)
        };
        Ok(Self {
            http_requests: add!(IntCounterVec::new(
                Opts::new("kabar_http_requests_total", "HTTP requests answered."),
                &["method", "route", "status"]
            )),
            http_seconds: add!(histogram(
                "kabar_http_request_seconds",
                "Time to answer a request.",
                &["method", "route"]
            )),
            acknowledged: add!(IntCounterVec::new(
                Opts::new(
                    "kabar_inbound_acknowledged_total",
                    "Webhook bodies made durable and acknowledged."
                ),
                &["source"]
            )),
            refused: add!(IntCounterVec::new(
                Opts::new("kabar_inbound_refused_total", "Webhook bodies refused."),
                &["source", "reason"]
            )),
            applied: add!(IntCounterVec::new(
                Opts::new("kabar_inbound_applied_total", "Webhook bodies applied."),
                &["source"]
            )),
            apply_seconds: add!(histogram(
                "kabar_inbound_apply_seconds",
                "From receiving a webhook body to its changes being visible.",
                &["source"]
            )),
            held: add!(IntCounter::new(
                "kabar_inbound_held_total",
                "Updates quarantined or kept as unclaimed."
            )),
            backlog: add!(IntGauge::new("kabar_inbound_backlog", "Acknowledged bodies not applied yet.")),
            backlog_age: add!(Gauge::new(
                "kabar_inbound_backlog_age_seconds",
                "Age of the oldest body not applied yet."
            )),
            outbound: add!(IntGaugeVec::new(
                Opts::new("kabar_outbound_messages", "Messages in the outbound queue."),
                &["state"]
            )),
            outbound_outcomes: add!(IntCounterVec::new(
                Opts::new("kabar_outbound_attempts_total", "Attempts to send, by outcome."),
                &["provider", "outcome"]
            )),
            provider_seconds: add!(histogram(
                "kabar_provider_request_seconds",
                "Time a provider takes to answer.",
                &["provider"]
            )),
            provider_errors: add!(IntCounterVec::new(
                Opts::new("kabar_provider_errors_total", "Errors a provider answered, by its code."),
                &["provider", "code"]
            )),
            webhook_attempts: add!(IntCounterVec::new(
                Opts::new("kabar_webhook_attempts_total", "Attempts to deliver events, by outcome."),
                &["outcome"]
            )),
            webhook_seconds: add!(histogram(
                "kabar_webhook_request_seconds",
                "Time a webhook endpoint takes to answer.",
                &["outcome"]
            )),
            webhook_lag: add!(IntGauge::new(
                "kabar_webhook_lag_events",
                "Events that the webhook endpoint furthest behind has not been past."
            )),
            webhook_pending: add!(IntGauge::new(
                "kabar_webhook_pending",
                "Deliveries to webhook endpoints that wait for another attempt."
            )),
            notification_legs: add!(IntCounterVec::new(
                Opts::new(
                    "kabar_notification_legs_total",
                    "Attempts at notifications' legs, by outcome; one that is a message is queued."
                ),
                &["channel", "outcome"]
            )),
            model_seconds: add!(histogram(
                "kabar_ai_request_seconds",
                "Time a model service takes, by what came of it.",
                &["outcome"]
            )),
            model_tokens: add!(IntCounterVec::new(
                Opts::new("kabar_ai_tokens_total", "Tokens of questions and answers of model services."),
                &["direction"]
            )),
            model_cost: add!(Counter::new(
                "kabar_ai_cost_total",
                "What model services cost, at the prices that are set."
            )),
            registry,
        })
    }

    pub fn http(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.http_requests.with_label_values(&[method, route, status.to_string().as_str()]).inc();
        self.http_seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    pub(crate) fn acknowledged(&self, source: Platform) {
        self.acknowledged.with_label_values(&[source.as_str()]).inc();
    }

    pub(crate) fn refused(&self, source: Platform, reason: &str) {
        self.refused.with_label_values(&[source.as_str(), reason]).inc();
    }

    pub(crate) fn applied(&self, source: Platform, took: Duration) {
        self.applied.with_label_values(&[source.as_str()]).inc();
        self.apply_seconds.with_label_values(&[source.as_str()]).observe(took.as_secs_f64());
    }

    pub(crate) fn held(&self, updates: u64) {
        self.held.inc_by(updates);
    }

    pub(crate) fn attempted(&self, provider: Platform, outcome: &str, code: Option<i64>, took: Duration) {
        self.provider_seconds.with_label_values(&[provider.as_str()]).observe(took.as_secs_f64());
        self.outbound_outcomes.with_label_values(&[provider.as_str(), outcome]).inc();
        if let Some(code) = code {
            self.provider_errors.with_label_values(&[provider.as_str(), code.to_string().as_str()]).inc();
        }
    }

    pub(crate) fn webhook_attempted(&self, outcome: &str, took: Duration) {
        self.webhook_attempts.with_label_values(&[outcome]).inc();
        self.webhook_seconds.with_label_values(&[outcome]).observe(took.as_secs_f64());
    }

    pub(crate) fn leg_attempted(&self, channel: NotificationChannel, outcome: &str) {
        self.notification_legs.with_label_values(&[channel.as_str(), outcome]).inc();
    }

    pub(crate) fn model_asked(&self, outcome: &str, took: Duration) {
        self.model_seconds.with_label_values(&[outcome]).observe(took.as_secs_f64());
    }

    /// Tokens, and the prices of a million of each.
    pub(crate) fn model_cost(&self, input: u64, output: u64, [dear_in, dear_out]: [f64; 2]) {
        self.model_tokens.with_label_values(&["input"]).inc_by(input);
        self.model_tokens.with_label_values(&["output"]).inc_by(output);
        self.model_cost.inc_by((input as f64 * dear_in + output as f64 * dear_out) / 1e6);
    }

    /// The page Prometheus reads.
    pub fn render(&self, depths: &Depths) -> Result<String> {
        self.backlog.set(depths.backlog);
        self.backlog_age.set(depths.backlog_age.as_secs_f64());
        self.webhook_lag.set(depths.webhook_lag);
        self.webhook_pending.set(depths.webhook_pending);
        self.outbound.reset();
        for (state, count) in &depths.outbound {
            self.outbound.with_label_values(&[*state]).set(*count);
        }
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .map_err(|error| Error::Internal(format!("metrics: {error}")))?;
        String::from_utf8(page).map_err(|error| Error::Internal(format!("metrics: {error}")))
    }
}
