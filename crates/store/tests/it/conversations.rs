//! Conversations and their messages, in order and page by page.

use std::time::Duration;

use kabar_domain::channel::{ConversationStatus, Priority};
use kabar_domain::{ContactId, ConversationId, MessageId};
use kabar_store::conversations::{self, Change, Filter};
use kabar_store::{Window, messages};

use crate::both;
use crate::place::Place;
use crate::support::{clock, organisation};

const ALL: Filter = Filter { within: None, status: None, channel: None, contact: None };

fn first<P>(limit: i64) -> Window<P> {
    Window { after: None, offset: 0, limit }
}

both! {
    async fn the_freshest_come_first_whichever_way_they_are_paged(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let now = clock.now();
        let mut made = Vec::new();
        // Two of them at the same time.
        for (n, age) in [30, 10, 20, 20, 0].into_iter().enumerate() {
            let contact = place.contact(&format!("6281{n}"), "Budi").await;
            let conversation = place.conversation(contact).await;
            let at = now.minus(Duration::from_secs(age));
            place.message(conversation, contact, &format!("wamid.{n}"), at, None).await;
            made.push((at, conversation));
        }
        made.sort_unstable();
        made.reverse();
        let expected: Vec<_> = made.iter().map(|(_, id)| *id).collect();

        let mut db = store.reader().await.unwrap();
        let ids = |rows: Vec<conversations::Conversation>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        let all = conversations::list(&mut db, place.organisation, ALL, first(10)).await.unwrap();
        assert_eq!((all[0].unread_count, all[0].message_count), (1, 1));
        assert_eq!(all[0].contact.as_ref().unwrap().name.as_deref(), Some("Budi"));
        assert_eq!(ids(all), expected);
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let window = Window { after, offset: 0, limit: 2 };
            let page = conversations::list(&mut db, place.organisation, ALL, window).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.last_message_at, last.id));
            seen.extend(ids(page));
        }
        assert_eq!(seen, expected);
        let second = Window { after: None, offset: 2, limit: 2 };
        let page = conversations::list(&mut db, place.organisation, ALL, second).await.unwrap();
        assert_eq!(ids(page), expected[2..4]);
    }

    async fn a_status_moves_the_counters_with_it(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let organisation = place.organisation;
        let mut made = Vec::new();
        for n in 0..3 {
            let contact = place.contact(&format!("6281{n}"), "Budi").await;
            made.push((place.conversation(contact).await, contact));
        }
        let closed = Change { status: Some(ConversationStatus::Closed), ..Change::default() };
        let urgent = Change { priority: Some(Priority::Urgent), unread_count: Some(0), ..closed };
        for change in [closed, urgent] {
            let mut tx = store.begin().await.unwrap();
            assert!(conversations::update(&mut tx, organisation, made[0].0, change, clock.now()).await.unwrap());
            tx.commit().await.unwrap();
        }
        let mut db = store.reader().await.unwrap();
        for (status, expected) in [
            (None, vec![made[2].0, made[1].0, made[0].0]),
            (Some(ConversationStatus::Open), vec![made[2].0, made[1].0]),
            (Some(ConversationStatus::Closed), vec![made[0].0]),
            (Some(ConversationStatus::Snoozed), vec![]),
        ] {
            for channel in [None, Some(place.channel)] {
                let filter = Filter { status, channel, ..ALL };
                let total = conversations::count(&mut db, organisation, filter).await.unwrap();
                assert_eq!(total, expected.len() as i64, "{status:?}");
                let rows = conversations::list(&mut db, organisation, filter, first(10)).await.unwrap();
                assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{status:?}");
            }
        }
        let filter = Filter { contact: Some(made[1].1), ..ALL };
        assert_eq!(conversations::count(&mut db, organisation, filter).await.unwrap(), 1);
        let found = conversations::find(&mut db, organisation, made[0].0).await.unwrap().unwrap();
        assert_eq!((found.status, found.priority), (ConversationStatus::Closed, Priority::Urgent));
    }

    async fn messages_are_newest_first_and_know_what_they_answer(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let contact = place.contact("62811", "Budi").await;
        let conversation = place.conversation(contact).await;
        let now = clock.now();
        let mut made: Vec<MessageId> = Vec::new();
        for n in 0..5_u64 {
            // The last three in one second: then the order of arrival counts.
            let at = now.plus(Duration::from_secs(n.min(2)));
            let quoted = (n == 4).then_some("wamid.0");
            made.push(place.message(conversation, contact, &format!("wamid.{n}"), at, quoted).await);
        }
        made.reverse();
        let mut db = store.reader().await.unwrap();
        let all = messages::list(&mut db, place.organisation, conversation, first(10)).await.unwrap();
        assert_eq!(all.iter().map(|message| message.id).collect::<Vec<_>>(), made);
        assert_eq!(all[0].reply_to_id, Some(made[4]));
        assert_eq!(all[1].reply_to_id, None);
        assert_eq!(all[0].media[0].mime_type.as_deref(), Some("image/jpeg"));
        assert_eq!(all[0].payload["forwarded"], true);
        assert_eq!(all[0].contact_name.as_deref(), Some("Budi"));
        let after = Some((all[2].sort_at, all[2].id));
        let window = Window { after, offset: 0, limit: 10 };
        let rest = messages::list(&mut db, place.organisation, conversation, window).await.unwrap();
        assert_eq!(rest, all[3..]);
        let found = messages::find_message(&mut db, place.organisation, made[0]).await.unwrap();
        assert_eq!(found.as_ref(), Some(&all[0]));
    }

    async fn nobody_sees_another_tenants_conversations(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let stranger = organisation(&store, &clock).await;
        let contact = place.contact("62811", "Budi").await;
        let conversation = place.conversation(contact).await;
        let message = place.message(conversation, contact, "wamid.1", clock.now(), None).await;
        let mut db = store.reader().await.unwrap();
        let filter = Filter { contact: Some(contact), ..ALL };
        for filter in [ALL, filter, Filter { channel: Some(place.channel), ..ALL }] {
            assert_eq!(conversations::count(&mut db, stranger, filter).await.unwrap(), 0);
            assert_eq!(conversations::list(&mut db, stranger, filter, first(9)).await.unwrap(), []);
        }
        assert_eq!(conversations::find(&mut db, stranger, conversation).await.unwrap(), None);
        assert_eq!(messages::list(&mut db, stranger, conversation, first(9)).await.unwrap(), []);
        assert_eq!(messages::find_message(&mut db, stranger, message).await.unwrap(), None);
        drop(db);
        let mut tx = store.begin().await.unwrap();
        let change = Change { unread_count: Some(0), ..Change::default() };
        assert!(!conversations::update(&mut tx, stranger, conversation, change, clock.now()).await.unwrap());
        let nothing = ConversationId::from_uuid(ContactId::new(&clock).uuid());
        assert!(!conversations::update(&mut tx, stranger, nothing, change, clock.now()).await.unwrap());
    }
}
