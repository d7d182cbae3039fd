//! Fetching what people sent: as soon as its message is stored, and again until it is here or will not come.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use kabar_domain::file::FileStatus;
use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_domain::{FileId, OrganisationId};
use kabar_store::jobs::Leased;
use kabar_store::{Tx, accounts, files};
use serde_json::json;

use super::objects::{Broken, Received};
use super::{File, count, event};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::jobs::Done;

/// How long it is tried: WhatsApp keeps what people send for seven days.
const PATIENCE: Duration = Duration::from_hours(7 * 24);
/// The longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// `2^attempt` seconds, an hour at most.
pub(super) fn wait(attempt: i64) -> Duration {
    Duration::from_secs(1 << attempt.clamp(0, 20)).min(LONGEST_WAIT)
}

/// Why a file is not here.
enum Failed {
    /// It never will be.
    Gone(String),
    /// It may come later, not before `after` when the provider named a time.
    Later { reason: String, after: Option<Duration> },
}

impl Failed {
    fn later(reason: impl Into<String>) -> Self {
        Self::Later { reason: reason.into(), after: None }
    }
}

impl From<SendFailure> for Failed {
    fn from(failure: SendFailure) -> Self {
        let ProviderError { title, detail, .. } = failure.error;
        let reason = match detail {
            Some(detail) => format!("{}: {detail}", title.trim_end_matches('.')),
            None => title,
        };
        match failure.verdict {
            Verdict::Fail => Self::Gone(reason),
            Verdict::Retry { after } | Verdict::Hold { after } | Verdict::SlowRecipient { after } => {
                Self::Later { reason, after }
            }
            // A new token may come.
            Verdict::PauseAccount | Verdict::Uncertain => Self::Later { reason, after: None },
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::later(error.to_string())
    }
}

impl From<kabar_store::Error> for Failed {
    fn from(error: kabar_store::Error) -> Self {
        Self::later(error.to_string())
    }
}

/// What a provider hands out.
struct Offered {
    bytes: BoxStream<'static, Result<Bytes, String>>,
    mime_type: Option<String>,
    sha256: Option<String>,
}

impl Engine {
    pub(crate) async fn fetch_media(&self, job: &Leased) -> Done {
        let id = FileId::from_uuid(job.subject_id);
        let organisation = job.organisation_id;
        let failed = match self.try_fetch(organisation, id).await {
            Ok(()) => return Done::Finished,
            Err(failed) => failed,
        };
        let age = self.clock.now().since(job.created_at);
        let reason = match failed {
            Failed::Gone(reason) => reason,
            Failed::Later { reason, .. } if age >= PATIENCE => reason,
            Failed::Later { reason, after } => {
                tracing::debug!(file = %id, reason, attempt = job.attempt, "a file is not here yet");
                return Done::Again(wait(job.attempt).max(after.unwrap_or_default()));
            }
        };
        match self.give_up(organisation, id, &reason).await {
            Ok(()) => Done::Finished,
            Err(error) => {
                tracing::error!(%error, "a missing file cannot be noted now; it is tried again");
                Done::Again(wait(job.attempt))
            }
        }
    }

    async fn try_fetch(&self, organisation: OrganisationId, id: FileId) -> Result<(), Failed> {
        let mut db = self.store.reader().await?;
        let Some(file) = files::find(&mut db, organisation, id).await? else { return Ok(()) };
        drop(db);
        if file.status != FileStatus::Pending || self.has_content(&file).await? {
            return Ok(());
        }
        let Offered { bytes, mime_type, sha256 } = self.offered(&file).await?;
        let received = self.receive(organisation, bytes, self.config.media_max_bytes).await;
        let received = received.map_err(|broken| match broken {
            Broken::TooLarge => {
                Failed::Gone(format!("It is larger than {} bytes.", self.config.media_max_bytes))
            }
            other => Failed::later(other.to_string()),
        })?;
        let wanted = file.claimed_sha256.as_ref().or(sha256.as_ref());
        if wanted.is_some_and(|wanted| *wanted != received.sha256) {
            self.discard(organisation, &received).await;
            return Err(Failed::later("The bytes are not those that the provider announced."));
        }
        self.keep(&file, &received, mime_type.as_deref()).await
    }

