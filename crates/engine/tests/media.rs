//! Files: stored as they come, fetched from providers, and never lost without a word. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::TryStreamExt;
use harness::{ANI, NUMBER, Server, change, column, count, until};
use kabar_domain::file::FileStatus;
use kabar_domain::{ChannelId, FileId, OrganisationId};
use kabar_engine::Error;
use kabar_engine::media::{File, FileQuery, Link, NewFile};
use kabar_engine::messages::{FileSource, SendMessage};
use kabar_engine::page::PageRequest;
use kabar_simulator::Fault;
use kabar_store::{Store, args};
use serde_json::{Value, json};

#[expect(dead_code, reason = "each test uses its part")]
#[path = "harness/desk.rs"]
mod desk;
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// `Kabar!` in base64.
const CONTENT: &str = "S2FiYXIh";
/// Of something else.
const OTHER: &str = "f6632ceb8b73da4a8d4a5b9de8cd7cc4d58d57a0ba8e22ebcfc3b3a0b1a7d1b5";

/// An organisation whose server is at work.
struct Desk {
    office: desk::Desk,
    server: Server,
}

impl std::ops::Deref for Desk {
    type Target = desk::Desk;

    fn deref(&self) -> &Self::Target {
        &self.office
    }
}

impl Desk {
    async fn open(store: &Store) -> Self {
        let (office, server, _) = desk::Desk::start(store).await;
        Self { office, server }
    }

    fn offer(&self, content: &str) -> Value {
        let media = json!({"mime_type": "image/jpeg", "filename": "pompa.jpg", "content_base64": content});
        self.simulator.whatsapp_media(serde_json::from_value(media).unwrap()).unwrap()
    }

    /// A person sends a picture; the message's id and its file's.
    async fn arrives(&self, wamid: &str, image: &Value) -> (String, FileId) {
        let message =
            json!({"from": ANI, "id": wamid, "timestamp": "1700000000", "type": "image", "image": image});
        let contact = json!({"wa_id": ANI, "profile": {"name": "Ani"}});
        self.server.deliver(&change(NUMBER, json!({"contacts": [contact], "messages": [message]}))).await;
        let sql = "SELECT media FROM messages WHERE provider_message_id = $1";
        let media: Vec<String> = column(&self.store, sql, args![wamid]).await;
        let media: Value = serde_json::from_str(&media[0]).unwrap();
        let file = media[0]["file_id"].as_str().expect("an id of ours").to_owned();
        (media[0]["id"].as_str().unwrap().to_owned(), file.parse().unwrap())
    }

    async fn file(&self, id: FileId) -> File {
        self.server.engine.get_file(&self.admin, id).await.unwrap()
    }

    async fn becomes(&self, id: FileId, status: FileStatus) -> File {
        until(status.as_str(), async || self.file(id).await.status == status).await;
        self.file(id).await
    }

    async fn read(&self, file: &File) -> Result<Vec<u8>, Error> {
        let url = self.server.engine.file_url(file).expect("a link");
        let linked = self.server.engine.open_link(&link(&url)).await?;
        let parts = self.server.engine.read_linked(&linked, 0..linked.size).await?;
        Ok(parts.try_collect::<Vec<_>>().await.unwrap().concat())
    }

    async fn told(&self, id: FileId) -> Vec<String> {
        column(&self.store, "SELECT kind FROM events WHERE subject_id = $1 ORDER BY seq", args![id]).await
    }

    fn fault(&self, method: &str, fault: Value) {
        let mut fault = fault;
        fault["method"] = json!(method);
        self.simulator.push_fault(serde_json::from_value::<Fault>(fault).unwrap());
    }

    fn calls(&self, method: &str) -> usize {
        self.simulator.received().iter().filter(|received| received.method == method).count()
    }

    /// Attempts begun of the fetches that wait.
    async fn attempts(&self) -> Vec<i64> {
        let sql = "SELECT attempt FROM jobs WHERE kind = 1 AND lease_until IS NULL AND attempt > 0";
        column(&self.store, sql, args![]).await
    }

    async fn upload(&self, content: &'static [u8]) -> Result<File, Error> {
        let new = NewFile { filename: Some("laporan.pdf".into()), mime_type: Some("application/pdf".into()) };
        let parts = content.chunks(3).map(|part| Ok(bytes::Bytes::from_static(part)));
        self.server.engine.create_file(&self.admin, new, futures::stream::iter(parts)).await
    }
}

