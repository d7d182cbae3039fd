//! How long a page of conversations and a page of messages take out of a million messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::body::{Mix, Order, Source, SourceOptions, scramble};
use crate::context::{Context, Database};
use crate::histogram::{Histogram, milliseconds};
use crate::http::Api;
use crate::load::{Load, Until};
use crate::observe::observe;
use crate::report::{Report, Row};
use crate::server_under_test::{Installation, SECRET, Server, log_in, number, register_number};

const ROUNDS: u64 = 10;
const REQUESTS: u64 = 2_000;
const WARM_UP: u64 = 100;
const CLIENTS: u64 = 8;

pub fn conversations(context: &Context) -> u64 {
    if context.quick { 10_000 } else { 100_000 }
}

/// Fills an installation with ten messages in each of many conversations, through webhooks.
pub async fn fill<'a>(
    context: &'a Context,
    database: Database,
    report: &mut Report,
) -> Outcome<(Installation<'a>, Server, Api)> {
    let name = database.name();
    let installation = Installation::new(context, database, "large")?;
    let server = installation.start().await?;
    let mut api = log_in(&server).await?;
    register_number(&mut api).await?;
    let contacts = conversations(context);
    let load = Load {
        address: server.address,
        source: Source::new(SourceOptions {
            number: &number(),
            secret: SECRET,
            host: &server.address.to_string(),
            path: "/webhooks/whatsapp",
            contacts,
            order: Order::Rounds,
            seed: 1,
            mix: Mix::Text,
        }),
        connections: context.connections,
        until: Until::Count(contacts * ROUNDS),
        rate: None,
        insist: true,
    };
    let label = format!("fill {name} with {} messages", contacts * ROUNDS);
    let observed = observe(context, &label, &server, &mut api, load).await?;
    context.say(&format!("{label}: {}", observed.line()));
    if !observed.drained {
        return Err("the backlog of the filling did not drain".into());
    }
    let total = api.get("/api/v1/conversations?per_page=1").await?["meta"]["total"].as_u64();
    if total != Some(contacts) {
        return Err(format!("{contacts} contacts wrote, the API counts {total:?} conversations").into());
    }
    report.note(
        "fill",
        name,
        format!("{} messages in {contacts} conversations", contacts * ROUNDS),
        format!("{:.0}/s, resident {:.0} MiB", observed.sustained(), observed.memory.resident),
    );
    report.detail("fill", name, &label, &observed.json());
    Ok((installation, server, api))
}

pub async fn measure(
    context: &Context,
    database: Database,
    api: &mut Api,
    report: &mut Report,
) -> Outcome<()> {
    let name = database.name();
    let ids = Arc::new(conversation_ids(context, name, api).await?);
    let page = |path: &str| vec![path.to_owned()];
    let cases = [
        ("conversations, page 1", page("/api/v1/conversations?per_page=25")),
        ("conversations, page 2", page("/api/v1/conversations?per_page=25&page=2")),
        ("conversations, status=open", page("/api/v1/conversations?per_page=25&status=open")),
        (
            "messages of a random conversation",
            ids.iter().map(|id| format!("/api/v1/conversations/{id}/messages")).collect(),
        ),
    ];
    for (what, paths) in cases {
        let requests: Arc<Vec<Vec<u8>>> =
            Arc::new(paths.iter().map(|path| api.request("GET", path, None)).collect());
        time(api, &requests, 0, WARM_UP, &AtomicU64::new(0)).await?;
        let last: Value = serde_json::from_slice(api.body())?;
        if last["data"].as_array().is_none_or(Vec::is_empty) {
            return Err(format!("{what}: the page is empty, its time would mean nothing").into());
        }
        for (how, clients) in [("one client", 1), ("8 clients", CLIENTS)] {
            let started = Instant::now();
            let label = format!("reads {name}: {what}, {how}");
            let latency = concurrently(context, &label, api, &requests, clients).await?;
            let per_second = latency.count() as f64 / started.elapsed().as_secs_f64();
            tell(report, name, &format!("{what}, {how}"), &latency, per_second);
            context
                .say(&format!("reads {name}: {what}, {how}: p99 {}", milliseconds(latency.percentile(0.99))));
        }
    }
    Ok(())
}

