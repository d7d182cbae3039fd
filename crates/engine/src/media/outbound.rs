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
use serde::Deserialize as _;
use serde_json::{Map, Value as Json, json};

use crate::engine::Engine;
use crate::error::{Invalid, Result};

/// WhatsApp forgets a file after 30 days.
const WHATSAPP_KEEPS: Duration = Duration::from_hours(29 * 24);
/// Telegram's ids last; a year is for tidiness.
const TELEGRAM_KEEPS: Duration = Duration::from_hours(365 * 24);

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

/// The parameters of a carousel's cards that are a file of the library: the card's number, and where in the payload.
fn card_files(payload: &Json) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let parts = |value: &Json| value.as_array().cloned().unwrap_or_default().into_iter().enumerate();
    for (at, component) in parts(&payload["components"]) {
        for (index, card) in parts(&component["cards"]) {
            let parameter = &card["components"][0]["parameters"][0];
            let kind = parameter["type"].as_str().unwrap_or_default();
            if parameter[kind]["file_id"].is_string() {
                let place = format!("/components/{at}/cards/{index}/components/0/parameters/0/{kind}");
                found.push((index, place));
            }
        }
    }
    found
}

/// What was given, or is about to be.
fn upload_of<'a>(lease: &Leased, file: &'a File, kind: &'a str) -> Upload<'a> {
    Upload {
        organisation_id: lease.organisation_id,
        account_id: lease.account_id,
        sha256: file.sha256.as_deref().unwrap_or_default(),
        kind,
    }
}

/// An account that files are given to.
#[derive(Clone, Copy)]
struct Recipient<'a> {
    lease: &'a Leased,
    token: &'a str,
}

impl Engine {
    /// Checks that a message's file is in the library, and says what it is.
    pub(crate) async fn attach_file(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        media: &mut Media,
        field: &str,
    ) -> Result<()> {
        let Some(id) = media.file_id else { return Ok(()) };
        let unknown = || Invalid::one(field, "The selected media id is invalid.");
        let file = files::find(db, organisation, id).await?.ok_or_else(unknown)?;
        let Some(size) = file.size else {
            let reason = format!("The file is {}: only a stored file can be sent.", file.status);
            return Err(Invalid::one(field, reason));
        };
        media.size = Some(size as u64);
        media.mime_type = file.mime_type;
        media.sha256 = file.sha256;
        media.filename = media.filename.take().or(file.filename);
        Ok(())
    }

    /// The same for the cards of a template's carousel.
    pub(crate) async fn attach_cards(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        payload: &mut Map<String, Json>,
    ) -> Result<()> {
        if !payload.contains_key("components") {
            return Ok(());
        }
        let mut whole = Json::Object(std::mem::take(payload));
        for (index, place) in card_files(&whole) {
            let Some(given) = whole.pointer_mut(&place) else { continue };
            let field = format!("cards.{index}.header");
            let mut media = Media::deserialize(&*given)
                .map_err(|_| Invalid::one(&field, "The selected header media id is invalid."))?;
            self.attach_file(db, organisation, &mut media, &field).await?;
            *given = json!(media);
        }
        if let Json::Object(fields) = whole {
            *payload = fields;
        }
        Ok(())
    }

    /// Sends a message, with its files of the library if it has some.
    pub(crate) async fn send_with_files(
        &self,
        lease: &Leased,
        token: &str,
        message: OutboundMessage,
    ) -> Result<Accepted, SendFailure> {
        let to = Recipient { lease, token };
        let own = message.media.as_ref().filter(|media| media.id.is_none()).and_then(|media| media.file_id);
        let cards = card_files(&message.payload);
        match (own, lease.platform) {
            (None, _) if cards.is_empty() => self.send_plain(to, &message).await,
            (Some(id), Platform::Telegram) => Box::pin(self.send_with_telegram(to, message, id)).await,
            (own, _) => Box::pin(self.send_given(to, message, own, cards)).await,
        }
    }

