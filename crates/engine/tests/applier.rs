//! Webhooks in, through the log, to what a team sees. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use harness::{
    ANI, NUMBER, SERVER_SECRET, Server, TELEGRAM_SECRET, admin, change, column, count, report, until,
};
use kabar_domain::channel::ConversationStatus;
use kabar_domain::message::MessageStatus;
use kabar_domain::{AccountId, Clock, ConversationId, OrganisationId, Timestamp};
use kabar_engine::accounts::{Account, AccountChange, NewAccount};
use kabar_engine::conversations::{Conversation, ConversationChange, ConversationQuery, Message};
use kabar_engine::held::{Held, HeldQuery};
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::{Error, Principal};
use kabar_simulator::signature;
use kabar_store::counters::Counter;
use kabar_store::log::LogReader;
use kabar_store::messages::provider_key;
use kabar_store::statuses::{self, Early};
use kabar_store::{Store, apply, args};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestCaseError, TestRunner};
use serde_json::{Value as Json, json};
use support::{clock, organisation};

mod harness;
#[path = "../../store/tests/it/reopen.rs"]
mod reopen;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// The test clock's time, in seconds.
const NOW: i64 = 1_700_000_000;
const BUDI: &str = "6289876543210";
/// Where no provider answers.
const NOWHERE: &str = "http://127.0.0.1:9";

/// An organisation with one WhatsApp number, signed for by the server's app.
struct Line {
    server: Server,
    store: Store,
    clock: Clock,
    admin: Principal,
    account: Account,
}

impl Line {
    async fn open(store: &Store) -> Self {
        let clock = clock();
        let admin = admin(&clock, organisation(store, &clock).await);
        let server = Server::start(store, &clock, NOWHERE).await;
        let account = server.register(&admin, NUMBER, None).await;
        Self { server, store: store.clone(), clock, admin, account }
    }

    async fn messages(&self, list: &[Json]) {
        self.server.deliver(&change(NUMBER, json!({ "messages": list }))).await;
    }

    async fn statuses(&self, list: &[Json]) {
        self.server.deliver(&change(NUMBER, json!({ "statuses": list }))).await;
    }

    async fn telegram(&self, account: AccountId, update: Json) {
        let body = update.to_string().into_bytes();
        let account = account.to_string();
        self.server.engine.accept_telegram(Some(&account), Some(TELEGRAM_SECRET), body).await.unwrap();
        self.server.caught_up().await;
    }

    /// Freshest first.
    async fn conversations(&self) -> Vec<Conversation> {
        let query = ConversationQuery::default();
        let listed = self.server.engine.list_conversations(&self.admin, query, &page()).await.unwrap().items;
        listed.into_iter().map(|row| row.conversation).collect()
    }