async fn concurrently(
    context: &Context,
    label: &str,
    api: &Api,
    requests: &Arc<Vec<Vec<u8>>>,
    clients: u64,
) -> Outcome<Histogram> {
    let answered = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (mut api, requests, answered) = (api.another(), Arc::clone(requests), Arc::clone(&answered));
        let share = REQUESTS / clients;
        tasks
            .spawn(async move { time(&mut api, &requests, (client + 1) * REQUESTS, share, &answered).await });
    }
    let mut latency = Histogram::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.tick().await;
    loop {
        tokio::select! {
            part = tasks.join_next() => match part {
                Some(part) => latency.merge(&part??),
                None => return Ok(latency),
            },
            _ = ticks.tick() => {
                context.say(&format!("{label}: {} of {REQUESTS}", answered.load(Ordering::Relaxed)));
            }
        }
    }
}

async fn time(
    api: &mut Api,
    requests: &[Vec<u8>],
    seed: u64,
    count: u64,
    answered: &AtomicU64,
) -> Outcome<Histogram> {
    let mut latency = Histogram::default();
    for at in 0..count {
        let request = &requests[(scramble(seed + at) % requests.len() as u64) as usize];
        let started = Instant::now();
        let status = api.send(request).await?;
        latency.record(started.elapsed());
        answered.fetch_add(1, Ordering::Relaxed);
        if status != 200 {
            let body = String::from_utf8_lossy(api.body()).into_owned();
            return Err(format!("a read answered {status}: {body}").into());
        }
    }
    Ok(latency)
}

fn tell(report: &mut Report, name: &'static str, what: &str, latency: &Histogram, per_second: f64) {
    let at = |quantile| latency.percentile(quantile);
    let p99 = at(0.99);
    report.push(Row {
        benchmark: "reads",
        database: name,
        measure: what.into(),
        figure: format!(
            "p50 {}, p99 {}, max {} ({per_second:.0}/s)",
            milliseconds(at(0.5)),
            milliseconds(p99),
            milliseconds(latency.max())
        ),
        ratio: None,
        target: "p99 ≤ 10 ms".into(),
        met: Some(p99 <= Duration::from_millis(10)),
    });
    report.detail(
        "reads",
        name,
        what,
        &json!({
            "count": latency.count(),
            "p50_micros": at(0.5).as_micros() as u64,
            "p99_micros": p99.as_micros() as u64,
            "max_micros": latency.max().as_micros() as u64,
            "per_second": per_second,
        }),
    );
}

/// All conversations' ids, page by page along the cursor.
async fn conversation_ids(context: &Context, name: &str, api: &mut Api) -> Outcome<Vec<String>> {
    let mut ids = Vec::new();
    let mut path = "/api/v1/conversations?per_page=100".to_owned();
    let (started, mut said) = (Instant::now(), Instant::now());
    loop {
        let page: Value = api.get(&path).await?;
        let found = page["data"].as_array().map_or(&[][..], Vec::as_slice);
        ids.extend(found.iter().filter_map(|conversation| conversation["id"].as_str()).map(str::to_owned));
        match page["meta"]["next_cursor"].as_str() {
            Some(cursor) if !found.is_empty() => {
                path = format!("/api/v1/conversations?per_page=100&cursor={}", escape(cursor));
            }
            _ => break,
        }
        if said.elapsed() > Duration::from_secs(2) {
            context.say(&format!("reads {name}: {} conversation ids read", ids.len()));
            said = Instant::now();
        }
    }
    context.say(&format!(
        "reads {name}: {} conversation ids read along the cursor in {:.1} s",
        ids.len(),
        started.elapsed().as_secs_f64()
    ));
    if ids.is_empty() { Err("the API lists no conversation".into()) } else { Ok(ids) }
}

fn escape(value: &str) -> String {
    let hex = |digit: u8| char::from(b"0123456789ABCDEF"[usize::from(digit)]);
    let mut escaped = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    escaped
}
