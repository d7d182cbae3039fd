//! One number at Meta's highest throughput, both ways at once: 1,000 messages a second are offered to the API and sent,
//! three statuses of each come back as it was sent, and 1,000 people a second write.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kabar_domain::pacing;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arrivals::Arrivals;
use crate::body::{Mix, SentMessage};
use crate::context::{Context, Database};
use crate::graph_stub::{Accepted, Throughput};
use crate::histogram::Histogram;
use crate::http::Api;
use crate::load::{Load, PAUSE, Tally, Until, on_its_own_thread};
use crate::observe::{Observation, drain, observe};
use crate::report::Report;
use crate::sending::{Created, STALLED, created, hear_everyone, is_busy, request, source};
use crate::server_under_test::{Installation, log_in, register_number, scrape};
use crate::statuses::Player;

const PER_SECOND: u32 = 1_000;
const TEXTS: f64 = 1_000.0;
/// Connections that queue messages. The others of the run carry statuses, and a quarter of them texts.
const SENDERS: usize = 64;
/// Clients that read every message afterwards.
const READERS: usize = 8;

/// What became of the messages offered to the API.
struct Queued {
    started: Instant,
    messages: Vec<Created>,
    /// From when a message was due to the answer that it is queued.
    latency: Histogram,
    /// Answers that asked for time; the message was offered again.
    refused: u64,
    /// Requests without an answer: whether they queued a message is unknown.
    lost: u64,
}

/// How often the messages that were queued came to the provider.
#[derive(Default)]
struct Settled {
    never: usize,
    twice: usize,
    /// Nobody was told that they were queued.
    unknown: usize,
    read: usize,
}

#[derive(Default)]
struct Progress {
    queued: Arc<AtomicU64>,
    reported: Arc<AtomicU64>,
}

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let label = format!("outbound {name}");
    context.graph.begin(Throughput::High);
    let installation = Installation::new(context, database, "outbound")?;
    let server = installation.start().await?;
    let mut api = log_in(&server).await?;
    let channel = register_number(&mut api).await?;
    let contacts = if context.quick { 2_000 } else { 10_000 };
    hear_everyone(context, &label, &server, &mut api, contacts).await?;

    let over = Arc::new(AtomicBool::new(false));
    let progress = Progress::default();
    let texting = context.connections.div_ceil(4);
    let player = Player {
        address: server.address,
        source: source(&server, contacts, 2, Mix::Text),
        graph: context.graph.clone(),
        connections: context.connections.saturating_sub(texting).max(1),
        over: Arc::clone(&over),
        acknowledged: Arc::clone(&progress.reported),
    };
    let statuses = tokio::spawn(player.play());
    let texts = Load {
        address: server.address,
        source: source(&server, contacts, 2, Mix::Text),
        connections: texting,
        until: Until::Elapsed(context.seconds),
        rate: Some(TEXTS),
        insist: false,
    };
    let used = server.processor_seconds();
    let mut scraping = api.another();
    let offering = async {
        let queued = offer(&api, channel, contacts, context.seconds, Arc::clone(&progress.queued)).await?;
        Outcome::Ok((queued, progress.reported.load(Ordering::Relaxed)))
    };
    let window =
        async { tokio::try_join!(observe(context, &label, &server, &mut scraping, texts), offering) };
    let (observed, (queued, reported)) = tokio::select! {
        both = window => both?,
        never = tell_progress(context, &label, &progress) => match never {},
    };
    let emptied = wait_for_queue(context, &label, &mut api, queued.messages.len()).await?;
    over.store(true, Ordering::Relaxed);
    let statuses = statuses.await??;
    let used = server.processor_seconds() - used;
    drain(context, &label, &mut api).await?;
    let arrived = context.graph.take_accepted();
    context.say(&format!("{label}: looking at {} messages", queued.messages.len()));
    let settled = settle(&api, &queued.messages, &arrived).await?;
    server.stop().await?;
    let run = Run {
        window: context.seconds,
        observed,
        queued,
        reported,
        statuses,
        arrived,
        settled,
        emptied,
        used,
    };
    run.tell(report, name);
    Ok(())
}

async fn tell_progress(context: &Context, label: &str, progress: &Progress) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        context.say(&format!(
            "{label}: {} messages queued, {} at the provider, {} reports acknowledged",
            progress.queued.load(Ordering::Relaxed),
            context.graph.accepted_count(),
            progress.reported.load(Ordering::Relaxed)
        ));
    }
}

