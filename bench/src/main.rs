//! Benchmarks of Kabar, and the load generator they use. `bench/README.md` explains how to read the figures.

mod arrivals;
mod baseline;
mod body;
mod context;
mod endpoints;
mod graph_stub;
mod histogram;
mod http;
mod ingest;
mod latency;
mod load;
mod machine;
mod media;
mod metrics;
mod observe;
mod outbound;
mod pacing;
mod postgres;
mod rate;
mod reads;
mod receiver;
mod report;
mod run;
mod sending;
mod server_under_test;
mod start;
mod statuses;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A benchmark either finishes or says why it could not; nobody handles the cases apart.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "kabar-bench", about = "Measures Kabar against a minimal baseline on the same machine")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verify a signature, append the raw body to SQLite with group commit, answer 200: the least a durable webhook costs.
    Baseline(baseline::Options),
    /// Post signed, distinct WhatsApp webhooks to a server and say how it answered.
    Load(load::Options),
    /// Run the benchmarks, each against servers it starts and removes itself.
    Run(run::Options),
    /// Start a throwaway PostgreSQL cluster, print its URL, and remove it on Ctrl-C.
    Postgres {
        /// Where the cluster's files live while it runs.
        #[arg(long, default_value = "/var/tmp")]
        dir: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let work = async {
        match Arguments::parse().command {
            Command::Baseline(options) => baseline::serve(options).await,
            Command::Load(options) => load::command(options).await,
            Command::Run(options) => run::all(options).await,
            Command::Postgres { dir } => postgres::hold(&dir).await,
        }
    };
    // Dropping the work removes directories, processes and clusters, so an interrupted run leaves nothing behind.
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = interrupted() => Err("interrupted".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kabar-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