    /// Whether the announced content is here already, by another message; then it need not be fetched.
    async fn has_content(&self, file: &File) -> Result<bool, Failed> {
        let Some(sha256) = &file.claimed_sha256 else { return Ok(false) };
        let mut tx = self.store.begin().await?;
        let Some(size) = files::hold_content(&mut tx, file.organisation_id, sha256).await? else {
            return Ok(false);
        };
        self.mark_stored(&mut tx, file, sha256, size, None).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn keep(&self, file: &File, received: &Received, mime_type: Option<&str>) -> Result<(), Failed> {
        let mut tx = self.store.begin().await?;
        self.adopt(&mut tx, file.organisation_id, received).await?;
        if !self.mark_stored(&mut tx, file, &received.sha256, received.size, mime_type).await? {
            // Deleted meanwhile: nothing refers to the object.
            drop(tx);
            self.discard(file.organisation_id, received).await;
            return Ok(());
        }
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(())
    }

    async fn mark_stored(
        &self,
        tx: &mut Tx,
        file: &File,
        sha256: &str,
        size: i64,
        mime_type: Option<&str>,
    ) -> Result<bool, Failed> {
        let (organisation, now) = (file.organisation_id, self.clock.now());
        let marked = files::mark_stored(tx, organisation, file.id, sha256, size, mime_type, now).await?;
        if marked {
            count(tx, organisation, FileStatus::Pending, FileStatus::Stored);
            let data = json!({ "message_id": file.message_id });
            tx.record(organisation, now, [event("media.stored", file.id, &data)]);
        }
        Ok(marked)
    }

    pub(crate) async fn give_up_file(&self, job: &Leased) -> Result<()> {
        self.give_up(job.organisation_id, FileId::from_uuid(job.subject_id), "It could not be fetched.").await
    }

    async fn give_up(&self, organisation: OrganisationId, id: FileId, reason: &str) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let Some(file) = files::find(&mut tx, organisation, id).await? else { return Ok(()) };
        if files::mark_missing(&mut tx, organisation, id, reason, now).await? {
            tracing::warn!(file = %id, reason, "a file could not be fetched");
            count(&mut tx, organisation, FileStatus::Pending, FileStatus::Missing);
            let data = json!({ "message_id": file.message_id, "reason": reason });
            tx.record(organisation, now, [event("media.missing", id, &data)]);
            tx.commit().await?;
        }
        Ok(())
    }

    /// Asks the provider for the bytes.
    async fn offered(&self, file: &File) -> Result<Offered, Failed> {
        let (Some(account), Some(provider_id)) = (file.account_id, &file.provider_id) else {
            return Err(Failed::Gone("It is not said where to fetch it.".into()));
        };
        let organisation = file.organisation_id;
        let found = accounts::find(&mut self.store.reader().await?, organisation, account).await?;
        let account =
            found.ok_or_else(|| Failed::Gone("Its messaging account is no longer there.".into()))?;
        let credentials = self.open_credentials(organisation, account.id, &account.credentials)?;
        match (account.platform, credentials.access_token, credentials.bot_token) {
            (Platform::Whatsapp, Some(token), _) => {
                let info = self.whatsapp.media(&account.external_id, &token, provider_id).await?;
                let bytes = self.whatsapp.download(&token, &info.url).await?;
                Ok(Offered { bytes, mime_type: info.mime_type, sha256: info.sha256 })
            }
            (Platform::Telegram, _, Some(token)) => {
                let bytes = self.telegram.download(&token, provider_id).await?;
                Ok(Offered { bytes, mime_type: None, sha256: None })
            }
            _ => Err(Failed::later("The account has no token for its platform.")),
        }
    }
}
