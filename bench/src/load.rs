//! The load generator: one thread, keep-alive connections, prepared bodies.
//!
//! Without a rate each connection posts as soon as it is answered (closed loop: what the server can do). With a rate
//! webhook n is due at n/rate and its latency counts from then, whether or not a connection was free to send it (open
//! loop: what a caller would see, without coordinated omission).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::body::{Mix, Number, Order, SentMessage, Source, SourceOptions};
use crate::histogram::{Histogram, milliseconds};
use crate::http::{Answer, Connection};

/// After an answer other than 200, before the connection posts again.
pub const PAUSE: Duration = Duration::from_millis(100);
/// How long an open loop may go on sending what was due before its end.
const GRACE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct Options {
    /// Where to post, for example http://127.0.0.1:8080/webhooks/whatsapp
    #[arg(long)]
    url: String,
    /// The app secret to sign with.
    #[arg(long)]
    secret: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Webhooks per second to offer; as many as are answered when absent.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 10_000)]
    contacts: u64,
    #[arg(long, value_enum, default_value_t = MixName::Text)]
    mix: MixName,
    /// For the mix `number`: lines of `wamid<TAB>recipient[<TAB>callback data]`, messages whose statuses are played.
    #[arg(long, required_if_eq("mix", "number"))]
    messages: Option<PathBuf>,
    #[arg(long)]
    phone_number_id: String,
    /// Digits without +.
    #[arg(long, default_value = "6281200000001")]
    phone_number: String,
    #[arg(long, default_value = "102290129340398")]
    waba_id: String,
    /// Another seed makes other message ids, so a second run against the same server is not all duplicates.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum MixName {
    /// Inbound texts.
    Text,
    /// Three statuses and one inbound text in four.
    Number,
}

/// What to post, to whom, and for how long.
pub struct Load {
    pub address: SocketAddr,
    pub source: Source,
    pub connections: usize,
    pub until: Until,
    /// Per second; a closed loop when absent.
    pub rate: Option<f64>,
    /// Post what was not answered 200 again until it is: for filling, not for measuring.
    pub insist: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Until {
    Elapsed(Duration),
    Count(u64),
}

/// What can be watched while the load runs.
#[derive(Default)]
pub struct Progress {
    pub acknowledged: AtomicU64,
    pub refused: AtomicU64,
}

#[derive(Default)]
pub struct Tally {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that were never answered: whether the server took them is unknown.
    pub lost: u64,
    /// Due in an open loop, but not sent before it was given up.
    pub unsent: u64,
    /// Of answers with status 200.
    pub latency: Histogram,
    pub elapsed: Duration,
    /// Inbound texts answered 200, by contact.
    pub per_contact: Vec<u32>,
    /// Bytes of all bodies posted, and how many there were.
    pub body_bytes: u64,
    pub bodies: u64,
}

impl Tally {
    pub fn acknowledged(&self) -> u64 {
        self.statuses.get(&200).copied().unwrap_or(0)
    }

    /// Counts one answer; whether it was an acknowledgement.
    pub fn count(&mut self, answer: &io::Result<Answer>, body: usize, latency: Duration) -> bool {
        self.body_bytes += body as u64;
        self.bodies += 1;
        match answer {
            Ok(answer) => *self.statuses.entry(answer.status).or_default() += 1,
            Err(_) => self.lost += 1,
        }
        let acknowledged = answer.as_ref().is_ok_and(|answer| answer.status == 200);
        if acknowledged {
            self.latency.record(latency);
        }
        acknowledged
    }

