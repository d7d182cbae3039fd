//! Lanes: their order, and their heads.

use kabar_domain::message::MessageKind;
use kabar_domain::outbound::SendPriority;
use kabar_domain::{AccountId, ConversationId, MessageId};
use kabar_store::events::NewEvent;
use kabar_store::outbound::{self, NewOutbound};
use kabar_store::{Db as _, Store, args};

use crate::both;
use crate::place::{Place, register};
use crate::support::clock;

async fn enqueue(place: &Place<'_>, account: AccountId, lane: ConversationId, id: MessageId) {
    let message = NewOutbound {
        fallback: None,
        organisation_id: place.organisation,
        id,
        conversation_id: lane,
        channel_id: place.channel,
        account_id: account,
        user_id: None,
        kind: MessageKind::Text,
        body: Some("halo".into()),
        media: None,
        payload: None,
        reply_to: None,
        is_group: false,
        priority: SendPriority::Normal,
        send_at: None,
    };
    let mut tx = place.store.begin().await.unwrap();
    outbound::enqueue(&mut tx, message, place.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn ids(store: &Store, rest: &str) -> Vec<MessageId> {
    let sql = format!("SELECT message_id FROM outbound_queue {rest}");
    let rows = store.reader().await.unwrap().fetch(&sql, args![]).await.unwrap();
    rows.into_iter().map(|mut row| row.get(0).unwrap()).collect()
}

const HEADS: &str = "WHERE ready_at IS NOT NULL";

both! {
    async fn what_is_queued_later_stands_behind_whatever_its_id_says(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let lane = place.conversation(place.contact("62811", "Budi").await).await;
        // Made in this order, by two requests or on two nodes.
        let [third, second, first] = [(); 3].map(|()| MessageId::new(&clock));
        for id in [first, second, third] {
            enqueue(&place, place.account, lane, id).await;
        }
        assert_eq!(ids(&store, "ORDER BY position").await, [first, second, third]);
        assert_eq!(ids(&store, HEADS).await, [first]);
    }

    async fn a_lane_goes_on_behind_what_a_retired_account_leaves(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let other = register(&store, &clock, place.organisation, "200").await;
        let lane = place.conversation(place.contact("62811", "Budi").await).await;
        let (stays, next) = (MessageId::new(&clock), MessageId::new(&clock));
        enqueue(&place, place.account, lane, stays).await;
        enqueue(&place, other.id, lane, next).await;
        let mut tx = store.begin().await.unwrap();
        let (from, now) = (place.account, clock.now());
        let given = outbound::give_over(&mut tx, place.organisation, from, None, "{}", now, 9).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(given.failed, [(stays, lane)]);
        assert_eq!(ids(&store, HEADS).await, [next]);
    }

    async fn a_part_that_is_undone_leaves_no_event(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let event = |kind| NewEvent { kind, subject_id: None, data: None };
        let mut tx = store.begin().await.unwrap();
        tx.record(place.organisation, clock.now(), [event("contact.created")]);
        let part = tx.savepoint().await.unwrap();
        tx.execute("DELETE FROM accounts", args![]).await.unwrap();
        tx.record(place.organisation, clock.now(), [event("contact.updated")]);
        tx.undo_to(part).await.unwrap();
        tx.commit().await.unwrap();
        let mut db = store.reader().await.unwrap();
        let kinds = db.fetch("SELECT kind FROM events ORDER BY seq", args![]).await.unwrap();
        let kinds: Vec<String> = kinds.into_iter().map(|mut row| row.get(0).unwrap()).collect();
        assert_eq!(kinds, ["contact.created"]);
        assert_eq!(db.fetch("SELECT 1 FROM accounts", args![]).await.unwrap().len(), 1);
    }
}
