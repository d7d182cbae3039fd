//! Notifications: each leg for itself, none sent twice. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use harness::{admin, column, until};
use kabar_domain::message::MessageStatus;
use kabar_domain::{Clock, NotificationId};
use kabar_engine::config::SmtpClient;
use kabar_engine::crypto::MasterKey;
use kabar_engine::notifications::{Leg, NewTemplate, Notification, SendNotification, TemplateChange};
use kabar_engine::patch::Patch;
use kabar_engine::{Config, Engine, Error, Principal, Running};
use kabar_store::{Store, args};
use mail::{MailServer, Mood};
use serde_json::json;
use support::{clock, organisation};
use url::Url;

#[expect(dead_code, reason = "other tests use the rest")]
mod harness;
#[path = "harness/mail.rs"]
mod mail;
#[path = "../../store/tests/it/reopen.rs"]
mod reopen;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// An organisation whose server hands mail to an address.
struct Desk {
    store: Store,
    clock: Clock,
    admin: Principal,
    engine: Arc<Engine>,
    running: Running,
}

impl Desk {
    async fn open(store: &Store, mail: SocketAddr) -> Self {
        let clock = clock();
        let admin = admin(&clock, organisation(store, &clock).await);
        let (engine, running) = start(store, &clock, mail).await;
        Self { store: store.clone(), clock, admin, engine, running }
    }

    async fn close(self) {
        self.running.stop(self.engine).await;
    }

    async fn send(&self, to: &[&str]) -> Notification {
        self.engine.send_notification(&self.admin, email(to)).await.unwrap()
    }

    async fn legs(&self, id: NotificationId) -> Vec<Leg> {
        self.engine.get_notification(&self.admin, id).await.unwrap().legs
    }

    /// The legs, once they stand so.
    async fn become_(&self, id: NotificationId, statuses: &[MessageStatus]) -> Vec<Leg> {
        let standing = async || self.legs(id).await.iter().map(|leg| leg.status).collect::<Vec<_>>();
        until(&format!("{statuses:?}"), async || standing().await == statuses).await;
        self.legs(id).await
    }

    /// What was told of a notification, in order.
    async fn told(&self, id: NotificationId) -> Vec<String> {
        let sql = "SELECT data FROM events WHERE subject_id = $1 AND kind = 'notification.leg' ORDER BY seq";
        let data: Vec<String> = column(&self.store, sql, args![id]).await;
        let data = data.iter().map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap());
        data.map(|data| data["status"].as_str().unwrap().to_owned()).collect()
    }
}

async fn start(store: &Store, clock: &Clock, mail: SocketAddr) -> (Arc<Engine>, Running) {
    let url = Url::parse("https://kabar.example.com/").unwrap();
    let smtp = SmtpClient::new(&format!("smtp://{mail}"), Some("Acme <ops@acme.example>"), &url).unwrap();
    let config =
        Config { smtp: Some(smtp), ..Config::new(std::env::temp_dir(), url.clone(), url.clone(), url) };
    let key = MasterKey::parse(&"07".repeat(32)).unwrap();
    let engine = Arc::new(Engine::new(store.clone(), clock.clone(), key, config).unwrap());
    let running = engine.start().await.unwrap();
    (engine, running)
}

fn email(to: &[&str]) -> SendNotification {
    SendNotification {
        channels: vec!["email".into()],
        to: BTreeMap::from([("email".to_owned(), to.iter().map(|&one| one.to_owned()).collect())]),
        text: Some("Pompa 3 mati".into()),
        ..SendNotification::default()
    }
}

fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result.unwrap_err() {
        Error::Invalid(invalid) => invalid.errors.into_keys().collect(),
        other => panic!("{other}"),
    }
}

/// Nobody listens there.
async fn closed() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

