//! Tenants and who sees them.

use kabar_domain::{OrganisationId, Role, UserId};
use kabar_store::organisations::{self, Listing};
use kabar_store::users;
use serde_json::json;

use crate::both;
use crate::support::{clock, organisation};

both! {
    async fn what_is_written_is_read_back(store: Store) {
        let clock = clock();
        let id = organisation(&store, &clock).await;
        let mut tx = store.begin().await.unwrap();
        organisations::lock(&mut tx, id).await.unwrap();
        let mut changed = organisations::by_id(&mut tx, id).await.unwrap().unwrap();
        changed.slug = "changed".into();
        changed.name = "شركة 🛠️".into();
        changed.operating_hours = Some(json!({"mon": [["08:00", "17:00"]]}));
        changed.settings = json!({"nested": {"a": [1, 2.5, null, true]}});
        organisations::update(&mut tx, &changed).await.unwrap();
        tx.commit().await.unwrap();
        let mut reader = store.reader().await.unwrap();
        assert_eq!(organisations::by_slug(&mut reader, "changed").await.unwrap().unwrap(), changed);
        assert!(organisations::by_slug(&mut reader, "other").await.unwrap().is_none());
    }

    async fn a_slug_belongs_to_one(store: Store) {
        let clock = clock();
        let (first, second) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let mut tx = store.begin().await.unwrap();
        let mut copy = organisations::by_id(&mut tx, first).await.unwrap().unwrap();
        copy.id = second;
        let error = organisations::update(&mut tx, &copy).await.unwrap_err();
        assert!(error.is_conflict_on("organisations_slug_key", "organisations.slug"), "{error}");
        drop(tx);
        copy.id = OrganisationId::new(&clock);
        let mut tx = store.begin().await.unwrap();
        let error = organisations::insert(&mut tx, &copy).await.unwrap_err();
        assert!(error.is_conflict_on("organisations_slug_key", "organisations.slug"), "{error}");
    }

    async fn members_see_theirs_in_pages(store: Store) {
        let clock = clock();
        let member = UserId::new(&clock);
        let mut own = Vec::new();
        for n in 0..5 {
            let id = organisation(&store, &clock).await;
            if n != 2 {
                let mut tx = store.begin().await.unwrap();
                users::set_membership(&mut tx, id, member, Role::Agent, clock.now()).await.unwrap();
                tx.commit().await.unwrap();
                own.push(id);
            }
        }
        let mut reader = store.reader().await.unwrap();
        let all = Listing { member, only: None, after: None, offset: 0, limit: 10 };
        for (listing, expected) in [
            (all, own.clone()),
            (Listing { limit: 2, offset: 2, ..all }, own[2..].to_vec()),
            (Listing { after: Some(own[1]), limit: 1, ..all }, vec![own[2]]),
            (Listing { only: Some(own[3]), ..all }, vec![own[3]]),
            (Listing { only: Some(OrganisationId::new(&clock)), ..all }, vec![]),
            (Listing { member: UserId::new(&clock), ..all }, vec![]),
        ] {
            let listed = organisations::list(&mut reader, listing).await.unwrap();
            assert_eq!(listed.into_iter().map(|one| one.id).collect::<Vec<_>>(), expected, "{listing:?}");
        }
        assert_eq!(organisations::count(&mut reader, member, None).await.unwrap(), 4);
        assert_eq!(organisations::count(&mut reader, member, Some(own[0])).await.unwrap(), 1);
        let (found, role) = organisations::of_member(&mut reader, own[0], member).await.unwrap().unwrap();
        assert_eq!((found.id, role), (own[0], Role::Agent));
        let stranger = UserId::new(&clock);
        assert!(organisations::of_member(&mut reader, own[0], stranger).await.unwrap().is_none());
    }
}
