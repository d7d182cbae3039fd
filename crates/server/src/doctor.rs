//! `kabar doctor`: what is wrong with the connections, and what to paste where.

use clap::Args;
use kabar_domain::AccountId;
use kabar_engine::doctor::{CheckStatus, Diagnosis};
use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::serve;
use crate::settings::Settings;

/// Look at this server and the accounts of all organisations; fails when something is wrong.
#[derive(Args)]
pub struct DoctorCommand {
    /// One messaging account alone.
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl DoctorCommand {
    pub async fn run(self, settings: Settings) -> Outcome {
        let engine = serve::open(&settings.resolve()?).await?;
        let found = engine.diagnose_all(self.account).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found.iter().map(shown).collect::<Vec<_>>())?);
        } else {
            found.iter().for_each(print);
        }
        let failed =
            found.iter().flat_map(|one| &one.checks).filter(|check| check.status == CheckStatus::Failed);
        match failed.count() {
            0 => Ok(()),
            1 => Err("one check failed".into()),
            count => Err(format!("{count} checks failed").into()),
        }
    }
}

fn shown(diagnosis: &Diagnosis) -> Value {
    let account = diagnosis.account.as_ref();
    json!({
        "messaging_account_id": account.map(|account| account.id),
        "organisation_id": account.map(|account| account.organisation_id),
        "display_name": account.map(|account| &account.display_name),
        "platform": account.map(|account| account.platform),
        "status": diagnosis.status(),
        "checks": diagnosis.checks,
    })
}

fn print(diagnosis: &Diagnosis) {
    match &diagnosis.account {
        None => println!("Server"),
        Some(account) => println!("\n{} {} ({})", account.platform, account.display_name, account.id),
    }
    for check in &diagnosis.checks {
        println!("  {:<8} {:<17} {}", check.status.as_str(), check.name, check.detail);
        if let Some(fix) = &check.fix {
            println!("  {:<8} {:<17} → {fix}", "", "");
        }
    }
}
