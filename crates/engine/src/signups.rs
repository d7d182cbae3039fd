//! Embedded signup: a business connects its WhatsApp numbers through Meta's dialog.
//!
//! A signup is a row, and a job that takes its steps. The request that begins one waits for the job as long as
//! clients wait; so one worker at a time is at it, and whoever starts after a crash goes on where the row says.

mod config;
mod explain;
mod numbers;
mod run;

use std::time::Duration;

use kabar_domain::job::JobKind;
use kabar_domain::signup::{SignupStatus, SignupStep, StepStatus};
use kabar_domain::{Ability, ChannelId, JobId, OrganisationId, SignupId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::jobs::{self, NewJob};
use kabar_store::signups::{self, Signup};
use kabar_store::{Tx, accounts};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use url::Url;

use crate::auth::Principal;
use crate::crypto::sha256_hex;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub use config::SignupConfig;

/// How long a request waits for the steps; the rest goes on without it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it looks, when another node takes the steps.
const LOOK: Duration = Duration::from_millis(250);

/// What Meta's dialog gave, as a client passes it on.
#[derive(Clone, Default)]
pub struct NewSignup {
    pub code: Option<String>,
    pub waba_id: Option<String>,
    /// Connect this number alone.
    pub phone_number_id: Option<String>,
    /// Register numbers with this two-step PIN; else one is made.
    pub pin: Option<String>,
    /// Where the dialog led back to, if it was opened with such an address.
    pub redirect_uri: Option<String>,
}

impl std::fmt::Debug for NewSignup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSignup").field("waba_id", &self.waba_id).finish_non_exhaustive()
    }
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub name: SignupStep,
    pub status: StepStatus,
    /// What came of it, for people.
    pub detail: Option<String>,
    /// What a person should do about it.
    pub action: Option<String>,
    pub ended_at: Option<Timestamp>,
    /// Attempts that met what is temporary.
    #[serde(default)]
    pub attempts: u32,
}

/// A signup as clients see it.
#[derive(Clone, Debug)]
pub struct ShownSignup {
    pub row: Signup,
    pub steps: Vec<Step>,
    /// The direct lines of its accounts.
    pub channel_ids: Vec<ChannelId>,
}

/// What a signup goes on with.
#[derive(Default, Serialize, Deserialize)]
struct Secrets {
    /// Until it is exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// As it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
}

fn context(signup: &Signup) -> String {
    format!("signups/{}/{}", signup.organisation_id, signup.id)
}

fn steps(signup: &Signup) -> Result<Vec<Step>> {
    serde_json::from_value(signup.steps.clone())
        .map_err(|error| Error::Internal(format!("a signup's steps cannot be read: {error}")))
}

fn written(steps: &[Step]) -> Result<Json> {
    serde_json::to_value(steps).map_err(|error| Error::Internal(error.to_string()))
}

fn fresh_steps() -> Vec<Step> {
    let step = |name: &SignupStep| {
        let status =
            if *name == SignupStep::ExchangeCode { StepStatus::Running } else { StepStatus::Pending };
        Step { name: *name, status, detail: None, action: None, ended_at: None, attempts: 0 }
    };
    SignupStep::ALL.iter().map(step).collect()
}

fn event(kind: &'static str, signup: &Signup) -> NewEvent {
    let data = json!({ "status": signup.status, "waba_id": signup.waba_id });
    NewEvent { kind, subject_id: Some(signup.id.uuid()), data: Some(data.to_string()) }
}

fn pin(invalid: &mut Invalid, pin: Option<String>) -> Option<String> {
    let pin = pin.map(|pin| pin.trim().to_owned()).filter(|pin| !pin.is_empty())?;
    if pin.len() != 6 || !pin.bytes().all(|byte| byte.is_ascii_digit()) {
        invalid.add("pin", "The pin field must be 6 digits.");
    }
    Some(pin)
}

