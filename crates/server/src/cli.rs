//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::settings::Settings;
use crate::{billing, demo, doctor, inbound, people, serve, understand};

/// What a command says when it fails: a sentence for the person who typed it.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A self-hosted messaging operations server: WhatsApp and Telegram in, a shared inbox and replies out.
#[derive(Parser)]
#[command(
    name = "kabar",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  kabar demo                                     try everything, no account anywhere
  kabar serve --listen 0.0.0.0:8080              run the server
  kabar serve --database-url postgres://kabar@localhost/kabar
  kabar user create --email ana@example.com --name Ana --organisation default --role agent --password-stdin
  kabar doctor                                   what is wrong with the connections, and what to paste where
  kabar inbound list --held                      what came in and could not be applied"
)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve,
    /// Run the server with a simulated WhatsApp and Telegram, sample data and a phone in the browser.
    Demo,
    /// Bring the database's schema up to date, and stop.
    Migrate,
    /// People who sign in.
    #[command(subcommand)]
    User(people::UserCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(people::TokenCommand),
    /// What organisations pay for the use of this server.
    #[command(subcommand)]
    Billing(billing::BillingCommand),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the API's OpenAPI 3.1 description.
    Openapi {
        /// Write it to a file instead.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Webhook bodies that came in, and what could not be applied of them.
    #[command(subcommand)]
    Inbound(inbound::InboundCommand),
    Understand(understand::UnderstandCommand),
    Doctor(doctor::DoctorCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check flags, environment and file, and say what is set; secrets are not shown.
    Check,
}

impl Cli {
    pub async fn run(self) -> Outcome {
        if let Command::Openapi { output } = &self.command {
            return openapi(output.as_ref());
        }
        let settings = self.settings.load()?;
        match self.command {
            Command::Config(ConfigCommand::Check) => check(settings),
            Command::Serve => serve::serve(settings).await,
            Command::Demo => demo::demo(settings).await,
            Command::Migrate => serve::migrate(settings).await,
            Command::User(command) => command.run(settings).await,
            Command::Token(command) => command.run(settings).await,
            Command::Billing(command) => command.run(settings).await,
            Command::Inbound(command) => command.run(settings).await,
            Command::Understand(command) => command.run(settings).await,
            Command::Doctor(command) => command.run(settings).await,
            Command::Openapi { .. } => Ok(()),
        }
    }
}

fn openapi(output: Option<&PathBuf>) -> Outcome {
    let text = kabar_api::openapi().to_pretty_json()?;
    match output {
        Some(file) => {
            std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
        }
        None => println!("{text}"),
    }
    Ok(())
}

fn check(settings: Settings) -> Outcome {
    for (key, value) in settings.shown() {
        println!("{key} = {value}");
    }
    let resolved = settings.resolve()?;
    if resolved.engine.meta_app_secrets.is_empty() {
        println!(
            "note: no META_APP_SECRET: only WhatsApp accounts with an app secret of their own are heard"
        );
    }
    if resolved.engine.whatsapp_verify_token.is_none() {
        println!("note: no WHATSAPP_VERIFY_TOKEN: Meta's webhook verification will be refused");
    }
    println!("The configuration is valid.");
    Ok(())
}
