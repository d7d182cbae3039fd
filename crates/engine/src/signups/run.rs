//! The steps of a signup, each in its turn. Nothing is held while Meta is asked; what came of a step is committed
//! before the next. A step that was cut off is done again: each finds out what is done already.

use std::time::Duration;

use kabar_domain::signup::{SignupStatus, SignupStep, StepStatus};
use kabar_domain::{OrganisationId, SignupId};
use kabar_providers::whatsapp::App;
use kabar_store::jobs::Leased;
use kabar_store::signups::{self, Signup};

use super::explain::{self, Outcome, Problem, failed, refused};
use super::{Secrets, Step, event, fresh_steps, steps, written};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::jobs::Done;

/// A code's life, by Meta's documents.
const CODE_LIFE: Duration = Duration::from_secs(30);
/// Attempts at what is temporary; then a person is asked.
const ATTEMPTS: u32 = 6;
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What the steps after the exchange work with.
pub(super) struct Ground {
    pub organisation: OrganisationId,
    pub token: String,
    pub waba_id: String,
}

/// An outcome with its wait, or given up: what is temporary is tried a few times, and a code for as long as it lives.
fn settled(step: &mut Step, outcome: Outcome) -> Outcome {
    let is_exchange = step.name == SignupStep::ExchangeCode;
    match outcome {
        Outcome::Later(_, problem) if is_exchange => Outcome::Later(Duration::from_secs(1), problem),
        Outcome::Later(wait, problem) => {
            step.attempts += 1;
            if step.attempts >= ATTEMPTS {
                return Outcome::Failed(explain::given_up(problem));
            }
            Outcome::Later(wait.max(Duration::from_secs(1 << step.attempts)).min(LONGEST_WAIT), problem)
        }
        // Why it was not exchanged in time, or was used up.
        Outcome::Failed(problem) if is_exchange && step.detail.is_some() => {
            let before = step.detail.take().unwrap_or_default();
            Outcome::Failed(Problem { detail: format!("{} {before}", problem.detail), ..problem })
        }
        other => other,
    }
}

const fn is_open(step: &Step) -> bool {
    matches!(step.status, StepStatus::Pending | StepStatus::Running)
}

