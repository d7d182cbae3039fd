//! Chat widgets: who is let in, what visitors write and are told, how far it got; on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Server, admin, column, until};
use kabar_domain::Clock;
use kabar_domain::message::{Direction, MessageStatus};
use kabar_engine::conversations::ConversationQuery;
use kabar_engine::media::{FileQuery, NewFile};
use kabar_engine::messages::SendMessage;
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::widgets::{
    Begin, Knock, NewEmbedToken, Told, Visitor, VisitorStream, Widget, WidgetFields, Written,
};
use kabar_engine::{Error, Principal};
use kabar_store::{Store, args};
use serde_json::json;
use support::{clock, organisation};

#[expect(dead_code, reason = "other tests use the rest")]
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

const NOWHERE: &str = "http://127.0.0.1:9";
const PAGE: &str = "https://shop.example";

/// An organisation with a widget.
struct Shop {
    clock: Clock,
    admin: Principal,
    server: Server,
    widget: Widget,
}

fn text(text: &str) -> Patch<String> {
    Patch::Set(Some(text.into()))
}

fn fields(slug: &str) -> WidgetFields {
    WidgetFields {
        slug: text(slug),
        name: text("Shop"),
        allowed_origins: Patch::Set(Some(vec![PAGE.into()])),
        ..WidgetFields::default()
    }
}

impl Shop {
    async fn start(store: &Store) -> Self {
        let clock = clock();
        let admin = admin(&clock, organisation(store, &clock).await);
        let server = Server::start(store, &clock, NOWHERE).await;
        let widget = server.engine.create_widget(&admin, fields("shop")).await.unwrap();
        Self { clock, admin, server, widget }
    }

    async fn token(&self, subject: &str) -> String {
        let new = NewEmbedToken {
            slug: Some(self.widget.slug.clone()),
            subject: Some(subject.into()),
            ..NewEmbedToken::default()
        };
        self.server.engine.create_embed_token(&self.admin, new).await.unwrap().token
    }

    async fn knock(&self, token: &str) -> Result<Visitor, Error> {
        let knock = Knock { token: Some(token), origin: Some(PAGE), ..Knock::default() };
        self.server.engine.admit_visitor(knock).await
    }

    async fn visitor(&self, subject: &str) -> Visitor {
        self.knock(&self.token(subject).await).await.unwrap()
    }

    async fn write(&self, visitor: &Visitor, client_id: &str, body: &str) {
        let written =
            Written { client_id: Some(client_id.into()), body: Some(body.into()), ..Written::default() };
        self.server.engine.write_message(visitor, written).await.unwrap();
        self.server.caught_up().await;
    }

    async fn history(&self, visitor: &Visitor) -> Vec<String> {
        let page = PageRequest::new(None, None, None, None, 50).unwrap();
        let history = self.server.engine.visit_history(visitor, &page).await.unwrap();
        history.items.into_iter().filter_map(|seen| seen.body).collect()
    }

    /// An agent's answer, once it is sent.
    async fn answer(&self, subject: &str, body: &str) -> kabar_domain::MessageId {
        let request = SendMessage {
            channel_id: Some(self.widget.channel_id.to_string()),
            wa_id: Some(subject.into()),
            body: Some(body.into()),
            ..SendMessage::default()
        };
        let id = self.server.engine.send_message(&self.admin, request).await.unwrap().id;
        until("it is sent", async || {
            self.clock.advance(Duration::from_millis(20));
            self.status(id).await >= MessageStatus::Sent
        })
        .await;
        id
    }

    /// An agent begins an answer in the one conversation.
    async fn type_to_somebody(&self) {
        let page = PageRequest::new(None, None, None, None, 1).unwrap();
        let found =
            self.server.engine.list_conversations(&self.admin, ConversationQuery::default(), &page).await;
        let id = found.unwrap().items[0].conversation.id;
        self.server.engine.show_typing(&self.admin, id).await.unwrap();
    }

    async fn status(&self, id: kabar_domain::MessageId) -> MessageStatus {
        self.server.engine.get_message(&self.admin, id).await.unwrap().status
    }
}

/// What a stream says next, silence aside.
/// The next `count` things that are told; what comes at once may be several.
async fn heard(stream: &mut VisitorStream, count: usize) -> Vec<Told> {
    let listen = async {
        let mut all = Vec::new();
        while all.len() < count {
            let told = stream.next().await.unwrap();
            all.extend(told.into_iter().filter(|told| !matches!(told, Told::Silence)));
        }
        all
    };
    tokio::time::timeout(Duration::from_secs(30), listen).await.expect("nothing more is told")
}

