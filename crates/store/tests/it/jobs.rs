//! Jobs: leased by one, done once, and left to others by who dies.

use std::time::Duration;

use kabar_domain::job::JobKind;
use kabar_domain::{Clock, JobId, OrganisationId};
use kabar_store::Store;
use kabar_store::jobs::{self, Leased, NewJob};

use crate::support::{clock, organisation};

const LEASE: Duration = Duration::from_mins(1);

async fn enqueue(store: &Store, clock: &Clock, organisation: OrganisationId) -> JobId {
    let id = JobId::new(clock);
    let job = NewJob {
        organisation_id: organisation,
        id,
        kind: JobKind::FetchMedia,
        subject_id: id.uuid(),
        data: Some("{}".into()),
        due_at: clock.now(),
    };
    let mut tx = store.begin().await.unwrap();
    jobs::enqueue(&mut tx, job, clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn lease(store: &Store, clock: &Clock) -> Vec<Leased> {
    let (now, owner) = (clock.now(), clock.uuid());
    let mut tx = store.begin().await.unwrap();
    let leased = jobs::lease(&mut tx, owner, JobKind::FetchMedia, now, now.plus(LEASE), 10).await.unwrap();
    tx.commit().await.unwrap();
    leased
}

crate::both! {
    async fn a_job_is_one_workers_until_its_lease_runs_out(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let id = enqueue(&store, &clock, organisation).await;
        let first = lease(&store, &clock).await.remove(0);
        assert_eq!((first.id, first.attempt), (id, 1));
        assert!(lease(&store, &clock).await.is_empty());

        clock.advance(LEASE + Duration::from_secs(1));
        let mut tx = store.begin().await.unwrap();
        assert_eq!(jobs::free_abandoned(&mut tx, clock.now(), false).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let second = lease(&store, &clock).await.remove(0);
        assert_eq!(second.attempt, 2);

        let mut tx = store.begin().await.unwrap();
        assert!(!jobs::finish(&mut tx, &first).await.unwrap());
        assert!(!jobs::extend(&mut tx, &first, clock.now()).await.unwrap());
        assert!(jobs::exists(&mut tx, JobKind::FetchMedia, id.uuid()).await.unwrap());
        assert!(jobs::finish(&mut tx, &second).await.unwrap());
        assert!(!jobs::exists(&mut tx, JobKind::FetchMedia, id.uuid()).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn a_postponed_job_waits_for_its_time(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        enqueue(&store, &clock, organisation).await;
        let job = lease(&store, &clock).await.remove(0);
        let mut tx = store.begin().await.unwrap();
        jobs::postpone(&mut tx, &job, clock.now(), Duration::from_secs(30)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(lease(&store, &clock).await.is_empty());
        clock.advance(Duration::from_secs(30));
        assert_eq!(lease(&store, &clock).await.remove(0).attempt, 2);
    }
}