    async fn conversation(&self) -> Conversation {
        let mut all = self.conversations().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Oldest first.
    async fn thread(&self, conversation: ConversationId) -> Vec<Message> {
        let page = self.server.engine.list_messages(&self.admin, conversation, &page()).await.unwrap();
        page.items.into_iter().rev().collect()
    }

    /// The only message of the only conversation.
    async fn message(&self) -> Message {
        let mut thread = self.thread(self.conversation().await.id).await;
        assert_eq!(thread.len(), 1, "{thread:?}");
        thread.remove(0)
    }

    async fn open_held(&self) -> Vec<Held> {
        let query = HeldQuery { resolved: Some(false), reason: None };
        self.server.engine.list_held_updates(&self.admin, query, &page()).await.unwrap().items
    }

    async fn events(&self, kind: &str) -> i64 {
        let sql = "SELECT COUNT(*) FROM events WHERE organisation_id = $1 AND kind = $2";
        column(&self.store, sql, args![self.admin.organisation_id, kind]).await[0]
    }

    /// Applies the whole log again.
    async fn replay(&self) {
        let log = LogReader::open(&self.store).unwrap();
        for stream in log.streams().await.unwrap() {
            self.server.engine.replay_range(stream, 1, i64::MAX, |_| {}).await.unwrap();
        }
    }

    /// Totals are what a count finds, events have no gaps; then stops.
    async fn close(self) {
        check(&self.store, self.admin.organisation_id).await;
        self.server.stop().await;
    }
}

fn page() -> PageRequest {
    PageRequest::new(None, None, None, None, 100).unwrap()
}

fn text(wamid: &str, from: &str, body: &str, after: i64) -> Json {
    json!({"id": wamid, "from": from, "timestamp": (NOW + after).to_string(), "type": "text",
        "text": {"body": body}})
}

/// What our own phone sent.
fn echo(wamid: &str, to: &str, body: &str, after: i64) -> Json {
    json!({"id": wamid, "from": "62811000", "to": to, "timestamp": (NOW + after).to_string(), "type": "text",
        "text": {"body": body}})
}

fn edit(wamid: &str, from: &str, original: &str, body: &str, after: i64) -> Json {
    json!({"id": wamid, "from": from, "timestamp": (NOW + after).to_string(), "type": "edit", "edit": {
        "original_message_id": original, "message": {"type": "text", "text": {"body": body}}}})
}

fn revoke(wamid: &str, from: &str, original: &str, after: i64) -> Json {
    json!({"id": wamid, "from": from, "timestamp": (NOW + after).to_string(), "type": "revoke",
        "revoke": {"original_message_id": original}})
}

fn reaction(wamid: &str, from: &str, original: &str, after: i64) -> Json {
    json!({"id": wamid, "from": from, "timestamp": (NOW + after).to_string(), "type": "reaction",
        "reaction": {"message_id": original, "emoji": "👍"}})
}

fn new_number(wamid: &str, from: &str, to: &str, after: i64) -> Json {
    json!({"id": wamid, "from": from, "timestamp": (NOW + after).to_string(), "type": "system", "system": {
        "body": "changed", "wa_id": to, "type": "user_changed_number"}})
}

fn order(wamid: &str, from: &str) -> Json {
    json!({"id": wamid, "from": from, "timestamp": NOW.to_string(), "type": "order", "order": {
        "catalog_id": "1", "product_items": [{"product_retailer_id": "p", "quantity": 1, "item_price": 5,
        "currency": "IDR"}]}})
}

/// A change of a group's name.
fn renamed(group: &str, title: &str) -> Json {
    let mut body = change(
        NUMBER,
        json!({"groups": [{"timestamp": NOW.to_string(), "group_id": group,
        "type": "group_settings_update", "group_subject": {"text": title, "update_successful": true}}]}),
    );
    body["entry"][0]["changes"][0]["field"] = json!("group_settings_update");
    body
}

/// All that a team can see, in words without our own ids.
async fn snapshot(store: &Store, organisation: OrganisationId) -> Vec<String> {
    const LINES: &[&str] = &[
        "SELECT 'message ' || m.provider_message_id || ' ' || m.direction || ' ' || m.kind || ' ' || m.status || ' ' ||
             COALESCE(m.body, '-') || ' ' || COALESCE(m.payload, '-') || ' ' || m.sort_at || ' ' || m.occurred_at
             || ' ' || COALESCE(m.sent_at, 0) || ' ' || COALESCE(m.delivered_at, 0) || ' ' || COALESCE(m.read_at, 0)
             || ' ' || COALESCE(m.edited_at, 0) || ' ' || COALESCE(m.revoked_at, 0) || ' ' || COALESCE(p.wa_id, '-')
         FROM messages m LEFT JOIN contacts p ON p.id = m.contact_id WHERE m.organisation_id = $1",
        "SELECT 'contact ' || COALESCE(name, '-') || ' ' || COALESCE(wa_id, '-') || ' ' || COALESCE(phone, '-') || ' '
             || search FROM contacts WHERE organisation_id = $1",
        "SELECT 'identity ' || i.kind || ' ' || i.value || ' of ' || COALESCE(c.wa_id, '-') FROM contact_identities i
         JOIN contacts c ON c.id = i.contact_id WHERE i.organisation_id = $1",
        "SELECT 'channel ' || kind || ' ' || status || ' ' || external_id || ' ' || display_name FROM channels
         WHERE organisation_id = $1",
        "SELECT 'conversation ' || COALESCE(c.wa_id, '-') || ' ' || h.external_id || ' ' || v.status || ' ' ||
             v.unread_count || ' ' || v.message_count || ' ' || v.last_message_at || ' ' ||
             COALESCE(v.last_inbound_at, 0) || ' ' || COALESCE(v.title, '-')
         FROM conversations v JOIN channels h ON h.id = v.channel_id LEFT JOIN contacts c ON c.id = v.contact_id
         WHERE v.organisation_id = $1",
        "SELECT 'inbox ' || m.provider_message_id || ' ' || i.status FROM inbox_items i
         JOIN messages m ON m.id = i.message_id WHERE i.organisation_id = $1",
        "SELECT 'total ' || subject || ' ' || status || ' ' || SUM(value) FROM counters
         WHERE organisation_id = $1 GROUP BY subject, status",
        "SELECT 'template ' || name || ' ' || status FROM templates WHERE organisation_id = $1",
        "SELECT 'early ' || status FROM early_statuses WHERE organisation_id = $1",
        "SELECT 'held ' || pointer || ' ' || error FROM held_updates WHERE resolved_at IS NULL",
        "SELECT 'received ' || COUNT(*) FROM events WHERE organisation_id = $1 AND kind = 'message.received'",
    ];
    let mut lines = Vec::new();
    for sql in LINES {
        let args = if sql.contains("$1") { args![organisation] } else { args![] };
        lines.extend(column::<String>(store, sql, args).await);
    }
    lines.sort();
    lines
}

/// What is kept beside the rows agrees with them.
async fn check(store: &Store, organisation: OrganisationId) {
    let pairs = [
        (
            "SELECT 'v' || status || ' ' || COUNT(*) FROM conversations WHERE organisation_id = $1
             GROUP BY channel_id, status",
            "SELECT 'v' || status || ' ' || value FROM counters
             WHERE organisation_id = $1 AND subject = 1 AND value <> 0",
        ),
        (
            "SELECT 'c ' || COUNT(*) FROM contacts WHERE organisation_id = $1 HAVING COUNT(*) > 0",
            "SELECT 'c ' || value FROM counters WHERE organisation_id = $1 AND subject = 2 AND value <> 0",
        ),
        (
            "SELECT 'i' || status || ' ' || COUNT(*) FROM inbox_items WHERE organisation_id = $1 GROUP BY status",
            "SELECT 'i' || status || ' ' || value FROM counters
             WHERE organisation_id = $1 AND subject = 3 AND value <> 0",
        ),
        (
            "SELECT '' || COUNT(*) FROM messages m JOIN conversations v ON v.id = m.conversation_id
             WHERE m.organisation_id = $1 GROUP BY v.id",
            "SELECT '' || message_count FROM conversations WHERE organisation_id = $1 AND message_count > 0",
        ),
        (
            "SELECT '1-' || COUNT(*) FROM events WHERE organisation_id = $1",
            "SELECT MIN(seq) || '-' || MAX(seq) FROM events WHERE organisation_id = $1",
        ),
    ];
    for (counted, kept) in pairs {
        // Between the two queries what came may be understood, which is an event.
        until(&format!("these are the same: {counted}, {kept}"), async || {
            let mut counted: Vec<String> = column(store, counted, args![organisation]).await;
            let mut kept: Vec<String> = column(store, kept, args![organisation]).await;
            counted.sort();
            kept.sort();
            counted == kept
        })
        .await;
    }
}

/// Rows of `table` that are like this are not inserted, as if another had just written them.
async fn swallow(store: &Store, table: &str, like: &str) {
    let mut tx = store.begin().await.unwrap();
    if store.is_sqlite() {
        let trigger = format!(
            "CREATE TRIGGER swallow BEFORE INSERT ON {table} WHEN NEW.{like} BEGIN SELECT RAISE(IGNORE); END"
        );
        tx.execute(&trigger, args![]).await.unwrap();
    } else {
        let function =
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
        tx.execute(function, args![]).await.unwrap();
        let trigger = format!(
            "CREATE TRIGGER swallow BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.{like}) EXECUTE FUNCTION swallow()"
        );
        tx.execute(&trigger, args![]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn swallow_no_more(store: &Store, table: &str) {
    let on = if store.is_sqlite() { String::new() } else { format!(" ON {table}") };
    let mut tx = store.begin().await.unwrap();
    tx.execute(&format!("DROP TRIGGER swallow{on}"), args![]).await.unwrap();
    tx.commit().await.unwrap();
}

both! {
    async fn a_webhook_delivered_three_times_at_once_is_stored_once(store: Store) {
        let line = Line::open(&store).await;
        let body = change(NUMBER, json!({"contacts": [{"wa_id": ANI, "profile": {"name": "Ani"}}],
            "messages": [text("wamid.1", ANI, "AC bocor di Gedung A", 0)]}));
        tokio::join!(line.server.accept(&body), line.server.accept(&body), line.server.accept(&body));
        line.server.caught_up().await;
        let conversation = line.conversation().await;
        assert_eq!((conversation.message_count, conversation.unread_count), (1, 1));
        assert_eq!(line.message().await.body.as_deref(), Some("AC bocor di Gedung A"));
        assert_eq!(count(&store, "inbox_items").await, 1);
        assert_eq!(count(&store, "inbound_positions WHERE position > 0").await.min(1), 1);
        for kind in ["message.received", "contact.created", "conversation.created"] {
            assert_eq!(line.events(kind).await, 1, "{kind}");
        }
        line.close().await;
    }

    async fn a_body_of_a_thousand_updates_is_applied_whole(store: Store) {
        let line = Line::open(&store).await;
        let messages: Vec<_> = (0..600)
            .map(|n| text(&format!("wamid.{n}"), &format!("6281{:06}", n % 90), &format!("pesan {n}"), n))
            .collect();
        let echoes: Vec<_> =
            (0..200).map(|n| echo(&format!("echo.{n}"), &format!("6281{:06}", n % 90), "ya", n)).collect();
        let statuses: Vec<_> = (0..200).map(|n| report(&format!("echo.{n}"), "delivered", NOW)).collect();
        let body = json!({"messages": messages, "message_echoes": echoes, "statuses": statuses});
        line.server.deliver(&change(NUMBER, body)).await;
        assert_eq!(count(&store, "messages").await, 800);
        assert_eq!(count(&store, "messages WHERE status = 50").await, 200);
        assert_eq!(count(&store, "contacts").await, 90);
        assert_eq!(count(&store, "inbox_items").await, 600);
        assert_eq!(count(&store, "conversations WHERE unread_count NOT IN (6, 7)").await, 0);
        assert_eq!(line.events("message.received").await, 600);
        assert!(line.open_held().await.is_empty());
        line.close().await;
    }

    async fn one_update_that_cannot_be_stored_does_not_hold_up_its_neighbours(store: Store) {
        let line = Line::open(&store).await;
        let index = async |sql: &str| {
            let mut tx = store.begin().await.unwrap();
            tx.execute(sql, args![]).await.unwrap();
            tx.commit().await.unwrap();
        };
        // A database that takes one order only.
        index("CREATE UNIQUE INDEX one_order ON inbox_items (kind) WHERE kind = 14").await;
        line.messages(&[order("wamid.first", BUDI)]).await;
        let mut list: Vec<_> = (0..50).map(|n| text(&format!("wamid.{n}"), ANI, "ya", n)).collect();
        list.insert(25, order("wamid.refused", ANI));
        line.messages(&list).await;
        assert_eq!(count(&store, "messages").await, 51);
        let held = line.open_held().await;
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!(held[0].pointer, "/entry/0/changes/0/value/messages/25");
        assert_eq!((held[0].reason.as_str(), held[0].organisation_id),
            ("quarantined", Some(line.admin.organisation_id)));
        assert!(held[0].error.contains("could not be stored"), "{}", held[0].error);
        check(&store, line.admin.organisation_id).await;

        let (again, replayed) = line.server.engine.replay_held_update(&line.admin, held[0].id).await.unwrap();
        assert_eq!((again.resolved_at, replayed.updates, replayed.held), (None, 1, 1), "nothing was mended");
        index("DROP INDEX one_order").await;
        let (again, replayed) = line.server.engine.replay_held_update(&line.admin, held[0].id).await.unwrap();
        assert_eq!((again.resolved_at.is_some(), replayed.held), (true, 0));
        assert_eq!(count(&store, "messages").await, 52);
        assert_eq!(line.conversations().await.iter().map(|one| one.unread_count).sum::<i64>(), 52);
        line.close().await;
    }

    async fn what_always_meets_with_another_is_quarantined_and_the_rest_goes_on(store: Store) {
        let line = Line::open(&store).await;
        // As if somebody else made this person each time.
        swallow(&store, "contact_identities", &format!("value = '{BUDI}'")).await;
        line.messages(&[text("wamid.1", ANI, "satu", -9), text("wamid.2", BUDI, "dua", -8)]).await;
        assert_eq!(line.message().await.body.as_deref(), Some("satu"));
        let held = line.open_held().await;
        assert_eq!((held.len(), held[0].reason.as_str()), (1, "quarantined"));
        let (again, _) = line.server.engine.replay_held_update(&line.admin, held[0].id).await.unwrap();
        assert_eq!(again.resolved_at, None, "nothing was mended");
        swallow_no_more(&store, "contact_identities").await;
        line.server.engine.replay_held_update(&line.admin, held[0].id).await.unwrap();
        assert_eq!((line.open_held().await.len(), count(&store, "messages").await), (0, 2));
        line.close().await;
    }

    async fn a_member_named_twice_by_one_id_is_one_person(store: Store) {
        let line = Line::open(&store).await;
        let id = "ID.13491208655302741918";
        let mut body = change(NUMBER, json!({"groups": [{"timestamp": NOW.to_string(), "group_id": "group-1",
            "type": "group_participants_add",
            "added_participants": [{"user_id": id, "parent_user_id": id}]}]}));
        body["entry"][0]["changes"][0]["field"] = json!("group_participants_update");
        line.server.deliver(&body).await;
        assert_eq!(line.open_held().await, []);
        assert_eq!((count(&store, "contacts").await, count(&store, "group_members").await), (1, 1));
        line.close().await;
    }

    async fn what_cannot_be_read_is_kept_with_its_reason(store: Store) {
        let line = Line::open(&store).await;
        let body = b"{ not json".to_vec();
        let signature = signature(SERVER_SECRET, &body);
        line.server.engine.accept_whatsapp(Some(&signature), body).await.unwrap();
        let nobody = json!({"id": "wamid.2", "timestamp": NOW.to_string(), "type": "text", "text": {"body": "?"}});
        line.messages(&[nobody, text("wamid.1", ANI, "ada", 0)]).await;
        assert_eq!(line.message().await.body.as_deref(), Some("ada"));
        let held = line.open_held().await;
        let mut pointers: Vec<_> = held.iter().map(|held| held.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["", "/entry/0/changes/0/value/messages/0"]);
        line.close().await;
    }

    async fn what_comes_for_an_unknown_number_is_applied_once_it_is_registered(store: Store) {
        let line = Line::open(&store).await;
        let body = change("999", json!({"messages": [text("wamid.1", ANI, "halo", 0)]}));
        line.server.deliver(&body).await;
        let held = line.open_held().await;
        assert_eq!((held.len(), held[0].reason.as_str(), held[0].organisation_id), (1, "unclaimed", None));
        assert_eq!(count(&store, "messages").await, 0);
        line.server.register(&line.admin, "999", None).await;
        until("the message is applied", async || line.open_held().await.is_empty()).await;
        assert_eq!(line.message().await.body.as_deref(), Some("halo"));
        line.server.deliver(&body).await;
        line.replay().await;
        assert_eq!(line.conversation().await.unread_count, 1);
        assert_eq!(line.events("message.received").await, 1);
        line.close().await;
    }

    async fn what_comes_for_an_unknown_number_of_a_known_business_account_waits_for_that_number(store: Store) {
        let line = Line::open(&store).await;
        let register = async |id: &str, phone: &str| {
            let new = NewAccount {
                platform: Some("whatsapp".into()),
                display_name: Some("Line".into()),
                phone_number_id: Some(id.into()),
                phone_number: Some(phone.into()),
                waba_id: Some("777".into()),
                access_token: Some("EAAtoken".into()),
                ..NewAccount::default()
            };
            line.server.engine.create_messaging_account(&line.admin, new).await.unwrap().row
        };
        register("200", "+62 811 200").await;
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "777", "changes": [
            {"field": "phone_number_name_update", "value": {"display_phone_number": "62811201",
                "decision": "APPROVED", "requested_verified_name": "Toko"}}]}]});
        line.server.deliver(&body).await;
        let held = line.open_held().await.remove(0);
        assert_eq!((held.reason.as_str(), held.account_key.as_str()), ("unclaimed", "777 62811201"));
        let claimable = async || {
            apply::claimable(&mut store.reader().await.unwrap(), (-1, -1), 10).await.unwrap()
        };
        assert_eq!(claimable().await, [], "or it would be tried for ever");
        let other = register("201", "+62 811 201").await;
        until("it is applied", async || line.open_held().await.is_empty()).await;
        let name = "SELECT verified_name FROM accounts WHERE id = $1";
        assert_eq!(column::<String>(&store, name, args![other.id]).await, ["Toko"]);
        line.close().await;
    }