    pub fn per_second(&self) -> f64 {
        self.acknowledged() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Everything that was not answered 200.
    pub fn failures(&self) -> u64 {
        self.statuses.values().sum::<u64>() - self.acknowledged() + self.lost + self.unsent
    }

    pub fn contacts_used(&self) -> u64 {
        self.per_contact.iter().filter(|count| **count > 0).count() as u64
    }

    pub fn mean_body(&self) -> u64 {
        self.body_bytes / self.bodies.max(1)
    }

    pub fn json(&self) -> Value {
        let micros = |quantile| self.latency.percentile(quantile).as_micros() as u64;
        let statuses: BTreeMap<_, _> =
            self.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        json!({
            "acknowledged": self.acknowledged(),
            "acknowledged_per_second": self.per_second(),
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "statuses": statuses,
            "lost": self.lost,
            "unsent": self.unsent,
            "contacts_used": self.contacts_used(),
            "mean_body_bytes": self.mean_body(),
            "latency_micros": {
                "p50": micros(0.5), "p90": micros(0.9), "p99": micros(0.99), "p999": micros(0.999),
                "max": self.latency.max().as_micros() as u64,
            },
        })
    }

    pub fn line(&self) -> String {
        let at = |quantile| milliseconds(self.latency.percentile(quantile));
        format!(
            "{:.0} acknowledged/s ({} in {:.1} s), p50 {}, p90 {}, p99 {}, p99.9 {}, max {}, {} not acknowledged",
            self.per_second(),
            self.acknowledged(),
            self.elapsed.as_secs_f64(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            milliseconds(self.latency.max()),
            self.failures(),
        )
    }
}

pub async fn command(options: Options) -> Outcome<()> {
    let rest = options.url.strip_prefix("http://").ok_or("--url must begin with http://")?;
    let (host, path) = rest
        .split_once('/')
        .map_or((rest, "/webhooks/whatsapp".into()), |(host, path)| (host, format!("/{path}")));
    let address =
        tokio::net::lookup_host(host).await?.next().ok_or_else(|| format!("no address for {host}"))?;
    let mix = match options.mix {
        MixName::Text => Mix::Text,
        MixName::Number => {
            let file = options.messages.ok_or("the mix `number` needs --messages")?;
            Mix::Number { sent: read_messages(&std::fs::read_to_string(file)?)?, lag: 500 }
        }
    };
    let number = Number {
        phone_number_id: options.phone_number_id,
        phone: options.phone_number,
        waba_id: options.waba_id,
    };
    let source = Source::new(SourceOptions {
        number: &number,
        secret: &options.secret,
        host,
        path: &path,
        contacts: options.contacts,
        order: Order::NewThenRandom,
        seed: options.seed,
        mix,
    });
    let progress = Arc::new(Progress::default());
    let work = run(
        Load {
            address,
            source,
            connections: options.connections,
            until: Until::Elapsed(Duration::from_secs(options.seconds)),
            rate: options.rate,
            insist: false,
        },
        Arc::clone(&progress),
    );
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.tick().await;
    let tally = loop {
        tokio::select! {
            tally = &mut work => break tally?,
            _ = ticks.tick() => eprintln!(
                "{} acknowledged, {} refused",
                progress.acknowledged.load(Ordering::Relaxed),
                progress.refused.load(Ordering::Relaxed)
            ),
        }
    };
    println!("{}", tally.json());
    eprintln!("{}", tally.line());
    Ok(())
}

fn read_messages(text: &str) -> Outcome<Vec<SentMessage>> {
    let parse = |line: &str| {
        let mut fields = line.split('\t');
        Some(SentMessage {
            wamid: fields.next().filter(|wamid| !wamid.is_empty())?.to_owned(),
            recipient: fields.next()?.to_owned(),
            callback_data: fields.next().map(str::to_owned),
        })
    };
    text.lines()
        .map(|line| parse(line).ok_or_else(|| format!("not `wamid<TAB>recipient`: {line}").into()))
        .collect()
}

pub async fn run(load: Load, progress: Arc<Progress>) -> Outcome<Tally> {
    on_its_own_thread("load", move || generate(load, progress)).await
}

/// Does work on a thread of its own, so that watching it does not slow it down.
pub async fn on_its_own_thread<T, F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> Outcome<T>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>>,
{
    let (done, outcome) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = match runtime {
            Ok(runtime) => runtime.block_on(tokio::task::LocalSet::new().run_until(work())),
            Err(error) => Err(error.into()),
        };
        // Nobody waits for it when the run was interrupted.
        let _interrupted = done.send(result);
    })?;
    outcome.await?
}

struct Shared {
    load: Load,
    progress: Arc<Progress>,
    started: Instant,
    next: Cell<u64>,
    tally: RefCell<Tally>,
}

async fn generate(load: Load, progress: Arc<Progress>) -> Outcome<Tally> {
    let mut open = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        open.push(Connection::open(load.address).await?);
    }
    let tally = Tally { per_contact: vec![0; load.source.contacts() as usize], ..Tally::default() };
    let shared = Rc::new(Shared {
        load,
        progress,
        started: Instant::now(),
        next: Cell::new(0),
        tally: RefCell::new(tally),
    });
    let lanes: Vec<_> = open
        .into_iter()
        .map(|connection| tokio::task::spawn_local(drive(Rc::clone(&shared), connection)))
        .collect();
    for lane in lanes {
        lane.await??;
    }
    let mut tally = shared.tally.take();
    tally.elapsed = shared.started.elapsed();
    if let Some(due) = shared.due() {
        tally.unsent = due.saturating_sub(shared.next.get());
    }
    Ok(tally)
}

