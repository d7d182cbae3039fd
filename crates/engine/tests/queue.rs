//! The outbound queue: how fast, in which order, and what happens when a provider does not take it. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use desk::{BUDI, Desk, NOW, echoed, fault, text};
use harness::{ANI, NUMBER, Server, change, column, count, report, until};
use kabar_domain::Clock;
use kabar_domain::message::MessageStatus;
use kabar_domain::outbound::SendPriority;
use kabar_engine::Error;
use kabar_engine::accounts::{Account, NewAccount};
use kabar_engine::messages::SendMessage;
use kabar_engine::page::PageRequest;
use kabar_simulator::{Fault, FaultKind};
use kabar_store::{Store, args};
use serde_json::json;

#[path = "harness/desk.rs"]
mod desk;
mod harness;
#[path = "../../store/tests/it/reopen.rs"]
mod reopen;
#[path = "../../store/tests/it/support.rs"]
mod support;

fn error(code: i64) -> Fault {
    Fault { code: Some(code), ..fault(FaultKind::Error) }
}

/// A report's body, with the reason of a failure.
fn with_error(mut body: serde_json::Value, code: i64) -> serde_json::Value {
    body["entry"][0]["changes"][0]["value"]["statuses"][0]["errors"] =
        json!([{ "code": code, "title": "Not sent" }]);
    body
}

impl Desk {
    /// At work, with a number that may send so many messages a second.
    async fn slow(store: &Store, per_second: u32) -> (Self, Server, Account) {
        let desk = Self::open(store).await;
        let server = Server::start(store, &desk.clock, &desk.providers).await;
        let new = NewAccount {
            platform: Some("whatsapp".into()),
            display_name: Some("Sales line".into()),
            phone_number_id: Some(NUMBER.into()),
            access_token: Some("EAAtoken".into()),
            settings: Some(json!({ "messages_per_second": per_second })),
            ..NewAccount::default()
        };
        let account = server.engine.create_messaging_account(&desk.admin, new).await.unwrap().row;
        (desk, server, account)
    }
}

fn page() -> PageRequest {
    PageRequest { page: 1, per_page: 100, cursor: None }
}

