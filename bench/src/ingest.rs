//! How many webhooks a second Kabar acknowledges and applies, against what the baseline acknowledges.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::body::{Mix, Order, Source, SourceOptions, reference_of};
use crate::context::{Context, Database, Scratch};
use crate::http::Api;
use crate::load::{Load, Progress, Tally, Until, run};
use crate::observe::observe;
use crate::report::{Report, Row, median};
use crate::server_under_test::{
    Installation, SECRET, Server, log_in, number, register_number, start_baseline,
};

const CONTACTS: u64 = 10_000;
/// Conversations whose messages are counted through the API afterwards.
const CHECKED: usize = 20;

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let (mut baselines, mut acknowledged, mut sustained) = (Vec::new(), Vec::new(), Vec::new());
    let (mut resident, mut backlog, mut drain, mut grew) = (0.0_f64, 0.0_f64, Duration::ZERO, false);
    let mut wrong = Vec::new();
    for round in 1..=context.rounds {
        let tally = baseline(context, name, round).await?;
        baselines.push(tally.per_second());
        report.detail("ingest", name, &format!("baseline, round {round}"), &tally.json());

        let label = format!("ingest {name}, kabar, round {round}");
        let installation = Installation::new(context, database, &format!("ingest_{round}"))?;
        let server = installation.start().await?;
        let mut api = log_in(&server).await?;
        register_number(&mut api).await?;
        let seed = round as u64;
        let observed = observe(context, &label, &server, &mut api, load(context, &server, seed)).await?;
        context.say(&format!("{label}: {}", observed.line()));
        acknowledged.push(observed.tally.per_second());
        sustained.push(observed.sustained());
        resident = resident.max(observed.memory.resident);
        backlog = backlog.max(observed.backlog_max());
        drain = drain.max(observed.drain);
        grew |= observed.backlog_grew() || !observed.drained;
        let mut detail = observed.json();
        let mistakes = check(&mut api, &observed.tally, seed, observed.applied).await?;
        detail["mistakes"] = json!(mistakes);
        wrong.extend(mistakes);
        report.detail("ingest", name, &format!("kabar, round {round}"), &detail);
        server.stop().await?;
    }

    let target = match database {
        Database::Sqlite => 0.30,
        Database::Postgres => 0.20,
    };
    let ratio = median(&sustained) / median(&baselines).max(f64::EPSILON);
    report.note("ingest", name, "baseline, acknowledged", rates(&baselines));
    report.push(Row {
        benchmark: "ingest",
        database: name,
        measure: "kabar, acknowledged and applied".into(),
        figure: rates(&sustained),
        ratio: Some(ratio),
        target: format!("≥ {target:.2}"),
        met: Some(ratio >= target),
    });
    report.note("ingest", name, "kabar, acknowledged only", rates(&acknowledged));
    report.push(Row {
        benchmark: "ingest",
        database: name,
        measure: "backlog, highest".into(),
        figure: format!("{backlog:.0}, drained in {:.2} s", drain.as_secs_f64()),
        ratio: None,
        target: "not growing".into(),
        met: Some(!grew),
    });
    report.note("ingest", name, "resident memory, highest", format!("{resident:.0} MiB"));
    report.push(Row {
        benchmark: "ingest",
        database: name,
        measure: "counts through the API".into(),
        figure: if wrong.is_empty() { "right".into() } else { wrong.join("; ") },
        ratio: None,
        target: "right".into(),
        met: Some(wrong.is_empty()),
    });
    Ok(())
}

fn rates(values: &[f64]) -> String {
    let each: Vec<_> = values.iter().map(|value| format!("{value:.0}")).collect();
    format!("{:.0}/s ({})", median(values), each.join(", "))
}

fn source(host: &str, seed: u64) -> Source {
    Source::new(SourceOptions {
        number: &number(),
        secret: SECRET,
        host,
        path: "/webhooks/whatsapp",
        contacts: CONTACTS,
        order: Order::NewThenRandom,
        seed,
        mix: Mix::Text,
    })
}

fn load(context: &Context, server: &Server, seed: u64) -> Load {
    Load {
        address: server.address,
        source: source(&server.address.to_string(), seed),
        connections: context.connections,
        until: Until::Elapsed(context.seconds),
        rate: None,
        insist: false,
    }
}

async fn baseline(context: &Context, name: &str, round: usize) -> Outcome<Tally> {
    let label = format!("ingest {name}, baseline, round {round}");
    let scratch = Scratch::new(context.scratch.path())?;
    let server = start_baseline(scratch.path()).await?;
    let progress = Arc::new(Progress::default());
    let work = run(load(context, &server, round as u64), Arc::clone(&progress));
    tokio::pin!(work);
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.tick().await;
    let tally = loop {
        tokio::select! {
            tally = &mut work => break tally?,
            _ = ticks.tick() => context.say(&format!(
                "{label}: {:.0} s, {} acknowledged",
                started.elapsed().as_secs_f64(),
                progress.acknowledged.load(Ordering::Relaxed)
            )),
        }
    };
    context.say(&format!("{label}: {}", tally.line()));
    server.stop().await?;
    Ok(tally)
}

/// What the API tells otherwise than the load generator saw: nothing, if all is well.
async fn check(api: &mut Api, tally: &Tally, seed: u64, applied: f64) -> Outcome<Vec<String>> {
    let mut mistakes = Vec::new();
    // A request whose answer was lost may have been stored or not.
    let lost = tally.lost;
    let expected = tally.acknowledged();
    let applied = applied as u64;
    if applied < expected || applied > expected + lost {
        mistakes.push(format!("{expected} webhooks acknowledged, {applied} applied"));
    }
    let page = api.get("/api/v1/conversations?per_page=100").await?;
    let total = page["meta"]["total"].as_u64().unwrap_or(0);
    let used = tally.contacts_used();
    if total < used || total > used + lost {
        mistakes.push(format!("{used} contacts wrote, {total} conversations"));
    }
    let source = source("", seed);
    let conversations = page["data"].as_array().map_or(&[][..], Vec::as_slice);
    for conversation in conversations.iter().step_by(conversations.len().div_ceil(CHECKED).max(1)) {
        let id = conversation["id"].as_str().unwrap_or_default();
        let messages = api.get(&format!("/api/v1/conversations/{id}/messages?per_page=100")).await?;
        let total = messages["meta"]["total"].as_u64().unwrap_or(0);
        // Each text ends with its index, from which follows who wrote it.
        let writers: Vec<_> = messages["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|message| source.contact(reference_of(message["body"].as_str()?)?))
            .collect();
        let Some(writer) = writers.first() else {
            mistakes.push(format!("conversation {id} shows no message of the load"));
            continue;
        };
        if writers.iter().any(|other| other != writer) {
            mistakes.push(format!("conversation {id} mixes contacts"));
        }
        let written = u64::from(tally.per_contact.get(*writer as usize).copied().unwrap_or(0));
        if total < written || total > written + lost {
            mistakes.push(format!("contact {writer} wrote {written}, conversation {id} has {total}"));
        }
    }
    Ok(mistakes)
}
