//! The steps that deal with numbers: connecting them, putting them on the Cloud API, and their history.

use kabar_domain::AccountId;
use kabar_domain::message::Platform;
use kabar_providers::whatsapp::{AppData, WabaNumber};
use kabar_store::accounts::{self, Account};
use kabar_store::events::NewEvent;
use kabar_store::organisations;
use kabar_store::signups::Signup;
use serde_json::json;

use super::Secrets;
use super::explain::{self, Outcome, Problem, failed, refused};
use super::run::Ground;
use crate::accounts::Checked;
use crate::credentials::Credentials;
use crate::crypto::random;
use crate::engine::Engine;
use crate::error::Result;

/// A number that was connected, and what Meta says of it.
struct Line {
    account: Account,
    credentials: Credentials,
    number: WabaNumber,
}

/// Six random digits.
fn new_pin() -> Result<String> {
    let number = u64::from_le_bytes(random::<8>()?) % 1_000_000;
    Ok(format!("{number:06}"))
}

fn names(lines: &[&Line]) -> String {
    lines.iter().map(|line| line.number.name()).collect::<Vec<_>>().join(", ")
}

impl Engine {
    /// Makes messaging accounts of the business account's numbers, and gives those that are there the new token.
    pub(super) async fn connect_numbers(&self, ground: &Ground, signup: &mut Signup) -> Result<Outcome> {
        let mut numbers = match self.whatsapp.waba_numbers(&ground.waba_id, &ground.token).await {
            Ok(numbers) => numbers,
            Err(failure) => return Ok(refused(&failure, None)),
        };
        if let Some(wanted) = &signup.phone_number_id {
            numbers.retain(|number| number.id == *wanted);
            if numbers.is_empty() {
                return Ok(failed(
                    format!("The business account {} has no number {wanted}.", ground.waba_id),
                    "Start the signup again without `phone_number_id`, or with the one that Meta's dialog reports.",
                ));
            }
        }
        if numbers.is_empty() {
            return Ok(failed(
                "The business account has no phone number.",
                "Add one in WhatsApp Manager under Phone numbers, then resume the signup.",
            ));
        }
        let mut connected = Vec::new();
        let mut taken = Vec::new();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, ground.organisation).await?;
        for number in &numbers {
            let known =
                accounts::by_external(&mut tx, ground.organisation, Platform::Whatsapp, &number.id).await?;
            if let Some(mut account) = known {
                let mut credentials =
                    self.open_credentials(ground.organisation, account.id, &account.credentials)?;
                credentials.access_token = Some(ground.token.clone());
                // From now on it is the server's app that signs.
                credentials.app_secret = None;
                credentials.previous_app_secret = None;
                account.signed_by = None;
                account.waba_id = Some(ground.waba_id.clone());
                account.credentials = self.seal_credentials(ground.organisation, account.id, &credentials)?;
                account.updated_at = self.clock.now();
                accounts::update(&mut tx, &account).await?;
                let updated = NewEvent {
                    kind: "messaging_account.updated",
                    subject_id: Some(account.id.uuid()),
                    data: None,
                };
                tx.record(ground.organisation, account.updated_at, [updated]);
                connected.push((number, account.id));
            } else if accounts::is_taken(&mut tx, Platform::Whatsapp, &number.id).await? {
                taken.push(number.name());
            } else {
                let account =
                    self.insert_account(&mut tx, ground.organisation, &new_account(ground, number)).await?;
                connected.push((number, account.id));
            }
        }
        let taken = taken.join(", ");
        if connected.is_empty() {
            return Ok(failed(
                format!("Another organisation of this server has {taken} connected."),
                "Retire the account there first, then resume the signup.",
            ));
        }
        signup.account_ids = connected.iter().map(|(_, id)| *id).collect();
        tx.commit().await?;
        self.accounts_changed().await;
        let names = connected.iter().map(|(number, _)| number.name()).collect::<Vec<_>>().join(", ");
        let aside = if taken.is_empty() {
            String::new()
        } else {
            format!(" Another organisation of this server has {taken} connected.")
        };
        Ok(Outcome::Completed(format!("Connected {names}.{aside}")))
    }

    /// The connected numbers, with what Meta says of them now.
    async fn lines(&self, ground: &Ground, ids: &[AccountId]) -> Result<Result<Vec<Line>, Outcome>> {
        let numbers = match self.whatsapp.waba_numbers(&ground.waba_id, &ground.token).await {
            Ok(numbers) => numbers,
            Err(failure) => return Ok(Err(refused(&failure, None))),
        };
        let mut lines = Vec::with_capacity(ids.len());
        for id in ids {
            let found = accounts::find(&mut self.store.reader().await?, ground.organisation, *id).await?;
            // One that was retired meanwhile is nobody's business.
            let Some(account) = found else { continue };
            let Some(number) = numbers.iter().find(|number| number.id == account.external_id) else {
                continue;
            };
            let credentials = self.open_credentials(ground.organisation, *id, &account.credentials)?;
            lines.push(Line { account, credentials, number: number.clone() });
        }
        Ok(Ok(lines))
    }

    /// Puts on the Cloud API what is not there yet, and asks how all of them stand.
    pub(super) async fn register_numbers(
        &self,
        ground: &Ground,
        ids: &[AccountId],
        secrets: &Secrets,
    ) -> Result<Outcome> {
        let mut lines = match self.lines(ground, ids).await? {
            Ok(lines) => lines,
            Err(outcome) => return Ok(outcome),
        };
        let mut registered = Vec::new();
        for line in lines.iter_mut().filter(|line| !line.number.is_on_biz_app && !line.number.is_registered())
        {
            let pin = self.keep_pin(line, secrets.pin.as_deref()).await?;
            if let Err(failure) = self.whatsapp.register(&line.number.id, &ground.token, &pin).await {
                let outcome = refused(&failure, explain::registration(failure.error.code));
                return Ok(of_number(line.number.name(), outcome));
            }
            registered.push(line.number.name().to_owned());
        }
        for line in &lines {
            self.check_account(&line.account, &line.credentials, false).await?;
        }
        if !registered.is_empty() {
            return Ok(Outcome::Completed(format!("Registered {}.", registered.join(", "))));
        }
        let in_app: Vec<_> = lines.iter().filter(|line| line.number.is_on_biz_app).collect();
        Ok(Outcome::Skipped(if in_app.is_empty() {
            "The numbers are registered already.".to_owned()
        } else {
            format!("Not needed: {} stays in the WhatsApp Business app.", names(&in_app))
        }))
    }

    /// The PIN to register a number with, kept before Meta hears of it.
    async fn keep_pin(&self, line: &mut Line, given: Option<&str>) -> Result<String> {
        let pin = match (given, &line.credentials.pin) {
            (Some(given), _) => given.to_owned(),
            (None, Some(kept)) => kept.clone(),
            (None, None) => new_pin()?,
        };
        if line.credentials.pin.as_ref() != Some(&pin) {
            let account = &mut line.account;
            let mut tx = self.store.begin().await?;
            line.credentials.pin = Some(pin.clone());
            account.credentials =
                self.seal_credentials(account.organisation_id, account.id, &line.credentials)?;
            accounts::update(&mut tx, account).await?;
            tx.commit().await?;
        }
        Ok(pin)
    }

    /// Has numbers that stay in the WhatsApp Business app hand over their contacts and chats, which come by webhook.
    pub(super) async fn ask_history(&self, ground: &Ground, ids: &[AccountId]) -> Result<Outcome> {
        let lines = match self.lines(ground, ids).await? {
            Ok(lines) => lines,
            Err(outcome) => return Ok(outcome),
        };
        let in_app: Vec<_> = lines.iter().filter(|line| line.number.is_on_biz_app).collect();
        if in_app.is_empty() {
            return Ok(Outcome::Skipped("No number stays in the WhatsApp Business app.".to_owned()));
        }
        for line in &in_app {
            for data in [AppData::Contacts, AppData::History] {
                match self.whatsapp.ask_app_data(&line.number.id, &ground.token, data).await {
                    Ok(()) => {}
                    // It was asked for before, perhaps by an attempt that was cut off: it comes.
                    Err(failure) if failure.error.code == 2_593_107 => {}
                    Err(failure) => return Ok(of_number(line.number.name(), refused(&failure, None))),
                }
            }
        }
        Ok(Outcome::Completed(format!("Contacts and chats of {} come in by and by.", names(&in_app))))
    }
}
fn new_account(ground: &Ground, number: &WabaNumber) -> Checked {
    let display_name = number.verified_name.as_deref().unwrap_or_else(|| number.name());
    Checked {
        platform: Platform::Whatsapp,
        external_id: number.id.clone(),
        named_by: "phone_number_id",
        display_name: display_name.chars().take(255).collect(),
        phone_number: number.display_phone_number.clone(),
        waba_id: Some(ground.waba_id.clone()),
        credentials: Credentials { access_token: Some(ground.token.clone()), ..Credentials::default() },
        is_default: false,
        settings: json!({}),
        metadata: json!({}),
    }
}

/// Which of several numbers an outcome is about.
fn of_number(name: &str, outcome: Outcome) -> Outcome {
    let about = |problem: Problem| Problem { detail: format!("{name}: {}", problem.detail), ..problem };
    match outcome {
        Outcome::Later(wait, problem) => Outcome::Later(wait, about(problem)),
        Outcome::Failed(problem) => Outcome::Failed(about(problem)),
        other => other,
    }
}
