//! Files of the library on their way to a recipient: WhatsApp is given the file first and knows it by an id for a
//! month, Telegram is given it with the message and knows it from then on.

use std::time::Duration;

use futures::StreamExt;
use kabar_domain::message::{Media, Platform, ProviderError};
use kabar_domain::outbound::{Accepted, OutboundMessage, SendFailure, Verdict};
use kabar_domain::{FileId, OrganisationId};
use kabar_providers::http;
use kabar_store::files::{self, File, Upload};
use kabar_store::outbound::Leased;
use kabar_store::{Db, Error as StoreError};

use crate::engine::Engine;
use crate::error::{Invalid, Result};

/// WhatsApp forgets a file after 30 days.
const WHATSAPP_KEEPS: Duration = Duration::from_hours(29 * 24);
/// Telegram's ids last; a year is for tidiness.
const TELEGRAM_KEEPS: Duration = Duration::from_hours(365 * 24);
/// An upload fits, with the sending after it, into the lease of the message.
const UPLOAD_TIME: Duration = Duration::from_secs(25);

fn failed(title: &str, detail: String, verdict: Verdict) -> SendFailure {
    let error = ProviderError { title: title.into(), detail: Some(detail), ..ProviderError::default() };
    SendFailure { error, verdict }
}

fn later(detail: &(impl ToString + ?Sized)) -> SendFailure {
    failed("The file cannot be read now", detail.to_string(), Verdict::Retry { after: None })
}

/// Whether a refusal says that the provider does not know the file by its id.
fn is_unknown_file(platform: Platform, error: &ProviderError) -> bool {
    let text =
        format!("{} {}", error.title, error.detail.as_deref().unwrap_or_default()).to_ascii_lowercase();
    match platform {
        Platform::Whatsapp => {
            matches!(error.code, 131_052 | 131_053) || (error.code == 100 && text.contains("media"))
        }
        _ => text.contains("wrong file"),
    }
}

impl Engine {
    /// Checks that a message's file is in the library, and says what it is.
    pub(crate) async fn attach_file(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        media: &mut Media,
    ) -> Result<()> {
        let Some(id) = media.file_id else { return Ok(()) };
        let unknown = || Invalid::one("media_id", "The selected media id is invalid.");
        let file = files::find(db, organisation, id).await?.ok_or_else(unknown)?;
        let Some(size) = file.size else {
            let reason = format!("The file is {}: only a stored file can be sent.", file.status);
            return Err(Invalid::one("media_id", reason));
        };
        media.size = Some(size as u64);
        media.mime_type = file.mime_type;
        media.sha256 = file.sha256;
        media.filename = media.filename.take().or(file.filename);
        Ok(())
    }

    /// Sends a message, with its file of the library if it has one.
    pub(crate) async fn send_with_file(
        &self,
        lease: &Leased,
        token: &str,
        message: OutboundMessage,
    ) -> Result<Accepted, SendFailure> {
        let wanted =
            message.media.as_ref().filter(|media| media.id.is_none()).and_then(|media| media.file_id);
        match wanted {
            None => self.send_plain(lease, token, &message).await,
            Some(id) => Box::pin(self.send_file(lease, token, message, id)).await,
        }
    }

