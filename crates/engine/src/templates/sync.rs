//! Reading a business account's templates from WhatsApp.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kabar_domain::job::JobKind;
use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_domain::{Ability, JobId, OrganisationId, Timestamp};
use kabar_providers::whatsapp::RemoteTemplate;
use kabar_store::events::NewEvent;
use kabar_store::jobs::{self, Leased, NewJob};
use kabar_store::templates::{self, Sync, Template};
use kabar_store::{Error as StoreError, Tx, accounts};
use serde_json::json;

use super::form::without_samples;
use super::{blank, no_waba};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::jobs::Done;

/// Templates are read again after this, whatever webhooks said.
const INTERVAL: Duration = Duration::from_hours(1);
/// Attempts at one reading; then the next hour's is waited for.
const ATTEMPTS: i64 = 6;
/// The longest wait between them.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// A submission that was not seen for so long after its call never arrived.
const SETTLED: Duration = Duration::from_mins(1);
/// When a reading after a submission can tell.
pub(super) const SETTLES: Duration = Duration::from_secs(65);

/// Whose templates to read, as a client says it; without a channel those of all its business accounts.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    pub channel_id: Option<String>,
}

pub(crate) fn template_event(kind: &'static str, template: &Template) -> NewEvent {
    let data = json!({ "name": template.name, "language": template.language, "status": template.status,
        "category": template.category, "quality": template.quality });
    NewEvent { kind, subject_id: Some(template.id.uuid()), data: Some(data.to_string()) }
}

/// What WhatsApp says, put into a template.
pub(super) fn take_over(template: &mut Template, remote: RemoteTemplate, now: Timestamp) {
    let had = template.components.as_ref().map(without_samples);
    if had.as_ref() != Some(&without_samples(&remote.components)) {
        template.components = Some(remote.components);
    }
    template.provider_id = Some(remote.id);
    template.status = remote.status;
    template.previous_category = remote.previous_category.or_else(|| {
        let changed = remote.category.is_some() && template.category != remote.category;
        if changed { template.category.take() } else { template.previous_category.take() }
    });
    template.category = remote.category.or_else(|| template.category.take());
    template.quality = remote.quality.or_else(|| template.quality.take());
    // A rejection's reason is WhatsApp's to give; a pause's came by webhook.
    template.reason =
        remote.reason.or_else(|| template.reason.take().filter(|_| template.status != "APPROVED"));
    template.parameter_format = remote.parameter_format.or_else(|| template.parameter_format.take());
    template.ttl_seconds = remote.ttl_seconds;
    template.updated_at = now;
}

fn is_gone(remote: &RemoteTemplate) -> bool {
    matches!(remote.status.as_str(), "DELETED" | "PENDING_DELETION")
}

/// Asks for a reading, in the transaction that causes it. `unless_after`: not if one was asked for since.
pub(crate) async fn ask_sync(
    engine: &Engine,
    tx: &mut Tx,
    organisation: OrganisationId,
    waba_id: &str,
    unless_after: Timestamp,
    wait: Duration,
) -> Result<Option<Sync>, StoreError> {
    let now = engine.clock.now();
    let new_id = engine.clock.uuid();
    let Some(sync) = templates::ask_sync(tx, organisation, waba_id, new_id, now, unless_after).await? else {
        return Ok(None);
    };
    let due_at = now.plus(wait);
    if !jobs::hurry(tx, JobKind::SyncTemplates, sync.id, due_at).await? {
        let job = NewJob {
            organisation_id: organisation,
            id: JobId::new(&engine.clock),
            kind: JobKind::SyncTemplates,
            subject_id: sync.id,
            data: None,
            due_at,
        };
        jobs::enqueue(tx, job, now).await?;
    }
    Ok(Some(sync))
}

