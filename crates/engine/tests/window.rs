//! WhatsApp's 24-hour window: what goes out in a message's place, and what is learnt of it. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use desk::{BUDI, Desk, NOW, echoed, fault, text};
use harness::{ANI, NUMBER, Server, change, column, count, until};
use kabar_domain::ChannelId;
use kabar_domain::message::{MessageKind, MessageStatus};
use kabar_engine::Error;
use kabar_engine::accounts::NewAccount;
use kabar_engine::messages::{FileSource, SendMessage};
use kabar_engine::templates::TemplateMessage;
use kabar_simulator::{Fault, FaultKind};
use kabar_store::{Store, args};
use serde_json::{Value, json};

#[expect(dead_code, reason = "each test uses its part")]
#[path = "harness/desk.rs"]
mod desk;
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// With a number whose template `hello_world` is known.
async fn start(store: &Store) -> (Desk, Server, ChannelId) {
    let desk = Desk::open(store).await;
    let server = Server::start(store, &desk.clock, &desk.providers).await;
    let new = NewAccount {
        platform: Some("whatsapp".into()),
        display_name: Some("Sales line".into()),
        phone_number_id: Some(NUMBER.into()),
        waba_id: Some("waba".into()),
        access_token: Some("EAAtoken".into()),
        ..NewAccount::default()
    };
    let account = server.engine.create_messaging_account(&desk.admin, new).await.unwrap().row;
    until("templates are read", async || count(store, "templates WHERE status = 'APPROVED'").await > 0).await;
    (desk, server, account.channel_id.unwrap())
}

async fn hears(server: &Server, message: Value) {
    let contact = json!({"wa_id": message["from"], "profile": {"name": "Ani"}});
    server.deliver(&change(NUMBER, json!({"contacts": [contact], "messages": [message]}))).await;
}

/// A person wrote a minute ago.
async fn heard(server: &Server, from: &str) {
    let at = (NOW - 60).to_string();
    hears(
        server,
        json!({"from": from, "id": format!("wamid.{from}"), "timestamp": at, "type": "text",
        "text": {"body": "Halo"}}),
    )
    .await;
}

/// Of the next message; other calls go on.
fn refusal(code: i64) -> Fault {
    Fault { method: Some("messages".into()), code: Some(code), ..fault(FaultKind::Error) }
}

fn with_fallback(channel: ChannelId, to: &str, name: &str) -> SendMessage {
    let template = TemplateMessage { name: Some(name.to_owned()), ..TemplateMessage::default() };
    SendMessage { fallback_template: Some(template), ..text(channel, to, "Pesanan siap") }
}

