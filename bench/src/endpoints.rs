//! Ten thousand webhook endpoints of one organisation, each told of every message that comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::body::Mix;
use crate::context::{Context, Database};
use crate::http::Api;
use crate::load::{Load, Progress, Until, run};
use crate::receiver::Receiver;
use crate::report::Report;
use crate::sending::source;
use crate::server_under_test::{Installation, log_in, register_number};

/// Messages that come in; each is one event for every endpoint.
const EVENTS: u64 = 300;
const CREATORS: usize = 16;

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let label = format!("endpoints {name}");
    let endpoints = if context.quick { 500 } else { 10_000 };
    let installation = Installation::new(context, database, "endpoints")?;
    let server = installation.start().await?;
    let mut api = log_in(&server).await?;
    register_number(&mut api).await?;
    let receiver = Arc::new(Receiver::start(endpoints).await?);
    let began = Instant::now();
    create(&api, &receiver, endpoints).await?;
    let created = endpoints as f64 / began.elapsed().as_secs_f64();
    context.say(&format!("{label}: {endpoints} endpoints made, {created:.0}/s"));

    let before = server.memory();
    let used = server.processor_seconds();
    let load = Load {
        address: server.address,
        source: source(&server, EVENTS, 1, Mix::Text),
        connections: context.connections,
        until: Until::Count(EVENTS),
        rate: None,
        insist: true,
    };
    let began = Instant::now();
    run(load, Arc::new(Progress::default())).await?;
    let wanted = EVENTS * endpoints as u64;
    let (mut memory, mut took, mut said) = (before, context.seconds, 2);
    while began.elapsed() < context.seconds {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = server.memory();
        memory.resident = memory.resident.max(now.resident);
        memory.peak = now.peak;
        let total = receiver.total();
        if began.elapsed().as_secs() >= said {
            said += 2;
            let resident = now.resident;
            context.say(&format!("{label}: {total} of {wanted} delivered, resident {resident:.0} MiB"));
        }
        if total >= wanted {
            took = began.elapsed();
            break;
        }
    }
    let total = receiver.total();
    let used = (server.processor_seconds() - used) / began.elapsed().as_secs_f64();
    let ((least, most), repeated) = (receiver.extremes(), receiver.repeated());
    server.stop().await?;

    let per_second = total as f64 / took.as_secs_f64();
    report.note("endpoints", name, format!("{endpoints} endpoints made"), format!("{created:.0}/s"));
    report.note(
        "endpoints",
        name,
        format!("{EVENTS} events to each of them"),
        format!(
            "{per_second:.0} deliveries/s, {total} of {wanted} in {:.0} s, {least} to {most} each, {repeated} repeated",
            took.as_secs_f64()
        ),
    );
    report.note(
        "endpoints",
        name,
        "resident memory, highest",
        format!("{:.0} MiB (before the events {:.0})", memory.resident, before.resident),
    );
    report.note("endpoints", name, "processor time of the server", format!("{used:.2} cores"));
    let detail = json!({
        "endpoints": endpoints, "created_per_second": created, "events": EVENTS, "delivered": total,
        "seconds": took.as_secs_f64(), "per_second": per_second, "repeated": repeated,
        "least_of_an_endpoint": least, "most_of_an_endpoint": most,
        "resident_before_mib": before.resident, "resident_max_mib": memory.resident,
    });
    report.detail("endpoints", name, "a burst of events", &detail);
    Ok(())
}

async fn create(api: &Api, receiver: &Arc<Receiver>, endpoints: usize) -> Outcome<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut creators = tokio::task::JoinSet::new();
    for _ in 0..CREATORS {
        let (mut api, receiver, next) = (api.another(), Arc::clone(receiver), Arc::clone(&next));
        creators.spawn(async move {
            loop {
                let endpoint = next.fetch_add(1, Ordering::Relaxed);
                if endpoint >= endpoints {
                    return Outcome::Ok(());
                }
                let new = json!({ "url": receiver.url(endpoint), "events": ["message.received"] });
                api.post("/api/v1/webhook-endpoints", &new).await?;
            }
        });
    }
    while let Some(creator) = creators.join_next().await {
        creator??;
    }
    Ok(())
}
