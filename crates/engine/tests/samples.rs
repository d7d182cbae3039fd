//! Files of the library in templates: as samples for review, and in the cards that are sent. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use desk::{BUDI, Desk};
use harness::{NUMBER, Server, config, engine_of, until};
use kabar_domain::{ChannelId, FileId, MessageId, TemplateId};
use kabar_engine::accounts::NewAccount;
use kabar_engine::media::NewFile;
use kabar_engine::messages::SendMessage;
use kabar_engine::templates::{NewTemplate, TemplateFields, TemplateMessage, Values};
use kabar_engine::{Config, Error};
use kabar_simulator::Sent;
use kabar_store::{Store, args};
use serde_json::{Value as Json, json};

#[expect(dead_code, reason = "each test uses its part")]
#[path = "harness/desk.rs"]
mod desk;
#[expect(dead_code, reason = "each test uses its part")]
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// The simulated app.
const APP: &str = "100000000000001";

struct Business {
    desk: Desk,
    server: Server,
    channel: ChannelId,
}

impl Business {
    async fn open(store: &Store, meta_app_id: Option<&str>) -> Self {
        let desk = Desk::open(store).await;
        let config = Config { meta_app_id: meta_app_id.map(str::to_owned), ..config(&desk.providers) };
        let server = Server::run(store, engine_of(store, &desk.clock, config)).await;
        let new = NewAccount {
            platform: Some("whatsapp".into()),
            display_name: Some("Sales line".into()),
            phone_number_id: Some(NUMBER.into()),
            waba_id: Some("waba".into()),
            access_token: Some("EAAtoken".into()),
            ..NewAccount::default()
        };
        let account = server.engine.create_messaging_account(&desk.admin, new).await.unwrap().row;
        Self { channel: account.channel_id.unwrap(), desk, server }
    }

    async fn upload(&self, name: &str, mime_type: &str) -> FileId {
        let new = NewFile { filename: Some(name.into()), mime_type: Some(mime_type.into()) };
        let bytes = [Ok(bytes::Bytes::from(format!("the bytes of {name}")))];
        let body = futures::stream::iter(bytes);
        self.server.engine.create_file(&self.desk.admin, new, body).await.unwrap().id
    }

    async fn draft(&self, name: &str, components: Json) -> Result<TemplateId, Error> {
        let fields = TemplateFields {
            name: Some(name.into()),
            language: Some("id".into()),
            category: Some("MARKETING".into()),
            components: Some(components),
            ..TemplateFields::default()
        };
        let new = NewTemplate { channel_id: Some(self.channel.to_string()), fields };
        Ok(self.server.engine.create_template(&self.desk.admin, new).await?.row.id)
    }

    async fn send(&self, name: &str, values: Json) -> Result<MessageId, Error> {
        let values: Values = serde_json::from_value(values).unwrap();
        let message = SendMessage {
            channel_id: Some(self.channel.to_string()),
            wa_id: Some(BUDI.into()),
            kind: Some("template".into()),
            template: Some(TemplateMessage { name: Some(name.into()), language: None, values }),
            ..SendMessage::default()
        };
        Ok(self.server.engine.send_message(&self.desk.admin, message).await?.id)
    }

    async fn arrived(&self, id: MessageId) -> Sent {
        let ours = id.to_string();
        let find = || {
            self.desk.simulator.sent().into_iter().find(|sent| sent.callback_data.as_deref() == Some(&ours))
        };
        self.desk.flows("it is sent", async || find().is_some()).await;
        find().unwrap()
    }

    fn calls(&self, method: &str) -> usize {
        self.desk.simulator.received().iter().filter(|received| received.method == method).count()
    }

    fn known_at_meta(&self, name: &str) -> usize {
        let bodies = self.desk.simulator.received().into_iter().filter(|received| {
            received.method == "message_templates"
                && received.http_method == "POST"
                && received.body.get().contains(name)
        });
        bodies.count()
    }
}

fn header(format: &str, file: FileId) -> Json {
    json!({ "type": "HEADER", "format": format, "example": { "media_id": file } })
}

fn body(text: &str) -> Json {
    json!({ "type": "BODY", "text": text })
}

fn field(error: &Error) -> String {
    let Error::Invalid(invalid) = error else { panic!("{error:?}") };
    invalid.errors.keys().next().unwrap().clone()
}

