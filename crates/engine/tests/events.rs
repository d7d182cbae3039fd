//! Hearing of events: pages, streams, filters, coming back, on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use harness::{ANI, NUMBER, Server, admin, change, column, count, until};
use kabar_domain::{OrganisationId, SubjectId, Timestamp};
use kabar_engine::events::{Event, EventStream, Heard};
use kabar_store::events::NewEvent;
use kabar_store::{Store, args};
use serde_json::{Value as Json, json};
use support::{clock, organisation};

#[expect(dead_code, reason = "other tests use the rest")]
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// Who record at the same time, and how often each.
const WRITERS: usize = 4;
const ROUNDS: usize = 40;
const NOWHERE: &str = "http://127.0.0.1:9";

async fn record(store: &Store, organisation: OrganisationId, kinds: &[&'static str]) {
    let mut tx = store.begin().await.unwrap();
    let events = kinds.iter().map(|kind| NewEvent { kind, subject_id: None, data: None });
    tx.record(organisation, Timestamp::from_unix(1_700_000_000), events);
    tx.commit().await.unwrap();
}

/// What a stream hears until `enough`.
async fn hear(stream: &mut EventStream, mut enough: impl FnMut(&[Arc<Event>]) -> bool) -> Vec<Arc<Event>> {
    let mut heard = Vec::new();
    while !enough(&heard) {
        let next = tokio::time::timeout(Duration::from_mins(1), stream.next()).await;
        match next.expect("nothing more is heard").unwrap() {
            Heard::Events(events) => heard.extend(events),
            Heard::Silence => {}
            Heard::Over => panic!("the stream ended"),
        }
    }
    heard
}

fn seqs(events: &[Arc<Event>]) -> Vec<i64> {
    events.iter().map(|event| event.seq).collect()
}

fn json_of(event: &Event) -> Json {
    serde_json::from_str(event.data.get()).unwrap()
}

both! {
    async fn streams_that_break_off_and_come_back_miss_nothing_and_hear_nothing_twice(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let caller = admin(&clock, organisation);
        // Two nodes: what one records the other finds.
        let servers = [Server::start(&store, &clock, NOWHERE).await, Server::start(&store, &clock, NOWHERE).await];
        let writers: Vec<_> = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let kinds = ["message.received", "message.status", "contact.created"];
                    record(&store, organisation, &kinds[..=(round + writer) % 3]).await;
                }
            })
        }).collect();
        let expected: i64 = (0..WRITERS).flat_map(|w| (0..ROUNDS).map(move |r| 1 + ((r + w) % 3) as i64)).sum();
        let followers: Vec<_> = (0..6_usize).map(|follower| {
            let (engine, caller) = (Arc::clone(&servers[follower % 2].engine), caller.clone());
            tokio::spawn(async move {
                let mut heard = Vec::new();
                let mut last = 0;
                // Each breaks off after another number of events, and comes back with the last it saw.
                while last < expected {
                    let mut stream = engine.stream_events(&caller, None, Some(last)).await.unwrap();
                    let stay = 1 + follower * 7;
                    let part = hear(&mut stream, |heard| {
                        heard.len() >= stay || heard.last().is_some_and(|event| event.seq == expected)
                    }).await;
                    last = part.last().unwrap().seq;
                    heard.extend(seqs(&part));
                }
                heard
            })
        }).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let all: Vec<i64> = (1..=expected).collect();
        for follower in followers {
            assert_eq!(follower.await.unwrap(), all);
        }
        for server in servers {
            server.stop().await;
        }
    }

    async fn a_stream_begins_now_and_hears_what_it_asked_for(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let caller = admin(&clock, organisation);
        let other = support::organisation(&store, &clock).await;
        let server = Server::start(&store, &clock, NOWHERE).await;
        record(&store, organisation, &["message.received"; 3]).await;
        let types = Some("message.*, conversation.updated");
        let mut stream = server.engine.stream_events(&caller, types, None).await.unwrap();
        assert_eq!(stream.position(), 3);
        record(&store, other, &["message.received"; 9]).await;
        record(&store, organisation, &["contact.created", "message.status", "conversation.created"]).await;
        record(&store, organisation, &["messaging_account.updated", "conversation.updated"]).await;
        let heard = hear(&mut stream, |heard| heard.len() == 2).await;
        assert_eq!(seqs(&heard), [5, 8]);
        assert!(server.engine.stream_events(&caller, Some("message.received,oh no"), None).await.is_err());
        server.stop().await;
    }

    async fn pages_lead_through_everything_in_order(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let caller = admin(&clock, organisation);
        let server = Server::start(&store, &clock, NOWHERE).await;
        for _ in 0..5 {
            record(&store, organisation, &["message.received", "contact.created", "message_x.received"]).await;
        }
        for (types, expected) in [(None, (1..=15).collect::<Vec<_>>()), (Some("message.*"), vec![1, 4, 7, 10, 13])] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = server.engine.list_events(&caller, types, after, 2).await.unwrap();
                found.extend(page.events.iter().map(|event| event.seq));
                after = page.next_after;
                if after.is_none() { break }
            }
            assert_eq!(found, expected);
        }
        server.stop().await;
    }

    async fn an_event_of_a_message_brings_the_message(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let caller = admin(&clock, organisation);
        let server = Server::start(&store, &clock, NOWHERE).await;
        server.register(&caller, NUMBER, None).await;
        let mut stream = server.engine.stream_events(&caller, Some("message.received"), None).await.unwrap();
        server.deliver(&change(NUMBER, json!({
            "contacts": [{"wa_id": ANI, "profile": {"name": "Ani"}}],
            "messages": [{"id": "wamid.1", "from": ANI, "timestamp": "1700000000", "type": "text",
                "text": {"body": "AC bocor"}}],
        }))).await;
        let heard = hear(&mut stream, |heard| heard.len() == 1).await;
        assert_eq!(column::<String>(&store, "SELECT body FROM messages", args![]).await, ["AC bocor"]);
        let (event, data) = (&heard[0], json_of(&heard[0]));
        let message = &data["message"];
        assert_eq!(data["id"], json!(event.subject_id));
        assert_eq!(message["id"], data["id"]);
        assert_eq!(
            (&message["body"], &message["direction"], &message["type"], &message["status"]),
            (&json!("AC bocor"), &json!("inbound"), &json!("text"), &json!("received"))
        );
        for field in ["conversation_id", "channel_id"] {
            assert!(message[field].is_string() && message[field] == data[field], "{data}");
        }
        server.stop().await;
    }

    async fn old_events_are_forgotten_and_the_rest_keeps_its_numbers(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let caller = admin(&clock, organisation);
        record(&store, organisation, &["message.received"; 40]).await;
        clock.advance(Duration::from_hours(24 * 91));
        let mut tx = store.begin().await.unwrap();
        let event = NewEvent { kind: "message.status", subject_id: Some(SubjectId::new(&clock).uuid()), data: None };
        tx.record(organisation, clock.now(), [event]);
        tx.commit().await.unwrap();
        let server = Server::start(&store, &clock, NOWHERE).await;
        let kept = async || server.engine.list_events(&caller, None, None, 100).await.unwrap();
        until("the old ones are gone", async || kept().await.events.len() == 1).await;
        assert_eq!(kept().await.events[0].seq, 41);
        assert_eq!(count(&store, "events").await, 1);
        server.stop().await;
    }
}
