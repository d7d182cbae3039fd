//! Writers at the same time: each is done when it hears so, and one that is undone takes nothing of the others with it.

use std::collections::BTreeSet;
use std::time::Duration;

use kabar_domain::{ConversationId, OrganisationId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::{Db, Store, args, organisations};

use crate::support::{clock, organisation};

/// Writes one event of this kind, and commits or not.
async fn write(store: &Store, organisation: OrganisationId, n: u32) -> bool {
    let mut tx = store.begin().await.unwrap();
    tx.execute("UPDATE organisations SET name = $1 WHERE id = $2", args![format!("{n}"), organisation])
        .await
        .unwrap();
    let event = NewEvent { kind: "test.written", subject_id: None, data: Some(n.to_string()) };
    tx.record(organisation, Timestamp::from_unix(0), [event]);
    match n % 5 {
        // Given up, after it wrote.
        0 => {
            tx.execute("UPDATE organisations SET slug = $1 WHERE id = $2", args!["undone", organisation])
                .await
                .unwrap();
            drop(tx);
            false
        }
        // A statement the database refuses.
        1 => {
            let twice = "INSERT INTO organisations SELECT * FROM organisations WHERE id = $1";
            assert!(tx.execute(twice, args![organisation]).await.is_err());
            drop(tx);
            false
        }
        _ => {
            tx.commit().await.unwrap();
            let mut reader = store.reader().await.unwrap();
            let found = reader
                .fetch(
                    "SELECT 1 FROM events WHERE organisation_id = $1 AND data = $2",
                    args![organisation, n.to_string()],
                )
                .await
                .unwrap();
            assert_eq!(found.len(), 1, "who hears that it is done sees it");
            true
        }
    }
}

crate::both! {
    async fn writers_at_the_same_time_are_each_done_or_undone(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..200 {
            let store = store.clone();
            writers.spawn(async move { write(&store, organisation, n).await.then_some(n) });
        }
        let mut done = BTreeSet::new();
        while let Some(written) = writers.join_next().await {
            done.extend(written.unwrap());
        }
        assert_eq!(done.len(), 120);
        let mut reader = store.reader().await.unwrap();
        let sql = "SELECT data, seq FROM events WHERE organisation_id = $1 ORDER BY seq";
        let mut rows = reader.fetch(sql, args![organisation]).await.unwrap();
        let mut stored = BTreeSet::new();
        for (place, row) in rows.iter_mut().enumerate() {
            stored.insert(row.get::<String>(0).unwrap().parse::<u32>().unwrap());
            assert_eq!(row.get::<i64>(1).unwrap(), place as i64 + 1, "numbered without gaps");
        }
        assert_eq!(stored, done);
        let slug = "SELECT 1 FROM organisations WHERE slug = 'undone'";
        assert!(reader.fetch(slug, args![]).await.unwrap().is_empty());
    }

    async fn whoever_hears_of_a_conflict_finds_what_it_met(store: Store) {
        let clock = clock();
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(organisation(&store, &clock).await);
        }
        for n in 0..20 {
            let mut writers = tokio::task::JoinSet::new();
            for organisation in all.clone() {
                let store = store.clone();
                writers.spawn(async move {
                    let slug = format!("wanted-{n}");
                    let mut tx = store.begin().await.unwrap();
                    let sql = "UPDATE organisations SET slug = $1 WHERE id = $2";
                    if tx.execute(sql, args![&slug, organisation]).await.is_ok() {
                        tx.commit().await.unwrap();
                        return true;
                    }
                    drop(tx);
                    let mut reader = store.reader().await.unwrap();
                    assert!(organisations::by_slug(&mut reader, &slug).await.unwrap().is_some());
                    false
                });
            }
            let won = writers.join_all().await;
            assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
        }
    }

    async fn whoever_stops_waiting_holds_up_nobody(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..100 {
            let store = store.clone();
            let writer = async move { write(&store, organisation, n * 5 + 2).await };
            if n % 2 == 0 {
                writers.spawn(writer);
            } else {
                // Gone before it is done, at some point of its way.
                tokio::spawn(async move {
                    let patience = Duration::from_micros(u64::from(n) * 40);
                    tokio::time::timeout(patience, writer).await.unwrap_or_default()
                });
            }
        }
        while let Some(written) = writers.join_next().await {
            assert!(written.unwrap());
        }
    }

    async fn another_node_hears_of_an_event_without_asking(store: Store) {
        if store.is_sqlite() {
            return;
        }
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let other = Store::open(&crate::reopen::options(&store).await).await.unwrap();
        let mut heard = other.watch_events(organisation).await.unwrap();
        let exchange = |store: &Store| {
            let (store, node) = (store.clone(), clock.uuid());
            tokio::spawn(async move { store.exchange_hints(node).await })
        };
        let nodes = [exchange(&store), exchange(&other)];
        let known = *heard.borrow_and_update();
        let mut n = 2;
        // What is recorded before the other one listens is found when it begins to.
        let looking = async {
            while *heard.borrow_and_update() < known + 3 {
                if n < 5 {
                    assert!(write(&store, organisation, n).await);
                    n += 1;
                }
                heard.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_mins(1), looking).await.expect("hints come");
        for node in nodes {
            node.abort();
        }
        other.close().await;
    }

    async fn another_node_hears_who_is_typing(store: Store) {
        if store.is_sqlite() {
            return;
        }
        let clock = clock();
        let other = Store::open(&crate::reopen::options(&store).await).await.unwrap();
        let (mut here, mut there) = (store.watch_typing(), other.watch_typing());
        let exchange = |store: &Store| {
            let (store, node) = (store.clone(), clock.uuid());
            tokio::spawn(async move { store.exchange_hints(node).await })
        };
        let nodes = [exchange(&store), exchange(&other)];
        let conversation = ConversationId::new(&clock);
        let mut said = 0;
        let telling = async {
            // What is said before the other one listens is lost to it.
            loop {
                store.show_typing(conversation);
                said += 1;
                if let Ok(heard) = tokio::time::timeout(Duration::from_millis(100), there.recv()).await {
                    return heard.unwrap();
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_mins(1), telling).await;
        assert_eq!(heard.expect("it is told"), conversation);
        let theirs = ConversationId::new(&clock);
        other.show_typing(theirs);
        let answer = tokio::time::timeout(Duration::from_mins(1), async {
            let mut own = 0;
            while here.recv().await.unwrap() != theirs {
                own += 1;
            }
            own
        });
        assert_eq!(answer.await.expect("it is told"), said, "nothing of one's own comes back");
        for node in nodes {
            node.abort();
        }
        other.close().await;
    }

    async fn a_node_that_stands_still_frees_its_locks(store: Store) {
        if store.is_sqlite() {
            return;
        }
        let mut rows =
            store.reader().await.unwrap().fetch("SHOW idle_in_transaction_session_timeout", args![]).await.unwrap();
        assert_eq!(rows[0].get::<String>(0).unwrap(), "1min");
    }
}