both! {
    async fn one_refused_address_leaves_the_others_alone(store: Store) {
        let mail = MailServer::start().await;
        let desk = Desk::open(&store, mail.address).await;
        mail.will(&[Mood::Refuse("550 5.1.1 no such user")]);
        let refused = desk.send(&["nobody@example.com"]).await;
        let [leg] = &desk.become_(refused.id, &[MessageStatus::Failed]).await[..] else { panic!() };
        let error = leg.error.clone().unwrap();
        assert_eq!((error.code, error.detail.as_deref()), (550, Some("5.1.1 no such user.")));
        assert_eq!(leg.failed_at, Some(desk.clock.now()));

        let sent = desk.send(&["ani@example.com", " budi@example.com ", "ani@example.com"]).await;
        let legs = desk.become_(sent.id, &[MessageStatus::Sent, MessageStatus::Sent]).await;
        assert_eq!(legs.iter().map(|leg| leg.recipient.as_str()).collect::<Vec<_>>(), ["ani@example.com", "budi@example.com"]);
        let figures = desk.engine.metrics.render(&kabar_engine::metrics::Depths::default()).unwrap();
        for (outcome, count) in [("failed", 1), ("sent", 2)] {
            let line = format!("kabar_notification_legs_total{{channel=\"email\",outcome=\"{outcome}\"}} {count}");
            assert!(figures.contains(&line), "{figures}");
        }
        for leg in &legs {
            let id = format!("<{}@acme.example>", leg.id);
            assert_eq!((leg.provider_id.as_ref(), leg.attempts), (Some(&id), 1));
            assert_eq!(mail.taken().iter().filter(|message| message.contains(&id)).count(), 1);
        }
        assert_eq!(mail.taken().len(), 2);
        assert_eq!((desk.told(refused.id).await, desk.told(sent.id).await), (vec!["failed".to_owned()], vec!["sent".to_owned(); 2]));
        desk.close().await;
    }

    async fn a_channel_that_is_not_set_up_fails_alone(store: Store) {
        let mail = MailServer::start().await;
        let desk = Desk::open(&store, mail.address).await;
        let mut both = email(&["ani@example.com"]);
        both.channels.push("sms".into());
        both.to.insert("sms".into(), vec!["+6281234567890".into()]);
        let sent = desk.engine.send_notification(&desk.admin, both.clone()).await.unwrap();
        let legs = desk.become_(sent.id, &[MessageStatus::Sent, MessageStatus::Failed]).await;
        let error = legs[1].error.clone().unwrap();
        assert!(error.title.contains("KABAR_SMS_ACCOUNT") && error.action.is_some(), "{error:?}");
        assert_eq!(legs[1].failed_at, Some(desk.clock.now()));
        // With nothing left to send it is refused.
        both.channels.remove(0);
        assert_eq!(fields(desk.engine.send_notification(&desk.admin, both).await), ["channels"]);
        desk.close().await;
    }

    async fn mail_waits_for_a_server_that_is_away(store: Store) {
        let address = closed().await;
        let desk = Desk::open(&store, address).await;
        let sent = desk.send(&["ani@example.com"]).await;
        until("it waits", async || desk.legs(sent.id).await[0].retry_at.is_some()).await;
        let leg = desk.legs(sent.id).await.remove(0);
        assert_eq!((leg.status, leg.attempts, leg.error.is_some()), (MessageStatus::Queued, 1, true));
        let mail = MailServer::at(address).await;
        mail.will(&[Mood::Refuse("450 later")]);
        desk.clock.advance(Duration::from_secs(8));
        until("it waits again", async || desk.legs(sent.id).await[0].attempts == 2).await;
        until("it waits again", async || desk.legs(sent.id).await[0].retry_at.is_some()).await;
        desk.clock.advance(Duration::from_secs(15));
        let leg = desk.become_(sent.id, &[MessageStatus::Sent]).await.remove(0);
        assert_eq!((leg.attempts, leg.error, leg.retry_at), (3, None, None));
        assert_eq!((mail.taken().len(), desk.told(sent.id).await), (1, vec!["sent".to_owned()]));
        desk.close().await;
    }

    async fn a_lost_answer_is_left_to_a_person(store: Store) {
        let mail = MailServer::start().await;
        let desk = Desk::open(&store, mail.address).await;
        mail.will(&[Mood::Vanish]);
        let sent = desk.send(&["ani@example.com"]).await;
        let leg = desk.become_(sent.id, &[MessageStatus::Uncertain]).await.remove(0);
        desk.clock.advance(Duration::from_hours(24));
        let by_itself = desk.engine.retry_notification(&desk.admin, sent.id, None).await;
        assert!(matches!(by_itself, Err(Error::Conflict(_))), "{by_itself:?}");
        assert_eq!(mail.taken().len(), 1);
        let named = Some(vec![leg.id.to_string()]);
        desk.engine.retry_notification(&desk.admin, sent.id, named.clone()).await.unwrap();
        desk.become_(sent.id, &[MessageStatus::Sent]).await;
        assert_eq!(mail.taken().len(), 2);
        assert_eq!(desk.told(sent.id).await, ["uncertain", "queued", "sent"]);
        assert_eq!(fields(desk.engine.retry_notification(&desk.admin, sent.id, named).await), ["legs.0"]);
        desk.close().await;
    }

    async fn a_leg_found_in_the_middle_is_not_sent(store: Store) {
        let mail = MailServer::start().await;
        let desk = Desk::open(&store, closed().await).await;
        let sent = desk.send(&["ani@example.com"]).await;
        until("it waits", async || desk.legs(sent.id).await[0].retry_at.is_some()).await;
        let options = reopen::options(&store).await;
        let Desk { clock, admin, engine, running, .. } = desk;
        running.stop(engine).await;
        // As a server leaves it that is killed while it sends.
        let store = Store::open(&options).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.execute("UPDATE notification_legs SET status = $1", args![MessageStatus::Sending]).await.unwrap();
        tx.commit().await.unwrap();
        clock.advance(Duration::from_mins(1));
        let (engine, running) = start(&store, &clock, mail.address).await;
        let desk = Desk { store, clock, admin, engine, running };
        let leg = desk.become_(sent.id, &[MessageStatus::Uncertain]).await.remove(0);
        assert!(leg.error.unwrap().action.is_some());
        assert_eq!(mail.taken().len(), 0);
        desk.close().await;
    }

    async fn nothing_is_queued_when_anything_is_wrong(store: Store) {
        let desk = Desk::open(&store, closed().await).await;
        let send = async |change: fn(&mut SendNotification)| {
            let mut request = email(&["ani@example.com"]);
            change(&mut request);
            fields(desk.engine.send_notification(&desk.admin, request).await)
        };
        assert_eq!(send(|new| new.channels.clear()).await, ["channels"]);
        assert_eq!(send(|new| new.channels.push("fax".into())).await, ["channels.1"]);
        assert_eq!(send(|new| new.to.clear()).await, ["to.email"]);
        assert_eq!(send(|new| new.text = Some("  ".into())).await, ["text"]);
        assert_eq!(send(|new| new.subject = Some("a\nBcc: eve@example.com".into())).await, ["subject"]);
        assert_eq!(send(|new| new.template = Some("nothing".into())).await, ["template"]);
        assert_eq!(send(|new| new.text = Some("{{a}}".into())).await, ["variables.a"]);
        let bad = desk.engine.send_notification(&desk.admin, email(&["ani@example.com", "ani"])).await;
        assert_eq!(fields(bad), ["to.email"]);
        let mut sms = email(&["ani@example.com"]);
        sms.channels = vec!["sms".into()];
        sms.to.insert("sms".into(), vec!["+6281234567890".into()]);
        let refused = desk.engine.send_notification(&desk.admin, sms).await.unwrap_err();
        assert!(refused.to_string().contains("KABAR_SMS_ACCOUNT"), "{refused}");
        assert_eq!(harness::count(&store, "notifications").await + harness::count(&store, "jobs").await, 0);
        desk.close().await;
    }

    async fn a_template_is_filled_in(store: Store) {
        let mail = MailServer::start().await;
        let desk = Desk::open(&store, mail.address).await;
        let new = |name: &str| NewTemplate {
            name: Some(name.into()),
            subject: Some("Pompa {{pompa}}".into()),
            text: Some("{{pompa}} di {{lokasi}} mati".into()),
        };
        let template = desk.engine.create_notification_template(&desk.admin, new("mati")).await.unwrap();
        let same = desk.engine.create_notification_template(&desk.admin, new("mati")).await;
        assert_eq!(fields(same), ["name"]);
        let broken = NewTemplate { text: Some("{{#if}}".into()), ..new("b") };
        assert_eq!(fields(desk.engine.create_notification_template(&desk.admin, broken).await), ["text"]);

        let mut request = SendNotification {
            text: None,
            template: Some("mati".into()),
            variables: json!({"pompa": 3}).as_object().cloned(),
            ..email(&["ani@example.com"])
        };
        let missing = desk.engine.send_notification(&desk.admin, request.clone()).await;
        assert_eq!(fields(missing), ["variables.lokasi"]);
        request.variables = json!({"pompa": 3, "lokasi": "Site A"}).as_object().cloned();
        let sent = desk.engine.send_notification(&desk.admin, request.clone()).await.unwrap();
        assert_eq!((sent.subject.as_deref(), sent.text.as_str()), (Some("Pompa 3"), "3 di Site A mati"));
        desk.become_(sent.id, &[MessageStatus::Sent]).await;
        assert!(mail.taken()[0].contains("\r\nSubject: Pompa 3\r\n"));

        let change = TemplateChange { subject: Patch::Set(None), ..TemplateChange::default() };
        let changed =
            desk.engine.update_notification_template(&desk.admin, template.id, change).await.unwrap();
        assert_eq!((changed.subject, changed.text), (None, template.text));
        desk.engine.delete_notification_template(&desk.admin, template.id).await.unwrap();
        assert_eq!(fields(desk.engine.send_notification(&desk.admin, request).await), ["template"]);
        desk.close().await;
    }
}
