//! Signups: changed only by whoever saw the newest state, and without secrets once these are of no use.

use std::time::Duration;

use kabar_domain::signup::SignupStatus;
use kabar_domain::{AccountId, Clock, OrganisationId, SignupId, UserId};
use kabar_store::Store;
use kabar_store::signups::{self, Signup};
use serde_json::json;

use crate::support::{clock, organisation};

async fn begin(store: &Store, clock: &Clock, organisation: OrganisationId) -> Signup {
    let signup = Signup {
        organisation_id: organisation,
        id: SignupId::new(clock),
        user_id: UserId::new(clock),
        status: SignupStatus::Running,
        waba_id: None,
        phone_number_id: None,
        redirect_uri: None,
        code_hash: "hash".into(),
        secrets: Some(vec![1, 2, 3]),
        steps: json!([]),
        account_ids: Vec::new(),
        version: 1,
        created_at: clock.now(),
        updated_at: clock.now(),
    };
    let mut tx = store.begin().await.unwrap();
    signups::insert(&mut tx, &signup).await.unwrap();
    tx.commit().await.unwrap();
    signup
}

async fn update(store: &Store, signup: &Signup) -> bool {
    let mut tx = store.begin().await.unwrap();
    let written = signups::update(&mut tx, signup).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn find(store: &Store, signup: &Signup) -> Signup {
    let mut db = store.reader().await.unwrap();
    signups::find(&mut db, signup.organisation_id, signup.id).await.unwrap().unwrap()
}

crate::both! {
    async fn the_second_of_two_writers_is_refused(store: Store) {
        let clock = clock();
        let ours = organisation(&store, &clock).await;
        let mut signup = begin(&store, &clock, ours).await;
        signup.waba_id = Some("102".into());
        signup.account_ids = vec![AccountId::new(&clock)];
        assert!(update(&store, &signup).await);
        assert!(!update(&store, &signup).await, "it saw the version before");
        let found = find(&store, &signup).await;
        assert_eq!(found, Signup { version: 2, ..signup });
        let other = organisation(&store, &clock).await;
        let mut db = store.reader().await.unwrap();
        assert_eq!(signups::find(&mut db, other, found.id).await.unwrap(), None);
        assert_eq!(signups::by_code(&mut db, other, "hash").await.unwrap(), None);
        drop(db);
        // A code is one organisation's once, and may be another's.
        begin(&store, &clock, other).await;
        let again = Signup { id: SignupId::new(&clock), ..found };
        let refused = signups::insert(&mut store.begin().await.unwrap(), &again).await.unwrap_err();
        assert!(refused.is_conflict_on("signups_code", "signups.code_hash"), "{refused}");
    }

    async fn secrets_nobody_came_back_for_are_thrown_away(store: Store) {
        let clock = clock();
        let ours = organisation(&store, &clock).await;
        let mut failed = begin(&store, &clock, ours).await;
        failed.status = SignupStatus::Failed;
        assert!(update(&store, &failed).await);
        let running = begin(&store, &clock, organisation(&store, &clock).await).await;
        clock.advance(Duration::from_hours(1));
        let mut tx = store.begin().await.unwrap();
        signups::forget_secrets(&mut tx, clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(find(&store, &failed).await.secrets, None);
        assert!(find(&store, &running).await.secrets.is_some());
    }
}
