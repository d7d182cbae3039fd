//! How soon a message leaves when the server has nothing else to do.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::context::{Context, Database};
use crate::graph_stub::Throughput;
use crate::histogram::{Histogram, milliseconds};
use crate::report::Report;
use crate::sending::{STALLED, hear_everyone, send};
use crate::server_under_test::{Installation, log_in, register_number};

const CONTACTS: u64 = 100;
const PAUSE: Duration = Duration::from_millis(100);
const TARGET: Duration = Duration::from_millis(30);

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let label = format!("latency {name}");
    context.graph.begin(Throughput::Standard);
    let installation = Installation::new(context, database, "latency")?;
    let server = installation.start().await?;
    let mut api = log_in(&server).await?;
    let channel = register_number(&mut api).await?;
    hear_everyone(context, &label, &server, &mut api, CONTACTS).await?;

    let started = Instant::now();
    let mut asked = HashMap::new();
    let mut ticks = tokio::time::interval(PAUSE);
    while started.elapsed() < context.seconds {
        ticks.tick().await;
        let begun = Instant::now();
        let created = send(&mut api, &channel, asked.len() as u64, CONTACTS).await?;
        asked.insert(created.message, (begun, Instant::now()));
    }
    let over = Instant::now();
    while context.graph.accepted_count() < asked.len() && over.elapsed() < STALLED {
        tokio::time::sleep(PAUSE).await;
    }
    server.stop().await?;

    let (mut from_answer, mut from_request) = (Histogram::default(), Histogram::default());
    for accepted in context.graph.take_accepted() {
        let id = accepted.message.callback_data.unwrap_or_default();
        if let Some((begun, answered)) = asked.remove(&id) {
            // The answer and the provider's request are under way at the same time: nothing when the latter won.
            from_answer.record(accepted.at.saturating_duration_since(answered));
            from_request.record(accepted.at.saturating_duration_since(begun));
        }
    }
    let show = |histogram: &Histogram| {
        let at = |quantile| milliseconds(histogram.percentile(quantile));
        format!("p50 {}, p99 {}, max {}", at(0.5), at(0.99), milliseconds(histogram.max()))
    };
    let count = from_answer.count();
    context.say(&format!("{label}: {count} messages, {}", show(&from_answer)));
    report.judge(
        "latency",
        name,
        "answer `queued` to provider's request",
        format!("{} ({count} messages, {} never came)", show(&from_answer), asked.len()),
        ("p99 ≤ 30 ms", from_answer.percentile(0.99) <= TARGET && asked.is_empty() && count > 0),
    );
    report.note("latency", name, "request to the API to provider's request", show(&from_request));
    let micros = |histogram: &Histogram, quantile| histogram.percentile(quantile).as_micros() as u64;
    let detail = json!({
        "messages": count,
        "answer_to_provider_micros": {
            "p50": micros(&from_answer, 0.5), "p99": micros(&from_answer, 0.99),
            "max": from_answer.max().as_micros() as u64,
        },
        "request_to_provider_micros": {
            "p50": micros(&from_request, 0.5), "p99": micros(&from_request, 0.99),
            "max": from_request.max().as_micros() as u64,
        },
    });
    report.detail("latency", name, "an idle server", &detail);
    Ok(())
}
