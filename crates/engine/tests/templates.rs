//! Templates: read from WhatsApp, and sent. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use harness::{ANI, NUMBER, Server, admin, column, until};
use kabar_domain::message::{MessageKind, MessageStatus};
use kabar_domain::{ChannelId, Clock};
use kabar_engine::accounts::{Account, AccountChange, NewAccount};
use kabar_engine::messages::SendMessage;
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::templates::{
    NewTemplate, Shown, SyncRequest, TemplateFields, TemplateMessage, TemplateQuery, Values,
    fitting_templates,
};
use kabar_engine::{Error, Principal};
use kabar_providers::whatsapp::Client;
use kabar_simulator::{Config, Number, Simulator};
use kabar_store::{Store, args};
use serde_json::{Value as Json, json};
use support::{clock, organisation};

#[expect(dead_code, reason = "each test uses its part")]
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

const WABA: &str = "102290129340398";
const TOKEN: &str = "EAAtoken";

/// A business at the simulated Meta, and here.
struct Desk {
    simulator: Simulator,
    meta: Client,
    clock: Clock,
    admin: Principal,
    server: Server,
    account: Account,
}

fn number(waba_id: &str) -> Number {
    Number {
        phone_number_id: NUMBER.into(),
        waba_id: waba_id.into(),
        display_phone_number: "+62 811-000".into(),
        verified_name: "Acme".into(),
        access_token: TOKEN.into(),
    }
}