impl Engine {
    /// Has templates read from WhatsApp now, in the background.
    pub async fn sync_templates(&self, principal: &Principal, request: SyncRequest) -> Result<Vec<Sync>> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let mut wabas = Vec::new();
        if let Some(channel) = request.channel_id.filter(|channel| !channel.trim().is_empty()) {
            let waba_id = self.waba_of_channel(&mut tx, organisation, &channel).await?;
            wabas.push(waba_id.ok_or_else(no_waba)?);
        } else {
            wabas.extend(
                templates::lines(&mut tx, organisation).await?.into_iter().map(|(waba_id, _)| waba_id),
            );
            wabas.sort_unstable();
            wabas.dedup();
        }
        let mut asked = Vec::new();
        for waba_id in wabas {
            asked.extend(ask_sync(self, &mut tx, organisation, &waba_id, now, Duration::ZERO).await?);
        }
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(asked)
    }

    /// Asks for what was not read for an hour. Housekeeping calls it.
    pub async fn sync_stale_templates(&self) -> Result<()> {
        let since = self.clock.now().minus(INTERVAL);
        let stale = templates::stale_wabas(&mut self.store.reader().await?, since).await?;
        if stale.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        for (organisation, waba_id) in stale {
            ask_sync(self, &mut tx, organisation, &waba_id, since, Duration::ZERO).await?;
        }
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(())
    }

    /// An access token for a business account: that of a connected number, else of any.
    pub(super) async fn waba_token(
        &self,
        organisation: OrganisationId,
        waba_id: &str,
    ) -> Result<Option<String>> {
        let accounts = accounts::of_waba(&mut self.store.reader().await?, organisation, waba_id).await?;
        for account in accounts {
            let credentials = self.open_credentials(organisation, account.id, &account.credentials)?;
            if credentials.access_token.is_some() {
                return Ok(credentials.access_token);
            }
        }
        Ok(None)
    }

    /// Has a business account's templates read again because what they are there is in doubt; `why` passes through.
    pub(super) async fn doubted(&self, organisation: OrganisationId, waba_id: &str, why: Error) -> Error {
        let asked = async {
            let mut tx = self.store.begin().await?;
            ask_sync(self, &mut tx, organisation, waba_id, self.clock.now(), Duration::ZERO).await?;
            tx.commit().await
        };
        let asked: Result<(), StoreError> = asked.await;
        if let Err(error) = asked {
            tracing::warn!(%error, "templates are not read again before the next hour");
        }
        self.jobs_ready.notify_waiters();
        why
    }

    /// One reading, page by page; each page is written by itself.
    pub(crate) async fn attempt_sync(&self, job: &Leased) -> Done {
        let found = async {
            let mut db = self.store.reader().await?;
            templates::find_sync(&mut db, job.organisation_id, job.subject_id).await
        };
        let found: Result<Option<Sync>, StoreError> = found.await;
        let sync = match found {
            Ok(Some(sync)) => sync,
            Ok(None) => return Done::Finished,
            Err(error) => {
                tracing::warn!(%error, "templates cannot be read now; it is tried again");
                return Done::Again(Duration::from_secs(5));
            }
        };
        let (reason, wait) = match self.read_templates(&sync).await {
            Ok(()) => return Done::Finished,
            Err(Unread::Store(error)) => (error.to_string(), Some(Duration::from_secs(5))),
            Err(Unread::Refused(failure)) => {
                let wait = match failure.verdict {
                    Verdict::Retry { after } => {
                        let seconds = Duration::from_secs(15 << job.attempt.clamp(0, 8));
                        Some(after.unwrap_or(seconds).min(LONGEST_WAIT))
                    }
                    _ => None,
                };
                (failure.error.sentence(), wait)
            }
        };
        tracing::warn!(organisation = %sync.organisation_id, waba = sync.waba_id, reason, "templates were not read");
        let noted = async {
            let mut tx = self.store.begin().await?;
            templates::end_sync(&mut tx, &sync, Some(&reason), self.clock.now()).await?;
            tx.commit().await
        };
        let noted: Result<(), StoreError> = noted.await;
        if let Err(error) = noted {
            tracing::warn!(%error, "that templates were not read could not be noted");
        }
        match wait {
            Some(wait) if job.attempt < ATTEMPTS => Done::Again(wait),
            _ => Done::Finished,
        }
    }

    /// Reads a business account's templates while the caller waits; a failure is noted as that of any reading.
    pub(crate) async fn read_templates_now(
        &self,
        organisation: OrganisationId,
        waba_id: &str,
    ) -> Result<Result<(), SendFailure>> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let asked = templates::ask_sync(&mut tx, organisation, waba_id, self.clock.uuid(), now, now).await?;
        tx.commit().await?;
        // Somebody else asked in the same moment: theirs does for both.
        let Some(sync) = asked else { return Ok(Ok(())) };
        match self.read_templates(&sync).await {
            Ok(()) => Ok(Ok(())),
            Err(Unread::Store(error)) => Err(error),
            Err(Unread::Refused(failure)) => {
                let mut tx = self.store.begin().await?;
                let reason = failure.error.sentence();
                templates::end_sync(&mut tx, &sync, Some(&reason), self.clock.now()).await?;
                tx.commit().await?;
                Ok(Err(failure))
            }
        }
    }

    async fn read_templates(&self, sync: &Sync) -> Result<(), Unread> {
        let (organisation, waba_id) = (sync.organisation_id, sync.waba_id.as_str());
        // What changes from now on is newer than what is read.
        let started = self.clock.now();
        let token = self.waba_token(organisation, waba_id).await?;
        // Its numbers are retired: nothing to do.
        let Some(token) = token else { return Ok(()) };
        let mut db = self.store.reader().await?;
        let known = templates::of_waba(&mut db, organisation, waba_id, None).await?;
        drop(db);
        let lost_before = started.minus(SETTLED);
        let is_open =
            |draft: &Template| draft.provider_id.is_none() && draft.submitted_at >= Some(lost_before);
        let is_open = known.iter().any(is_open);
        let mut known: HashMap<(String, String), Template> = known
            .into_iter()
            .filter(|template| template.provider_id.is_some())
            .map(|template| ((template.name.clone(), template.language.clone()), template))
            .collect();
        let mut after: Option<String> = None;
        let mut seen = HashSet::new();
        loop {
            let page = self.whatsapp.templates(waba_id, &token, after.as_deref()).await;
            let (page, next) = page.map_err(Unread::Refused)?;
            let mut tx = self.store.begin().await?;
            let mut events = Vec::new();
            for remote in page.into_iter().filter(|remote| !is_gone(remote)) {
                let old = known.remove(&(remote.name.clone(), remote.language.clone()));
                events.extend(self.write_template(&mut tx, sync, remote, old, started).await?);
            }
            tx.record(organisation, self.clock.now(), events);
            tx.commit().await?;
            // A cursor seen before would lead round in a circle.
            match next.filter(|next| seen.insert(next.clone())) {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let mut events = Vec::new();
        for mut gone in known.into_values() {
            if templates::mark_deleted(&mut tx, organisation, gone.id, started, now).await? {
                "DELETED".clone_into(&mut gone.status);
                events.push(template_event("template.deleted", &gone));
            }
        }
        templates::release_lost_drafts(&mut tx, organisation, waba_id, lost_before).await?;
        if is_open {
            // Too early to say of a draft that it never arrived.
            ask_sync(self, &mut tx, organisation, waba_id, now, SETTLES).await?;
        }
        templates::end_sync(&mut tx, sync, None, now).await?;
        tx.record(organisation, now, events);
        tx.commit().await?;
        Ok(())
    }

    /// Writes what was read of one template; its event, if that was news.
    async fn write_template(
        &self,
        tx: &mut Tx,
        sync: &Sync,
        remote: RemoteTemplate,
        old: Option<Template>,
        started: Timestamp,
    ) -> Result<Option<NewEvent>, StoreError> {
        let now = self.clock.now();
        let organisation = sync.organisation_id;
        let named = (remote.name.as_str(), remote.language.as_str());
        let old = match old {
            Some(old) => Some(old),
            None => match templates::adopt_draft(tx, organisation, &sync.waba_id, named, &remote.id).await? {
                Some(id) => templates::find(tx, organisation, id).await?,
                None => None,
            },
        };
        if let Some(old) = old {
            let mut template = old.clone();
            take_over(&mut template, remote, now);
            template.updated_at = old.updated_at;
            if template == old {
                return Ok(None);
            }
            template.updated_at = now;
            let written = templates::update(tx, &template, started).await?;
            return Ok(written.then(|| template_event("template.updated", &template)));
        }
        let mut template = blank(self, organisation, &sync.waba_id);
        remote.name.clone_into(&mut template.name);
        remote.language.clone_into(&mut template.language);
        take_over(&mut template, remote, now);
        let added = templates::insert(tx, &template).await?;
        Ok(added.then(|| template_event("template.created", &template)))
    }
}

/// Why templates were not read.
enum Unread {
    Store(Error),
    Refused(SendFailure),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}
