//! `kabar user` and `kabar token`.

use std::io::Read;
use std::time::Duration;

use clap::Subcommand;
use kabar_domain::{Ability, Role};
use kabar_engine::users::{NewUser, TokenRequest};

use crate::cli::Outcome;
use crate::serve;
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a person to an organisation.
    Create {
        #[arg(long)]
        email: String,
        #[arg(long)]
        name: String,
        /// The organisation's slug.
        #[arg(long, default_value = "default")]
        organisation: String,
        /// owner, admin, supervisor, agent or viewer.
        #[arg(long, default_value = "agent")]
        role: Role,
        /// Read the password from standard input; without it one is made and printed.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List people and where they belong.
    List,
    /// Give a person another password.
    Password {
        #[arg(long)]
        email: String,
        /// Read it from standard input; without it one is made and printed.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give a person a role in an organisation.
    Role {
        #[arg(long)]
        email: String,
        #[arg(long)]
        organisation: String,
        #[arg(long)]
        role: Role,
    },
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is printed once.
    Create {
        /// Whose it is.
        #[arg(long)]
        email: String,
        /// Bind it to one organisation, by slug.
        #[arg(long)]
        organisation: Option<String>,
        #[arg(long, default_value = "command line")]
        name: String,
        /// read, write, send, admin; separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "read")]
        abilities: Vec<Ability>,
        #[arg(long, value_name = "DAYS")]
        expires_days: Option<u64>,
    },
    /// List tokens, without their secrets.
    List {
        #[arg(long)]
        email: Option<String>,
    },
    /// Make a token useless at once.
    Revoke {
        /// The number before its `|`.
        id: i64,
    },
}

fn read_password() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl UserCommand {
    pub async fn run(self, settings: Settings) -> Outcome {
        let engine = serve::open(&settings.resolve()?).await?;
        match self {
            Self::Create { email, name, organisation, role, password_stdin } => {
                let (password, made) = if password_stdin {
                    (read_password()?, false)
                } else {
                    (kabar_engine::crypto::random_text(20)?, true)
                };
                let new = NewUser {
                    email: &email,
                    name: &name,
                    password: &password,
                    organisation: &organisation,
                    role,
                };
                engine.create_user(new).await?;
                println!("{email} is now {role} of {organisation}.");
                if made {
                    println!("Password (not shown again): {password}");
                }
            }
            Self::List => {
                for (user, memberships) in engine.list_users().await? {
                    let places: Vec<_> =
                        memberships.iter().map(|place| format!("{} of {}", place.role, place.slug)).collect();
                    println!("{}\t{}\t{}", user.email, user.name, places.join(", "));
                }
            }
            Self::Password { email, password_stdin } => {
                let given = if password_stdin { Some(read_password()?) } else { None };
                match engine.reset_password(&email, given.as_deref()).await? {
                    Some(made) => println!("New password of {email} (not shown again): {made}"),
                    None => println!("The password of {email} is changed."),
                }
            }
            Self::Role { email, organisation, role } => {
                engine.set_membership(&email, &organisation, role).await?;
                println!("{email} is now {role} of {organisation}.");
            }
        }
        Ok(())
    }
}

impl TokenCommand {
    pub async fn run(self, settings: Settings) -> Outcome {
        let engine = serve::open(&settings.resolve()?).await?;
        match self {
            Self::Create { email, organisation, name, abilities, expires_days } => {
                let request = TokenRequest {
                    email: &email,
                    organisation: organisation.as_deref(),
                    name: &name,
                    abilities: &abilities,
                    expires_in: expires_days.map(|days| Duration::from_hours(24 * days)),
                };
                // The secret alone on standard output: it can be piped.
                println!("{}", engine.create_token(request).await?.token);
            }
            Self::List { email } => {
                for token in engine.list_tokens(email.as_deref()).await? {
                    let expires =
                        token.expires_at.map_or("never expires".into(), |at| format!("expires {at}"));
                    let used = token.last_used_at.map_or("never used".into(), |at| format!("used {at}"));
                    println!(
                        "{}\t{}\t{}\t{expires}\t{used}",
                        token.id,
                        token.name,
                        token.abilities.join(",")
                    );
                }
            }
            Self::Revoke { id } => {
                engine.revoke_token(id).await?;
                println!("Token {id} is revoked.");
            }
        }
        Ok(())
    }
}