impl Engine {
    pub(crate) async fn attempt_signup(&self, job: &Leased) -> Done {
        match self.take_steps(job).await {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(%error, "a signup cannot go on now; it is tried again");
                Done::Again(Duration::from_secs(5))
            }
        }
    }

    /// The step that cannot be taken fails; a person may resume there.
    pub(crate) async fn give_up_signup(&self, job: &Leased) -> Result<()> {
        let id = SignupId::from_uuid(job.subject_id);
        let found = signups::find(&mut self.store.reader().await?, job.organisation_id, id).await?;
        let running = found.filter(|signup| signup.status == SignupStatus::Running);
        let Some(mut signup) = running else { return Ok(()) };
        let mut steps = steps(&signup)?;
        let at = steps.iter().position(is_open).unwrap_or(steps.len().saturating_sub(1));
        if at >= steps.len() {
            steps = fresh_steps();
        }
        let outcome = failed(
            "The step could not be taken, time after time; the server's log says why.",
            "Mend what the log says, then resume the signup.",
        );
        self.note(&mut signup, &mut steps, at, &outcome);
        signup.steps = written(&steps)?;
        self.write_signup(&mut signup).await?;
        Ok(())
    }

    async fn take_steps(&self, job: &Leased) -> Result<Done> {
        let id = SignupId::from_uuid(job.subject_id);
        let found = signups::find(&mut self.store.reader().await?, job.organisation_id, id).await?;
        let Some(mut signup) = found else { return Ok(Done::Finished) };
        while signup.status == SignupStatus::Running {
            let mut steps = steps(&signup)?;
            let Some(at) = steps.iter().position(is_open) else {
                return Err(Error::Internal("a running signup has no step to take".into()));
            };
            let name = steps[at].name;
            let mut secrets = self.open_secrets(&signup)?.unwrap_or_default();
            let outcome = self.take_step(name, &mut signup, &mut secrets).await?;
            failpoint::reach(&format!("signup_{name}_done"));
            let outcome = settled(&mut steps[at], outcome);
            self.note(&mut signup, &mut steps, at, &outcome);
            signup.secrets = match signup.status {
                SignupStatus::Completed => None,
                // Without a token there is nothing to resume.
                SignupStatus::Failed if secrets.access_token.is_none() => None,
                _ => Some(self.seal_secrets(&signup, &secrets)?),
            };
            signup.steps = written(&steps)?;
            if !self.write_signup(&mut signup).await? {
                return Ok(Done::Finished);
            }
            failpoint::reach(&format!("signup_{name}_noted"));
            if let Outcome::Later(wait, _) = outcome {
                return Ok(Done::Again(wait));
            }
        }
        Ok(Done::Finished)
    }

    /// Puts an outcome into the steps, and what it means for the signup.
    fn note(&self, signup: &mut Signup, steps: &mut [Step], at: usize, outcome: &Outcome) {
        let now = self.clock.now();
        let (status, detail, action) = match outcome {
            Outcome::Completed(detail) => (StepStatus::Completed, detail, None),
            Outcome::Skipped(detail) => (StepStatus::Skipped, detail, None),
            Outcome::Later(_, Problem { detail, action }) => (StepStatus::Running, detail, Some(action)),
            Outcome::Failed(Problem { detail, action }) => (StepStatus::Failed, detail, Some(action)),
        };
        let step = &mut steps[at];
        step.status = status;
        step.detail = Some(detail.clone());
        step.action = action.cloned();
        step.ended_at = Some(now).filter(|_| status != StepStatus::Running);
        signup.updated_at = now;
        match status {
            StepStatus::Failed => signup.status = SignupStatus::Failed,
            StepStatus::Completed | StepStatus::Skipped => match steps.get_mut(at + 1) {
                Some(next) => next.status = StepStatus::Running,
                None => signup.status = SignupStatus::Completed,
            },
            StepStatus::Pending | StepStatus::Running => {}
        }
    }

    /// `false`: somebody else changed it meanwhile, and goes on with it.
    async fn write_signup(&self, signup: &mut Signup) -> Result<bool> {
        let mut tx = self.store.begin().await?;
        if !signups::update(&mut tx, signup).await? {
            return Ok(false);
        }
        let kind = match signup.status {
            SignupStatus::Running => None,
            SignupStatus::Completed => Some("embedded_signup.completed"),
            SignupStatus::Failed => Some("embedded_signup.failed"),
        };
        let ended = kind.map(|kind| event(kind, signup));
        tx.record(signup.organisation_id, signup.updated_at, ended);
        tx.commit().await?;
        signup.version += 1;
        self.signups_moved.notify_waiters();
        Ok(true)
    }

    async fn take_step(
        &self,
        step: SignupStep,
        signup: &mut Signup,
        secrets: &mut Secrets,
    ) -> Result<Outcome> {
        let Some(app) = self.meta_app() else {
            return Ok(failed(
                "META_APP_ID or META_APP_SECRET is no longer set.",
                "Start the server with both, then resume the signup.",
            ));
        };
        match step {
            SignupStep::ExchangeCode => return Ok(self.take_code(&app, signup, secrets).await),
            SignupStep::DebugToken => return Ok(self.debug_token(&app, signup, secrets).await),
            _ => {}
        }
        let (Some(token), Some(waba_id)) = (secrets.access_token.clone(), signup.waba_id.clone()) else {
            return Err(Error::Internal("a signup got past its token without one".into()));
        };
        let ground = Ground { organisation: signup.organisation_id, token, waba_id };
        match step {
            SignupStep::PhoneNumbers => self.connect_numbers(&ground, signup).await,
            SignupStep::Register => self.register_numbers(&ground, &signup.account_ids, secrets).await,
            SignupStep::SyncTemplates => self.first_templates(&ground).await,
            SignupStep::SyncHistory => self.ask_history(&ground, &signup.account_ids).await,
            _ => Ok(match self.whatsapp.subscribe(&ground.waba_id, &ground.token).await {
                Ok(()) => {
                    Outcome::Completed("Webhooks of the business account come to this server.".to_owned())
                }
                Err(failure) => refused(&failure, None),
            }),
        }
    }

    async fn take_code(&self, app: &App, signup: &Signup, secrets: &mut Secrets) -> Outcome {
        let Some(code) = secrets.code.as_deref() else {
            return failed("There is no code any more.", explain::AGAIN);
        };
        if self.clock.now() >= signup.created_at.plus(CODE_LIFE) {
            return failed("The code was not exchanged within its 30 seconds.", explain::AGAIN);
        }
        match self.whatsapp.exchange_code(app, code, signup.redirect_uri.as_deref()).await {
            Ok(token) => {
                secrets.access_token = Some(token);
                secrets.code = None;
                Outcome::Completed("Meta gave an access token.".to_owned())
            }
            Err(error) => explain::no_token(error),
        }
    }

    async fn debug_token(&self, app: &App, signup: &mut Signup, secrets: &Secrets) -> Outcome {
        let token = secrets.access_token.as_deref().unwrap_or_default();
        let facts = match self.whatsapp.debug_token(token, &app.token()).await {
            Ok(facts) => facts,
            Err(failure) => return explain::app_refused(&failure),
        };
        // The newest comes first: the one that was chosen in the dialog.
        let newest = facts.wabas.as_ref().and_then(|wabas| wabas.first());
        let Some(waba_id) = signup.waba_id.clone().or_else(|| newest.cloned()) else {
            return failed(
                "The access token names no business account.",
                "Start the signup again with the `waba_id` that Meta's dialog reports.",
            );
        };
        if let Some(unfit) = explain::unfit(&facts, app, &waba_id) {
            return unfit;
        }
        signup.waba_id = Some(waba_id);
        Outcome::Completed(match facts.expires_at {
            Some(at) => format!("The access token is good until {at}; sign up again before."),
            None => "The access token does not expire.".to_owned(),
        })
    }

    async fn first_templates(&self, ground: &Ground) -> Result<Outcome> {
        Ok(match self.read_templates_now(ground.organisation, &ground.waba_id).await? {
            Ok(()) => Outcome::Completed("The message templates are read.".to_owned()),
            Err(failure) => refused(&failure, None),
        })
    }
}