    async fn a_webhook_under_another_apps_secret_waits_until_the_secret_is_corrected(store: Store) {
        let line = Line::open(&store).await;
        let other = line.server.register(&line.admin, "200", Some("mistyped")).await;
        line.server.deliver(&change("200", json!({"messages": [text("wamid.1", ANI, "halo", 0)]}))).await;
        let held = line.open_held().await;
        assert_eq!((held.len(), held[0].reason.as_str()), (1, "quarantined"));
        assert!(held[0].error.contains("app_secret"), "{}", held[0].error);
        let change = AccountChange {
            app_secret: Patch::Set(Some(SERVER_SECRET.into())),
            ..AccountChange::default()
        };
        line.server.engine.update_messaging_account(&line.admin, other.id, change).await.unwrap();
        line.server.engine.replay_held_update(&line.admin, held[0].id).await.unwrap();
        assert_eq!(line.message().await.body.as_deref(), Some("halo"));
        assert!(line.open_held().await.is_empty());
        line.close().await;
    }

    async fn one_tenants_app_secret_does_not_write_to_another_tenants_number(store: Store) {
        let line = Line::open(&store).await;
        let stranger = admin(&line.clock, organisation(&store, &line.clock).await);
        line.server.register(&stranger, "300", Some("strangers-secret")).await;
        line.server.register(&line.admin, "200", Some("ours")).await;
        // To a number with a secret of its own, and to one that goes by the server's.
        for number in ["200", NUMBER] {
            let body = change(number, json!({"messages": [text("wamid.1", ANI, "transfer the money", 0)]}));
            let body = body.to_string().into_bytes();
            let signature = signature("strangers-secret", &body);
            line.server.engine.accept_whatsapp(Some(&signature), body).await.unwrap();
        }
        line.server.caught_up().await;
        assert_eq!(count(&store, "messages").await, 0);
        assert_eq!(count(&store, "contacts").await, 0);
        let held = line.open_held().await;
        assert_eq!(held.len(), 2, "their owner sees them");
        let query = HeldQuery::default();
        let theirs = line.server.engine.list_held_updates(&stranger, query, &page()).await.unwrap();
        assert_eq!(theirs.total, 0, "and nobody else");
        let foreign = line.server.engine.replay_held_update(&stranger, held[0].id).await;
        assert!(matches!(foreign, Err(Error::NotFound(_))));
        for held in held {
            let (held, _) = line.server.engine.replay_held_update(&line.admin, held.id).await.unwrap();
            assert_eq!(held.resolved_at, None, "nor does a replay let it in");
        }
        assert_eq!(count(&store, "messages").await, 0);
        line.close().await;
    }

