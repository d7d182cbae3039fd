//! Messages out: over simulated providers, once, in order, and never twice. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use desk::{BUDI, Desk, NOW, echoed, fault, text};
use harness::{ANI, NUMBER, Server, admin, change, column, count, engine, report, until};
use kabar_domain::channel::ChannelStatus;
use kabar_domain::message::MessageStatus;
use kabar_engine::accounts::{AccountChange, NewAccount};
use kabar_simulator::{Fault, FaultKind, Sent};
use kabar_store::{Store, args};
use serde_json::json;
use support::organisation;

#[path = "harness/desk.rs"]
mod desk;
mod harness;
#[path = "../../store/tests/it/reopen.rs"]
mod reopen;
#[path = "../../store/tests/it/support.rs"]
mod support;

async fn execute(store: &Store, sql: &str) {
    let mut tx = store.begin().await.unwrap();
    tx.execute(sql, args![]).await.unwrap();
    tx.commit().await.unwrap();
}

both! {
    async fn a_message_that_has_to_wait_keeps_its_place(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        // Something that passes, with this one message.
        desk.simulator.push_fault(Fault {
            to: Some(ANI.into()),
            code: Some(131_000),
            ..fault(FaultKind::Error)
        });
        let mut to_ani = Vec::new();
        for body in ["satu", "dua", "tiga"] {
            to_ani.push(desk.send(&server, channel, ANI, body).await);
        }
        let to_budi = desk.send(&server, channel, BUDI, "halo").await;
        desk.reaches(&server, to_budi, MessageStatus::Sent).await;
        until("the first waits", async || desk.attempts(to_ani[0]).await == ["retry"]).await;
        assert_eq!(desk.message(&server, to_ani[0]).await.status, MessageStatus::Queued);
        assert_eq!(desk.phone(ANI), Vec::<String>::new(), "nothing overtakes it");
        // One and a half times two seconds is the longest first wait.
        desk.clock.advance(Duration::from_secs(3));
        desk.reaches(&server, to_ani[2], MessageStatus::Sent).await;
        assert_eq!(desk.phone(ANI), ["satu", "dua", "tiga"]);
        assert_eq!(desk.attempts(to_ani[0]).await, ["retry", "accepted"]);
        let first = desk.message(&server, to_ani[0]).await;
        assert_eq!((first.status, first.error), (MessageStatus::Sent, None));
        assert_eq!(desk.told(to_ani[0]).await, ["sent"]);
        server.stop().await;
    }

    async fn a_refusal_is_told_with_the_providers_code_and_what_to_do(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { code: Some(131_026), ..fault(FaultKind::Error) });
        let refused = desk.send(&server, channel, ANI, "satu").await;
        let next = desk.send(&server, channel, ANI, "dua").await;
        let refused = desk.reaches(&server, refused, MessageStatus::Failed).await;
        let error = refused.error.unwrap();
        assert_eq!((error.code, error.title.is_empty()), (131_026, false));
        assert!(error.action.unwrap().ends_with('.'));
        assert_eq!(refused.failed_at, Some(desk.clock.now()));
        assert_eq!(desk.told(refused.id).await, ["failed"]);
        desk.reaches(&server, next, MessageStatus::Sent).await;
        assert_eq!(desk.phone(ANI), ["dua"], "the conversation goes on");
        server.stop().await;
    }

    async fn a_message_that_always_has_to_wait_is_given_up(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        desk.simulator.push_fault(Fault { times: 20, code: Some(131_000), ..fault(FaultKind::Error) });
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        for attempt in 1..8 {
            until("it waits again", async || desk.attempts(id).await == vec!["retry"; attempt]).await;
            desk.clock.advance(Duration::from_mins(11));
        }
        let failed = desk.reaches(&server, id, MessageStatus::Failed).await;
        assert_eq!(failed.error.map(|error| error.code), Some(131_000));
        assert_eq!((desk.calls(), count(&store, "outbound_queue").await), (8, 0));
        assert_eq!(desk.told(id).await, ["failed"]);
        server.stop().await;
    }

    async fn a_refused_token_stops_the_account_until_it_has_a_new_one(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.set_token(NUMBER, "EAAnew");
        let first = desk.send(&server, channel, ANI, "satu").await;
        let stopped = async || {
            let account = server.engine.get_messaging_account(&desk.admin, account.id).await.unwrap().row;
            account.status == ChannelStatus::Disconnected && account.last_error.is_some()
        };
        until("the account is stopped", stopped).await;
        let second = desk.send(&server, channel, ANI, "dua").await;
        let third = desk.send(&server, channel, BUDI, "halo").await;
        for id in [first, second, third] {
            assert_eq!(desk.message(&server, id).await.status, MessageStatus::Queued);
        }
        assert_eq!(desk.calls(), 1, "the others are not even tried");
        let change = AccountChange { access_token: Some("EAAnew".into()), ..AccountChange::default() };
        let mended = server.engine.update_messaging_account(&desk.admin, account.id, change).await.unwrap().row;
        assert_eq!((mended.status, mended.last_error), (ChannelStatus::Connected, None));
        desk.clock.advance(Duration::from_secs(1));
        for id in [first, second, third] {
            desk.reaches(&server, id, MessageStatus::Sent).await;
        }
        assert_eq!((desk.phone(ANI), desk.phone(BUDI).len()), (vec!["satu".into(), "dua".into()], 1));
        assert_eq!(count(&store, "outbound_queue").await, 0);
        server.stop().await;
    }

    async fn a_lost_answer_is_settled_by_the_report_and_nothing_is_sent_again(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(fault(FaultKind::DropAnswer));
        let id = desk.send(&server, channel, ANI, "satu").await;
        let lost = desk.reaches(&server, id, MessageStatus::Uncertain).await;
        assert!(lost.error.unwrap().action.is_some(), "a person is told to look");
        desk.clock.advance(Duration::from_hours(2));
        // By the time another message is out, this one would be too.
        let next = desk.send(&server, channel, ANI, "dua").await;
        desk.reaches(&server, next, MessageStatus::Sent).await;
        assert_eq!((desk.phone(ANI), desk.calls()), (vec!["satu".into(), "dua".into()], 2));

        let wamid = desk.simulator.sent().remove(0).id;
        server.deliver(&echoed(&wamid, "delivered", id)).await;
        let settled = desk.message(&server, id).await;
        assert_eq!((settled.status, settled.error), (MessageStatus::Delivered, None));
        assert_eq!(settled.provider_message_id, Some(wamid.clone()));
        assert_eq!(desk.attempts(id).await, ["accepted"]);
        assert_eq!(desk.told(id).await, ["uncertain", "delivered"]);
        // Later reports are found by the provider's id alone.
        server.deliver(&change(NUMBER, json!({"statuses": [report(&wamid, "read", NOW + 9)]}))).await;
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Read);
        assert_eq!(desk.calls(), 2);
        server.stop().await;
    }

    async fn a_report_does_not_settle_another_tenants_message(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let stranger = admin(&desk.clock, organisation(&store, &desk.clock).await);
        server.register(&stranger, "300", None).await;
        desk.simulator.push_fault(fault(FaultKind::DropAnswer));
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        desk.reaches(&server, id, MessageStatus::Uncertain).await;
        let mut body = echoed("wamid.other", "read", id);
        body["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = json!("300");
        server.deliver(&body).await;
        let message = desk.message(&server, id).await;
        assert_eq!((message.status, message.provider_message_id), (MessageStatus::Uncertain, None));
        server.stop().await;
    }

    async fn a_report_that_is_quicker_than_the_answer_counts(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        desk.simulator.push_fault(Fault { delay_ms: Some(500), ..fault(FaultKind::DropAnswer) });
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        until("the provider has it", async || desk.calls() == 1).await;
        server.deliver(&echoed("wamid.early", "delivered", id)).await;
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Delivered);
        until("nothing is under way", async || count(&store, "outbound_queue").await == 0).await;
        assert_eq!(desk.attempts(id).await, ["accepted"]);
        let message = desk.message(&server, id).await;
        assert_eq!((message.status, message.error), (MessageStatus::Delivered, None));
        // Stopping waits for the call: its lost answer changes nothing.
        let options = reopen::options(&store).await;
        server.stop().await;
        let again = Store::open(&options).await.unwrap();
        let told = "SELECT data FROM events WHERE kind = 'message.status' ORDER BY seq DESC LIMIT 1";
        let told: String = column(&again, told, args![]).await.remove(0);
        assert!(told.contains("delivered"), "{told}");
        assert_eq!(column::<String>(&again, "SELECT state FROM outbound_attempts", args![]).await, ["accepted"]);
        assert_eq!(desk.calls(), 1);
    }

    async fn what_a_sender_left_behind_is_uncertain_and_not_sent_again(store: Store) {
        let desk = Desk::open(&store).await;
        desk.simulator.push_fault(fault(FaultKind::Timeout));
        // A process of its own, as far as that goes: it ends in the middle of the call.
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = reopen::options(&store).await;
        let (clock, admin, providers) = (desk.clock.clone(), desk.admin.clone(), desk.providers.clone());
        let begun = process.spawn(async move {
            let store = Store::open(&options).await.unwrap();
            let server = Server::start(&store, &clock, &providers).await;
            let channel = server.register(&admin, NUMBER, None).await.channel_id.unwrap();
            let first = server.engine.send_message(&admin, text(channel, ANI, "satu")).await.unwrap().id;
            let second = server.engine.send_message(&admin, text(channel, ANI, "dua")).await.unwrap().id;
            (first, second, server)
        });
        let (first, second, gone) = begun.await.unwrap();
        until("the provider is called", async || desk.calls() == 1).await;
        process.shutdown_background();
        assert_eq!(desk.attempts(first).await, ["started"]);

        let server = Server::start(&store, &desk.clock, &desk.providers).await;
        // Where other nodes may be at work, a lease has to run out first.
        desk.clock.advance(Duration::from_mins(2));
        let left = desk.reaches(&server, first, MessageStatus::Uncertain).await;
        assert!(left.error.unwrap().action.is_some(), "a person is told to look");
        assert_eq!(desk.attempts(first).await, ["uncertain"]);
        let ended = "SELECT finished_at FROM outbound_attempts WHERE message_id = $1";
        assert!(column::<i64>(&store, ended, args![first]).await[0] <= desk.clock.now().as_micros());
        desk.reaches(&server, second, MessageStatus::Sent).await;
        assert_eq!((desk.phone(ANI), desk.calls()), (vec!["dua".into()], 2));
        server.deliver(&echoed("wamid.left", "read", first)).await;
        assert_eq!(desk.message(&server, first).await.status, MessageStatus::Read);
        assert_eq!(desk.told(first).await, ["uncertain", "read"]);
        server.stop().await;
        drop(gone);
    }

    async fn what_was_reported_meanwhile_is_not_uncertain(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        desk.simulator.push_fault(fault(FaultKind::Timeout));
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        until("the provider is called", async || desk.calls() == 1).await;
        server.deliver(&echoed("wamid.early", "delivered", id)).await;
        // Its lease runs out before its answer comes.
        desk.clock.advance(Duration::from_mins(2));
        until("the lease is ended", async || count(&store, "outbound_queue").await == 0).await;
        let message = desk.message(&server, id).await;
        assert_eq!((message.status, message.error), (MessageStatus::Delivered, None));
        assert_eq!(desk.told(id).await, ["delivered"], "nobody is told otherwise");
        assert_eq!(desk.attempts(id).await, ["accepted"]);
    }

    async fn an_outcome_that_cannot_be_written_holds_up_nobody(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        // From now on the database takes one message as sent, and no other.
        execute(&store, "CREATE UNIQUE INDEX one_sent ON messages (status) WHERE status = 40").await;
        let first = desk.send(&server, channel, ANI, "satu").await;
        desk.reaches(&server, first, MessageStatus::Sent).await;
        let second = desk.send(&server, channel, ANI, "dua").await;
        let lost = desk.reaches(&server, second, MessageStatus::Uncertain).await;
        assert!(lost.error.unwrap().action.is_some(), "a person is told to look");
        execute(&store, "DROP INDEX one_sent").await;
        let third = desk.send(&server, channel, ANI, "tiga").await;
        desk.reaches(&server, third, MessageStatus::Sent).await;
        assert_eq!(desk.phone(ANI), ["satu", "dua", "tiga"]);
        assert_eq!((desk.attempts(second).await, count(&store, "dead_letters").await), (vec!["uncertain".into()], 1));
        server.stop().await;
    }

    async fn a_lease_that_its_own_sender_forgot_runs_out(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(fault(FaultKind::Timeout));
        let first = desk.send(&server, channel, ANI, "satu").await;
        let second = desk.send(&server, channel, ANI, "dua").await;
        until("the provider is called", async || desk.calls() == 1).await;
        // A sender that knew of it would have extended it long since.
        desk.clock.advance(Duration::from_hours(25));
        desk.reaches(&server, first, MessageStatus::Uncertain).await;
        desk.reaches(&server, second, MessageStatus::Sent).await;
        assert_eq!(desk.attempts(first).await, ["uncertain"]);
    }

    async fn what_came_to_wait_at_a_retired_account_fails(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { code: Some(131_000), ..fault(FaultKind::Error) });
        let first = desk.send(&server, channel, ANI, "satu").await;
        let second = desk.send(&server, channel, ANI, "dua").await;
        until("the first waits", async || desk.attempts(first).await == ["retry"]).await;
        // As if both had been given back or queued while the account was retired.
        execute(&store, "UPDATE accounts SET retired_at = updated_at, status = 3").await;
        for id in [first, second] {
            let failed = desk.reaches(&server, id, MessageStatus::Failed).await;
            assert_eq!(failed.error.map(|error| error.title), Some("The account was retired".into()));
            assert_eq!(desk.told(id).await, ["failed"]);
        }
        assert_eq!((count(&store, "outbound_queue").await, count(&store, "dead_letters").await), (0, 2));
        server.stop().await;
    }

    async fn nodes_share_a_queue_and_each_message_is_sent_once(store: Store) {
        let desk = Desk::open(&store).await;
        let quiet = engine(&store, &desk.clock, &desk.providers);
        let new = NewAccount {
            platform: Some("whatsapp".into()),
            display_name: Some("Sales line".into()),
            phone_number_id: Some(NUMBER.into()),
            access_token: Some("EAAtoken".into()),
            ..NewAccount::default()
        };
        let account = quiet.create_messaging_account(&desk.admin, new).await.unwrap().row;
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for n in 0..200 {
            let (to, body) = (format!("6281{:06}", n % 40), format!("pesan {n:03}"));
            quiet.send_message(&desk.admin, text(account.channel_id.unwrap(), &to, &body)).await.unwrap();
            expected.entry(to).or_default().push(body);
        }
        let mut servers = vec![Server::start(&store, &desk.clock, &desk.providers).await];
        if !store.is_sqlite() {
            let other = Store::open(&reopen::options(&store).await).await.unwrap();
            servers.push(Server::start(&other, &desk.clock, &desk.providers).await);
        }
        // Reports come while others are still being sent, to any node.
        let mut reported = HashSet::new();
        desk.flows("all are delivered", async || {
            for Sent { seq, id, callback_data, .. } in desk.simulator.sent() {
                if reported.insert(seq) {
                    let ours = callback_data.unwrap().parse().unwrap();
                    servers[seq as usize % servers.len()].accept(&echoed(&id, "delivered", ours)).await;
                }
            }
            reported.len() >= 200 && count(&store, "messages WHERE status = 50").await == 200
        })
        .await;
        let sent = desk.simulator.sent();
        assert_eq!((sent.len(), desk.calls()), (200, 200));
        let distinct: HashSet<_> = sent.iter().map(|sent| sent.callback_data.clone()).collect();
        assert_eq!(distinct.len(), 200);
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for sent in sent {
            found.entry(sent.to).or_default().push(sent.body);
        }
        assert_eq!(found, expected, "each conversation in its order");
        until("the queue is empty", async || count(&store, "outbound_queue").await == 0).await;
        assert_eq!(count(&store, "outbound_attempts WHERE state = 'accepted'").await, 200);
        assert_eq!(count(&store, "outbound_attempts").await, 200);
        let first_to_last = "SELECT MAX(seq) - MIN(seq) + 1 - COUNT(*) FROM events";
        assert_eq!(column::<i64>(&store, first_to_last, args![]).await, [0]);
        for server in servers {
            server.stop().await;
        }
    }

    async fn a_bot_writes_over_telegram(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let bot = NewAccount {
            platform: Some("telegram".into()),
            display_name: Some("Bot".into()),
            bot_token: Some("123456:AAE".into()),
            ..NewAccount::default()
        };
        let bot = server.engine.create_messaging_account(&desk.admin, bot).await.unwrap().row;
        assert_eq!(bot.status, ChannelStatus::Connected);
        desk.simulator.push_fault(Fault { retry_after: Some(7), ..fault(FaultKind::Throttle) });
        let id = desk.send(&server, bot.channel_id.unwrap(), "777", "halo").await;
        until("it waits", async || desk.attempts(id).await == ["retry"]).await;
        let due: i64 = column(&store, "SELECT blocked_until FROM outbound_pairs", args![]).await[0];
        assert!(due >= desk.clock.now().plus(Duration::from_secs(7)).as_micros(), "as long as it was asked to");
        desk.clock.advance(Duration::from_secs(10));
        let sent = desk.reaches(&server, id, MessageStatus::Sent).await;
        assert_eq!(desk.phone("777"), ["halo"]);
        assert!(sent.provider_message_id.unwrap().starts_with("777:"));
        server.stop().await;
    }
}