both! {
    async fn what_a_visitor_writes_is_stored_once_and_seen_by_no_other_visitor(store: Store) {
        let shop = Shop::start(&store).await;
        let (ani, budi) = (shop.visitor("ani").await, shop.visitor("budi").await);
        shop.write(&ani, "1", "halo").await;
        shop.write(&ani, "1", "halo").await;
        // The same name in another's page is another message.
        shop.write(&budi, "1", "hai").await;
        assert_eq!(shop.history(&ani).await, ["halo"]);
        assert_eq!(shop.history(&budi).await, ["hai"]);
        let count: Vec<i64> = column(&store, "SELECT COUNT(*) FROM inbox_items", args![]).await;
        assert_eq!(count, [2], "both are before the team");
        shop.server.stop().await;
    }

    async fn an_answer_is_sent_then_delivered_then_read(store: Store) {
        let shop = Shop::start(&store).await;
        let engine = &shop.server.engine;
        let ani = shop.visitor("ani").await;
        shop.write(&ani, "1", "halo").await;
        let mut stream = engine.stream_visit(ani.clone(), None).await.unwrap();
        let id = shop.answer("ani", "ya?").await;
        let told = heard(&mut stream, 1).await;
        let [Told::Message(seen)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((seen.id, seen.body.as_deref(), seen.direction), (id, Some("ya?"), Direction::Outbound));
        assert_eq!(shop.status(id).await, MessageStatus::Sent, "told, but nobody said that it came");
        assert_eq!(engine.begin_visit(&ani, Begin::default()).await.unwrap().unread, 1);
        shop.type_to_somebody().await;
        assert!(matches!(heard(&mut stream, 1).await.as_slice(), [Told::Typing]));
        assert_eq!(shop.status(id).await, MessageStatus::Delivered);
        engine.read_visit(&ani, &id.to_string()).await.unwrap();
        assert!(matches!(heard(&mut stream, 1).await.as_slice(), [Told::Read(read)] if *read == id));
        assert_eq!(shop.status(id).await, MessageStatus::Read);
        assert_eq!(engine.begin_visit(&ani, Begin::default()).await.unwrap().unread, 0);
        // Others can read neither it nor that it is there.
        let budi = shop.visitor("budi").await;
        let refused = engine.read_visit(&budi, &id.to_string()).await.unwrap_err();
        assert!(matches!(refused, Error::NotFound("Message")));
        shop.server.stop().await;
    }

    async fn a_file_that_is_not_sent_goes_after_a_day(store: Store) {
        let shop = Shop::start(&store).await;
        let engine = &shop.server.engine;
        let ani = shop.visitor("ani").await;
        let bring = async |content: &'static [u8]| {
            let parts = futures::stream::iter([Ok(bytes::Bytes::from_static(content))]);
            engine.attach(&ani, NewFile::default(), parts).await.unwrap()
        };
        let page = PageRequest::new(None, None, None, None, 50).unwrap();
        let library = async || {
            let found = engine.list_files(&shop.admin, FileQuery::default(), &page).await.unwrap();
            (found.total, found.items.into_iter().map(|file| file.id).collect::<Vec<_>>())
        };
        let (sent, left, same) = (bring(b"sent").await, bring(b"left").await, bring(b"sent").await);
        assert_eq!(library().await, (0, vec![]), "what is not sent is nobody's yet");
        assert!(matches!(engine.get_file(&shop.admin, left.file.id).await, Err(Error::NotFound("File"))));
        assert!(matches!(engine.delete_file(&shop.admin, left.file.id).await, Err(Error::NotFound("File"))));
        let write = async |client_id: &str, handle: &str| {
            let written = Written {
                client_id: Some(client_id.into()),
                attachments: vec![handle.into()],
                ..Written::default()
            };
            engine.write_message(&ani, written).await
        };
        write("1", &sent.handle).await.unwrap();
        // Sent again, as a page does that did not hear the answer.
        write("1", &sent.handle).await.unwrap();
        assert_eq!(library().await, (1, vec![sent.file.id]));
        let told: Vec<String> = column(&store, "SELECT kind FROM events WHERE kind LIKE 'media.%'", args![]).await;
        assert_eq!(told, ["media.stored"]);

        let drafts = async || -> Vec<i64> {
            column(&store, "SELECT COUNT(*) FROM files WHERE draft_until IS NOT NULL", args![]).await
        };
        shop.clock.advance(Duration::from_hours(23));
        write("2", &same.handle).await.unwrap();
        assert_eq!(drafts().await, [1]);
        shop.clock.advance(Duration::from_hours(1));
        // Another node starts with its housekeeping.
        let server = Server::start(&store, &shop.clock, NOWHERE).await;
        until("it is gone", async || drafts().await == [0]).await;
        let kept = server.engine.list_files(&shop.admin, FileQuery::default(), &page).await.unwrap();
        assert_eq!(kept.items.iter().map(|file| file.id).collect::<Vec<_>>(), [same.file.id, sent.file.id]);
        let objects: Vec<i64> = column(&store, "SELECT COUNT(*) FROM media_objects", args![]).await;
        assert_eq!(objects, [1], "the content that two messages have");
        let late = Written {
            client_id: Some("3".into()),
            attachments: vec![left.handle],
            ..Written::default()
        };
        assert!(matches!(server.engine.write_message(&ani, late).await, Err(Error::Invalid(_))));
        server.stop().await;
        shop.server.stop().await;
    }

    async fn a_stream_hears_of_the_first_message_and_goes_on_where_it_was(store: Store) {
        let shop = Shop::start(&store).await;
        let engine = &shop.server.engine;
        let ani = shop.visitor("ani").await;
        let mut stream = engine.stream_visit(ani.clone(), None).await.unwrap();
        shop.write(&shop.visitor("budi").await, "1", "not for ani").await;
        shop.write(&ani, "1", "halo").await;
        let told = heard(&mut stream, 1).await;
        let [Told::Message(seen)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((seen.body.as_deref(), seen.client_id.as_deref()), (Some("halo"), Some("1")));
        let place = stream.position();
        drop(stream);
        let ids = [shop.answer("ani", "satu").await, shop.answer("ani", "dua").await];
        let mut stream = engine.stream_visit(ani, Some(place)).await.unwrap();
        let told = heard(&mut stream, 2).await;
        for (id, told) in ids.into_iter().zip(&told) {
            assert!(matches!(told, Told::Message(seen) if seen.id == id), "{told:?}");
        }
        shop.server.stop().await;
    }

    async fn a_token_ends_with_its_time_its_key_and_its_widget(store: Store) {
        let shop = Shop::start(&store).await;
        let engine = &shop.server.engine;
        let token = shop.token("ani").await;
        let why = async |token: &str| shop.knock(token).await.err().map(|error| error.to_string());
        assert_eq!(why(&token).await, None);
        shop.clock.advance(Duration::from_mins(15));
        assert_eq!(why(&token).await.as_deref(), Some("The embed token has expired."));
        let former = shop.token("ani").await;
        engine.rotate_widget_key(&shop.admin, Some(60)).await.unwrap();
        assert_eq!(why(&former).await, None);
        shop.clock.advance(Duration::from_mins(1));
        assert_eq!(why(&former).await.as_deref(), Some("The embed token has expired."));
        let token = shop.token("ani").await;
        assert_eq!(why(&token).await, None);
        let off = WidgetFields { enabled: Some(false), ..WidgetFields::default() };
        engine.update_widget(&shop.admin, shop.widget.id, off).await.unwrap();
        assert_eq!(why(&token).await.as_deref(), Some("This widget is switched off."));
        let keys = engine.list_widget_keys(&shop.admin).await.unwrap();
        assert_eq!(keys.len(), 2);
        // A key goes when nobody can hold a token of it any more.
        assert!(keys.iter().all(|key| key.secret.len() > 32), "sealed");
        shop.server.stop().await;
    }

    async fn answers_go_to_the_contact_and_context_fills_the_gaps(store: Store) {
        let shop = Shop::start(&store).await;
        let engine = &shop.server.engine;
        let ask = serde_json::from_value(json!([{"key": "name", "required": true}, {"key": "floor", "label": {"en": "Floor"}}]));
        let change = WidgetFields { fields: Patch::Set(Some(ask.unwrap())), ..WidgetFields::default() };
        engine.update_widget(&shop.admin, shop.widget.id, change).await.unwrap();
        let mut ani = shop.visitor("ani").await;
        ani.context = json!({"email": "ani@example.com", "phone": "not one", "name": "Context"});
        let asked = engine.begin_visit(&ani, Begin::default()).await.unwrap().ask;
        assert_eq!(asked.iter().map(|asked| &*asked.key).collect::<Vec<_>>(), ["floor"]);
        let answers = BTreeMap::from([("name".into(), "Ani".into()), ("floor".into(), "3".into())]);
        assert_eq!(engine.answer_fields(&ani, answers, None).await.unwrap(), []);
        shop.write(&ani, "1", "halo").await;
        let sql = "SELECT name || ' ' || email || ' ' || custom_fields FROM contacts";
        let found: Vec<String> = column(&store, sql, args![]).await;
        assert_eq!(found, [r#"Ani ani@example.com {"floor":"3"}"#]);
        let phones: Vec<Option<String>> = column(&store, "SELECT phone FROM contacts", args![]).await;
        assert_eq!(phones, [None]);
        shop.server.stop().await;
    }
}