    async fn a_replay_changes_nothing(store: Store) {
        let line = Line::open(&store).await;
        line.messages(&[text("wamid.1", ANI, "satu", -50), text("wamid.2", BUDI, "dua", -49)]).await;
        line.messages(&[edit("wamid.3", ANI, "wamid.1", "satu!", -40)]).await;
        line.messages(&[revoke("wamid.4", BUDI, "wamid.2", -30)]).await;
        line.messages(&[new_number("wamid.5", ANI, "6281111", -20), reaction("wamid.6", BUDI, "wamid.1", -19)]).await;
        line.server.deliver(&change(NUMBER, json!({"message_echoes": [echo("wamid.7", BUDI, "ya", -10)]}))).await;
        line.statuses(&[report("wamid.7", "delivered", NOW), report("early", "read", NOW)]).await;
        let mut group = text("wamid.8", BUDI, "di grup", -5);
        group["group_id"] = json!("group-1");
        line.messages(&[group]).await;
        line.server.deliver(&renamed("group-1", "Tim A")).await;
        line.server.deliver(&renamed("group-1", "Tim B")).await;
        line.messages(&[json!({"from": ANI, "type": "text"})]).await;
        let (before, events) = (snapshot(&store, line.admin.organisation_id).await, count(&store, "events").await);
        for _ in 0..2 {
            line.replay().await;
            assert_eq!(snapshot(&store, line.admin.organisation_id).await, before);
            assert_eq!(count(&store, "events").await, events, "and nobody is told again");
        }
        line.close().await;
    }