impl Desk {
    async fn open(store: &Store) -> Self {
        let config = Config {
            new_template_status: "APPROVED".into(),
            numbers: vec![number(WABA)],
            ..Config::default()
        };
        let (simulator, address, _server) =
            Simulator::start(config, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let base = format!("http://{address}");
        let clock = clock();
        let admin = admin(&clock, organisation(store, &clock).await);
        let server = Server::start(store, &clock, &base).await;
        let new = NewAccount {
            platform: Some("whatsapp".into()),
            display_name: Some("Sales line".into()),
            phone_number_id: Some(NUMBER.into()),
            waba_id: Some(WABA.into()),
            access_token: Some(TOKEN.into()),
            ..NewAccount::default()
        };
        let account = server.engine.create_messaging_account(&admin, new).await.unwrap().row;
        let http = kabar_providers::http::client(Duration::from_secs(5)).unwrap();
        let meta = Client::new(http, base.parse().unwrap());
        let desk = Self { simulator, meta, clock, admin, server, account };
        desk.synced(1).await;
        desk
    }

    fn channel(&self) -> ChannelId {
        self.account.channel_id.unwrap()
    }

    /// A template that Meta has, and we do not know yet.
    async fn make(&self, name: &str, language: &str, components: Json) -> String {
        let template =
            json!({ "name": name, "language": language, "category": "UTILITY", "components": components });
        self.meta.create_template(WABA, TOKEN, &template).await.unwrap().id
    }

    async fn list(&self, status: Option<&str>) -> Vec<Shown> {
        let query = TemplateQuery { status: status.map(str::to_owned), ..TemplateQuery::default() };
        let page = PageRequest::new(None, None, Some(100), None, 25).unwrap();
        self.server.engine.list_templates(&self.admin, query, &page).await.unwrap().items
    }

    async fn named(&self, name: &str) -> Shown {
        self.list(None).await.into_iter().find(|template| template.row.name == name).unwrap()
    }

    /// Until so many readings have ended.
    async fn synced(&self, count: usize) {
        let ended =
            || self.simulator.received().iter().filter(|call| call.method == "message_templates").count();
        until("templates are read", async || {
            let due = "SELECT COUNT(*) FROM jobs WHERE due_at <= $1 OR lease_until IS NOT NULL";
            let waiting: i64 = column(&self.server.store, due, args![self.clock.now()]).await[0];
            waiting == 0 && ended() >= count
        })
        .await;
    }

    async fn sync(&self) {
        let before =
            self.simulator.received().iter().filter(|call| call.method == "message_templates").count();
        self.server.engine.sync_templates(&self.admin, SyncRequest::default()).await.unwrap();
        self.synced(before + 1).await;
    }

    async fn send(
        &self,
        name: &str,
        language: Option<&str>,
        values: Json,
    ) -> Result<kabar_engine::conversations::Message, Error> {
        let values: Values = serde_json::from_value(values).unwrap();
        let message = SendMessage {
            channel_id: Some(self.channel().to_string()),
            wa_id: Some(ANI.into()),
            kind: Some("template".into()),
            template: Some(TemplateMessage {
                name: Some(name.into()),
                language: language.map(str::to_owned),
                values,
            }),
            ..SendMessage::default()
        };
        self.server.engine.send_message(&self.admin, message).await
    }

    async fn refused(&self, name: &str, language: Option<&str>, values: Json) -> (String, String) {
        match self.send(name, language, values).await.unwrap_err() {
            Error::Invalid(invalid) => (invalid.errors.keys().next().unwrap().clone(), invalid.to_string()),
            other => (String::new(), other.to_string()),
        }
    }

    async fn draft(&self, fields: TemplateFields) -> Result<Shown, Error> {
        let new = NewTemplate { channel_id: None, fields };
        self.server.engine.create_template(&self.admin, new).await
    }

    /// Calls that made templates.
    fn made(&self) -> usize {
        let calls = self.simulator.received();
        calls.iter().filter(|call| call.method == "message_templates" && call.http_method == "POST").count()
    }

    fn fault(&self, fault: Json) {
        self.simulator.push_fault(serde_json::from_value(fault).unwrap());
    }

    async fn events(&self, kind: &str) -> i64 {
        column(&self.server.store, "SELECT COUNT(*) FROM events WHERE kind = $1", args![kind]).await[0]
    }

    /// A webhook about a template.
    async fn told(&self, field: &str, name: &str, more: Json) {
        let mut value = json!({ "message_template_id": 77, "message_template_name": name,
            "message_template_language": "en-US" });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.server
            .deliver(
                &json!({ "object": "whatsapp_business_account", "entry": [{ "id": WABA, "time": 1_700_000_000,
            "changes": [{ "field": field, "value": value }] }] }),
            )
            .await;
    }

    async fn close(self) {
        self.server.stop().await;
    }
}

fn body(text: &str) -> Json {
    json!([{ "type": "BODY", "text": text, "example": { "body_text": [["12345", "120 SAR"]] } }])
}

/// A template as a client gives it.
fn fields(name: &str, components: Json) -> TemplateFields {
    TemplateFields {
        name: Some(name.into()),
        language: Some("en-US".into()),
        category: Some("utility".into()),
        components: Some(components),
        ..TemplateFields::default()
    }
}

/// Makes one field of a template wrong.
type Change = fn(&mut TemplateFields);

both! {
    /// Whoever connects a number finds its templates, and sees what changes at Meta within the hour.
    async fn templates_are_read_when_connected_and_every_hour(store: Store) {
        let desk = Desk::open(&store).await;
        let hello = desk.named("hello_world").await;
        assert_eq!((hello.row.status.as_str(), hello.row.language.as_str()), ("APPROVED", "en_US"));
        assert!(hello.row.components.is_some() && hello.variables.body.is_empty());
        assert_eq!(hello.channel_ids, [desk.channel()]);

        let id = desk.make("order_ready", "ar", body("Order {{1}} costs {{2}}, ready.")).await;
        desk.server.engine.sync_stale_templates().await.unwrap();
        assert_eq!(desk.list(None).await.len(), 1, "read a moment ago: not again yet");
        desk.clock.advance(Duration::from_secs(3_601));
        desk.server.engine.sync_stale_templates().await.unwrap();
        desk.synced(2).await;
        let ready = desk.named("order_ready").await;
        assert_eq!(ready.variables.body, ["1", "2"]);
        assert_eq!(ready.row.provider_id.as_deref(), Some(id.as_str()));
        assert_eq!(ready.row.synced_at, Some(desk.clock.now()));
        assert_eq!(desk.events("template.created").await, 2);

        // Nothing changed: nothing is told.
        desk.clock.advance(Duration::from_secs(10));
        desk.sync().await;
        assert_eq!(desk.events("template.updated").await, 0);
        assert_eq!(desk.named("order_ready").await.row.updated_at, ready.row.updated_at);

        desk.meta.delete_template(WABA, TOKEN, "order_ready", &id).await.unwrap();
        desk.sync().await;
        assert_eq!(desk.list(None).await.len(), 1);
        let gone = desk.list(Some("deleted")).await.remove(0);
        assert_eq!((gone.row.name.as_str(), gone.row.deleted_at.is_some()), ("order_ready", true));
        assert_eq!(desk.events("template.deleted").await, 1);

        // A name that is free again is another template.
        desk.make("order_ready", "ar", body("Order {{1}} costs {{2}}, again.")).await;
        desk.sync().await;
        assert_ne!(desk.named("order_ready").await.row.id, gone.row.id);
        desk.close().await;
    }

    async fn all_pages_are_read(store: Store) {
        let desk = Desk::open(&store).await;
        for n in 0..60 {
            desk.make(&format!("template_{n:02}"), "en_US", body("Order {{1}} costs {{2}}, ready.")).await;
        }
        desk.sync().await;
        assert_eq!(desk.list(None).await.len(), 61);
        desk.close().await;
    }

    async fn a_template_is_sent_as_it_reads(store: Store) {
        let desk = Desk::open(&store).await;
        desk.make("order_ready", "ar", body("Order {{1}} costs {{2}}, ready.")).await;
        desk.sync().await;
        let message = desk.send("order_ready", None, json!({ "variables": ["12345", "120 SAR"] })).await.unwrap();
        assert_eq!((message.kind, message.status), (MessageKind::Template, MessageStatus::Queued));
        assert_eq!(message.body.as_deref(), Some("Order 12345 costs 120 SAR, ready."));
        until("it is sent", async || {
            let now = desk.server.engine.get_message(&desk.admin, message.id).await.unwrap();
            now.provider_message_id.is_some()
        })
        .await;
        let sent = desk.simulator.sent().pop().unwrap();
        assert_eq!((sent.kind.as_str(), sent.body.as_str()), ("template", "Order 12345 costs 120 SAR, ready."));
        let wire: Json = serde_json::from_str(sent.payload.get()).unwrap();
        assert_eq!(wire["template"]["language"], json!({ "code": "ar", "policy": "deterministic" }));

        let (field, text) = desk.refused("order_ready", Some("ar"), json!({ "variables": ["12345"] })).await;
        assert_eq!((field.as_str(), text.as_str()),
            ("variables", "The template order_ready (ar) takes 2 variables ({{1}}, {{2}}); 1 was given."));
        for (name, language) in [("nothing_here", None), ("order_ready", Some("id"))] {
            assert_eq!(desk.refused(name, language, json!({})).await.1, "Template not found.");
        }
        desk.close().await;
    }

    async fn only_an_approved_template_is_sent_in_the_language_it_has(store: Store) {
        let desk = Desk::open(&store).await;
        for language in ["id", "ar", "en_US"] {
            desk.make("greeting", language, body(&format!("Hello {{{{1}}}} of {{{{2}}}} in {language}."))).await;
        }
        desk.sync().await;
        let values = json!({ "variables": ["a", "b"] });
        let text = async |language| desk.send("greeting", language, values.clone()).await.unwrap().body.unwrap();
        assert!(text(None).await.ends_with("in id."), "the oldest");
        assert!(text(Some("en-us")).await.ends_with("in en_US."));
        let contact = kabar_engine::contacts::ContactUpsert {
            wa_id: Some(ANI.into()),
            language: kabar_engine::patch::Patch::Set(Some("ar-EG".into())),
            ..Default::default()
        };
        desk.server.engine.create_or_update_contact(&desk.admin, contact).await.unwrap();
        assert!(text(None).await.ends_with("in ar."), "the recipient's");

        desk.told("message_template_status_update", "greeting", json!({ "event": "PAUSED", "reason": "NONE" })).await;
        let (field, text) = desk.refused("greeting", Some("en_US"), values.clone()).await;
        assert_eq!((field.as_str(), text.as_str()),
            ("template_name", "The template greeting (en_US) is paused; only an approved one can be sent."));
        desk.close().await;
    }

    /// A webhook may name a template before it was ever read.
    async fn a_webhook_about_an_unknown_template_has_it_read(store: Store) {
        let desk = Desk::open(&store).await;
        desk.make("new_one", "en_US", body("Order {{1}} costs {{2}}, ready.")).await;
        desk.told("message_template_status_update", "new_one", json!({ "event": "APPROVED", "reason": "NONE" })).await;
        desk.synced(2).await;
        until("its parts are read", async || desk.named("new_one").await.row.components.is_some()).await;

        desk.told("template_category_update", "new_one", json!({ "previous_category": "UTILITY", "new_category": "MARKETING" })).await;
        desk.told("message_template_quality_update", "new_one", json!({ "previous_quality_score": "GREEN", "new_quality_score": "RED" })).await;
        let row = desk.named("new_one").await.row;
        assert_eq!((row.category.as_deref(), row.previous_category.as_deref(), row.quality.as_deref()),
            (Some("MARKETING"), Some("UTILITY"), Some("RED")));
        let calls = || desk.simulator.received().iter().filter(|call| call.method == "message_templates").count();
        let before = calls();
        desk.told("message_template_components_update", "new_one", json!({ "message_template_element": "x" })).await;
        until("it is read again", async || calls() > before).await;
        desk.told("message_template_status_update", "new_one", json!({ "event": "DELETED" })).await;
        assert_eq!(desk.list(None).await.len(), 1);
        desk.close().await;
    }

    async fn a_reading_that_fails_says_why_and_a_new_token_mends_it(store: Store) {
        let desk = Desk::open(&store).await;
        desk.simulator.set_token(NUMBER, "EAAnew");
        desk.sync().await;
        let error = "SELECT error FROM template_syncs";
        let text: Option<String> = column(&store, error, args![]).await.remove(0);
        assert!(text.unwrap().contains("access token"));
        assert_eq!(desk.list(None).await.len(), 1, "what was read stays");

        let change = AccountChange { access_token: Some("EAAnew".into()), ..AccountChange::default() };
        desk.server.engine.update_messaging_account(&desk.admin, desk.account.id, change).await.unwrap();
        desk.synced(3).await;
        assert_eq!(column::<Option<String>>(&store, error, args![]).await, [None]);
        desk.close().await;
    }

    async fn what_fits_a_closed_window_comes_simplest_first(store: Store) {
        let desk = Desk::open(&store).await;
        desk.make("two_values", "id", body("Order {{1}} costs {{2}}, ready.")).await;
        let code = json!({ "name": "code", "language": "id", "category": "AUTHENTICATION",
            "components": [{ "type": "BODY", "add_security_recommendation": true }] });
        desk.meta.create_template(WABA, TOKEN, &code).await.unwrap();
        desk.sync().await;
        let mut db = store.reader().await.unwrap();
        let organisation = desk.admin.organisation_id;
        let fitting = fitting_templates(&mut db, organisation, desk.account.id, 10).await.unwrap();
        let names: Vec<_> = fitting.iter().map(|template| (template.name.as_str(), template.variables)).collect();
        assert_eq!(names, [("hello_world", 0), ("two_values", 2)]);
        drop(db);
        desk.close().await;
    }

    async fn a_draft_is_changed_submitted_once_and_deleted(store: Store) {
        let desk = Desk::open(&store).await;
        let engine = &desk.server.engine;
        let draft = desk.draft(fields("order_ready", body("Order {{1}} costs {{2}}, ready."))).await.unwrap();
        assert_eq!((draft.row.status.as_str(), draft.row.waba_id.as_str()), ("DRAFT", WABA));
        assert_eq!((draft.row.language.as_str(), draft.variables.body.len()), ("en_US", 2));
        assert!(matches!(desk.draft(fields("order_ready", body("Order {{1}}, {{2}}."))).await,
            Err(Error::Invalid(invalid)) if invalid.errors.contains_key("name")));
        assert_eq!(desk.made(), 0);

        let change = TemplateFields {
            components: Some(body("Order {{1}} for {{2}}, ready.")),
            ..TemplateFields::default()
        };
        engine.update_template(&desk.admin, draft.row.id, change).await.unwrap();
        let (first, second) = tokio::join!(
            engine.submit_template(&desk.admin, draft.row.id),
            engine.submit_template(&desk.admin, draft.row.id),
        );
        assert!(first.is_ok() != second.is_ok(), "one of two at once");
        let submitted = engine.get_template(&desk.admin, draft.row.id).await.unwrap().row;
        assert!(submitted.status == "APPROVED" && submitted.provider_id.is_some());
        assert_eq!((desk.made(), desk.events("template.submitted").await), (1, 1));
        let message = desk.send("order_ready", None, json!({ "variables": ["7", "Ani"] })).await.unwrap();
        assert_eq!(message.body.as_deref(), Some("Order 7 for Ani, ready."));

        let other = TemplateFields { category: Some("MARKETING".into()), ..TemplateFields::default() };
        assert!(matches!(engine.update_template(&desk.admin, draft.row.id, other).await,
            Err(Error::Invalid(invalid)) if invalid.errors.contains_key("category")));
        let text = TemplateFields {
            components: Some(body("Dear {{2}}, order {{1}} is ready.")),
            ..TemplateFields::default()
        };
        engine.update_template(&desk.admin, draft.row.id, text).await.unwrap();
        let there = desk.meta.template(submitted.provider_id.as_deref().unwrap(), TOKEN).await.unwrap();
        assert_eq!(there.components[0]["text"], "Dear {{2}}, order {{1}} is ready.");

        engine.delete_template(&desk.admin, draft.row.id).await.unwrap();
        assert!(engine.delete_template(&desk.admin, draft.row.id).await.is_err());
        assert!(desk.meta.templates(WABA, TOKEN, None).await.unwrap().0.iter().all(|left| left.name != "order_ready"));
        let again = desk.draft(fields("order_ready", body("Order {{1}} for {{2}}, ready."))).await.unwrap();
        engine.delete_template(&desk.admin, again.row.id).await.unwrap();
        assert_eq!(desk.events("template.deleted").await, 2);
        desk.close().await;
    }

    /// A lost answer: the template is there, once, and the draft becomes it.
    async fn a_submission_whose_answer_was_lost_is_settled_by_reading(store: Store) {
        let desk = Desk::open(&store).await;
        let engine = &desk.server.engine;
        let draft = desk.draft(fields("order_ready", body("Order {{1}} costs {{2}}, ready."))).await.unwrap();
        desk.fault(json!({ "kind": "drop_answer", "method": "message_templates" }));
        let lost = engine.submit_template(&desk.admin, draft.row.id).await;
        assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
        let again = engine.submit_template(&desk.admin, draft.row.id).await;
        assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
        assert!(engine.delete_template(&desk.admin, draft.row.id).await.is_err());
        desk.clock.advance(Duration::from_secs(70));
        desk.sync().await;
        let row = desk.named("order_ready").await.row;
        assert_eq!((row.id, row.status.as_str(), desk.made()), (draft.row.id, "APPROVED", 1));
        desk.close().await;
    }

    /// The call never arrived: after the reading the draft can be submitted again.
    async fn a_submission_that_never_arrived_is_freed_and_a_refused_one_stays_a_draft(store: Store) {
        let desk = Desk::open(&store).await;
        let engine = &desk.server.engine;
        let draft = desk.draft(fields("order_ready", body("Order {{1}} costs {{2}}, ready."))).await.unwrap();
        desk.fault(json!({ "kind": "server_error", "http_status": 502, "method": "message_templates" }));
        let lost = engine.submit_template(&desk.admin, draft.row.id).await;
        assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
        desk.sync().await;
        assert!(matches!(engine.submit_template(&desk.admin, draft.row.id).await, Err(Error::Conflict(_))),
            "a minute has not passed");
        desk.clock.advance(Duration::from_secs(70));
        desk.sync().await;

        desk.fault(json!({ "kind": "error", "code": 132_007, "method": "message_templates",
            "description": "It breaks a rule" }));
        let refused = engine.submit_template(&desk.admin, draft.row.id).await;
        assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
        let row = desk.named("order_ready").await.row;
        assert_eq!((row.status.as_str(), row.submitted_at), ("DRAFT", None));
        assert!(row.reason.unwrap().contains("It breaks a rule"));
        assert_eq!(engine.submit_template(&desk.admin, draft.row.id).await.unwrap().row.status, "APPROVED");
        desk.close().await;
    }

    async fn what_meta_would_refuse_is_refused_by_its_place(store: Store) {
        let desk = Desk::open(&store).await;
        let ok = |text: &str| json!({ "type": "BODY", "text": text });
        let with = |part: Json| json!([ok("Hello."), part]);
        let buttons = |list: Json| with(json!({ "type": "BUTTONS", "buttons": list }));
        let reply = json!({ "type": "QUICK_REPLY", "text": "Yes" });
        let link = json!({ "type": "URL", "text": "Open", "url": "https://a.example/" });
        let cases = [
            (json!([]), "components"),
            (json!([{ "type": "FOOTER", "text": "x" }]), "components"),
            (json!([{ "type": "BODY" }]), "components.0.text"),
            (json!([ok(&"x".repeat(1025))]), "components.0.text"),
            (json!([ok("Hello."), ok("Hello.")]), "components.1.type"),
            (body("{{1}} costs {{2}}, ready."), "components.0.text"),
            (body("Order {{1}} costs {{2}}"), "components.0.text"),
            (body("Order {{1}} costs {{3}}, ready."), "components.0.text"),
            (body("Order {{order_id}} is ready."), "components.0.text"),
            (body("Order {{a b}} is ready."), "components.0.text"),
            (json!([ok("Order {{1}} is ready.")]), "components.0.example"),
            (with(json!({ "type": "HEADER", "text": "x" })), "components.1.format"),
            (with(json!({ "type": "HEADER", "format": "TEXT", "text": "x".repeat(61) })), "components.1.text"),
            (with(json!({ "type": "HEADER", "format": "TEXT", "text": "{{1}} {{2}}",
                "example": { "header_text": ["a", "b"] } })), "components.1.text"),
            (with(json!({ "type": "HEADER", "format": "IMAGE" })), "components.1.example.header_handle"),
            (with(json!({ "type": "FOOTER", "text": "x".repeat(61) })), "components.1.text"),
            (with(json!({ "type": "FOOTER", "text": "by {{1}}." })), "components.1.text"),
            (buttons(json!([])), "components.1.buttons"),
            (buttons(json!([reply, link, reply])), "components.1.buttons"),
            (buttons(json!([link, link, link])), "components.1.buttons"),
            (buttons(json!(vec![reply.clone(); 11])), "components.1.buttons"),
            (buttons(json!([{ "type": "QUICK_REPLY", "text": "x".repeat(26) }])), "components.1.buttons.0.text"),
            (buttons(json!([{ "type": "URL", "text": "a", "url": "https://a.example/{{1}}/b", "example": ["x"] }])),
                "components.1.buttons.0.url"),
            (buttons(json!([{ "type": "URL", "text": "a", "url": "https://a.example/{{1}}" }])),
                "components.1.buttons.0.example"),
            (buttons(json!([{ "type": "PHONE_NUMBER", "text": "a", "phone_number": "1".repeat(21) }])),
                "components.1.buttons.0.phone_number"),
            (buttons(json!([{ "type": "COPY_CODE", "example": "x".repeat(16) }])), "components.1.buttons.0.example"),
            (with(json!({ "type": "CAROUSEL", "cards": [{ "components": [ok("Hi.")] }] })), "components.1.cards"),
        ];
        for (components, field) in cases {
            let refused = desk.draft(fields("x", components.clone())).await;
            let Err(Error::Invalid(invalid)) = refused else { panic!("{components}: {refused:?}") };
            assert_eq!(invalid.errors.keys().collect::<Vec<_>>(), [field], "{components}: {invalid}");
        }
        let changes: [(&str, Change); 5] = [
            ("name", |fields| fields.name = Some("Order Ready".into())),
            ("language", |fields| fields.language = Some("english".into())),
            ("category", |fields| fields.category = None),
            ("parameter_format", |fields| fields.parameter_format = Some("x".into())),
            ("message_send_ttl_seconds", |fields| fields.ttl_seconds = Patch::Set(Some(29))),
        ];
        for (field, change) in changes {
            let mut wrong = fields("x", json!([ok("Hello.")]));
            change(&mut wrong);
            let refused = desk.draft(wrong).await;
            assert!(matches!(&refused, Err(Error::Invalid(invalid)) if invalid.errors.keys().eq([field])), "{refused:?}");
        }
        assert_eq!(desk.list(Some("draft")).await.len(), 0);
        desk.close().await;
    }
}