both! {
    async fn a_number_keeps_to_its_rate_over_a_restart(store: Store) {
        let (desk, server, account) = Desk::slow(&store, 10).await;
        let channel = account.channel_id.unwrap();
        for n in 0..40 {
            desk.send(&server, channel, &format!("6281{n:06}"), "halo").await;
        }
        until("the first leaves", async || desk.calls() >= 1).await;
        let options = reopen::options(&store).await;
        server.stop().await;
        let store = Store::open(&options).await.unwrap();
        let server = Server::start(&store, &desk.clock, &desk.providers).await;
        // Time goes by in steps; in none of them more may have left than the rate allows since the beginning.
        let mut steps = 0_u32;
        desk.flows("all leave", async || {
            steps += 1;
            let allowed = 1.0 + (f64::from(steps) * 0.02 + 0.06) * 10.0;
            assert!(desk.calls() as f64 <= allowed, "{} calls after {steps} steps", desk.calls());
            desk.calls() == 40
        })
        .await;
        server.stop().await;
    }

    async fn too_much_for_one_person_holds_up_nobody_else(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { to: Some(ANI.into()), times: 2, ..error(131_056) });
        let slow = desk.send(&server, channel, ANI, "satu").await;
        until("it waits", async || desk.attempts(slow).await == ["retry"]).await;
        let others = [desk.send(&server, channel, BUDI, "halo").await, desk.send(&server, channel, BUDI, "lagi").await];
        desk.clock.advance(Duration::from_millis(100));
        for id in others {
            desk.reaches(&server, id, MessageStatus::Sent).await;
        }
        assert_eq!(desk.attempts(slow).await, ["retry"], "one second has not gone by");
        let waits = desk.message(&server, slow).await;
        let outlook = waits.outlook.expect("it waits in the queue");
        assert!(outlook.held.is_some_and(|why| why.contains("pair rate limit")), "a person is told why");
        assert!(outlook.estimated_send_at.unwrap() > desk.clock.now());
        desk.clock.advance(Duration::from_secs(1));
        until("it is tried again", async || desk.attempts(slow).await == ["retry", "retry"]).await;
        desk.clock.advance(Duration::from_secs(3));
        // Whoever sends this has looked at the other one, too.
        let other = desk.send(&server, channel, BUDI, "dan lagi").await;
        desk.reaches(&server, other, MessageStatus::Sent).await;
        assert_eq!(desk.attempts(slow).await.len(), 2, "the second wait is four seconds");
        desk.clock.advance(Duration::from_secs(2));
        desk.reaches(&server, slow, MessageStatus::Sent).await;
        server.stop().await;
    }

    async fn a_throttled_account_waits_and_no_message_is_given_up(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { times: 12, ..error(130_429) });
        let mut ids = Vec::new();
        for n in 0..3 {
            ids.push(desk.send(&server, channel, &format!("6281{n:06}"), "halo").await);
        }
        until("the account waits", async || count(&store, "outbound_accounts WHERE hold_until > 0").await == 1).await;
        until("a person is told why it waits", async || {
            desk.message(&server, ids[2]).await.outlook.is_some_and(|outlook| outlook.held.is_some())
        })
        .await;
        // More refusals than attempts a message has of its own.
        until("all are sent", async || {
            desk.clock.advance(Duration::from_secs(2));
            count(&store, "messages WHERE status = 40").await == 3
        })
        .await;
        assert_eq!(count(&store, "dead_letters").await, 0);
        let failures: i64 = column(&store, "SELECT failures FROM outbound_accounts", args![]).await[0];
        assert_eq!(failures, 0, "the way is open again");
        server.stop().await;
    }

    async fn a_silent_provider_costs_few_uncertain_messages(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { times: 8, ..fault(FaultKind::ServerError) });
        let held = "SELECT COUNT(*) FROM events WHERE kind = 'messaging_account.updated' AND data LIKE '%held%'";
        for n in 0..8 {
            desk.send(&server, channel, &format!("6281{n:06}"), "halo").await;
        }
        until("somebody is told that the account waits", async || {
            desk.clock.advance(Duration::from_secs(1));
            column::<i64>(&store, held, args![]).await == [1]
        })
        .await;
        for n in 8..30 {
            desk.send(&server, channel, &format!("6281{n:06}"), "halo").await;
        }
        until("everything is decided", async || {
            desk.clock.advance(Duration::from_secs(1));
            count(&store, "outbound_queue").await == 0
        })
        .await;
        let uncertain = count(&store, "messages WHERE status = 30").await;
        assert_eq!(uncertain, 8, "as many as there were failures");
        assert_eq!(count(&store, "messages WHERE status = 40").await, 22);
        assert_eq!(desk.simulator.sent().len(), 22);
        assert_eq!(column::<i64>(&store, held, args![]).await, [1], "somebody is told once");
        server.stop().await;
    }

    async fn what_nobody_settles_is_listed_for_a_person(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(fault(FaultKind::ServerError));
        let lost = desk.send(&server, channel, ANI, "satu").await;
        desk.reaches(&server, lost, MessageStatus::Uncertain).await;
        let listed = async || {
            let engine = &server.engine;
            let letters = engine.list_dead_letters(&desk.admin, Some("uncertain"), &page()).await.unwrap();
            letters.items.into_iter().map(|letter| letter.message.id).collect::<Vec<_>>()
        };
        assert!(listed().await.is_empty(), "a report may settle it");
        desk.clock.advance(Duration::from_mins(16));
        assert_eq!(listed().await, [lost]);
        until("it is announced", async || {
            count(&store, "events WHERE kind = 'message.needs_decision'").await == 1
        })
        .await;
        let again = server.engine.retry_message(&desk.admin, lost).await.unwrap();
        assert_eq!(again.status, MessageStatus::Queued);
        desk.reaches(&server, lost, MessageStatus::Sent).await;
        assert!(listed().await.is_empty());
        assert_eq!(desk.phone(ANI), ["satu"]);
        assert_eq!(desk.attempts(lost).await, ["uncertain", "accepted"]);
        let refused = server.engine.retry_message(&desk.admin, lost).await.unwrap_err();
        assert!(matches!(refused, Error::Conflict(_)), "{refused}");
        server.stop().await;
    }

    async fn a_late_report_stops_what_is_sent_again(store: Store) {
        let (desk, server, account) = Desk::slow(&store, 1).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(fault(FaultKind::DropAnswer));
        let lost = desk.send(&server, channel, ANI, "satu").await;
        desk.reaches(&server, lost, MessageStatus::Uncertain).await;
        // The number's next turn is a second away: the report comes before it.
        server.engine.retry_message(&desk.admin, lost).await.unwrap();
        server.deliver(&echoed("wamid.late", "delivered", lost)).await;
        assert_eq!(desk.message(&server, lost).await.status, MessageStatus::Delivered);
        desk.clock.advance(Duration::from_secs(5));
        let other = desk.send(&server, channel, BUDI, "halo").await;
        desk.reaches(&server, other, MessageStatus::Sent).await;
        assert_eq!(desk.calls(), 2);
        server.stop().await;
    }

    async fn what_waits_can_be_taken_back(store: Store) {
        let (desk, server, account) = Desk::slow(&store, 1).await;
        let channel = account.channel_id.unwrap();
        let first = desk.send(&server, channel, ANI, "satu").await;
        let second = desk.send(&server, channel, ANI, "dua").await;
        let third = desk.send(&server, channel, ANI, "tiga").await;
        desk.reaches(&server, first, MessageStatus::Sent).await;
        let cancelled = server.engine.cancel_message(&desk.admin, second).await.unwrap();
        assert_eq!(cancelled.status, MessageStatus::Cancelled);
        for id in [first, second] {
            let refused = server.engine.cancel_message(&desk.admin, id).await.unwrap_err();
            assert!(matches!(refused, Error::Conflict(_)), "{refused}");
        }
        desk.clock.advance(Duration::from_secs(2));
        desk.reaches(&server, third, MessageStatus::Sent).await;
        assert_eq!(desk.phone(ANI), ["satu", "tiga"]);
        assert_eq!(desk.told(second).await, ["cancelled"]);
        server.stop().await;
    }

    async fn a_message_that_whatsapp_drops_for_a_while_is_sent_again(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        let sent = desk.reaches(&server, id, MessageStatus::Sent).await;
        let mut failed = report(&sent.provider_message_id.unwrap(), "failed", NOW + 1);
        failed["errors"] = json!([{"code": 130_429, "title": "Rate limit hit"}]);
        server.deliver(&change(NUMBER, json!({ "statuses": [failed] }))).await;
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Queued);
        desk.clock.advance(Duration::from_secs(10));
        desk.reaches(&server, id, MessageStatus::Sent).await;
        assert_eq!(desk.phone(ANI), ["satu", "satu"], "the first was certainly not delivered");
        assert_eq!(count(&store, "dead_letters").await, 0);
        server.stop().await;
    }

    async fn a_failure_that_is_told_again_leaves_the_next_attempt_alone(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        let first = desk.reaches(&server, id, MessageStatus::Sent).await.provider_message_id.unwrap();
        let failed = with_error(echoed(&first, "failed", id), 130_429);
        server.deliver(&failed).await;
        // While the message waits.
        server.deliver(&failed).await;
        server.deliver(&echoed(&first, "sent", id)).await;
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Queued);
        // While it is under way.
        desk.simulator.push_fault(Fault { delay_ms: Some(500), ..fault(FaultKind::DuplicateStatus) });
        desk.clock.advance(Duration::from_secs(10));
        until("the provider is called again", async || desk.calls() == 2).await;
        server.deliver(&failed).await;
        let second = desk.reaches(&server, id, MessageStatus::Sent).await.provider_message_id.unwrap();
        // And when it has arrived.
        server.deliver(&echoed(&second, "delivered", id)).await;
        server.deliver(&failed).await;
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Delivered);
        assert_eq!((desk.phone(ANI).len(), count(&store, "dead_letters").await), (2, 0));
        assert_eq!(desk.told(id).await, ["sent", "queued", "sent", "delivered"]);
        server.stop().await;
    }

    async fn a_lost_attempt_that_failed_does_not_fail_the_next_one(store: Store) {
        let (desk, server, account) = Desk::slow(&store, 1).await;
        desk.simulator.push_fault(fault(FaultKind::ServerError));
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        desk.reaches(&server, id, MessageStatus::Uncertain).await;
        server.engine.retry_message(&desk.admin, id).await.unwrap();
        // The number's next turn is a second away.
        let failed = with_error(echoed("wamid.lost", "failed", id), 131_026);
        server.deliver(&failed).await;
        assert_eq!(desk.message(&server, id).await.status, MessageStatus::Queued);
        desk.simulator.push_fault(Fault { delay_ms: Some(500), ..fault(FaultKind::DuplicateStatus) });
        desk.clock.advance(Duration::from_secs(5));
        until("the provider is called again", async || desk.calls() == 2).await;
        server.deliver(&failed).await;
        desk.reaches(&server, id, MessageStatus::Sent).await;
        assert_eq!((desk.phone(ANI).len(), count(&store, "dead_letters").await), (1, 0));
        server.stop().await;
    }

    async fn what_was_delivered_after_all_is_not_sent_again(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let id = desk.send(&server, account.channel_id.unwrap(), ANI, "satu").await;
        let first = desk.reaches(&server, id, MessageStatus::Sent).await.provider_message_id.unwrap();
        server.deliver(&with_error(echoed(&first, "failed", id), 130_429)).await;
        server.deliver(&echoed(&first, "delivered", id)).await;
        let message = desk.message(&server, id).await;
        assert_eq!((message.status, message.provider_message_id), (MessageStatus::Delivered, Some(first)));
        assert_eq!((desk.calls(), count(&store, "outbound_queue").await), (1, 0));
        server.stop().await;
    }

    async fn a_clock_that_goes_back_holds_up_nothing(store: Store) {
        let (desk, server, account) = Desk::slow(&store, 1).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { to: Some(ANI.into()), ..error(131_000) });
        let failed_once = desk.send(&server, channel, ANI, "satu").await;
        until("it waits", async || desk.attempts(failed_once).await == ["retry"]).await;
        let behind = desk.send(&server, channel, BUDI, "halo").await;
        desk.clock.set(desk.clock.now().minus(Duration::from_hours(1)));
        let after = desk.send(&server, channel, "6281999999", "hai").await;
        until("all leave within seconds", async || {
            desk.clock.advance(Duration::from_millis(100));
            count(&store, "outbound_queue").await == 0
        })
        .await;
        assert!(desk.clock.now() < kabar_domain::Timestamp::from_unix(NOW - 3_000), "the clock is still behind");
        for id in [failed_once, behind, after] {
            assert_eq!(desk.message(&server, id).await.status, MessageStatus::Sent);
        }
        assert_eq!(desk.simulator.sent().len(), 3);
        server.stop().await;
    }

    async fn what_is_sent_again_is_as_urgent_as_it_was(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let campaign = SendMessage { priority: Some("low".into()), ..text(account.channel_id.unwrap(), ANI, "diskon") };
        desk.simulator.push_fault(error(131_026));
        let id = server.engine.send_message(&desk.admin, campaign).await.unwrap().id;
        desk.reaches(&server, id, MessageStatus::Failed).await;
        let again = server.engine.retry_message(&desk.admin, id).await.unwrap();
        assert_eq!(again.outlook.expect("it waits").priority, SendPriority::Low);
        desk.flows("it is sent", async || desk.message(&server, id).await.status == MessageStatus::Sent).await;
        server.stop().await;
    }

    async fn a_clock_that_went_back_before_the_start_keeps_the_order(store: Store) {
        let (desk, server, account) = Desk::start(&store).await;
        let channel = account.channel_id.unwrap();
        desk.simulator.push_fault(Fault { times: 1_000, ..error(130_429) });
        desk.send(&server, channel, ANI, "satu").await;
        until("the account waits", async || count(&store, "outbound_accounts WHERE hold_until > 0").await == 1).await;
        desk.send(&server, channel, ANI, "dua").await;
        let options = reopen::options(&store).await;
        server.stop().await;
        desk.simulator.clear_faults();
        // Another process on the same machine, whose clock was set back by an hour.
        let clock = Clock::manual(desk.clock.now().minus(Duration::from_hours(1)));
        let store = Store::open(&options).await.unwrap();
        let server = Server::start(&store, &clock, &desk.providers).await;
        desk.send(&server, channel, ANI, "tiga").await;
        until("all leave", async || {
            clock.advance(Duration::from_millis(200));
            count(&store, "outbound_queue").await == 0
        })
        .await;
        assert_eq!(desk.phone(ANI), ["satu", "dua", "tiga"]);
        server.stop().await;
    }
}