impl Shared {
    /// How many webhooks the whole load has, when that is known beforehand.
    fn due(&self) -> Option<u64> {
        match (self.load.until, self.load.rate) {
            (Until::Count(count), _) => Some(count),
            (Until::Elapsed(time), Some(rate)) => Some((time.as_secs_f64() * rate) as u64),
            (Until::Elapsed(_), None) => None,
        }
    }

    fn take(&self) -> Option<u64> {
        let index = self.next.get();
        let over = match self.load.until {
            Until::Count(count) => index >= count,
            Until::Elapsed(time) => {
                let grace = if self.load.rate.is_some() { GRACE } else { Duration::ZERO };
                self.due().is_some_and(|due| index >= due) || self.started.elapsed() >= time + grace
            }
        };
        (!over).then(|| {
            self.next.set(index + 1);
            index
        })
    }
}

async fn drive(shared: Rc<Shared>, mut connection: Connection) -> Outcome<()> {
    let source = &shared.load.source;
    let (mut body, mut request) = (Vec::new(), Vec::new());
    while let Some(index) = shared.take() {
        let due = match shared.load.rate {
            None => Instant::now(),
            Some(rate) => {
                let due = shared.started + Duration::from_secs_f64(index as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                due
            }
        };
        source.write_request(index, &mut body, &mut request);
        loop {
            let answer = connection.send(&request).await;
            let latency = due.elapsed();
            let reconnect = answer.as_ref().map_or(true, |answer| answer.closes);
            let acknowledged = {
                let mut tally = shared.tally.borrow_mut();
                let acknowledged = tally.count(&answer, body.len(), latency);
                if let Some(contact) = source.contact(index).filter(|_| acknowledged) {
                    tally.per_contact[contact as usize] += 1;
                }
                acknowledged
            };
            let counter = if acknowledged { &shared.progress.acknowledged } else { &shared.progress.refused };
            counter.fetch_add(1, Ordering::Relaxed);
            if !acknowledged && shared.load.rate.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
            if reconnect {
                connection = reopen(shared.load.address).await?;
            }
            if acknowledged || !shared.load.insist {
                break;
            }
        }
    }
    Ok(())
}

pub async fn reopen(address: SocketAddr) -> Outcome<Connection> {
    let deadline = Instant::now() + GRACE;
    loop {
        match Connection::open(address).await {
            Ok(connection) => return Ok(connection),
            Err(error) if Instant::now() > deadline => {
                return Err(format!("the server at {address} is gone: {error}").into());
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