    /// Gives WhatsApp the files first.
    async fn send_given(
        &self,
        to: Recipient<'_>,
        mut message: OutboundMessage,
        own: Option<FileId>,
        cards: Vec<(usize, String)>,
    ) -> Result<Accepted, SendFailure> {
        let mut known = Vec::new();
        if let (Some(id), Some(media)) = (own, &mut message.media) {
            media.id = Some(self.give(to, id, &mut known).await?);
        }
        for (_, place) in cards {
            let Some(file) = message.payload.pointer_mut(&place) else { continue };
            let id = FileId::deserialize(&file["file_id"]);
            let id =
                id.map_err(|error| failed("The card's file is unknown", error.to_string(), Verdict::Fail))?;
            file["id"] = Json::String(self.give(to, id, &mut known).await?);
        }
        let mut sent = self.send_plain(to, &message).await;
        if let Err(failure) = &mut sent {
            self.forgotten(to, failure, &known).await;
        }
        sent
    }

    /// What WhatsApp calls a file, which it is given unless it knows it. Of those it knew, the ids are noted.
    async fn give(
        &self,
        to: Recipient<'_>,
        id: FileId,
        known: &mut Vec<String>,
    ) -> Result<String, SendFailure> {
        let Recipient { lease, token } = to;
        let file = self.stored_file(lease.organisation_id, id).await?;
        let upload = upload_of(lease, &file, "");
        if let Some(given) = self.known_upload(upload).await.map_err(|error| later(&error))? {
            known.push(given.clone());
            return Ok(given);
        }
        let bytes = self.outgoing(&file).await?;
        // The message itself has not been begun: a server that stops need not wait for the file.
        let given = tokio::select! {
            given = self.whatsapp.upload(&lease.account_external_id, token, bytes) => given?,
            () = self.stopping.cancelled() => return Err(later("The server stopped meanwhile.")),
        };
        self.keep_upload(upload, &given, WHATSAPP_KEEPS).await;
        Ok(given)
    }

    /// Gives Telegram the file with the message, or its id when it knows it.
    async fn send_with_telegram(
        &self,
        to: Recipient<'_>,
        mut message: OutboundMessage,
        id: FileId,
    ) -> Result<Accepted, SendFailure> {
        let Recipient { lease, token } = to;
        let file = self.stored_file(lease.organisation_id, id).await?;
        let upload = upload_of(lease, &file, message.kind.as_str());
        let Some(known) = self.known_upload(upload).await.map_err(|error| later(&error))? else {
            let bytes = self.outgoing(&file).await?;
            let (accepted, file_id) = self.telegram.send_file(token, &message, bytes).await?;
            if let Some(file_id) = file_id {
                self.keep_upload(upload, &file_id, TELEGRAM_KEEPS).await;
            }
            return Ok(accepted);
        };
        if let Some(media) = &mut message.media {
            media.id = Some(known.clone());
        }
        let mut sent = self.send_plain(to, &message).await;
        if let Err(failure) = &mut sent {
            self.forgotten(to, failure, &[known]).await;
        }
        sent
    }

    /// When a provider forgot a file earlier than it says, the next attempt gives it again.
    async fn forgotten(&self, to: Recipient<'_>, failure: &mut SendFailure, known: &[String]) {
        if known.is_empty() || !is_unknown_file(to.lease.platform, &failure.error) {
            return;
        }
        for id in known {
            self.forget_upload(to.lease, id).await;
        }
        failure.verdict = Verdict::Retry { after: None };
    }

    async fn send_plain(
        &self,
        Recipient { lease, token }: Recipient<'_>,
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

    /// A stored file's bytes, on their way.
    pub(crate) async fn outgoing(&self, file: &File) -> Result<http::Upload, SendFailure> {
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

    async fn forget_upload(&self, lease: &Leased, provider_id: &str) {
        let work = async {
            let mut tx = self.store.begin().await?;
            files::forget_upload(&mut tx, lease.organisation_id, lease.account_id, provider_id).await?;
            tx.commit().await
        };
        let forgotten: Result<(), StoreError> = work.await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "a provider's id of a file could not be dropped");
        }
    }
}
