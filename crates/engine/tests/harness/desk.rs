//! The providers, and an organisation with a number there.

use std::time::Duration;

use kabar_domain::message::MessageStatus;
use kabar_domain::{ChannelId, Clock, MessageId};
use kabar_engine::Principal;
use kabar_engine::accounts::Account;
use kabar_engine::conversations::Message;
use kabar_engine::messages::SendMessage;
use kabar_simulator::{Bot, Config, Fault, FaultKind, Number, Simulator};
use kabar_store::{Store, args};
use serde_json::json;

use crate::harness::{NUMBER, Server, admin, change, column, report, until};
use crate::support::{clock, organisation};

/// The test clock's time, in seconds.
pub const NOW: i64 = 1_700_000_000;
pub const BUDI: &str = "6289876543210";

/// The providers, and an organisation with a number there.
pub struct Desk {
    pub simulator: Simulator,
    pub providers: String,
    pub store: Store,
    pub clock: Clock,
    pub admin: Principal,
}

pub fn fault(kind: FaultKind) -> Fault {
    Fault {
        provider: None,
        method: None,
        kind,
        code: None,
        http_status: None,
        description: None,
        retry_after: None,
        migrate_to_chat_id: None,
        times: 1,
        delay_ms: None,
        to: None,
    }
}

impl Desk {
    pub async fn open(store: &Store) -> Self {
        let config = Config {
            // Tests tell what became of a message themselves.
            auto_statuses: false,
            numbers: vec![Number {
                phone_number_id: NUMBER.into(),
                waba_id: "waba".into(),
                display_phone_number: "+62 811-000".into(),
                verified_name: "Acme".into(),
                access_token: "EAAtoken".into(),
            }],
            bots: vec![Bot {
                token: "123456:AAE".into(),
                username: "acme_bot".into(),
                first_name: "Acme".into(),
            }],
            ..Config::default()
        };
        let (simulator, address, _server) =
            Simulator::start(config, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let clock = clock();
        let admin = admin(&clock, organisation(store, &clock).await);
        Self { simulator, providers: format!("http://{address}"), store: store.clone(), clock, admin }
    }

    /// With an engine at work, and its account.
    pub async fn start(store: &Store) -> (Self, Server, Account) {
        let desk = Self::open(store).await;
        let server = Server::start(store, &desk.clock, &desk.providers).await;
        let account = server.register(&desk.admin, NUMBER, None).await;
        (desk, server, account)
    }

    pub async fn send(&self, server: &Server, channel: ChannelId, to: &str, body: &str) -> MessageId {
        server.engine.send_message(&self.admin, text(channel, to, body)).await.unwrap().id
    }

    pub async fn message(&self, server: &Server, id: MessageId) -> Message {
        server.engine.get_message(&self.admin, id).await.unwrap()
    }

    pub async fn reaches(&self, server: &Server, id: MessageId, status: MessageStatus) -> Message {
        until(status.as_str(), async || self.message(server, id).await.status == status).await;
        self.message(server, id).await
    }

    /// Looks again and again, while time goes by.
    pub async fn flows(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        until(what, async || {
            self.clock.advance(Duration::from_millis(20));
            condition().await
        })
        .await;
    }

    /// What arrived at this person's phone.
    pub fn phone(&self, to: &str) -> Vec<String> {
        self.simulator.sent().into_iter().filter(|sent| sent.to == to).map(|sent| sent.body).collect()
    }

    pub fn calls(&self) -> usize {
        self.simulator.received().iter().filter(|received| received.method == "messages").count()
    }

    pub async fn attempts(&self, id: MessageId) -> Vec<String> {
        let sql = "SELECT state FROM outbound_attempts WHERE message_id = $1 ORDER BY attempt";
        column(&self.store, sql, args![id]).await
    }

    /// The statuses that were told of a message, in order.
    pub async fn told(&self, id: MessageId) -> Vec<String> {
        let sql = "SELECT data FROM events WHERE subject_id = $1 AND kind = 'message.status' ORDER BY seq";
        let data: Vec<String> = column(&self.store, sql, args![id]).await;
        let data = data.iter().map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap());
        data.map(|data| data["status"].as_str().unwrap().to_owned()).collect()
    }
}

pub fn text(channel: ChannelId, to: &str, body: &str) -> SendMessage {
    SendMessage {
        channel_id: Some(channel.to_string()),
        wa_id: Some(to.into()),
        body: Some(body.into()),
        ..SendMessage::default()
    }
}

/// The provider's report of a message, with our id echoed.
pub fn echoed(wamid: &str, status: &str, id: MessageId) -> serde_json::Value {
    let mut report = report(wamid, status, NOW + 5);
    report["biz_opaque_callback_data"] = json!(id.to_string());
    change(NUMBER, json!({ "statuses": [report] }))
}
