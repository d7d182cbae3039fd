//! Runs the chosen benchmarks on the chosen databases and prints what they found.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::body::{Mix, Order, Source, SourceOptions};
use crate::context::{Context, Database, Scratch};
use crate::graph_stub::GraphStub;
use crate::postgres::Cluster;
use crate::report::Report;
use crate::server_under_test::number;
use crate::{endpoints, ingest, latency, machine, media, outbound, pacing, rate, reads, start};

#[derive(clap::Args)]
pub struct Options {
    /// 10 seconds instead of 60 and a tenth of the data: to see that it works, not for figures.
    #[arg(long)]
    quick: bool,
    /// Only these benchmarks.
    #[arg(long, value_enum)]
    only: Vec<Benchmark>,
    /// Only on this database.
    #[arg(long, value_enum)]
    database: Option<Database>,
    /// Length of a measured load.
    #[arg(long)]
    seconds: Option<u64>,
    /// How often baseline and Kabar take turns in `ingest`.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The server to measure; beside this program when absent.
    #[arg(long)]
    kabar: Option<PathBuf>,
    /// More environment for the server, NAME=VALUE.
    #[arg(long = "kabar-env", value_parser = parse_variable)]
    kabar_env: Vec<(String, String)>,
    /// Where databases live while the run lasts: on a disk, where fsync means something.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// Write everything measured to this JSON file, too.
    #[arg(long, overrides_with = "out")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Benchmark {
    /// Webhooks acknowledged and applied per second, against the baseline.
    Ingest,
    /// Latencies and memory at 4,000 webhooks a second.
    Rate,
    /// 1,000 messages a second out of one number, beside 3,000 statuses and 1,000 texts a second.
    Outbound,
    /// A backlog over a number that may send 80 messages a second.
    Pacing,
    /// How soon a message leaves an idle server.
    Latency,
    /// Events to ten thousand webhook endpoints.
    Endpoints,
    /// A file of two gigabytes, up and down.
    Media,
    /// Pages out of a million messages.
    Reads,
    /// Time to the first answer, and the binary's size.
    Start,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("not NAME=VALUE: {text}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

pub async fn all(options: Options) -> Outcome<()> {
    let kabar = match options.kabar {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("kabar"),
    };
    let kabar = kabar.canonicalize().map_err(|error| format!("{}: {error}", kabar.display()))?;
    let databases = options.database.map_or(vec![Database::Sqlite, Database::Postgres], |one| vec![one]);
    let scratch = Scratch::new(&options.dir)?;
    let started = Instant::now();
    let cluster = if databases.contains(&Database::Postgres) {
        eprintln!("[{:7.1} s] making a PostgreSQL cluster", started.elapsed().as_secs_f64());
        Some(Cluster::start(scratch.path())?)
    } else {
        None
    };
    let context = Context {
        databases,
        kabar,
        environment: options.kabar_env,
        connections: options.connections,
        seconds: Duration::from_secs(options.seconds.unwrap_or(if options.quick { 10 } else { 60 })),
        rounds: options.rounds.max(1),
        quick: options.quick,
        graph: GraphStub::start(number()).await?,
        cluster,
        scratch,
        started,
    };
    let chosen = |benchmark| options.only.is_empty() || options.only.contains(&benchmark);

    let facts = facts(&context)?;
    for (name, value) in &facts {
        println!("{name:<16} {value}");
    }
    println!();
    let mut report = Report::default();
    let outcome = measure(&context, chosen, &mut report).await;
    // What was measured before a failure still counts.
    println!("\n{}", report.table());
    if let Some(path) = &options.out {
        let facts: serde_json::Map<_, _> =
            facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        write_json(path, &json!({"set_up": facts, "results": report.json()}))?;
        println!("everything measured: {}", path.display());
    }
    outcome
}

async fn measure(context: &Context, chosen: impl Fn(Benchmark) -> bool, report: &mut Report) -> Outcome<()> {
    for database in context.databases.iter().copied() {
        if chosen(Benchmark::Ingest) {
            ingest::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Rate) {
            rate::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Outbound) {
            outbound::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Pacing) {
            pacing::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Latency) {
            latency::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Endpoints) {
            endpoints::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Media) {
            media::measure(context, database, report).await?;
        }
        if chosen(Benchmark::Reads) || chosen(Benchmark::Start) {
            let (installation, server, mut api) = reads::fill(context, database, report).await?;
            if chosen(Benchmark::Reads) {
                reads::measure(context, database, &mut api, report).await?;
            }
            server.stop().await?;
            if chosen(Benchmark::Start) {
                start::measure(context, database, &installation, report).await?;
            }
        }
    }
    if chosen(Benchmark::Start) {
        start::binary_size(context, report)?;
    }
    Ok(())
}

fn facts(context: &Context) -> Outcome<Vec<(&'static str, String)>> {
    let mut facts = machine::facts(context.scratch.path())?;
    if let Some(cluster) = &context.cluster {
        facts.push(("PostgreSQL", format!("{}, as installed, fsync on", cluster.version()?)));
    }
    facts.push(("payload", format!("{} bytes on average, each distinct and signed", mean_payload())));
    facts.push(("connections", format!("{} over loopback", context.connections)));
    facts.push(("load", format!("{} s, {} round(s)", context.seconds.as_secs(), context.rounds)));
    if cfg!(debug_assertions) {
        facts.push(("WARNING", "kabar-bench is a debug build: no figure of this run counts".into()));
    }
    if context.quick {
        facts.push(("WARNING", "a quick run: the figures are no measurement".into()));
    }
    for (name, value) in &context.environment {
        facts.push(("environment", format!("{name}={value}")));
    }
    Ok(facts)
}

fn mean_payload() -> usize {
    let source = Source::new(SourceOptions {
        number: &number(),
        secret: "",
        host: "",
        path: "",
        contacts: 1_000,
        order: Order::NewThenRandom,
        seed: 1,
        mix: Mix::Text,
    });
    let mut bodies = Vec::new();
    for index in 0..1_000 {
        source.write_body(index, &mut bodies);
    }
    bodies.len() / 1_000
}

fn write_json(path: &Path, value: &serde_json::Value) -> Outcome<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, format!("{value:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(())
}