both! {
    async fn a_message_that_came_too_late_goes_out_as_its_template(store: Store) {
        let (desk, server, channel) = start(&store).await;
        heard(&server, ANI).await;
        heard(&server, BUDI).await;
        desk.simulator.push_fault(refusal(131_047));
        let refused = server.engine.send_message(&desk.admin, with_fallback(channel, ANI, "hello_world")).await.unwrap();
        assert_eq!(refused.kind, MessageKind::Text);
        let sent = desk.reaches(&server, refused.id, MessageStatus::Sent).await;
        assert_eq!((sent.kind, sent.error), (MessageKind::Template, None));
        assert_eq!(desk.told(refused.id).await, ["queued", "sent"]);
        // The conversation knows better now.
        let answer = server.engine.send_message(&desk.admin, text(channel, ANI, "Masih di sana?")).await;
        assert!(matches!(answer, Err(Error::WindowClosed(_))), "{answer:?}");

        // As WhatsApp mostly says it: it takes the message, and reports later.
        let dropped = server.engine.send_message(&desk.admin, with_fallback(channel, BUDI, "hello_world")).await.unwrap();
        desk.reaches(&server, dropped.id, MessageStatus::Sent).await;
        let wamid = desk.simulator.sent().pop().unwrap().id;
        let mut report = echoed(&wamid, "failed", dropped.id);
        report["entry"][0]["changes"][0]["value"]["statuses"][0]["errors"] =
            json!([{"code": 131_047, "title": "Re-engagement message"}]);
        server.deliver(&report).await;
        let again = desk.reaches(&server, dropped.id, MessageStatus::Sent).await;
        assert_eq!((again.kind, again.failed_at), (MessageKind::Template, None));
        let kinds: Vec<_> = desk.simulator.sent().into_iter().map(|sent| sent.kind).collect();
        assert_eq!(kinds, ["template", "text", "template"]);
        server.stop().await;
    }

    async fn the_template_goes_out_where_nobody_knows_and_must_be_there_always(store: Store) {
        let (desk, server, channel) = start(&store).await;
        let first = server.engine.send_message(&desk.admin, with_fallback(channel, ANI, "hello_world")).await.unwrap();
        assert_eq!(first.kind, MessageKind::Template);
        heard(&server, BUDI).await;
        let unknown = server.engine.send_message(&desk.admin, with_fallback(channel, BUDI, "gone")).await;
        assert!(unknown.is_err(), "{unknown:?}");
        server.stop().await;
    }

    async fn a_message_is_not_sent_again_outside_its_window(store: Store) {
        let (desk, server, channel) = start(&store).await;
        heard(&server, ANI).await;
        desk.simulator.push_fault(refusal(131_026));
        let id = desk.send(&server, channel, ANI, "satu").await;
        desk.reaches(&server, id, MessageStatus::Failed).await;
        desk.clock.advance(Duration::from_hours(25));
        let answer = server.engine.retry_message(&desk.admin, id).await;
        assert!(matches!(answer, Err(Error::WindowClosed(_))), "{answer:?}");
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Failed);
        server.stop().await;
    }

    async fn whatsapps_own_word_opens_no_window(store: Store) {
        let (desk, server, _) = start(&store).await;
        let system = json!({"body": "Ani changed their phone number", "type": "customer_identity_changed",
            "customer": ANI, "identity": "hash"});
        hears(&server, json!({"from": ANI, "id": "wamid.system", "timestamp": NOW.to_string(), "type": "system",
            "system": system}))
        .await;
        assert_eq!(count(&store, "messages").await, 1);
        assert_eq!(count(&store, "conversations WHERE last_inbound_at IS NOT NULL").await, 0);
        drop(desk);
        server.stop().await;
    }

    async fn a_provider_is_sent_to_no_private_network(store: Store) {
        let (desk, server, channel) = start(&store).await;
        for url in ["https://169.254.169.254/latest", "https://localhost/a.jpg", "https://u:p@files.example.com/a.jpg"] {
            let file = FileSource { url: Some(url.into()), ..FileSource::default() };
            let message = SendMessage { kind: Some("image".into()), body: None, file, ..text(channel, ANI, "") };
            let answer = server.engine.send_message(&desk.admin, message).await;
            let is_named = |error: &Error| {
                matches!(error, Error::Invalid(invalid) if invalid.errors.contains_key("media_url"))
            };
            assert!(answer.as_ref().is_err_and(is_named), "{url}: {answer:?}");
        }
        server.stop().await;
    }

    async fn a_paused_template_holds_up_nothing_else(store: Store) {
        let (desk, server, channel) = start(&store).await;
        desk.simulator.push_fault(refusal(132_015));
        let paused = desk.send(&server, channel, ANI, "satu").await;
        let reply = desk.send(&server, channel, ANI, "dua").await;
        desk.reaches(&server, reply, MessageStatus::Sent).await;
        let waiting = desk.message(&server, paused).await;
        let outlook = waiting.outlook.unwrap();
        assert_eq!((waiting.status, outlook.send_at), (MessageStatus::Queued, None));
        assert!(outlook.held.is_some() && outlook.estimated_send_at.unwrap() > desk.clock.now());
        desk.clock.advance(Duration::from_hours(4));
        desk.reaches(&server, paused, MessageStatus::Sent).await;
        assert_eq!(desk.phone(ANI), ["dua", "satu"]);
        server.stop().await;
    }

    async fn somebody_keeps_one_conversation_under_the_name_that_whatsapp_has_for_them(store: Store) {
        let (desk, server, channel) = start(&store).await;
        let id = desk.send(&server, channel, "5511987654321", "Oi").await;
        let sent = desk.reaches(&server, id, MessageStatus::Sent).await;
        heard(&server, "551187654321").await;
        let lanes = "SELECT COUNT(DISTINCT conversation_id) FROM messages WHERE channel_id = $1";
        assert_eq!(column::<i64>(&store, lanes, args![sent.channel_id]).await, [1]);
        assert_eq!(count(&store, "contacts").await, 1);
        server.stop().await;
    }
}
