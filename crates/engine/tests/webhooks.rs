//! Events to apps: signed, repeated, replayed, switched off; on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Server, admin, column, count, until};
use kabar_domain::webhook::{DeliveryStatus, DisabledReason};
use kabar_domain::{Clock, WebhookEndpointId};
use kabar_engine::crypto::MasterKey;
use kabar_engine::webhooks::{Delivery, Endpoint, EndpointChange, NewEndpoint};
use kabar_engine::{Config, Engine, Principal};
use kabar_store::events::NewEvent;
use kabar_store::{Store, args};
use receiver::{BROKEN, GONE, Hook, OK, Receiver, SILENT};
use serde_json::json;
use support::{clock, organisation};

#[expect(dead_code, reason = "other tests use the rest")]
mod harness;
mod receiver;
#[path = "../../store/tests/it/support.rs"]
mod support;

const NOWHERE: &str = "http://127.0.0.1:9";
const HOUR: Duration = Duration::from_hours(1);

/// An organisation whose events go to apps.
struct Desk {
    store: Store,
    clock: Clock,
    admin: Principal,
    server: Server,
    receiver: Receiver,
}

impl Desk {
    async fn start(store: &Store) -> Self {
        let clock = clock();
        let organisation = organisation(store, &clock).await;
        let server = Server::start(store, &clock, NOWHERE).await;
        let admin = admin(&clock, organisation);
        Self { store: store.clone(), clock, admin, server, receiver: Receiver::start().await }
    }

    fn engine(&self) -> &Engine {
        &self.server.engine
    }

    /// An endpoint at this path of the receiver, and its secret.
    async fn endpoint(&self, path: &str, events: &[&str]) -> (WebhookEndpointId, String) {
        let new = NewEndpoint {
            url: Some(self.receiver.url(path)),
            events: Some(events.iter().map(|&event| event.to_owned()).collect()),
            ..NewEndpoint::default()
        };
        let (endpoint, secret) = self.engine().create_webhook_endpoint(&self.admin, new).await.unwrap();
        (endpoint.id, secret)
    }