both! {
    async fn cards_show_files_of_the_library(store: Store) {
        let business = Business::open(&store, Some(APP)).await;
        let (pump, roof) = (business.upload("pump.jpg", "image/jpeg").await, business.upload("roof.png", "image/png").await);
        let card = |file| json!({ "components": [header("IMAGE", file), body("Look.")] });
        let components = json!([body("Our work:"), { "type": "CAROUSEL", "cards": [card(pump), card(pump)] }]);
        let id = business.draft("our_work", components).await.unwrap();
        let shown = business.server.engine.submit_template(&business.desk.admin, id).await.unwrap();
        assert_eq!(shown.row.status, "APPROVED");
        assert_eq!(business.calls("uploads"), 1, "Meta is given the same file once");

        let cards = json!({ "cards": [{ "header": { "media_id": pump } }, { "header": { "media_id": roof } }] });
        for _ in 0..2 {
            let id = business.send("our_work", cards.clone()).await.unwrap();
            let sent = business.arrived(id).await;
            let payload: Json = serde_json::from_str(sent.payload.get()).unwrap();
            let cards = &payload["template"]["components"][0]["cards"];
            let image = |card: usize| cards[card]["components"][0]["parameters"][0]["image"].clone();
            assert!(image(0)["id"].is_string() && image(0).as_object().unwrap().len() == 1, "{}", image(0));
            assert_ne!(image(0), image(1));
        }
        assert_eq!(business.calls("media"), 2, "each file is uploaded once");

        // WhatsApp forgets one of them: the next message brings it again.
        let mut tx = store.begin().await.unwrap();
        let forget = "UPDATE media_uploads SET provider_id = 'forgotten' WHERE provider_id = (SELECT MIN(provider_id) FROM media_uploads)";
        tx.execute(forget, args![]).await.unwrap();
        tx.commit().await.unwrap();
        let id = business.send("our_work", cards.clone()).await.unwrap();
        until("it waits", async || business.desk.attempts(id).await == ["retry"]).await;
        business.desk.clock.advance(std::time::Duration::from_mins(1));
        business.arrived(id).await;
        assert_eq!(business.calls("media"), 4, "all that were known are given again");

        let pdf = business.upload("plan.pdf", "application/pdf").await;
        let wrong = json!({ "cards": [{ "header": { "media_id": pump } }, { "header": { "media_id": pdf } }] });
        assert_eq!(field(&business.send("our_work", wrong).await.unwrap_err()), "cards.1.header");
        business.server.engine.delete_file(&business.desk.admin, roof).await.unwrap();
        assert_eq!(field(&business.send("our_work", cards).await.unwrap_err()), "cards.1.header");
        business.server.stop().await;
    }

    async fn a_sample_is_a_file_that_meta_takes(store: Store) {
        let business = Business::open(&store, Some(APP)).await;
        let admin = &business.desk.admin;
        let picture = business.upload("pump.jpg", "image/jpeg").await;
        let of = |format, file| json!([header(format, file), body("Look.")]);
        for (format, file) in [("VIDEO", picture), ("DOCUMENT", picture), ("IMAGE", FileId::new(&business.desk.clock))] {
            let refused = business.draft("look", of(format, file)).await.unwrap_err();
            assert_eq!(field(&refused), "components.0.example.media_id", "{format}");
        }
        // The file goes while the draft waits.
        let id = business.draft("look", of("IMAGE", picture)).await.unwrap();
        business.server.engine.delete_file(admin, picture).await.unwrap();
        let refused = business.server.engine.submit_template(admin, id).await.unwrap_err();
        assert_eq!(field(&refused), "components.0.example.media_id");
        let other = business.upload("roof.png", "image/png").await;
        let change = TemplateFields { components: Some(of("IMAGE", other)), ..TemplateFields::default() };
        business.server.engine.update_template(admin, id, change).await.unwrap();
        // An upload that fails leaves the draft free.
        let mut fault = desk::fault(kabar_simulator::FaultKind::Error);
        fault.method = Some("uploads".into());
        business.desk.simulator.push_fault(fault);
        assert!(business.server.engine.submit_template(admin, id).await.is_err());
        assert_eq!(business.known_at_meta("look"), 0);
        business.server.engine.submit_template(admin, id).await.unwrap();
        assert_eq!(business.known_at_meta("look"), 1);
        // A change of what Meta has brings a sample as well.
        let change = json!([header("IMAGE", other), body("Look at this.")]);
        let change = TemplateFields { components: Some(change), ..TemplateFields::default() };
        business.server.engine.update_template(admin, id, change).await.unwrap();
        assert_eq!(business.calls("uploads"), 3);
        business.server.stop().await;
    }

    async fn without_an_app_no_sample_is_given(store: Store) {
        let business = Business::open(&store, None).await;
        let picture = business.upload("pump.jpg", "image/jpeg").await;
        let id = business.draft("look", json!([header("IMAGE", picture), body("Look.")])).await.unwrap();
        let refused = business.server.engine.submit_template(&business.desk.admin, id).await.unwrap_err();
        assert!(matches!(&refused, Error::Conflict(reason) if reason.contains("META_APP_ID")), "{refused:?}");
        assert_eq!(business.calls("uploads"), 0);
        business.server.stop().await;
    }
}
