//! The media library: files that were uploaded, that came with messages, or that were fetched for sending.

mod by_url;
mod drafts;
mod fetch;
mod links;
mod objects;
mod outbound;

pub(crate) use by_url::Fetched;
pub use links::{Link, Linked};

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::Stream;
use kabar_domain::file::{FileOrigin, FileStatus};
use kabar_domain::job::JobKind;
use kabar_domain::message::Media;
use kabar_domain::{Ability, AccountId, FileId, JobId, MessageId, OrganisationId, Timestamp};
use kabar_store::counters::Counter;
use kabar_store::events::NewEvent;
use kabar_store::files::Deleted;
use kabar_store::jobs::NewJob;
use kabar_store::{Db, Tx, Window, files, jobs};
use serde_json::json;

use self::objects::{Broken, Received};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub use kabar_store::files::File;

/// A file to store, as its owner describes it.
#[derive(Clone, Debug, Default)]
pub struct NewFile {
    pub filename: Option<String>,
    pub mime_type: Option<String>,
}

/// Where the bytes of a new file came from.
pub(crate) enum Source {
    Library,
    /// A widget's visitor, who has yet to send it.
    Visitor,
    Url(String),
}

/// Which files to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct FileQuery {
    pub status: Option<String>,
}

const fn not_found() -> Error {
    Error::NotFound("File")
}

/// `image/jpeg`, parameters allowed; what is none counts as not given.
fn mime_type(given: Option<String>) -> Option<String> {
    let given =
        given.filter(|text| text.len() <= 127 && text.bytes().all(|byte| (32..127).contains(&byte)))?;
    let (kind, rest) = given.split_once('/')?;
    (!kind.trim().is_empty() && !rest.trim().is_empty()).then(|| given.trim().to_ascii_lowercase())
}

/// What was said of a file's type, or, where that tells nothing, what its name says.
fn type_of(given: Option<String>, filename: Option<&str>) -> Option<String> {
    let given = mime_type(given);
    if given.as_deref().is_some_and(|given| given != "application/octet-stream") {
        return given;
    }
    let guessed = filename.and_then(|name| mime_guess::from_path(name).first_raw());
    guessed.map(str::to_owned).or(given)
}

/// A name without folders and control characters.
fn filename(given: Option<String>) -> Option<String> {
    let given = given?;
    let last = given.rsplit(['/', '\\']).next()?;
    let plain: String = last.chars().filter(|c| !c.is_control()).take(255).collect();
    let plain = plain.trim();
    (!plain.is_empty() && plain != "." && plain != "..").then(|| plain.to_owned())
}

fn not_stored(broken: &Broken) -> Error {
    tracing::error!(error = %broken, "a file cannot be stored");
    Error::Unavailable("Files cannot be stored now.".into())
}

pub(crate) fn event(kind: &'static str, id: FileId, data: &serde_json::Value) -> NewEvent {
    NewEvent { kind, subject_id: Some(id.uuid()), data: Some(data.to_string()) }
}

/// A file moves from one total to another.
pub(crate) fn count(tx: &mut Tx, organisation: OrganisationId, from: FileStatus, to: FileStatus) {
    tx.count(organisation, Counter::Files(from), -1);
    tx.count(organisation, Counter::Files(to), 1);
}

impl Engine {
    /// Bytes of the largest file that is taken.
    pub fn largest_file(&self) -> u64 {
        self.config.media_max_bytes
    }

    /// Stores a file as it comes. `body` fails with a sentence when the rest of it does not come.
    pub async fn create_file(
        &self,
        principal: &Principal,
        new: NewFile,
        body: impl Stream<Item = Result<Bytes, String>> + Send,
    ) -> Result<File> {
        self.may_upload(principal)?;
        let most = self.config.media_max_bytes;
        self.store_upload(principal.organisation_id, Source::Library, new, body, most).await
    }

    /// Stores a file of at most `most` bytes.
    pub(crate) async fn store_upload(
        &self,
        organisation: OrganisationId,
        source: Source,
        new: NewFile,
        body: impl Stream<Item = Result<Bytes, String>> + Send,
        most: u64,
    ) -> Result<File> {
        let received = self.receive(organisation, body, most).await.map_err(|broken| match broken {
            Broken::TooLarge => {
                Invalid::one("file", format!("The file field must not be greater than {most} bytes."))
            }
            Broken::Source(reason) => Error::Incomplete(reason),
            other => not_stored(&other),
        })?;
        if received.size == 0 {
            self.discard(organisation, &received).await;
            return Err(Invalid::one("file", "The file field must not be empty."));
        }
        let mut tx = self.store.begin().await?;
        let file = self.add_file(&mut tx, organisation, source, new, &received).await?;
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(file)
    }