/// Queues messages through the API, each at its time whether or not the one before is answered, as far as the
/// connections reach.
async fn offer(
    api: &Api,
    channel: String,
    contacts: u64,
    window: Duration,
    progress: Arc<AtomicU64>,
) -> Outcome<Queued> {
    let api = api.another();
    on_its_own_thread("senders", move || async move {
        let queued = Rc::new(RefCell::new(Queued {
            started: Instant::now(),
            messages: Vec::new(),
            latency: Histogram::default(),
            refused: 0,
            lost: 0,
        }));
        let next = Rc::new(Cell::new(0));
        let channel: Rc<str> = channel.into();
        let mut lanes = Vec::new();
        for _ in 0..SENDERS {
            let (api, channel, next) = (api.another(), Rc::clone(&channel), Rc::clone(&next));
            let (queued, progress) = (Rc::clone(&queued), Arc::clone(&progress));
            lanes
                .push(tokio::task::spawn_local(send(api, channel, contacts, window, next, queued, progress)));
        }
        for lane in lanes {
            lane.await??;
        }
        let queued = Rc::into_inner(queued).ok_or("a sender still runs")?;
        Ok(queued.into_inner())
    })
    .await
}

async fn send(
    mut api: Api,
    channel: Rc<str>,
    contacts: u64,
    window: Duration,
    next: Rc<Cell<u64>>,
    queued: Rc<RefCell<Queued>>,
    progress: Arc<AtomicU64>,
) -> Outcome<()> {
    let started = queued.borrow().started;
    loop {
        let index = next.replace(next.get() + 1);
        let due = started + Duration::from_secs_f64(index as f64 / f64::from(PER_SECOND));
        tokio::time::sleep_until(due.into()).await;
        let request = request(&api, &channel, index, contacts);
        loop {
            if started.elapsed() >= window {
                return Ok(());
            }
            let Ok(status) = api.send(&request).await else {
                queued.borrow_mut().lost += 1;
                break;
            };
            if is_busy(status) {
                queued.borrow_mut().refused += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let made = created(status, api.body())?;
            let mut queued = queued.borrow_mut();
            queued.messages.push(made);
            queued.latency.record(due.elapsed());
            progress.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
}

/// Waits until everything that was queued is gone and its outcome written; how long that took, or none when it no
/// longer moves.
async fn wait_for_queue(
    context: &Context,
    label: &str,
    api: &mut Api,
    queued: usize,
) -> Outcome<Option<Duration>> {
    let (began, mut moved, mut said) = (Instant::now(), Instant::now(), Instant::now());
    let mut highest = 0;
    loop {
        let waiting = scrape(api).await?.sum("kabar_outbound_messages").unwrap_or(0.0);
        let arrived = context.graph.accepted_count();
        if waiting <= 0.0 && arrived >= queued {
            return Ok(Some(began.elapsed()));
        }
        if arrived > highest {
            (highest, moved) = (arrived, Instant::now());
        }
        if moved.elapsed() > STALLED {
            return Ok(None);
        }
        if said.elapsed() > Duration::from_secs(2) {
            context.say(&format!("{label}: offering is over, {arrived} of {queued} at the provider"));
            said = Instant::now();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Compares what was queued with what came to the provider, and reads how each message ended.
async fn settle(api: &Api, queued: &[Created], arrived: &[Accepted]) -> Outcome<Settled> {
    let mut times: HashMap<&str, usize> =
        queued.iter().map(|created| (created.message.as_str(), 0)).collect();
    let mut settled = Settled::default();
    for accepted in arrived {
        let SentMessage { callback_data, .. } = &accepted.message;
        match callback_data.as_deref().and_then(|id| times.get_mut(id)) {
            Some(times) => *times += 1,
            None => settled.unknown += 1,
        }
    }
    settled.never = times.values().filter(|times| **times == 0).count();
    settled.twice = times.values().filter(|times| **times > 1).count();

    let ids: HashSet<String> = queued.iter().map(|created| created.message.clone()).collect();
    let ids = Arc::new(ids);
    let conversations: HashSet<&str> = queued.iter().map(|created| created.conversation.as_str()).collect();
    let conversations: Vec<_> = conversations.into_iter().map(str::to_owned).collect();
    let mut readers = tokio::task::JoinSet::new();
    for part in conversations.chunks(conversations.len().div_ceil(READERS).max(1)) {
        let (mut api, part, ids) = (api.another(), part.to_vec(), Arc::clone(&ids));
        readers.spawn(async move {
            let mut read = 0;
            for conversation in part {
                let path = format!("/api/v1/conversations/{conversation}/messages?per_page=100");
                let page = api.get(&path).await?;
                let is_read = |message: &&Value| {
                    message["status"] == "read" && message["id"].as_str().is_some_and(|id| ids.contains(id))
                };
                read += page["data"].as_array().into_iter().flatten().filter(is_read).count();
            }
            Outcome::Ok(read)
        });
    }
    while let Some(read) = readers.join_next().await {
        settled.read += read??;
    }
    Ok(settled)
}

/// Everything about one run.
struct Run {
    window: Duration,
    observed: Observation,
    queued: Queued,
    /// Statuses acknowledged within the window.
    reported: u64,
    statuses: Tally,
    arrived: Vec<Accepted>,
    settled: Settled,
    emptied: Option<Duration>,
    /// Seconds of processor time of the server.
    used: f64,
}

impl Run {
    fn tell(self, report: &mut Report, name: &'static str) {
        let Self { window, observed, queued, reported, statuses, arrived, settled, emptied, used } = self;
        let seconds = window.as_secs();
        let wanted = f64::from(PER_SECOND);
        let millis = |histogram: &Histogram| histogram.percentile(0.99).as_secs_f64() * 1e3;
        let mut judge = |measure: &str, figure: String, target: &str, met: bool| {
            report.judge("outbound", name, measure, figure, (target, met));
        };
        let total = queued.messages.len();
        let offered = total as f64 / window.as_secs_f64();
        judge(
            "queued over the API",
            format!(
                "{offered:.0}/s for {seconds} s, p99 {:.1} ms, {} refused, {} lost",
                millis(&queued.latency),
                queued.refused,
                queued.lost
            ),
            "≥ 1000/s",
            // The last answers come just after the end.
            offered >= 0.999 * wanted,
        );
        let arrivals = Arrivals::new(arrived.iter().map(|accepted| accepted.at));
        let sustained = arrivals.rate(queued.started, window);
        let stretch = Duration::from_secs(5).min(window);
        let slowest = (0..=window.saturating_sub(stretch).as_secs())
            .map(|begin| arrivals.rate(queued.started + Duration::from_secs(begin), stretch))
            .fold(f64::INFINITY, f64::min);
        let ceiling = 1.0 / pacing::account_limit(PER_SECOND).interval.as_secs_f64();
        judge(
            "arrived at the provider meanwhile",
            format!("{sustained:.0}/s, slowest 5 s {slowest:.0}/s (Kabar's pacing allows {ceiling:.0}/s)"),
            "≥ 1000/s",
            sustained >= 0.999 * wanted,
        );
        let most = arrivals.most_in_a_second();
        judge("most in any one second", most.to_string(), "≤ 1000", most <= PER_SECOND as usize);
        let texts = &observed.tally;
        let failed = texts.failures() + statuses.failures();
        judge(
            "came in beside it, acknowledged",
            format!(
                "{:.0} statuses/s (p99 {:.1} ms), {:.0} texts/s (p99 {:.1} ms), {failed} not",
                reported as f64 / window.as_secs_f64(),
                millis(&statuses.latency),
                texts.per_second(),
                millis(&texts.latency)
            ),
            "3 a message and 1000/s, all",
            failed == 0 && texts.per_second() >= 0.99 * TEXTS,
        );
        let applied = observed.apply_times.percentile(0.99).unwrap_or(f64::INFINITY);
        judge("applied p99", format!("{:.0} ms", applied * 1e3), "≤ 500 ms", applied <= 0.5);
        judge(
            "backlog of webhooks, highest",
            format!("{:.0}", observed.backlog_max()),
            "not growing",
            observed.drained && !observed.backlog_grew(),
        );
        let Settled { never, twice, unknown, read } = settled;
        judge(
            "came to the provider exactly once",
            format!("{} of {total}; {never} never, {twice} twice, {unknown} unasked", total - never - twice),
            "all",
            never + twice == 0 && unknown as u64 <= queued.lost && total > 0,
        );
        judge("ended as read", format!("{read} of {total}"), "all", read == total && total > 0);
        judge(
            "outbound queue empty after the window",
            emptied.map_or("never".into(), |took| format!("after {:.1} s", took.as_secs_f64())),
            "yes",
            emptied.is_some(),
        );
        let memory = observed.memory;
        let shown = format!("{:.0} MiB (since the start {:.0})", memory.resident, memory.peak);
        report.note("outbound", name, "resident memory, highest", shown);
        let cores = used / statuses.elapsed.as_secs_f64();
        report.note("outbound", name, "processor time of the server", format!("{cores:.2} cores"));
        let detail = json!({
            "window_seconds": seconds,
            "queued_per_second": offered,
            "queued": total,
            "queue_p50_micros": queued.latency.percentile(0.5).as_micros() as u64,
            "queue_p99_micros": queued.latency.percentile(0.99).as_micros() as u64,
            "arrived_per_second": sustained,
            "slowest_five_seconds_per_second": slowest,
            "most_in_a_second": most,
            "never": never, "twice": twice, "unasked": unknown, "read": read,
            "processor_seconds": used,
            "statuses": statuses.json(),
            "texts": observed.json(),
        });
        report.detail("outbound", name, "both ways at once", &detail);
    }
}