    /// Records events and says the number of the last.
    async fn record(&self, kinds: &[&'static str]) -> i64 {
        let mut tx = self.store.begin().await.unwrap();
        let subject_id = Some(self.clock.uuid());
        let events = kinds.iter().map(|kind| NewEvent { kind, subject_id, data: Some(r#"{"a":1}"#.into()) });
        tx.record(self.admin.organisation_id, self.clock.now(), events);
        tx.commit().await.unwrap();
        column(&self.store, "SELECT last_seq FROM event_sequences", args![]).await[0]
    }

    async fn stands(&self, id: WebhookEndpointId) -> Endpoint {
        self.engine().get_webhook_endpoint(&self.admin, id).await.unwrap()
    }

    async fn deliveries(&self, id: WebhookEndpointId, status: Option<&str>) -> Vec<Delivery> {
        self.engine().list_webhook_deliveries(&self.admin, id, status, None, 100).await.unwrap().deliveries
    }

    async fn switch_on(&self, id: WebhookEndpointId) {
        let change = EndpointChange { enabled: Some(true), ..EndpointChange::default() };
        assert!(self.engine().update_webhook_endpoint(&self.admin, id, change).await.unwrap().enabled);
    }

    /// Every attempt is written, and nothing is being served.
    async fn calm(&self) {
        until("nothing is served", async || {
            count(&self.store, "webhook_endpoints WHERE lease_until IS NOT NULL").await == 0
        })
        .await;
    }
}

both! {
    async fn an_app_is_told_in_order_and_signed_of_what_it_wants(store: Store) {
        let desk = Desk::start(&store).await;
        desk.record(&["message.received"]).await;
        let (id, secret) = desk.endpoint("/a", &["message.*"]).await;
        let mut expected = Vec::new();
        for _ in 0..40 {
            let last = desk.record(&["message.status", "contact.created", "message.received"]).await;
            expected.extend([last - 2, last]);
        }
        until("all came", async || desk.receiver.hooks("/a").len() >= 80).await;
        desk.calm().await;
        let hooks = desk.receiver.hooks("/a");
        let mut seqs = desk.receiver.seqs("/a");
        seqs.sort_unstable();
        assert_eq!(seqs, expected, "from now on, and each once");
        let ids: BTreeSet<_> = hooks.iter().map(Hook::id).collect();
        assert_eq!(ids.len(), 80);
        for hook in &hooks {
            assert_eq!((hook.signed_by(&secret), hook.header("content-type")), (1, "application/json"));
            assert!(hook.id().starts_with("evt_") && !hook.id().contains('.'));
            assert_eq!(hook.header("webhook-timestamp"), desk.clock.now().as_unix().to_string());
        }
        let body = hooks.iter().find(|hook| hook.seq() == expected[0]).unwrap().body();
        assert_eq!((&body["type"], &body["data"]["a"]), (&json!("message.status"), &json!(1)));
        assert_eq!(body["timestamp"], json!(desk.clock.now()));
        assert!(body["data"]["id"].is_string());
        let log = desk.deliveries(id, Some("delivered")).await;
        assert_eq!(log.len(), 80);
        assert_eq!(log[0].seq, *expected.last().unwrap());
        assert_eq!(log[0].attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(), [Some(204)]);
        assert!(desk.stands(id).await.last_success_at.is_some());
        desk.server.stop().await;
    }

    async fn nodes_share_the_work_and_each_event_comes_once(store: Store) {
        let desk = Desk::start(&store).await;
        let second = Server::start(&store, &desk.clock, NOWHERE).await;
        for n in 0..8 {
            desk.endpoint(&format!("/{n}"), &["*"]).await;
        }
        let first = desk.record(&["message.received"]).await;
        for _ in 0..20 {
            desk.record(&["message.status"; 5]).await;
        }
        let all: Vec<i64> = (first..=first + 100).collect();
        for n in 0..8 {
            let path = format!("/{n}");
            // The creation of those after it, too.
            let ours = || {
                let mut seqs = desk.receiver.seqs(&path);
                seqs.retain(|seq| *seq >= first);
                seqs.sort_unstable();
                seqs
            };
            until("all came", async || ours().len() >= all.len()).await;
            assert_eq!(ours(), all);
        }
        second.stop().await;
        desk.server.stop().await;
    }

    async fn what_fails_is_tried_for_three_days_then_dead_and_can_be_replayed(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, secret) = desk.endpoint("/a", &["message.received"]).await;
        desk.receiver.answer("/a", BROKEN);
        let begun = desk.clock.now();
        let seq = desk.record(&["message.received"]).await;
        for attempt in 1..=10 {
            until("it is tried again", async || {
                desk.deliveries(id, None).await.first().is_some_and(|it| it.attempts.len() == attempt)
            }).await;
            desk.calm().await;
            let delivery = desk.deliveries(id, None).await.remove(0);
            if let Some(at) = delivery.next_attempt_at {
                assert_eq!(delivery.status, DeliveryStatus::Pending);
                desk.clock.advance(at.since(desk.clock.now()));
            }
        }
        let took = desk.clock.now().since(begun);
        assert!(took >= 75 * HOUR && took < 84 * HOUR, "{took:?}");
        let dead = desk.deliveries(id, Some("dead")).await;
        assert_eq!((dead.len(), dead[0].seq, dead[0].attempts[9].status), (1, seq, Some(500)));
        assert!(desk.deliveries(id, Some("pending")).await.is_empty());
        let hooks = desk.receiver.hooks("/a");
        assert_eq!(hooks.iter().map(Hook::id).collect::<BTreeSet<_>>().len(), 1, "one id");
        let times: BTreeSet<_> = hooks.iter().map(|hook| hook.header("webhook-timestamp").to_owned()).collect();
        assert_eq!(times.len(), 10, "the time of each attempt");
        assert!(hooks.iter().all(|hook| hook.signed_by(&secret) == 1));

        desk.receiver.answer("/a", OK);
        desk.engine().replay_webhook_delivery(&desk.admin, dead[0].id).await.unwrap();
        until("it is delivered", async || !desk.deliveries(id, Some("delivered")).await.is_empty()).await;
        let delivery = desk.engine().get_webhook_delivery(&desk.admin, dead[0].id).await.unwrap();
        assert_eq!(delivery.attempts.len(), 11, "the log is kept");
        assert_eq!(desk.receiver.hooks("/a")[10].id(), delivery.webhook_id());
        desk.server.stop().await;
    }

    async fn a_failing_event_holds_up_no_later_one(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.*"]).await;
        desk.receiver.answer("/a", "429 Too Many Requests\r\nretry-after: 120\r\n");
        let first = desk.record(&["message.received"]).await;
        until("it is put off", async || !desk.deliveries(id, Some("pending")).await.is_empty()).await;
        let at = desk.deliveries(id, None).await[0].next_attempt_at.unwrap();
        assert!(at >= desk.clock.now().plus(Duration::from_mins(2)), "as long as it was asked to");
        desk.receiver.answer("/a", OK);
        let second = desk.record(&["message.status"]).await;
        // It is left alone until then; then all comes.
        desk.clock.advance(Duration::from_secs(121));
        until("both came", async || {
            let seqs = desk.receiver.seqs("/a");
            seqs.contains(&second) && seqs.iter().filter(|seq| **seq == first).count() == 2
        }).await;
        desk.server.stop().await;
    }

    async fn a_day_without_the_receiver_loses_nothing(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.received"]).await;
        desk.receiver.answer("/a", GONE);
        let mut expected = BTreeSet::new();
        for _ in 0..24 {
            for _ in 0..10 {
                expected.insert(desk.record(&["message.received"]).await);
            }
            until("it was tried", async || {
                let endpoint = desk.stands(id).await;
                endpoint.hold_until.is_some_and(|at| at > desk.clock.now()) || endpoint.next_seq > *expected.last().unwrap()
            }).await;
            desk.calm().await;
            desk.clock.advance(HOUR);
        }
        assert!(desk.receiver.hooks("/a").is_empty());
        let waiting = desk.deliveries(id, None).await.len();
        assert!(waiting < 100, "most wait in their place, not in a table: {waiting}");
        desk.receiver.answer("/a", OK);
        let came = || desk.receiver.seqs("/a").into_iter().collect::<BTreeSet<_>>();
        // Those that failed first have their next attempt in some hours.
        for _ in 0..100 {
            desk.clock.advance(HOUR);
            until("what is due came", async || {
                desk.stands(id).await.next_seq > *expected.last().unwrap()
                    && count(&store, &format!("webhook_deliveries WHERE next_attempt_at <= {}",
                        desk.clock.now().as_micros())).await == 0
            }).await;
            if came() == expected { break }
        }
        assert_eq!(came(), expected);
        desk.server.stop().await;
    }

    async fn everything_since_a_time_is_delivered_again_under_the_same_ids(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.received"]).await;
        for _ in 0..5 {
            desk.record(&["message.received", "contact.created"]).await;
            desk.clock.advance(HOUR);
        }
        until("all came", async || desk.receiver.hooks("/a").len() == 5).await;
        desk.calm().await;
        let mut before: Vec<_> =
            desk.receiver.hooks("/a").iter().map(|hook| (hook.seq(), hook.id())).collect();
        before.sort();
        let since = desk.clock.now().minus(3 * HOUR).to_string();
        desk.engine().replay_webhook_events(&desk.admin, id, Some(&since)).await.unwrap();
        until("the last three came again", async || desk.receiver.hooks("/a").len() == 8).await;
        desk.calm().await;
        let mut again: Vec<_> =
            desk.receiver.hooks("/a")[5..].iter().map(|hook| (hook.seq(), hook.id())).collect();
        again.sort();
        assert_eq!(again, before[2..]);
        assert_eq!(desk.deliveries(id, None).await.len(), 5);
        desk.server.stop().await;
    }

    async fn a_rotated_secret_signs_beside_the_new_one_for_a_while(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, old) = desk.endpoint("/a", &["message.received"]).await;
        let new = desk.engine().rotate_webhook_secret(&desk.admin, id, Some(3_600)).await.unwrap();
        assert_ne!(old, new.secret);
        assert_eq!(desk.engine().get_webhook_secret(&desk.admin, id).await.unwrap(), new.secret);
        desk.record(&["message.received"]).await;
        until("one came", async || desk.receiver.hooks("/a").len() == 1).await;
        desk.clock.advance(HOUR);
        desk.record(&["message.received"]).await;
        until("another came", async || desk.receiver.hooks("/a").len() == 2).await;
        let hooks = desk.receiver.hooks("/a");
        assert_eq!((hooks[0].signed_by(&old), hooks[0].signed_by(&new.secret)), (1, 1));
        assert_eq!((hooks[1].signed_by(&old), hooks[1].signed_by(&new.secret)), (0, 1));
        let stored: Vec<u8> = column(&store, "SELECT secrets FROM webhook_endpoints", args![]).await.remove(0);
        assert!(!String::from_utf8_lossy(&stored).contains(&new.secret[6..]), "sealed");
        desk.server.stop().await;
    }

    async fn an_endpoint_that_is_gone_is_switched_off_and_can_come_back(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.received"]).await;
        desk.endpoint("/owner", &["webhook_endpoint.disabled"]).await;
        desk.receiver.answer("/a", "410 Gone\r\n");
        let first = desk.record(&["message.received"]).await;
        until("it is off", async || !desk.stands(id).await.enabled).await;
        until("the owner is told", async || desk.receiver.hooks("/owner").len() == 1).await;
        let notice = desk.receiver.hooks("/owner")[0].body();
        assert_eq!((&notice["data"]["id"], &notice["data"]["reason"]), (&json!(id), &json!("gone")));
        let second = desk.record(&["message.received"]).await;
        desk.receiver.answer("/a", OK);
        desk.switch_on(id).await;
        until("what waited comes", async || {
            let seqs = desk.receiver.seqs("/a");
            seqs.contains(&second) && seqs.iter().filter(|seq| **seq == first).count() == 2
        }).await;
        desk.server.stop().await;
    }

    async fn an_endpoint_that_only_fails_is_switched_off_after_five_days(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.received"]).await;
        desk.endpoint("/owner", &["webhook_endpoint.*"]).await;
        desk.receiver.answer("/a", BROKEN);
        let mut expected = BTreeSet::new();
        for day in 0..6 {
            for _ in 0..4 {
                expected.insert(desk.record(&["message.received"]).await);
                until("it was tried", async || {
                    let endpoint = desk.stands(id).await;
                    !endpoint.enabled
                        || endpoint.next_seq > *expected.last().unwrap()
                        || endpoint.hold_until.is_some_and(|at| at > desk.clock.now())
                }).await;
                desk.calm().await;
                assert!(day >= 5 || desk.stands(id).await.enabled);
                desk.clock.advance(6 * HOUR);
            }
        }
        until("it is off", async || !desk.stands(id).await.enabled).await;
        let endpoint = desk.stands(id).await;
        assert_eq!(endpoint.disabled_reason, Some(DisabledReason::Failing));
        assert!(endpoint.disabled_at.is_some() && endpoint.failing_since.is_some());
        until("the owner is told", async || {
            desk.receiver.hooks("/owner").iter().any(|hook| hook.body()["type"] == "webhook_endpoint.disabled")
        }).await;
        let tried: BTreeSet<_> = desk.receiver.seqs("/a").into_iter().collect();
        desk.receiver.answer("/a", OK);
        desk.switch_on(id).await;
        let missing: Vec<_> = expected.difference(&tried).copied().collect();
        until("it goes on where it was", async || {
            let came = desk.receiver.seqs("/a");
            missing.iter().all(|seq| came.contains(seq))
        }).await;
        desk.server.stop().await;
    }

    async fn one_that_never_answers_delays_no_other(store: Store) {
        let desk = Desk::start(&store).await;
        desk.receiver.answer("/slow", SILENT);
        desk.endpoint("/slow", &["message.*"]).await;
        desk.endpoint("/quick", &["message.*"]).await;
        for _ in 0..20 {
            desk.record(&["message.received"; 5]).await;
        }
        until("the quick one has all", async || desk.receiver.hooks("/quick").len() == 100).await;
        assert!(desk.receiver.hooks("/slow").len() <= 4, "few requests wait at the slow one");
        desk.server.stop().await;
    }

    async fn an_endpoint_that_is_removed_hears_nothing_more(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.*"]).await;
        let (other, _) = desk.endpoint("/b", &["message.*"]).await;
        desk.record(&["message.received"]).await;
        until("both heard", async || {
            !desk.deliveries(id, None).await.is_empty() && !desk.deliveries(other, None).await.is_empty()
        }).await;
        desk.calm().await;
        let delivery = desk.deliveries(id, None).await.remove(0);
        desk.engine().delete_webhook_endpoint(&desk.admin, id).await.unwrap();
        let last = desk.record(&["message.received"]).await;
        until("the other heard", async || desk.receiver.seqs("/b").contains(&last)).await;
        assert!(!desk.receiver.seqs("/a").contains(&last));
        assert!(desk.engine().get_webhook_delivery(&desk.admin, delivery.id).await.is_err());
        assert!(desk.engine().replay_webhook_delivery(&desk.admin, delivery.id).await.is_err());
        desk.server.stop().await;
    }

    async fn private_addresses_are_not_called_and_redirects_not_followed(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/moved", &["message.*"]).await;
        desk.receiver.answer("/moved", "307 Temporary Redirect\r\nlocation: /elsewhere\r\n");
        desk.record(&["message.received"]).await;
        until("it failed", async || !desk.deliveries(id, Some("pending")).await.is_empty()).await;
        assert_eq!(desk.deliveries(id, None).await[0].attempts[0].status, Some(307));
        assert!(desk.receiver.hooks("/elsewhere").is_empty());

        // A server whose operator allows nothing.
        let url = url::Url::parse(NOWHERE).unwrap();
        let config = Config::new(std::env::temp_dir(), url.clone(), url.clone(), url);
        let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        let strict = Engine::new(store.clone(), desk.clock.clone(), key, config).unwrap();
        let create = async |url: String| {
            let new = NewEndpoint { url: Some(url), ..NewEndpoint::default() };
            strict.create_webhook_endpoint(&desk.admin, new).await
        };
        for url in [desk.receiver.url("/a"), "http://example.com/".into(), "https://10.0.0.1/".into(),
            "https://[::1]/".into(), "https://user:pass@example.com/".into(), "ftp://example.com/".into(), "x".into()] {
            assert!(create(url.clone()).await.is_err(), "{url}");
        }
        // A name tells nothing until it is looked up.
        let (named, _) = create(format!("https://localhost:{}/a", desk.receiver.port())).await.unwrap();
        let tested = strict.test_webhook_endpoint(&desk.admin, named.id).await.unwrap();
        assert!(tested.attempt.error.unwrap().contains("not allowed"));
        assert!(desk.receiver.hooks("/a").is_empty());
        desk.server.stop().await;
    }

    async fn old_deliveries_are_forgotten_but_not_those_that_wait(store: Store) {
        let desk = Desk::start(&store).await;
        let (id, _) = desk.endpoint("/a", &["message.*"]).await;
        desk.record(&["message.received"; 3]).await;
        until("all came", async || desk.deliveries(id, Some("delivered")).await.len() == 3).await;
        desk.calm().await;
        desk.receiver.answer("/a", BROKEN);
        desk.record(&["message.received"]).await;
        until("one waits", async || desk.deliveries(id, Some("pending")).await.len() == 1).await;
        desk.calm().await;
        let before = desk.clock.now().plus(Duration::from_secs(1));
        let mut tx = store.begin().await.unwrap();
        assert_eq!(kabar_store::webhooks::deliveries::prune(&mut tx, before, 100).await.unwrap(), 3);
        tx.commit().await.unwrap();
        assert_eq!(desk.deliveries(id, None).await.len(), 1);
        desk.server.stop().await;
    }
}