    /// Makes a file of bytes that came.
    async fn add_file(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        source: Source,
        new: NewFile,
        received: &Received,
    ) -> Result<File, kabar_store::Error> {
        let now = self.clock.now();
        let (origin, url, draft_until) = match source {
            Source::Library => (FileOrigin::Upload, None, None),
            Source::Visitor => (FileOrigin::Upload, None, Some(now.plus(drafts::KEPT))),
            Source::Url(url) => (FileOrigin::Url, Some(url), None),
        };
        let id = FileId::new(&self.clock);
        let filename = filename(new.filename);
        let file = File {
            organisation_id: organisation,
            id,
            status: FileStatus::Stored,
            origin,
            mime_type: type_of(new.mime_type, filename.as_deref()),
            filename,
            sha256: Some(received.sha256.clone()),
            size: Some(received.size),
            reason: None,
            account_id: None,
            message_id: None,
            provider_id: None,
            url,
            claimed_sha256: None,
            draft_until,
            created_at: now,
            updated_at: now,
            key: None,
        };
        let key = self.adopt(tx, organisation, received).await?;
        files::insert(tx, vec![file.clone()]).await?;
        if draft_until.is_none() {
            self.announce_file(tx, organisation, id);
        }
        Ok(File { key: Some(key), ..file })
    }

    /// The library has one more.
    fn announce_file(&self, tx: &mut Tx, organisation: OrganisationId, id: FileId) {
        tx.count(organisation, Counter::Files(FileStatus::Stored), 1);
        let stored = event("media.stored", id, &json!({ "message_id": null }));
        tx.record(organisation, self.clock.now(), [stored]);
    }

    /// Who may send may bring what is sent.
    pub fn may_upload(&self, principal: &Principal) -> Result<()> {
        principal.require(Ability::Write).or_else(|_| principal.require(Ability::Send))
    }

    /// Newest first.
    pub async fn list_files(
        &self,
        principal: &Principal,
        query: FileQuery,
        page: &PageRequest,
    ) -> Result<Page<File>> {
        principal.require_in_channels(Ability::Read)?;
        let mut invalid = Invalid::default();
        let status = query.status.and_then(|text| {
            let status = FileStatus::from_name(&text);
            if status.is_none() {
                rules::selected(&mut invalid, "status");
            }
            status
        });
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| FileId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let filter = files::Filter { within: principal.reach.channels.as_deref(), status };
        let total = files::count(&mut db, organisation, filter).await?;
        let rows = files::list(&mut db, organisation, filter, window).await?;
        Ok(page.page_of(rows, total, |file| file.id.uuid().into()))
    }

    pub async fn get_file(&self, principal: &Principal, id: FileId) -> Result<File> {
        principal.require_in_channels(Ability::Read)?;
        let within = principal.reach.channels.as_deref();
        let mut db = self.store.reader().await?;
        files::find_within(&mut db, principal.organisation_id, id, within).await?.ok_or_else(not_found)
    }

    /// Removes a file; its bytes go with the last file that has them.
    pub async fn delete_file(&self, principal: &Principal, id: FileId) -> Result<()> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if files::is_awaited(&mut tx, organisation, id).await? {
            let reason =
                "A message that waits to be sent needs the file: cancel it, or wait until it is sent.";
            return Err(Error::Conflict(reason.into()));
        }
        let Deleted { status, object } =
            files::delete(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        if let Some(key) = object {
            self.remove_later(&mut tx, organisation, key).await?;
        }
        tx.count(organisation, Counter::Files(status), -1);
        tx.record(organisation, now, [event("media.deleted", id, &json!({}))]);
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(())
    }

