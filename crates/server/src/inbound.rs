//! `kabar inbound`: the inbound log, and what is held back of it.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use kabar_domain::HeldId;
use kabar_engine::apply::Replayed;
use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::serve;
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum InboundCommand {
    /// List what came in, newest first.
    List {
        /// What could not be applied, or waits for its account [default].
        #[arg(long, conflicts_with = "log")]
        held: bool,
        /// All webhook bodies.
        #[arg(long)]
        log: bool,
        /// With --held: also what is settled.
        #[arg(long)]
        resolved: bool,
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show a held update (by its id) or a webhook body (by its number, or STREAM:NUMBER).
    Show { what: String },
    /// Apply again. What is there already is not stored twice.
    Replay {
        #[command(flatten)]
        what: Replay,
        /// With --from and --to: the log's stream (PostgreSQL has one per writer).
        #[arg(long, requires = "from")]
        stream: Option<i64>,
    },
    /// Put held updates aside for good: they are not applied, and the log may forget them.
    Dismiss {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<HeldId>,
    },
}

#[derive(Args)]
#[group(id = "replayed", required = true, multiple = true)]
pub struct Replay {
    /// One held update.
    #[arg(long, value_name = "ID", conflicts_with_all = ["all_held", "from", "to"])]
    held: Option<HeldId>,
    /// Everything that is held.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    all_held: bool,
    /// A stretch of the log, from this number…
    #[arg(long, value_name = "SEQ", requires = "to")]
    from: Option<i64>,
    /// …to this one, inclusive.
    #[arg(long, value_name = "SEQ", requires = "from")]
    to: Option<i64>,
}

impl InboundCommand {
    pub async fn run(self, settings: Settings) -> Outcome {
        let engine = serve::open(&settings.resolve()?).await?;
        match self {
            Self::List { log: true, limit, json, .. } => {
                for logged in engine.list_log(limit).await? {
                    let entry = &logged.entry;
                    if json {
                        println!(
                            "{}",
                            json!({ "stream": logged.stream, "seq": logged.seq, "received_at": entry.received_at,
                                "source": entry.source, "account_id": entry.account_id, "bytes": entry.body.len() })
                        );
                    } else {
                        let (stream, seq) = (logged.stream, logged.seq);
                        let (at, source, size) = (entry.received_at, entry.source, entry.body.len());
                        println!("{stream}:{seq}\t{at}\t{source}\t{size} bytes");
                    }
                }
            }
            Self::List { resolved, limit, json, .. } => {
                let held = engine.list_all_held(resolved, limit).await?;
                if held.is_empty() && !json {
                    println!("Nothing is held: everything that came in is applied.");
                }
                for held in held {
                    if json {
                        println!("{}", held_json(&held));
                    } else {
                        let place = format!("{}:{}{}", held.stream, held.seq, held.pointer);
                        println!(
                            "{}	{}	{}	{} {}	{place}	{}",
                            held.id,
                            held.received_at,
                            held.reason,
                            held.platform,
                            held.account_key,
                            held.error
                        );
                    }
                }
            }
            Self::Show { what } => {
                let (stream, seq) = if let Ok(id) = what.parse::<HeldId>() {
                    let held = engine
                        .held_update(id)
                        .await?
                        .ok_or_else(|| format!("there is no held update {id}"))?;
                    eprintln!("{}", serde_json::to_string_pretty(&held_json(&held))?);
                    (held.stream, held.seq)
                } else {
                    let (stream, seq) = what.split_once(':').unwrap_or(("0", &what));
                    match (stream.parse(), seq.parse()) {
                        (Ok(stream), Ok(seq)) => (stream, seq),
                        _ => {
                            return Err(format!(
                                "`{what}` is neither the id of a held update nor a number of the log"
                            )
                            .into());
                        }
                    }
                };
                let logged = engine
                    .log_entry(stream, seq)
                    .await?
                    .ok_or_else(|| format!("the log has no entry {stream}:{seq} (any more)"))?;
                match serde_json::from_slice::<Value>(&logged.entry.body) {
                    Ok(body) => println!("{}", serde_json::to_string_pretty(&body)?),
                    Err(_) => println!("{}", String::from_utf8_lossy(&logged.entry.body)),
                }
            }
            Self::Dismiss { ids } => {
                for id in ids {
                    engine.dismiss_held(id).await?;
                    println!("{id} is dismissed.");
                }
            }
            Self::Replay { what: replay, stream } => {
                let bar = if std::io::stderr().is_terminal() {
                    ProgressBar::new_spinner()
                        .with_style(ProgressStyle::with_template("{spinner} {pos} bodies, {per_sec}")?)
                } else {
                    ProgressBar::hidden()
                };
                let replayed = match (replay.held, replay.from, replay.to) {
                    (Some(id), ..) => engine.replay_held(id).await?,
                    (None, Some(from), Some(to)) => {
                        engine
                            .replay_range(stream.unwrap_or(0), from, to, |done| bar.set_position(done))
                            .await?
                    }
                    _ => engine.replay_all_held(|done| bar.set_position(done)).await?,
                };
                bar.finish_and_clear();
                let Replayed { bodies, updates, held } = replayed;
                println!(
                    "Applied again: {updates} updates of {bodies} webhook bodies; {held} are still held."
                );
            }
        }
        Ok(())
    }
}

fn held_json(held: &kabar_store::held::Held) -> Value {
    json!({ "id": held.id, "reason": held.reason, "platform": held.platform, "account_key": held.account_key,
        "stream": held.stream, "seq": held.seq, "pointer": held.pointer, "error": held.error,
        "received_at": held.received_at, "resolved_at": held.resolved_at })
}
