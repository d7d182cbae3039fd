//! The simulator as a program of its own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use kabar_simulator::{Bot, Config, Number, Simulator};
use url::Url;

/// Plays Meta's Graph API and Telegram's Bot API.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address and port; port 0 takes any.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// A JSON file with the configuration; the other options add to it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where WhatsApp webhooks are posted.
    #[arg(long)]
    webhook_whatsapp: Option<Url>,
    /// Signs the webhooks.
    #[arg(long)]
    app_secret: Option<String>,
    /// Sent in the subscription handshake.
    #[arg(long)]
    verify_token: Option<String>,
    /// A WhatsApp number, as `phone_number_id:waba_id:display_number:access_token`.
    #[arg(long = "number", value_parser = number)]
    numbers: Vec<Number>,
    /// A bot's token. Its username is derived from the id.
    #[arg(long = "bot", value_parser = bot)]
    bots: Vec<Bot>,
}

fn number(text: &str) -> Result<Number, String> {
    let mut parts = text.splitn(4, ':').map(str::to_owned);
    let (Some(phone_number_id), Some(waba_id), Some(display_phone_number), Some(access_token)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("expected phone_number_id:waba_id:display_number:access_token".to_owned());
    };
    let verified_name = format!("Simulated business {phone_number_id}");
    Ok(Number { phone_number_id, waba_id, display_phone_number, verified_name, access_token })
}

fn bot(token: &str) -> Result<Bot, String> {
    let id = token.split_once(':').map(|(id, _)| id).filter(|id| id.parse::<i64>().is_ok());
    let id = id.ok_or("expected <bot id>:<secret>")?;
    Ok(Bot {
        token: token.to_owned(),
        username: format!("simulated_{id}_bot"),
        first_name: "Simulated bot".to_owned(),
    })
}

fn configuration(arguments: Arguments) -> Result<Config, String> {
    let mut config = match &arguments.config {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Config::default(),
    };
    config.webhook_whatsapp = arguments.webhook_whatsapp.or(config.webhook_whatsapp);
    config.app_secret = arguments.app_secret.unwrap_or(config.app_secret);
    config.verify_token = arguments.verify_token.or(config.verify_token);
    config.numbers.extend(arguments.numbers);
    config.bots.extend(arguments.bots);
    Ok(config)
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let listen = arguments.listen;
    let config = configuration(arguments)?;
    let started = Simulator::start(config, listen).await;
    let (_simulator, address, server) = started.map_err(|error| format!("{listen}: {error}"))?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{address}")
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())?;
    tokio::select! {
        ended = server => match ended {
            Ok(served) => served.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            drop(writeln!(std::io::stderr(), "kabar-simulator: {reason}"));
            ExitCode::FAILURE
        }
    }
}