fn link(url: &str) -> Link {
    let url = url::Url::parse(url).unwrap();
    let id = url.path_segments().unwrap().nth(1).unwrap().parse().unwrap();
    let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    Link { id, expires: query("expires").parse().unwrap(), signature: query("signature") }
}

fn objects(organisation: OrganisationId) -> usize {
    let folder = std::env::temp_dir().join("media").join(organisation.to_string());
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

both! {
    async fn a_file_that_a_waiting_message_needs_stays(store: Store) {
        let desk = Desk::open(&store).await;
        let file = desk.upload(b"Laporan").await.unwrap();
        let channel: ChannelId = column(&store, "SELECT id FROM channels", args![]).await.remove(0);
        let later = desk.clock.now().plus(Duration::from_hours(1)).to_string();
        let message = SendMessage {
            channel_id: Some(channel.to_string()),
            wa_id: Some(ANI.into()),
            kind: Some("document".into()),
            file: FileSource { media_id: Some(file.id.to_string()), ..FileSource::default() },
            send_at: Some(later),
            ..SendMessage::default()
        };
        let engine = &desk.server.engine;
        let waiting = engine.send_message(&desk.admin, message).await.unwrap();
        assert!(matches!(engine.delete_file(&desk.admin, file.id).await, Err(Error::Conflict(_))));
        engine.cancel_message(&desk.admin, waiting.id).await.unwrap();
        engine.delete_file(&desk.admin, file.id).await.unwrap();
    }

    async fn what_a_person_sends_is_fetched_at_once(store: Store) {
        let desk = Desk::open(&store).await;
        let image = desk.offer(CONTENT);
        let (provider_id, id) = desk.arrives("wamid.1", &image).await;
        assert_eq!(provider_id, image["id"].as_str().unwrap(), "the provider's id stays");
        let file = desk.becomes(id, FileStatus::Stored).await;
        assert_eq!((file.size, file.mime_type.as_deref()), (Some(6), Some("image/jpeg")));
        assert_eq!(file.filename.as_deref(), Some("pompa.jpg"));
        assert_eq!(desk.read(&file).await.unwrap(), b"Kabar!");
        assert_eq!(desk.told(id).await, ["media.stored"]);

        // The same picture again, by another message: known by what its webhook says of it.
        let again = desk.offer(CONTENT);
        let (_, second) = desk.arrives("wamid.2", &again).await;
        let second = desk.becomes(second, FileStatus::Stored).await;
        assert_eq!((second.key, second.sha256), (file.key, file.sha256));
        assert_eq!(desk.calls("media_download"), 1);
        assert_eq!(objects(desk.admin.organisation_id), 1);

        // A webhook that comes again makes no other file.
        desk.server.deliver(&change(NUMBER, json!({"contacts": [{"wa_id": ANI}], "messages": [
            {"from": ANI, "id": "wamid.2", "timestamp": "1700000000", "type": "image", "image": again}]}))).await;
        assert_eq!(count(&store, "files").await, 2);
        let page = PageRequest::new(None, None, None, None, 25).unwrap();
        let stored = FileQuery { status: Some("stored".into()) };
        let listed = desk.server.engine.list_files(&desk.admin, stored, &page).await.unwrap();
        assert_eq!((listed.total, listed.items.len()), (2, 2));
        desk.server.stop().await;
    }

    async fn it_is_tried_again_until_it_is_here(store: Store) {
        let desk = Desk::open(&store).await;
        desk.fault("object", json!({"kind": "error", "code": 131_000}));
        desk.fault("media_download", json!({"kind": "server_error", "http_status": 404}));
        desk.fault("media_download", json!({"kind": "timeout", "delay_ms": 1}));
        let (_, id) = desk.arrives("wamid.1", &desk.offer(CONTENT)).await;
        for attempts in 1..4 {
            until("it waits", async || desk.attempts().await == [attempts]).await;
            assert_eq!(desk.file(id).await.status, FileStatus::Pending);
            desk.clock.advance(Duration::from_secs(10));
        }
        let file = desk.becomes(id, FileStatus::Stored).await;
        assert_eq!(desk.read(&file).await.unwrap(), b"Kabar!");
        desk.server.stop().await;
    }

    async fn what_is_gone_is_missing_with_the_reason_and_can_be_asked_for_again(store: Store) {
        let desk = Desk::open(&store).await;
        let image = desk.offer(CONTENT);
        desk.fault("object", json!({"kind": "error", "code": 100, "http_status": 400,
            "description": "Object does not exist"}));
        let (_, id) = desk.arrives("wamid.1", &image).await;
        let file = desk.becomes(id, FileStatus::Missing).await;
        assert!(file.reason.as_deref().unwrap().contains("Object does not exist"), "{file:?}");
        assert_eq!(desk.server.engine.file_url(&file), None);
        until("its job is done", async || count(&store, "jobs").await == 0).await;
        assert_eq!(desk.told(id).await, ["media.missing"]);

        desk.server.engine.refetch_file(&desk.admin, id).await.unwrap();
        let file = desk.becomes(id, FileStatus::Stored).await;
        assert_eq!(desk.read(&file).await.unwrap(), b"Kabar!");
        assert_eq!(desk.told(id).await, ["media.missing", "media.stored"]);
        let again = desk.server.engine.refetch_file(&desk.admin, id).await;
        assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
        desk.server.stop().await;
    }

    async fn other_bytes_than_announced_are_not_kept(store: Store) {
        let desk = Desk::open(&store).await;
        let mut image = desk.offer(CONTENT);
        image["sha256"] = json!(OTHER);
        let (_, id) = desk.arrives("wamid.1", &image).await;
        until("it waits", async || desk.attempts().await == [1]).await;
        desk.clock.advance(Duration::from_hours(7 * 24 + 1));
        let file = desk.becomes(id, FileStatus::Missing).await;
        assert!(file.reason.unwrap().contains("announced"));
        until("nothing is left", async || objects(desk.admin.organisation_id) == 0).await;
        desk.server.stop().await;
    }

    async fn a_link_is_good_for_one_file_and_a_while(store: Store) {
        let desk = Desk::open(&store).await;
        let (first, second) = (desk.upload(b"satu").await.unwrap(), desk.upload(b"dua").await.unwrap());
        let url = desk.server.engine.file_url(&first).unwrap();
        assert!(url.starts_with(&format!("https://kabar.example.com/media/{}/laporan.pdf?", first.id)), "{url}");
        let good = link(&url);
        let engine = &desk.server.engine;
        assert!(engine.open_link(&good).await.is_ok());
        for bad in [
            Link { id: second.id, ..good.clone() },
            Link { expires: good.expires + 900, ..good.clone() },
            Link { signature: "x".repeat(43), ..good.clone() },
            Link { signature: String::new(), ..good.clone() },
        ] {
            assert!(matches!(engine.open_link(&bad).await, Err(Error::NotFound("File"))), "{bad:?}");
        }
        desk.clock.advance(Duration::from_mins(14));
        assert!(engine.open_link(&good).await.is_ok());
        desk.clock.advance(Duration::from_mins(16));
        assert!(engine.open_link(&good).await.is_err(), "expired");
        desk.server.stop().await;
    }

    async fn bytes_go_with_their_last_file(store: Store) {
        let desk = Desk::open(&store).await;
        let (first, second) = (desk.upload(b"satu").await.unwrap(), desk.upload(b"satu").await.unwrap());
        assert_eq!(first.key, second.key);
        let organisation = desk.admin.organisation_id;
        until("one object", async || objects(organisation) == 1).await;
        desk.server.engine.delete_file(&desk.admin, first.id).await.unwrap();
        assert_eq!(desk.read(&second).await.unwrap(), b"satu");
        desk.server.engine.delete_file(&desk.admin, second.id).await.unwrap();
        assert!(matches!(desk.read(&second).await, Err(Error::NotFound(_))));
        until("no object", async || objects(organisation) == 0).await;
        desk.server.stop().await;
    }

    async fn an_upload_that_breaks_off_leaves_nothing(store: Store) {
        let desk = Desk::open(&store).await;
        let parts = [Ok(bytes::Bytes::from_static(b"half")), Err("The file broke off.".to_owned())];
        let stream = futures::stream::iter(parts);
        let broken = desk.server.engine.create_file(&desk.admin, NewFile::default(), stream).await;
        assert!(matches!(broken, Err(Error::Incomplete(_))), "{broken:?}");
        let empty = desk.upload(b"").await;
        assert!(matches!(empty, Err(Error::Invalid(_))), "{empty:?}");
        until("no job is left", async || count(&store, "jobs").await == 0).await;
        assert_eq!((count(&store, "files").await, objects(desk.admin.organisation_id)), (0, 0));
        desk.server.stop().await;
    }
}
