//! One WhatsApp number at Meta's highest throughput: 1,000 messages a second sent, three statuses for each, and 1,000
//! messages a second received: 4,000 webhooks a second offered, whether or not the server keeps up.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::body::{Mix, SentMessage, reference_of};
use crate::context::{Context, Database};
use crate::graph_stub::{Accepted, Throughput};
use crate::http::Api;
use crate::load::{Load, Until};
use crate::observe::{Observation, observe};
use crate::report::{Report, Row};
use crate::sending::{Created, hear_everyone, send_messages, source};
use crate::server_under_test::{Installation, log_in, register_number};

const OFFERED: f64 = 4_000.0;
/// Messages a second whose statuses come.
const MESSAGES: f64 = 1_000.0;
/// A message is delivered half a second after it was sent, and read half a second later.
const LAG: usize = 500;
const CHECKED: usize = 20;

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let label = format!("rate {name}");
    context.graph.begin(Throughput::High);
    let installation = Installation::new(context, database, "rate")?;
    let server = installation.start().await?;
    let mut api = log_in(&server).await?;
    let channel = register_number(&mut api).await?;
    let contacts = if context.quick { 2_000 } else { 10_000 };

    hear_everyone(context, &label, &server, &mut api, contacts).await?;

    let wanted = (context.seconds.as_secs_f64() * MESSAGES) as u64;
    let (created, accepted) = send_messages(context, &label, &api, &channel, contacts, wanted).await?;
    let window = Duration::from_secs(accepted.len() as u64 / MESSAGES as u64).min(context.seconds);
    if window < Duration::from_secs(2) {
        return Err(format!("only {} messages were sent: too few to play statuses", accepted.len()).into());
    }
    let played: Vec<SentMessage> = accepted.iter().map(|accepted| accepted.message.clone()).collect();
    let observed = observe(
        context,
        &label,
        &server,
        &mut api,
        Load {
            address: server.address,
            source: source(&server, contacts, 2, Mix::Number { sent: played, lag: LAG }),
            connections: context.connections,
            until: Until::Elapsed(window),
            rate: Some(OFFERED),
            insist: false,
        },
    )
    .await?;
    context.say(&format!("{label}: {}", observed.line()));
    let read_in_window = (window.as_secs_f64() * MESSAGES) as usize - 2 * LAG;
    let unread = check(&mut api, &accepted[..read_in_window], &created).await?;
    server.stop().await?;
    tell(report, name, &observed, window, unread);
    Ok(())
}

/// How many of a sample of messages are not `read`, though all three statuses came.
async fn check(api: &mut Api, read: &[Accepted], created: &HashMap<u64, Created>) -> Outcome<(usize, usize)> {
    let (mut checked, mut unread) = (0, 0);
    for accepted in read.iter().step_by(read.len().div_ceil(CHECKED).max(1)) {
        let Some(created) = reference_of(&accepted.text).and_then(|index| created.get(&index)) else {
            continue;
        };
        let path = format!("/api/v1/conversations/{}/messages?per_page=100", created.conversation);
        let messages = api.get(&path).await?;
        let stored = messages["data"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|message| message["id"] == created.message.as_str());
        checked += 1;
        if stored.is_none_or(|message| message["status"] != "read") {
            unread += 1;
        }
    }
    Ok((checked, unread))
}

fn tell(
    report: &mut Report,
    name: &'static str,
    observed: &Observation,
    window: Duration,
    (checked, unread): (usize, usize),
) {
    let mut row = |measure: &str, figure: String, target: &str, met: Option<bool>| {
        report.push(Row {
            benchmark: "rate",
            database: name,
            measure: measure.into(),
            figure,
            ratio: None,
            target: target.into(),
            met,
        });
    };
    let tally = &observed.tally;
    let failures = tally.failures();
    row(
        "offered 4000/s, acknowledged",
        format!("{:.0}/s for {} s, {failures} not", tally.per_second(), window.as_secs()),
        "all",
        Some(failures == 0),
    );
    let p99 = tally.latency.percentile(0.99);
    row(
        "acknowledgement p99",
        format!("{:.1} ms", p99.as_secs_f64() * 1e3),
        "≤ 50 ms",
        Some(p99 <= Duration::from_millis(50)),
    );
    let applied = observed.apply_times.percentile(0.99);
    let within = observed.apply_times.within(0.5);
    row(
        "applied p99",
        match (applied, within) {
            (Some(p99), Some(share)) => format!("{:.0} ms, {:.2} % within 500 ms", p99 * 1e3, share * 100.0),
            (Some(p99), None) => format!("{:.0} ms", p99 * 1e3),
            (None, _) => "not exported by /metrics".into(),
        },
        "≤ 500 ms",
        Some(within.map_or_else(|| applied.is_some_and(|p99| p99 <= 0.5), |share| share >= 0.99)),
    );
    let resident = observed.memory.resident;
    row(
        "resident memory, highest",
        format!("{resident:.0} MiB (since the start {:.0})", observed.memory.peak),
        "≤ 300 MiB",
        Some(resident <= 300.0),
    );
    row(
        "messages that ended as read",
        format!("{} of {checked} looked at", checked - unread),
        "all",
        Some(unread == 0 && checked > 0),
    );
    row(
        "backlog, highest",
        format!("{:.0}, drained in {:.2} s", observed.backlog_max(), observed.drain.as_secs_f64()),
        "not growing",
        Some(observed.drained && !observed.backlog_grew()),
    );
    let mut detail = observed.json();
    detail["applied_p99_seconds"] = json!(applied);
    detail["applied_within_500_ms"] = json!(within);
    report.detail("rate", name, "4000 webhooks/s offered", &detail);
}
