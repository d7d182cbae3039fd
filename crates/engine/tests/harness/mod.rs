//! A running engine on a test's database, and what it did.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::{Abilities, Ability, Clock, OrganisationId, Reach, Role, UserId};
use kabar_engine::accounts::{Account, NewAccount};
use kabar_engine::crypto::MasterKey;
use kabar_engine::{Config, Engine, Principal, Running};
use kabar_simulator::signature;
use kabar_store::log::LogReader;
use kabar_store::{Db as _, Read, Store, Value, args};
use serde_json::{Value as Json, json};

pub const SERVER_SECRET: &str = "server-app-secret";
pub const TELEGRAM_SECRET: &str = "the-secret-of-telegram-webhooks";
pub const NUMBER: &str = "106540352242922";
/// The person who writes, and is written to.
pub const ANI: &str = "6281234567890";

/// The same for every engine, as it is for the nodes of one server.
const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// An engine at work.
pub struct Server {
    pub store: Store,
    pub engine: Arc<Engine>,
    running: Running,
}

/// `providers` is where both of them answer.
pub fn config(providers: &str) -> Config {
    let providers = url::Url::parse(providers).unwrap();
    let public = url::Url::parse("https://kabar.example.com/").unwrap();
    Config {
        meta_app_secrets: vec![SERVER_SECRET.into()],
        telegram_webhook_secret: Some(TELEGRAM_SECRET.into()),
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
        outbound_concurrency: 16,
        ..Config::new(std::env::temp_dir(), public, providers.clone(), providers)
    }
}

pub fn engine(store: &Store, clock: &Clock, providers: &str) -> Arc<Engine> {
    engine_of(store, clock, config(providers))
}

pub fn engine_of(store: &Store, clock: &Clock, config: Config) -> Arc<Engine> {
    Arc::new(Engine::new(store.clone(), clock.clone(), MasterKey::parse(KEY).unwrap(), config).unwrap())
}

/// An administrator of an organisation.
pub fn admin(clock: &Clock, organisation_id: OrganisationId) -> Principal {
    Principal {
        user_id: UserId::new(clock),
        token_id: 1,
        organisation_id,
        role: Role::Owner,
        abilities: Abilities::of(&[Ability::Admin]),
        token_abilities: Abilities::of(&[Ability::Admin]),
        bound: true,
        session: false,
        reach: Reach::default(),
        unpaid: None,
    }
}

impl Server {
    pub async fn start(store: &Store, clock: &Clock, providers: &str) -> Self {
        Self::run(store, engine(store, clock, providers)).await
    }

    pub async fn run(store: &Store, engine: Arc<Engine>) -> Self {
        let running = engine.start().await.unwrap();
        Self { store: store.clone(), engine, running }
    }

    pub async fn stop(self) {
        self.running.stop(self.engine).await;
    }

    pub async fn register(&self, admin: &Principal, phone_number_id: &str, secret: Option<&str>) -> Account {
        let new = NewAccount {
            platform: Some("whatsapp".into()),
            display_name: Some("Sales line".into()),
            phone_number_id: Some(phone_number_id.into()),
            access_token: Some("EAAtoken".into()),
            app_secret: secret.map(str::to_owned),
            ..NewAccount::default()
        };
        self.engine.create_messaging_account(admin, new).await.unwrap().row
    }

    /// Hands over a webhook signed with the server's app secret.
    pub async fn accept(&self, body: &Json) {
        let body = body.to_string().into_bytes();
        let signature = signature(SERVER_SECRET, &body);
        self.engine.accept_whatsapp(Some(&signature), body).await.unwrap();
    }

    /// Waits until everything accepted is applied.
    pub async fn caught_up(&self) {
        let log = LogReader::open(&self.store).unwrap();
        until("the backlog is empty", async || log.backlog().await.unwrap().0 == 0).await;
    }

    pub async fn deliver(&self, body: &Json) {
        self.accept(body).await;
        self.caught_up().await;
    }
}

/// Looks again and again, for a while that is long even for a busy machine.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(1), looking).await.is_ok(), "not in time: {what}");
}

/// The first column of what a query finds.
pub async fn column<T: Read>(store: &Store, sql: &str, args: Vec<Value>) -> Vec<T> {
    let rows = store.reader().await.unwrap().fetch(sql, args).await.unwrap();
    rows.into_iter().map(|mut row| row.get(0).unwrap()).collect()
}

pub async fn count(store: &Store, sql: &str) -> i64 {
    column(store, &format!("SELECT COUNT(*) FROM {sql}"), args![]).await[0]
}

/// A webhook body with one change of this number.
pub fn change(phone_number_id: &str, value: Json) -> Json {
    let mut value = value;
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": "62811000", "phone_number_id": phone_number_id});
    json!({"object": "whatsapp_business_account",
        "entry": [{"id": "waba", "changes": [{"field": "messages", "value": value}]}]})
}

/// A delivery report of a message, to be put into `statuses`.
pub fn report(wamid: &str, status: &str, at: i64) -> Json {
    json!({"id": wamid, "status": status, "timestamp": at.to_string(), "recipient_id": ANI})
}