    /// Fetches a missing file again.
    pub async fn refetch_file(&self, principal: &Principal, id: FileId) -> Result<File> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let file = files::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        if file.status != FileStatus::Pending {
            if !files::mark_pending(&mut tx, organisation, id, now).await? {
                return Err(Error::Conflict("The file is not missing.".into()));
            }
            count(&mut tx, organisation, FileStatus::Missing, FileStatus::Pending);
            jobs::enqueue(&mut tx, self.fetch_job(organisation, id, now), now).await?;
        }
        let file = files::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(file)
    }

    pub(crate) fn fetch_job(&self, organisation_id: OrganisationId, id: FileId, due_at: Timestamp) -> NewJob {
        NewJob {
            organisation_id,
            id: JobId::new(&self.clock),
            kind: JobKind::FetchMedia,
            subject_id: id.uuid(),
            data: None,
            due_at,
        }
    }

    /// The files that a new message brings, each with an id of ours beside the provider's.
    pub(crate) fn files_of(
        &self,
        organisation_id: OrganisationId,
        account_id: AccountId,
        message_id: MessageId,
        media: &mut [Media],
    ) -> Vec<File> {
        let now = self.clock.now();
        let fetched = media.iter_mut().filter_map(|media| {
            let provider_id = media.id.clone()?;
            let id = FileId::new(&self.clock);
            media.file_id = Some(id);
            Some(File {
                organisation_id,
                id,
                status: FileStatus::Pending,
                origin: FileOrigin::Message,
                mime_type: mime_type(media.mime_type.clone()),
                filename: filename(media.filename.clone()),
                sha256: None,
                size: None,
                reason: None,
                account_id: Some(account_id),
                message_id: Some(message_id),
                provider_id: Some(provider_id),
                url: None,
                claimed_sha256: media.sha256.clone(),
                draft_until: None,
                created_at: now,
                updated_at: now,
                key: None,
            })
        });
        fetched.collect()
    }

    /// Notes files that are to be fetched, and that they are. After the commit, [`Engine::wake_expected`].
    pub(crate) async fn expect_files(
        &self,
        tx: &mut Tx,
        expected: Vec<File>,
    ) -> Result<(), kabar_store::Error> {
        if expected.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let fetches =
            expected.iter().map(|file| self.fetch_job(file.organisation_id, file.id, now)).collect();
        for file in &expected {
            tx.count(file.organisation_id, Counter::Files(FileStatus::Pending), 1);
        }
        files::insert(tx, expected).await?;
        jobs::enqueue_all(tx, fetches, now).await?;
        self.jobs_expected.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has what the applier left to be done, files to fetch above all, begun at once.
    pub(crate) fn wake_expected(&self) {
        if self.jobs_expected.swap(false, Ordering::Relaxed) {
            self.jobs_ready.notify_waiters();
        }
    }

    /// Says of each file of messages whether it is here, and by what link it can be had.
    pub(crate) async fn show_media<'a>(
        &self,
        db: &mut impl Db,
        organisation: OrganisationId,
        media: impl IntoIterator<Item = &'a mut Media>,
    ) -> Result<()> {
        let mut media: Vec<_> = media.into_iter().filter(|media| media.file_id.is_some()).collect();
        let ids = media.iter().filter_map(|media| media.file_id).collect();
        let found = files::find_all(db, organisation, ids).await?;
        for media in &mut media {
            let file = media.file_id.and_then(|id| found.get(&id));
            // A file somebody deleted is as good as one that never came.
            media.status = Some(file.map_or(FileStatus::Missing, |file| file.status));
            media.url = file.and_then(|file| self.file_url(file));
            if let Some(file) = file {
                media.size = media.size.or(file.size.map(|size| size as u64));
                media.mime_type = media.mime_type.take().or_else(|| file.mime_type.clone());
                media.filename = media.filename.take().or_else(|| file.filename.clone());
                media.sha256 = media.sha256.take().or_else(|| file.sha256.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_taken_as_far_as_they_are_some() {
        let name = |text: &str| filename(Some(text.to_owned()));
        assert_eq!(name("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(name(r"C:\Foto\ gedung\n.jpg").as_deref(), Some("n.jpg"));
        assert_eq!(name("laporan\r\n akhir.pdf").as_deref(), Some("laporan akhir.pdf"));
        assert_eq!((name(".."), name("a/"), name(" ")), (None, None, None));
        let mime = |text: &str| mime_type(Some(text.to_owned()));
        assert_eq!(mime("Image/JPEG").as_deref(), Some("image/jpeg"));
        assert_eq!(mime("audio/ogg; codecs=opus").as_deref(), Some("audio/ogg; codecs=opus"));
        assert_eq!((mime("jpeg"), mime("/"), mime("a/b\r\nX: y")), (None, None, None));
        let of = |given: Option<&str>, name| type_of(given.map(str::to_owned), Some(name));
        assert_eq!(of(None, "Laporan.PDF").as_deref(), Some("application/pdf"));
        assert_eq!(of(Some("application/octet-stream"), "pompa.jpg").as_deref(), Some("image/jpeg"));
        assert_eq!(of(Some("image/webp"), "pompa.jpg").as_deref(), Some("image/webp"));
        assert_eq!(of(None, "pompa"), None);
    }
}
