//! Comments, files and watchers of records.

use kabar_domain::message::Media;
use kabar_domain::operations::{EvidenceStage, RecordKind};
use kabar_domain::{Ability, EntryId, FileId, RecordId, UserId};
use kabar_store::records::parts::{self as stored, Evidence};
use kabar_store::records::{self, places};
use kabar_store::{Tx, files};
use serde_json::json;

use super::change::to_change;
use super::history::{self, Step, event};
use super::{Author, Shown};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

const COMMENT: usize = 10_000;
/// Files of one record at most.
const FILES: usize = 200;

/// A file that shows what a record says: one of the media library, or a reference to one elsewhere.
#[derive(Clone, Debug, Default)]
pub struct NewEvidence {
    pub stage: Option<String>,
    pub file_id: Option<String>,
    /// What another system calls the file.
    pub id: Option<String>,
    pub mime_type: Option<String>,
    pub sha256: Option<String>,
    pub filename: Option<String>,
    pub caption: Option<String>,
}

impl NewEvidence {
    fn checked(self, invalid: &mut Invalid) -> (EvidenceStage, Media) {
        let stage = match self.stage.as_deref() {
            None => Some(EvidenceStage::Report),
            Some(text) => EvidenceStage::from_name(text),
        };
        if stage.is_none() {
            rules::selected(invalid, "stage");
        }
        let file_id: Option<FileId> = self.file_id.and_then(|text| {
            let id = text.trim().parse().ok();
            if id.is_none() {
                rules::selected(invalid, "file_id");
            }
            id
        });
        let id = rules::optional(invalid, "id", self.id, 1_024);
        if id.is_none() && file_id.is_none() && invalid.errors.is_empty() {
            invalid.add("file_id", "The file id field is required when id is not present.");
        }
        let sha256 = rules::optional(invalid, "sha256", self.sha256, 128);
        if sha256
            .as_ref()
            .is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            invalid.add("sha256", "The sha256 field must be 64 hexadecimal digits.");
        }
        let file = Media {
            id,
            file_id,
            sha256: sha256.map(|hash| hash.to_ascii_lowercase()),
            mime_type: rules::optional(invalid, "mime_type", self.mime_type, 255),
            filename: rules::optional(invalid, "filename", self.filename, 255),
            caption: rules::optional(invalid, "caption", self.caption, 4_096),
            ..Media::default()
        };
        (stage.unwrap_or(EvidenceStage::Report), file)
    }
}

impl Engine {
    pub async fn comment_on_record(
        &self,
        principal: &Principal,
        kind: RecordKind,
        id: RecordId,
        text: Option<String>,
    ) -> Result<Shown> {
        principal.require_at_sites(Ability::Write)?;
        let mut tx = self.store.begin().await?;
        let record = to_change(&mut tx, principal, kind, id).await?;
        let mut invalid = Invalid::default();
        let text = rules::required(&mut invalid, "text", text, COMMENT);
        invalid.check()?;
        let author = Author::from(principal);
        let now = self.clock.now();
        self.note_step(
            &mut tx,
            &record,
            author,
            Step { kind: "comment", text: Some(text.clone()), data: None },
        )
        .await?;
        stored::watch(&mut tx, record.organisation_id, id, principal.user_id, now).await?;
        let data = json!({ "text": text, "user_id": principal.user_id });
        tx.record(record.organisation_id, now, [event(history::commented(kind), &record, data)]);
        self.changed(tx, record).await
    }

    pub async fn add_record_evidence(
        &self,
        principal: &Principal,
        kind: RecordKind,
        id: RecordId,
        new: NewEvidence,
    ) -> Result<Shown> {
        principal.require_at_sites(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let record = to_change(&mut tx, principal, kind, id).await?;
        let mut invalid = Invalid::default();
        let (stage, mut file) = new.checked(&mut invalid);
        if let Some(id) = file.file_id {
            match files::find(&mut tx, organisation, id).await? {
                None => rules::selected(&mut invalid, "file_id"),
                // Kept beside the reference: it says which bytes were meant, even when the file is gone.
                Some(found) => {
                    file.sha256 = found.sha256.or(file.sha256);
                    file.mime_type = file.mime_type.or(found.mime_type);
                    file.filename = file.filename.or(found.filename);
                }
            }
        }
        invalid.check()?;
        if stored::evidence(&mut tx, organisation, &[id]).await?.len() >= FILES {
            return Err(Error::Conflict(format!("A record has at most {FILES} files.")));
        }
        let now = self.clock.now();
        let evidence = Evidence {
            id: EntryId::new(&self.clock),
            record_id: id,
            stage,
            file,
            message_id: None,
            user_id: Some(principal.user_id),
            created_at: now,
        };
        stored::add_evidence(&mut tx, organisation, &evidence).await?;
        let data = json!({ "id": evidence.id, "stage": stage, "sha256": evidence.file.sha256 });
        self.note_step(&mut tx, &record, Author::from(principal), Step::new("evidence", data)).await?;
        let data = json!({ "fields": ["evidence"] });
        tx.record(organisation, now, [event(history::updated(kind), &record, data)]);
        self.changed(tx, record).await
    }

    /// The caller, when nobody is named.
    pub async fn watch_record(
        &self,
        principal: &Principal,
        kind: RecordKind,
        id: RecordId,
        user: Option<String>,
    ) -> Result<Shown> {
        principal.require_at_sites(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let record = to_change(&mut tx, principal, kind, id).await?;
        let user: Option<UserId> = match user {
            None => Some(principal.user_id),
            Some(text) => text.trim().parse().ok(),
        };
        let member = match user {
            Some(user) => places::has_member(&mut tx, organisation, user).await?.then_some(user),
            None => None,
        };
        let Some(user) = member else {
            let mut invalid = Invalid::default();
            rules::selected(&mut invalid, "user_id");
            return Err(Error::Invalid(invalid));
        };
        stored::watch(&mut tx, organisation, id, user, self.clock.now()).await?;
        self.finish(tx, &record).await
    }

    /// The caller, when nobody is named.
    pub async fn unwatch_record(
        &self,
        principal: &Principal,
        kind: RecordKind,
        id: RecordId,
        user: Option<String>,
    ) -> Result<Shown> {
        principal.require_at_sites(Ability::Write)?;
        let mut tx = self.store.begin().await?;
        let record = to_change(&mut tx, principal, kind, id).await?;
        // Whoever is no member any more may still watch.
        let user: Option<UserId> = user.map_or(Some(principal.user_id), |text| text.trim().parse().ok());
        let Some(user) = user else {
            let mut invalid = Invalid::default();
            rules::selected(&mut invalid, "user_id");
            return Err(Error::Invalid(invalid));
        };
        stored::unwatch(&mut tx, principal.organisation_id, id, user).await?;
        self.finish(tx, &record).await
    }

    async fn changed(&self, mut tx: Tx, mut record: records::Record) -> Result<Shown> {
        record.updated_at = self.clock.now();
        records::update(&mut tx, &record).await?;
        self.finish(tx, &record).await
    }

    pub(super) async fn finish(&self, mut tx: Tx, record: &records::Record) -> Result<Shown> {
        let shown = self.shown_record(&mut tx, record.organisation_id, record.kind, record.id).await?;
        tx.commit().await?;
        Ok(shown)
    }
}