    async fn send_file(
        &self,
        lease: &Leased,
        token: &str,
        mut message: OutboundMessage,
        id: FileId,
    ) -> Result<Accepted, SendFailure> {
        let file = self.stored_file(lease.organisation_id, id).await?;
        let kind = match lease.platform {
            Platform::Telegram => message.kind.as_str(),
            _ => "",
        };
        let upload = Upload {
            organisation_id: lease.organisation_id,
            account_id: lease.account_id,
            sha256: file.sha256.as_deref().unwrap_or_default(),
            kind,
        };
        let known = self.known_upload(upload).await.map_err(|error| later(&error))?;
        let (provider_id, is_known) = match (known, lease.platform) {
            (Some(known), _) => (known, true),
            (None, Platform::Telegram) => {
                let bytes = self.outgoing(&file).await?;
                let (accepted, file_id) = self.telegram.send_file(token, &message, bytes).await?;
                if let Some(file_id) = file_id {
                    self.keep_upload(upload, &file_id, TELEGRAM_KEEPS).await;
                }
                return Ok(accepted);
            }
            (None, _) => {
                let bytes = self.outgoing(&file).await?;
                let upload_it = self.whatsapp.upload(&lease.account_external_id, token, bytes);
                let given = tokio::time::timeout(UPLOAD_TIME, upload_it).await;
                let given = given.map_err(|_| later("WhatsApp took it too slowly."))??;
                self.keep_upload(upload, &given, WHATSAPP_KEEPS).await;
                (given, false)
            }
        };
        if let Some(media) = &mut message.media {
            media.id = Some(provider_id.clone());
        }
        let mut sent = self.send_plain(lease, token, &message).await;
        if let Err(failure) = &mut sent
            && is_known
            && is_unknown_file(lease.platform, &failure.error)
        {
            // It forgot the file earlier than it says: the next attempt gives it again.
            self.forget_upload(upload, &provider_id).await;
            failure.verdict = Verdict::Retry { after: None };
        }
        sent
    }

    async fn send_plain(
        &self,
        lease: &Leased,
        token: &str,
        message: &OutboundMessage,
    ) -> Result<Accepted, SendFailure> {
        match lease.platform {
            Platform::Telegram => self.telegram.send(token, message).await,
            _ => self.whatsapp.send(&lease.account_external_id, token, message).await,
        }
    }

    async fn stored_file(&self, organisation: OrganisationId, id: FileId) -> Result<File, SendFailure> {
        let find = async { files::find(&mut self.store.reader().await?, organisation, id).await };
        let found: Result<Option<File>, StoreError> = find.await;
        let gone = || failed("The file was removed before it was sent", id.to_string(), Verdict::Fail);
        found.map_err(|error| later(&error))?.filter(|file| file.key.is_some()).ok_or_else(gone)
    }

    async fn outgoing(&self, file: &File) -> Result<http::Upload, SendFailure> {
        let size = file.size.unwrap_or_default() as u64;
        let key = file.key.as_deref().unwrap_or_default();
        let bytes = self.storage.read(key, 0..size).await.map_err(|error| later(&error))?.boxed();
        let mime_type = file.mime_type.as_deref().unwrap_or("application/octet-stream");
        Ok(http::Upload {
            bytes,
            size,
            filename: file.filename.clone().unwrap_or_else(|| "file".to_owned()),
            mime_type: mime_type.split(';').next().unwrap_or_default().trim().to_owned(),
        })
    }

    async fn known_upload(&self, upload: Upload<'_>) -> Result<Option<String>, StoreError> {
        files::uploaded(&mut self.store.reader().await?, upload, self.clock.now()).await
    }

    /// What is not kept is only uploaded again.
    async fn keep_upload(&self, upload: Upload<'_>, provider_id: &str, keeps: Duration) {
        let work = async {
            let mut tx = self.store.begin().await?;
            files::keep_upload(&mut tx, upload, provider_id, self.clock.now().plus(keeps)).await?;
            tx.commit().await
        };
        let kept: Result<(), StoreError> = work.await;
        if let Err(error) = kept {
            tracing::warn!(%error, "a provider's id of a file could not be kept");
        }
    }

    async fn forget_upload(&self, upload: Upload<'_>, provider_id: &str) {
        let work = async {
            let mut tx = self.store.begin().await?;
            files::forget_upload(&mut tx, upload.organisation_id, upload.account_id, provider_id).await?;
            tx.commit().await
        };
        let forgotten: Result<(), StoreError> = work.await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "a provider's id of a file could not be dropped");
        }
    }
}
