//! Keys of repeated requests.

use std::time::Duration;

use kabar_store::idempotency::{self, Scope};

use crate::both;
use crate::support::{clock, organisation};

both! {
    async fn a_key_is_taken_once_and_answers_afterwards(store: Store) {
        let clock = clock();
        let scope = Scope { organisation: organisation(&store, &clock).await, token_id: 1, key: "k" };
        let (now, expired) = (clock.now(), clock.now().minus(Duration::from_hours(24)));
        let mut tx = store.begin().await.unwrap();
        assert!(idempotency::claim(&mut tx, scope, "print", now, expired).await.unwrap().is_none());
        let entry = idempotency::claim(&mut tx, scope, "print", now, expired).await.unwrap().unwrap();
        assert_eq!((entry.fingerprint.as_str(), entry.answer, entry.created_at), ("print", None, now));
        idempotency::complete(&mut tx, scope, 201, "{}").await.unwrap();
        let entry = idempotency::claim(&mut tx, scope, "other", now, expired).await.unwrap().unwrap();
        assert_eq!((entry.fingerprint.as_str(), entry.answer), ("print", Some((201, "{}".into()))));
        tx.commit().await.unwrap();
    }

    async fn a_key_is_free_in_another_scope_after_release_and_after_a_day(store: Store) {
        let clock = clock();
        let scope = Scope { organisation: organisation(&store, &clock).await, token_id: 1, key: "k" };
        let (now, expired) = (clock.now(), clock.now().minus(Duration::from_hours(24)));
        let other = organisation(&store, &clock).await;
        let mut tx = store.begin().await.unwrap();
        for free in [
            scope,
            Scope { organisation: other, ..scope },
            Scope { token_id: 2, ..scope },
            Scope { key: "K", ..scope },
        ] {
            assert!(idempotency::claim(&mut tx, free, "print", now, expired).await.unwrap().is_none());
        }
        idempotency::release(&mut tx, scope).await.unwrap();
        assert!(idempotency::claim(&mut tx, scope, "print", now, expired).await.unwrap().is_none());
        let later = now.plus(Duration::from_hours(25));
        let expired = later.minus(Duration::from_hours(24));
        assert!(idempotency::claim(&mut tx, scope, "again", later, expired).await.unwrap().is_none());
        assert_eq!(idempotency::purge(&mut tx, expired).await.unwrap(), 3);
        tx.commit().await.unwrap();
    }

    async fn of_many_at_once_one_gets_the_key(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let now = clock.now();
        let claims = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let scope = Scope { organisation, token_id: 1, key: "k" };
                let mut tx = store.begin().await.unwrap();
                let entry = idempotency::claim(&mut tx, scope, "print", now, now).await.unwrap();
                tx.commit().await.unwrap();
                entry.is_none()
            })
        });
        let mut first = 0;
        for claim in claims.collect::<Vec<_>>() {
            first += usize::from(claim.await.unwrap());
        }
        assert_eq!(first, 1);
    }
}