    async fn a_replay_does_not_bring_back_an_old_name(store: Store) {
        let line = Line::open(&store).await;
        line.server.deliver(&renamed("group-1", "Tim A")).await;
        let log = LogReader::open(&store).unwrap();
        let first = log.list(None, 1).await.unwrap().remove(0);
        line.server.deliver(&renamed("group-1", "Tim B")).await;
        line.server.engine.replay_range(first.stream, first.seq, first.seq, |_| {}).await.unwrap();
        let name = "SELECT display_name FROM channels WHERE external_id = 'group-1'";
        assert_eq!(column::<String>(&store, name, args![]).await, ["Tim B"]);
        line.close().await;
    }

    async fn a_report_that_comes_before_its_message_waits_for_it(store: Store) {
        let line = Line::open(&store).await;
        line.statuses(&[report("wamid.1", "read", NOW + 2), report("wamid.1", "delivered", NOW + 1)]).await;
        assert_eq!(count(&store, "messages").await, 0);
        line.server.deliver(&change(NUMBER, json!({"message_echoes": [echo("wamid.1", ANI, "ya", 0)]}))).await;
        let message = line.message().await;
        assert_eq!(message.status, MessageStatus::Read);
        assert_eq!(message.delivered_at.map(Timestamp::as_unix), Some(NOW + 1));
        assert_eq!(message.read_at.map(Timestamp::as_unix), Some(NOW + 2));
        assert_eq!(count(&store, "early_statuses").await, 0);
        line.close().await;
    }

    async fn a_report_of_a_message_that_another_stores_waits_for_that_row(store: Store) {
        let line = Line::open(&store).await;
        line.statuses(&[report("wamid.1", "read", NOW + 2)]).await;
        let body = change(NUMBER, json!({"message_echoes": [echo("wamid.1", ANI, "ya", 0)]}));
        swallow(&store, "messages", "provider_message_id = 'wamid.1'").await;
        line.server.deliver(&body).await;
        assert_eq!((count(&store, "messages").await, count(&store, "early_statuses").await), (0, 1));
        swallow_no_more(&store, "messages").await;
        line.server.deliver(&body).await;
        assert_eq!(line.message().await.status, MessageStatus::Read);
        line.close().await;
    }