fn checked(new: NewSignup) -> Result<NewSignup> {
    let mut invalid = Invalid::default();
    let code = rules::required(&mut invalid, "code", new.code, 1024);
    let redirect_uri = rules::optional(&mut invalid, "redirect_uri", new.redirect_uri, 2048);
    let is_address = |uri: &str| Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if redirect_uri.as_deref().is_some_and(|uri| !is_address(uri)) {
        invalid.add("redirect_uri", "The redirect uri field must be a valid URL.");
    }
    // A dialog that leads back to an address names no business account; its token does.
    let waba_id = if redirect_uri.is_some() {
        rules::optional(&mut invalid, "waba_id", new.waba_id, 64)
    } else {
        Some(rules::required(&mut invalid, "waba_id", new.waba_id, 64))
    };
    let phone_number_id = rules::optional(&mut invalid, "phone_number_id", new.phone_number_id, 64);
    let pin = pin(&mut invalid, new.pin);
    invalid.check()?;
    Ok(NewSignup { code: Some(code), waba_id, phone_number_id, pin, redirect_uri })
}

pub(crate) const fn not_found() -> Error {
    Error::NotFound("EmbeddedSignup")
}

impl Engine {
    /// Begins the signup that Meta's dialog ended with, and answers with what is done of it in time. The same code
    /// again is the same signup.
    pub async fn create_embedded_signup(&self, principal: &Principal, new: NewSignup) -> Result<ShownSignup> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let new = checked(new)?;
        if self.meta_app().is_none() {
            return Err(Error::Conflict(
                "Embedded signup is not set up: start the server with META_APP_ID and META_APP_SECRET of your Meta app."
                    .to_owned(),
            ));
        }
        let code = new.code.unwrap_or_default();
        let now = self.clock.now();
        let mut signup = Signup {
            organisation_id: organisation,
            id: SignupId::new(&self.clock),
            user_id: principal.user_id,
            status: SignupStatus::Running,
            waba_id: new.waba_id,
            phone_number_id: new.phone_number_id,
            redirect_uri: new.redirect_uri,
            code_hash: sha256_hex(code.as_bytes()),
            secrets: None,
            steps: written(&fresh_steps())?,
            account_ids: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let secrets = Secrets { code: Some(code), access_token: None, pin: new.pin };
        signup.secrets = Some(self.seal_secrets(&signup, &secrets)?);
        let mut tx = self.store.begin().await?;
        match signups::insert(&mut tx, &signup).await {
            Ok(()) => {}
            Err(error) if error.is_conflict_on("signups_code", "signups.code_hash") => {
                drop(tx);
                return self.same_code(&signup).await;
            }
            Err(error) => return Err(error.into()),
        }
        self.enqueue_signup(&mut tx, &signup).await?;
        tx.record(organisation, now, [event("embedded_signup.started", &signup)]);
        tx.commit().await?;
        self.await_signup(organisation, signup.id).await
    }

    async fn same_code(&self, new: &Signup) -> Result<ShownSignup> {
        let organisation = new.organisation_id;
        let found = signups::by_code(&mut self.store.reader().await?, organisation, &new.code_hash).await?;
        let known = found.ok_or_else(not_found)?;
        if new.waba_id.is_some() && known.waba_id.is_some() && new.waba_id != known.waba_id {
            return Err(Invalid::one(
                "code",
                "The code has been used for another business account. Start the signup again.",
            ));
        }
        self.await_signup(organisation, known.id).await
    }

