//! `kabar billing`: plans, and what organisations owe. The operator's part; organisations pay over the API.

use clap::Subcommand;
use kabar_domain::Timestamp;
use kabar_domain::billing::PaymentStatus;
use kabar_engine::billing::{CURRENCY, NewPlan, Term, amount_text, minor_units};

use crate::cli::Outcome;
use crate::serve;
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum BillingCommand {
    /// What can be paid for.
    #[command(subcommand)]
    Plans(PlanCommand),
    /// How every organisation stands.
    List,
    /// Take an organisation as paid without a payment here.
    Grant {
        /// The organisation's slug.
        #[arg(long)]
        organisation: String,
        /// A day (2027-01-31, to its end in UTC) or a time (RFC 3339).
        #[arg(long, required_unless_present = "forever", conflicts_with = "forever", value_parser = moment)]
        until: Option<Timestamp>,
        /// It never has to pay.
        #[arg(long)]
        forever: bool,
    },
    /// The latest attempts to pay.
    Payments {
        /// pending, captured, failed, expired, reversed or review.
        #[arg(long, value_parser = status)]
        status: Option<PaymentStatus>,
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
}

#[derive(Subcommand)]
pub enum PlanCommand {
    /// List plans.
    List,
    /// Offer a plan, or change the one with this slug. Invoices that are written already stay as they are.
    Set {
        #[arg(long)]
        slug: String,
        #[arg(long)]
        name: String,
        #[arg(long)]
        description: Option<String>,
        /// In riyals, as 299 or 299.50.
        #[arg(long, value_parser = amount)]
        amount: i64,
        /// That one payment is good for.
        #[arg(long, default_value_t = 1)]
        months: i64,
    },
    /// Offer a plan no longer. Who has paid for it keeps it until then.
    Archive { slug: String },
}

fn amount(text: &str) -> Result<i64, String> {
    minor_units(text).ok_or_else(|| "an amount is written as 299 or 299.50".into())
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .or_else(|| Timestamp::parse(&format!("{text}T23:59:59Z")))
        .ok_or_else(|| "a day is written as 2027-01-31".into())
}

fn status(text: &str) -> Result<PaymentStatus, String> {
    PaymentStatus::from_name(text)
        .ok_or_else(|| "pending, captured, failed, expired, reversed or review".into())
}

impl BillingCommand {
    pub async fn run(self, settings: Settings) -> Outcome {
        let engine = serve::open(&settings.resolve()?).await?;
        match self {
            Self::Plans(PlanCommand::List) => {
                for plan in engine.all_plans().await? {
                    let archived = if plan.archived_at.is_some() { "\tarchived" } else { "" };
                    println!(
                        "{}\t{}\t{} {CURRENCY}\t{} months{archived}",
                        plan.slug,
                        plan.name,
                        amount_text(plan.amount),
                        plan.months
                    );
                }
            }
            Self::Plans(PlanCommand::Set { slug, name, description, amount, months }) => {
                let said = format!("{slug} is offered for {} {CURRENCY}.", amount_text(amount));
                engine.set_plan(NewPlan { slug, name, description, amount, months }).await?;
                println!("{said}");
            }
            Self::Plans(PlanCommand::Archive { slug }) => {
                engine.archive_plan(&slug).await?;
                println!("{slug} is no longer offered.");
            }
            Self::List => {
                for (slug, of, standing) in engine.list_subscriptions().await? {
                    let until = of.paid_until.map_or("for ever".into(), |until| format!("until {until}"));
                    println!("{slug}\t{standing}\t{until}");
                }
            }
            Self::Grant { organisation, until, .. } => {
                let term = until.map_or(Term::ForEver, Term::Until);
                engine.grant_term(&organisation, term).await?;
                let until = until.map_or("for ever".into(), |until| format!("until {until}"));
                println!("{organisation} need not pay {until}.");
            }
            Self::Payments { status, limit } => {
                for (slug, payment) in engine.recent_payments(status, limit.clamp(1, 1000)).await? {
                    println!(
                        "{}\t{slug}\t{}\t{} {CURRENCY}\ttrack {}\tpayment {}\t{}",
                        payment.created_at,
                        payment.status,
                        amount_text(payment.amount),
                        payment.track_id,
                        payment.gateway_id.as_deref().unwrap_or("-"),
                        payment.result.or(payment.error).as_deref().unwrap_or("-"),
                    );
                }
            }
        }
        Ok(())
    }
}