    async fn a_report_that_crossed_with_its_message_is_applied_later(store: Store) {
        let line = Line::open(&store).await;
        line.server.deliver(&change(NUMBER, json!({"message_echoes": [echo("wamid.1", ANI, "ya", 0)]}))).await;
        let early = Early {
            organisation_id: line.admin.organisation_id,
            provider_key: provider_key(line.account.id, "wamid.1"),
            status: MessageStatus::Delivered,
            callback_data: None,
            error: None,
            occurred_at: line.clock.now(),
        };
        let mut tx = store.begin().await.unwrap();
        statuses::keep_early(&mut tx, vec![early], line.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        line.server.engine.accounts_changed().await;
        until("it is applied", async || line.message().await.status == MessageStatus::Delivered).await;
        line.close().await;
    }

    async fn a_status_only_moves_forward(store: Store) {
        let line = Line::open(&store).await;
        line.server.deliver(&change(NUMBER, json!({"message_echoes": [echo("wamid.1", ANI, "ya", 0)]}))).await;
        line.statuses(&[report("wamid.1", "read", NOW + 3)]).await;
        line.statuses(&[report("wamid.1", "delivered", NOW + 2), report("wamid.1", "sent", NOW + 1)]).await;
        let mut failed = report("wamid.1", "failed", NOW + 4);
        failed["errors"] = json!([{"code": 131_026, "title": "Message undeliverable"}]);
        line.statuses(&[failed.clone()]).await;
        let message = line.message().await;
        assert_eq!((message.status, message.error, message.failed_at), (MessageStatus::Read, None, None));
        assert_eq!(message.delivered_at.map(Timestamp::as_unix), Some(NOW + 2), "its time is kept all the same");

        line.server.deliver(&change(NUMBER, json!({"message_echoes": [echo("wamid.2", BUDI, "ya", 0)]}))).await;
        failed["id"] = json!("wamid.2");
        line.statuses(&[failed]).await;
        line.statuses(&[report("wamid.2", "delivered", NOW + 5)]).await;
        let conversation = line.conversations().await.into_iter().find(|one| one.id != message.conversation_id);
        let message = line.thread(conversation.unwrap().id).await.remove(0);
        assert_eq!(message.status, MessageStatus::Failed);
        let error = message.error.unwrap();
        assert_eq!((error.code, error.title.as_str()), (131_026, "Message undeliverable"));
        assert!(error.action.is_some(), "a person is told what to do");
        line.close().await;
    }

    async fn a_hidden_number_that_shows_is_the_same_person(store: Store) {
        let line = Line::open(&store).await;
        let from = |wamid: &str, phone: Option<&str>, after| {
            let mut message = text(wamid, "", "halo", after);
            message["from"] = json!(phone);
            message["from_user_id"] = json!("ID.13491208655302741918");
            message
        };
        line.messages(&[from("wamid.1", None, -3)]).await;
        line.messages(&[from("wamid.2", Some(ANI), -2)]).await;
        line.messages(&[text("wamid.3", ANI, "lagi", -1)]).await;
        let conversation = line.conversation().await;
        assert_eq!(conversation.unread_count, 3);
        let found = line.server.engine.list_contacts(&line.admin, Some(ANI), &page()).await.unwrap();
        assert_eq!((found.total, found.items.len()), (1, 1), "and is found by the number");
        let contact = &found.items[0];
        assert_eq!((contact.wa_id.as_deref(), contact.phone.as_deref()), (Some(ANI), Some("+6281234567890")));
        assert_eq!(contact.identities.len(), 2);
        line.close().await;
    }

    async fn a_new_number_goes_on_in_the_old_conversation(store: Store) {
        let line = Line::open(&store).await;
        let first = change(NUMBER, json!({"messages": [text("wamid.1", ANI, "satu", -9)]}));
        line.server.deliver(&first).await;
        line.messages(&[new_number("wamid.2", ANI, BUDI, -8)]).await;
        line.messages(&[text("wamid.3", BUDI, "dua", -7)]).await;
        let conversation = line.conversation().await;
        assert_eq!((conversation.message_count, conversation.unread_count), (3, 2));
        // The provider delivers an old webhook once more: nobody new wrote.
        line.server.deliver(&first).await;
        assert_eq!((line.conversations().await.len(), count(&store, "contacts").await), (1, 1));
        // Whoever has the old number now is somebody else.
        line.messages(&[text("wamid.4", ANI, "salah sambung?", -6)]).await;
        assert_eq!((line.conversations().await.len(), count(&store, "contacts").await), (2, 2));
        let contact = line.server.engine.get_contact(&line.admin, conversation.contact_id.unwrap()).await.unwrap();
        assert_eq!(contact.wa_id.as_deref(), Some(BUDI));
        line.close().await;
    }

    async fn a_group_nobody_linked_appears_as_pending(store: Store) {
        let line = Line::open(&store).await;
        let said = |wamid: &str, from: &str| {
            let mut message = text(wamid, from, "pompa mati", 0);
            message["group_id"] = json!("group-1");
            message
        };
        line.messages(&[said("wamid.1", ANI), said("wamid.2", BUDI)]).await;
        let conversation = line.conversation().await;
        assert_eq!((conversation.unread_count, conversation.contact_id), (2, None));
        let thread = line.thread(conversation.id).await;
        assert_ne!(thread[0].contact_id, thread[1].contact_id);
        let channel = line.server.engine.get_channel(&line.admin, conversation.channel_id).await.unwrap().row;
        assert_eq!((channel.status.as_str(), channel.external_id.as_str()), ("pending", "group-1"));
        assert_eq!(channel.account_id, line.account.id);
        assert_eq!(line.events("channel.created").await, 2, "the direct line's, and this one's");
        line.close().await;
    }

    async fn a_group_that_became_a_supergroup_goes_on(store: Store) {
        let line = Line::open(&store).await;
        let bot = NewAccount {
            platform: Some("telegram".into()),
            display_name: Some("Bot".into()),
            bot_token: Some("123456:AAE".into()),
            ..NewAccount::default()
        };
        let bot = line.server.engine.create_messaging_account(&line.admin, bot).await.unwrap().row;
        let said = |update: i64, message: i64, chat: i64, kind: &str| {
            json!({"update_id": update, "message": {"message_id": message, "date": NOW,
                "from": {"id": 7, "is_bot": false, "first_name": "Ani"}, "text": "halo",
                "chat": {"id": chat, "type": kind, "title": "Tim A"}}})
        };
        let old = said(1, 5, -100, "group");
        line.telegram(bot.id, old.clone()).await;
        let mut migrated = said(2, 6, -100, "group");
        migrated["message"].as_object_mut().unwrap().remove("text");
        migrated["message"]["migrate_to_chat_id"] = json!(-1_001_234);
        line.telegram(bot.id, migrated).await;
        line.telegram(bot.id, said(3, 1, -1_001_234, "supergroup")).await;
        let conversation = line.conversation().await;
        assert_eq!(conversation.unread_count, 2);
        // An update that is delivered again does not bring the old group back.
        line.telegram(bot.id, old).await;
        assert_eq!(line.conversation().await.unread_count, 2);
        let groups = "SELECT external_id FROM channels WHERE kind = 2";
        assert_eq!(column::<String>(&store, groups, args![]).await, ["-1001234"]);
        line.close().await;
    }

    async fn an_edit_changes_its_message_and_an_older_one_does_not(store: Store) {
        let line = Line::open(&store).await;
        line.messages(&[text("wamid.1", ANI, "satu", -9)]).await;
        let last = edit("wamid.3", ANI, "wamid.1", "tiga", -5);
        line.messages(std::slice::from_ref(&last)).await;
        line.messages(&[edit("wamid.2", ANI, "wamid.1", "dua", -7), last]).await;
        let message = line.message().await;
        assert_eq!((message.body.as_deref(), message.edited_at.map(Timestamp::as_unix)), (Some("tiga"), Some(NOW - 5)));
        assert_eq!((line.conversation().await.unread_count, count(&store, "inbox_items").await), (1, 1));
        assert_eq!(line.events("message.edited").await, 1);
        line.close().await;
    }

    async fn an_edit_that_comes_before_its_message_stands_for_it(store: Store) {
        let line = Line::open(&store).await;
        line.messages(&[edit("wamid.2", ANI, "wamid.1", "dua", -7)]).await;
        line.messages(&[text("wamid.1", ANI, "satu", -9)]).await;
        assert_eq!(line.message().await.body.as_deref(), Some("dua"));
        assert_eq!((line.conversation().await.unread_count, count(&store, "inbox_items").await), (1, 1));
        line.close().await;
    }

    async fn a_deleted_message_is_marked_and_kept(store: Store) {
        let line = Line::open(&store).await;
        line.messages(&[text("wamid.1", ANI, "rahasia", -9)]).await;
        line.messages(&[revoke("wamid.2", ANI, "wamid.1", -8)]).await;
        line.messages(&[revoke("wamid.2", ANI, "wamid.1", -8)]).await;
        let message = line.message().await;
        assert_eq!(message.revoked_at.map(Timestamp::as_unix), Some(NOW - 8));
        assert_eq!(message.body.as_deref(), Some("rahasia"));
        assert_eq!(line.events("message.revoked").await, 1);
        line.close().await;
    }

    async fn a_reaction_is_nothing_to_answer(store: Store) {
        let line = Line::open(&store).await;
        line.messages(&[text("wamid.1", ANI, "beres", -9)]).await;
        let id = line.conversation().await.id;
        let close = || ConversationChange {
            status: Some("closed".into()),
            unread_count: Some(0),
            ..ConversationChange::default()
        };
        line.server.engine.update_conversation(&line.admin, id, close()).await.unwrap();
        line.messages(&[reaction("wamid.2", ANI, "wamid.1", -8)]).await;
        let conversation = line.conversation().await;
        assert_eq!((conversation.unread_count, conversation.status.as_str()), (0, "closed"));
        assert_eq!(count(&store, "inbox_items").await, 1);
        let thread = line.thread(id).await;
        assert_eq!((thread[1].body.as_deref(), thread[1].reply_to_id), (Some("👍"), Some(thread[0].id)));

        // A word is.
        line.messages(&[text("wamid.3", ANI, "bocor lagi", -7), text("wamid.4", ANI, "cepat", -6)]).await;
        let conversation = line.conversation().await;
        assert_eq!((conversation.unread_count, conversation.status.as_str()), (2, "open"));
        for (status, total) in [("open", 1), ("closed", 0)] {
            let query = ConversationQuery { status: Some(status.into()), ..ConversationQuery::default() };
            let listed = line.server.engine.list_conversations(&line.admin, query, &page()).await.unwrap();
            assert_eq!((listed.total, listed.items.len()), (total, total as usize), "{status}");
        }
        line.close().await;
    }

    async fn what_is_closed_just_as_somebody_writes_opens_again(store: Store) {
        let line = Line::open(&store).await;
        line.messages(&[text("wamid.1", ANI, "bocor", -9)]).await;
        let before = line.conversation().await;
        let mut tx = store.begin().await.unwrap();
        let close = "UPDATE conversations SET status = $1, unread_count = 0 WHERE id = $2";
        tx.execute(close, args![ConversationStatus::Closed, before.id]).await.unwrap();
        for (status, by) in [(ConversationStatus::Open, -1), (ConversationStatus::Closed, 1)] {
            tx.count(line.admin.organisation_id, Counter::Conversations(before.channel_id, status), by);
        }
        line.server.accept(&change(NUMBER, json!({"messages": [text("wamid.2", ANI, "lagi", -8)]}))).await;
        if !store.is_sqlite() {
            let waiting = "SELECT COUNT(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            until("the applier waits", async || column::<i64>(&store, waiting, args![]).await[0] > 0).await;
        }
        tx.commit().await.unwrap();
        line.server.caught_up().await;
        let conversation = line.conversation().await;
        assert_eq!((conversation.status.as_str(), conversation.unread_count), ("open", 1));
        line.close().await;
    }

    async fn history_is_there_to_read_and_nothing_to_answer(store: Store) {
        let line = Line::open(&store).await;
        let said = |wamid: &str, from: &str, to: &str, status: &str| {
            let mut message = text(wamid, from, wamid, -86_400);
            message["to"] = json!(to);
            message["history_context"] = json!({ "status": status });
            message
        };
        let mut body = change(NUMBER, json!({"history": [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 55},
            "threads": [{"id": ANI, "messages": [
                said("theirs", ANI, "62811000", "READ"),
                said("read", "62811000", ANI, "READ"),
                said("failed", "62811000", ANI, "ERROR"),
                said("waiting", "62811000", ANI, "PENDING"),
            ]}]}]}));
        body["entry"][0]["changes"][0]["field"] = json!("history");
        line.server.deliver(&body).await;
        assert_eq!(line.open_held().await, []);
        let conversation = line.conversation().await;
        assert_eq!((conversation.unread_count, conversation.message_count), (0, 4));
        assert_eq!(count(&store, "inbox_items").await, 0);
        let mut statuses: Vec<_> =
            line.thread(conversation.id).await.into_iter().map(|one| (one.body.unwrap(), one.status)).collect();
        statuses.sort();
        let expected = [
            ("failed", MessageStatus::Failed),
            ("read", MessageStatus::Read),
            ("theirs", MessageStatus::Received),
            ("waiting", MessageStatus::Uncertain),
        ];
        assert_eq!(statuses, expected.map(|(body, status)| (body.to_owned(), status)));
        line.close().await;
    }

    async fn two_who_replay_the_same_at_once_apply_it_once(store: Store) {
        let line = Line::open(&store).await;
        let other = line.server.register(&line.admin, "200", Some("mistyped")).await;
        // An event that has no name of its own by which a second one would be known.
        let mut body = change("200", json!({"event": "something new"}));
        body["entry"][0]["changes"][0]["field"] = json!("a_field_of_tomorrow");
        line.server.deliver(&body).await;
        let held = line.open_held().await.remove(0);
        let change = AccountChange {
            app_secret: Patch::Set(Some(SERVER_SECRET.into())),
            ..AccountChange::default()
        };
        line.server.engine.update_messaging_account(&line.admin, other.id, change).await.unwrap();
        let engine = &line.server.engine;
        let replays = (0..8).map(|_| {
            let (engine, admin, id) = (Arc::clone(engine), line.admin.clone(), held.id);
            tokio::spawn(async move { engine.replay_held_update(&admin, id).await.unwrap().1.updates })
        });
        let mut applied = 0;
        for replay in replays.collect::<Vec<_>>() {
            applied += replay.await.unwrap();
        }
        assert_eq!((applied, line.events("provider.event").await), (1, 1));
        line.close().await;
    }

    async fn nodes_apply_together_what_each_of_them_takes(store: Store) {
        let line = Line::open(&store).await;
        // The same file has one server at a time.
        let other = if store.is_sqlite() {
            None
        } else {
            let store = Store::open(&reopen::options(&store).await).await.unwrap();
            Some(Server::start(&store, &line.clock, NOWHERE).await)
        };
        // New people, new groups and a few old acquaintances, each webhook delivered to both.
        let bodies: Vec<_> = (0..240)
            .map(|n| {
                let mut message = text(&format!("wamid.{n}"), &format!("6281{:06}", n % 60), "halo", n - 300);
                if n % 4 == 0 {
                    message["group_id"] = json!(format!("group-{}", n % 12));
                }
                change(NUMBER, json!({ "messages": [message] }))
            })
            .collect();
        let deliver = async |server: &Server, bodies: Vec<&Json>| {
            futures::future::join_all(bodies.into_iter().map(|body| server.accept(body))).await;
        };
        let other_server = other.as_ref().unwrap_or(&line.server);
        tokio::join!(
            deliver(&line.server, bodies.iter().collect()),
            deliver(other_server, bodies.iter().rev().collect()),
        );
        line.server.caught_up().await;
        assert_eq!(line.open_held().await, []);
        assert_eq!((count(&store, "messages").await, count(&store, "inbox_items").await), (240, 240));
        assert_eq!((count(&store, "contacts").await, count(&store, "channels WHERE kind = 2").await), (60, 3));
        assert_eq!(line.events("message.received").await, 240);
        let unread = "SELECT CAST(SUM(unread_count) AS BIGINT) FROM conversations";
        assert_eq!(column::<i64>(&store, unread, args![]).await, [240]);
        if let Some(other) = other {
            other.stop().await;
            let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
            assert_eq!(column::<i64>(&store, deadlocks, args![]).await, [0], "nor in each other's way");
        }
        line.close().await;
    }

    async fn any_order_and_any_batches_end_in_the_same_state(store: Store) {
        let clock = clock();
        let server = Server::start(&store, &clock, NOWHERE).await;
        // The list it belongs to, and the update.
        let mut updates: Vec<(&str, Json)> = Vec::new();
        for n in 0..6 {
            let from = [ANI, BUDI][n as usize % 2];
            updates.push(("messages", text(&format!("in.{n}"), from, &format!("pesan {n}"), n - 90)));
        }
        updates.push(("messages", reaction("in.reaction", ANI, "in.1", -50)));
        for n in 0..3 {
            updates.push(("message_echoes", echo(&format!("out.{n}"), [ANI, BUDI, "62855"][n], "ya", -40)));
            for (status, after) in [("sent", 1), ("delivered", 2), ("read", 3)].into_iter().take(n + 1) {
                updates.push(("statuses", report(&format!("out.{n}"), status, NOW - 40 + after)));
            }
        }
        // Runs a sequence of batches through a new organisation.
        let run = async |batches: Vec<Vec<usize>>| {
            let admin = admin(&clock, organisation(&store, &clock).await);
            let number = admin.organisation_id.to_string();
            server.register(&admin, &number, None).await;
            for batch in batches {
                let mut value = json!({});
                for index in batch {
                    let (list, update) = &updates[index];
                    match &mut value[*list] {
                        Json::Array(list) => list.push(update.clone()),
                        absent => *absent = json!([update]),
                    }
                }
                server.accept(&change(&number, value)).await;
            }
            server.caught_up().await;
            check(&store, admin.organisation_id).await;
            snapshot(&store, admin.organisation_id).await
        };
        let expected = run(vec![(0..updates.len()).collect()]).await;
        let total = updates.len();
        let order = proptest::collection::vec(0..total, 0..total)
            .prop_map(move |twice| (0..total).chain(twice).collect::<Vec<_>>())
            .prop_shuffle();
        let ends = proptest::collection::vec(any::<bool>(), 2 * total);
        let mut runner = TestRunner::new(Cases { cases: 24, failure_persistence: None, ..Cases::default() });
        let outcome = runner.run(&(order, ends), |(order, ends)| {
            let mut batches = vec![Vec::new()];
            for (index, end) in order.into_iter().zip(ends) {
                batches.last_mut().unwrap().push(index);
                if end {
                    batches.push(Vec::new());
                }
            }
            batches.retain(|batch| !batch.is_empty());
            let found = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(run(batches)));
            prop_assert_eq!(&found, &expected);
            Ok::<(), TestCaseError>(())
        });
        outcome.unwrap();
        server.stop().await;
    }
}