    /// Has a failed signup go on at the step that failed; a running one at once.
    pub async fn resume_embedded_signup(
        &self,
        principal: &Principal,
        id: SignupId,
        given: Option<String>,
    ) -> Result<ShownSignup> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let mut signup = signups::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let mut invalid = Invalid::default();
        let pin = pin(&mut invalid, given);
        invalid.check()?;
        if signup.status == SignupStatus::Failed {
            let Some(mut secrets) = self.open_secrets(&signup)? else {
                return Err(Error::Conflict(
                    "This signup has no access token to go on with. Start the signup again.".to_owned(),
                ));
            };
            if pin.is_some() {
                secrets.pin = pin;
            }
            let mut steps = steps(&signup)?;
            if let Some(step) = steps.iter_mut().find(|step| step.status == StepStatus::Failed) {
                *step = Step {
                    status: StepStatus::Running,
                    detail: None,
                    action: None,
                    ended_at: None,
                    attempts: 0,
                    ..*step
                };
            }
            signup.status = SignupStatus::Running;
            signup.secrets = Some(self.seal_secrets(&signup, &secrets)?);
            signup.steps = written(&steps)?;
            signup.updated_at = now;
            if !signups::update(&mut tx, &signup).await? {
                return Err(Error::Conflict(
                    "The signup has just been changed: look at it again.".to_owned(),
                ));
            }
        }
        if signup.status == SignupStatus::Running
            && !jobs::hurry(&mut tx, JobKind::Signup, id.uuid(), now).await?
            && !jobs::exists(&mut tx, JobKind::Signup, id.uuid()).await?
        {
            self.enqueue_signup(&mut tx, &signup).await?;
        }
        tx.commit().await?;
        self.await_signup(organisation, id).await
    }

    async fn enqueue_signup(&self, tx: &mut Tx, signup: &Signup) -> Result<()> {
        let now = self.clock.now();
        let job = NewJob {
            organisation_id: signup.organisation_id,
            id: JobId::new(&self.clock),
            kind: JobKind::Signup,
            subject_id: signup.id.uuid(),
            data: None,
            due_at: now,
        };
        Ok(jobs::enqueue(tx, job, now).await?)
    }

    /// The signup when its steps have ended, or as it stands when the client has waited long enough.
    async fn await_signup(&self, organisation: OrganisationId, id: SignupId) -> Result<ShownSignup> {
        self.jobs_ready.notify_waiters();
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            let moved = self.signups_moved.notified();
            let shown = self.show_signup(organisation, id).await?;
            if shown.row.status != SignupStatus::Running {
                return Ok(shown);
            }
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep(LOOK) => {}
                () = &mut patience => return Ok(shown),
                () = self.stopping.cancelled() => return Ok(shown),
            }
        }
    }

    pub async fn get_embedded_signup(&self, principal: &Principal, id: SignupId) -> Result<ShownSignup> {
        principal.require(Ability::Read)?;
        self.show_signup(principal.organisation_id, id).await
    }

    /// Newest first.
    pub async fn list_embedded_signups(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<ShownSignup>> {
        principal.require(Ability::Read)?;
        let organisation = principal.organisation_id;
        let window = page.window(SignupId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = signups::count(&mut db, organisation).await?;
        let rows = signups::list(&mut db, organisation, window).await?;
        drop(db);
        let rows = page.page_of(rows, total, |signup| signup.id.uuid().into());
        let mut items = Vec::with_capacity(rows.items.len());
        for row in rows.items {
            items.push(self.shown(row).await?);
        }
        Ok(Page {
            items,
            page: rows.page,
            per_page: rows.per_page,
            total: rows.total,
            next_cursor: rows.next_cursor,
        })
    }

    async fn show_signup(&self, organisation: OrganisationId, id: SignupId) -> Result<ShownSignup> {
        let found = signups::find(&mut self.store.reader().await?, organisation, id).await?;
        self.shown(found.ok_or_else(not_found)?).await
    }

    async fn shown(&self, row: Signup) -> Result<ShownSignup> {
        let mut channel_ids = Vec::with_capacity(row.account_ids.len());
        let mut db = self.store.reader().await?;
        for id in &row.account_ids {
            let account = accounts::find(&mut db, row.organisation_id, *id).await?;
            channel_ids.extend(account.and_then(|account| account.channel_id));
        }
        Ok(ShownSignup { steps: steps(&row)?, channel_ids, row })
    }

    fn seal_secrets(&self, signup: &Signup, secrets: &Secrets) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(secrets).map_err(|error| Error::Internal(error.to_string()))?;
        self.key.seal(&context(signup), &plain)
    }

    fn open_secrets(&self, signup: &Signup) -> Result<Option<Secrets>> {
        let Some(sealed) = &signup.secrets else { return Ok(None) };
        let plain = self.key.open(&context(signup), sealed)?;
        let secrets = serde_json::from_slice(&plain)
            .map_err(|_| Error::Internal("a signup's secrets are not readable".into()))?;
        Ok(Some(secrets))
    }
}
