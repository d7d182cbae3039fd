//! People, their tokens and what a token opens.

use std::time::Duration;

use kabar_domain::{Clock, OrganisationId, Reach, Role, TokenKind, UserId};
use kabar_store::tokens::{Key, Named, NewToken};
use kabar_store::users::User;
use kabar_store::{Store, tokens, users};

use crate::both;
use crate::support::{clock, organisation};

async fn person(store: &Store, clock: &Clock, email: &str, places: &[(OrganisationId, Role)]) -> UserId {
    let user = User {
        id: UserId::new(clock),
        email: email.into(),
        name: "Ani".into(),
        password_hash: "$argon2id$".into(),
        default_organisation_id: places.first().map(|place| place.0),
        disabled_at: None,
        created_at: clock.now(),
    };
    let mut tx = store.begin().await.unwrap();
    users::insert(&mut tx, &user).await.unwrap();
    for (organisation, role) in places {
        users::set_membership(&mut tx, *organisation, user.id, *role, clock.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    user.id
}

async fn token(store: &Store, clock: &Clock, user: UserId, bound: Option<OrganisationId>, hash: &str) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let new = NewToken {
        kind: TokenKind::Token,
        app_id: None,
        reach: &Reach::default(),
        announce_at: None,
        user_id: user,
        organisation_id: bound,
        name: "test",
        hash,
        abilities: &["read", "send"],
        expires_at: None,
        created_at: clock.now(),
    };
    let id = tokens::insert(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    id
}

both! {
    async fn an_address_belongs_to_one_person(store: Store) {
        let clock = clock();
        let home = organisation(&store, &clock).await;
        let id = person(&store, &clock, "a@example.com", &[(home, Role::Agent)]).await;
        let mut user = users::by_email(&mut store.reader().await.unwrap(), "a@example.com").await.unwrap().unwrap();
        assert_eq!((user.id, user.default_organisation_id), (id, Some(home)));
        user.id = UserId::new(&clock);
        let mut tx = store.begin().await.unwrap();
        let error = users::insert(&mut tx, &user).await.unwrap_err();
        assert!(error.is_conflict_on("users_email_key", "users.email"), "{error}");
        drop(tx);
        assert!(users::by_id(&mut store.reader().await.unwrap(), user.id).await.unwrap().is_none());
        assert_eq!(users::list(&mut store.reader().await.unwrap()).await.unwrap().len(), 1);
    }

    async fn a_second_membership_in_one_organisation_is_another_role(store: Store) {
        let clock = clock();
        let (first, second) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let id = person(&store, &clock, "a@example.com", &[(second, Role::Agent), (first, Role::Viewer)]).await;
        let mut tx = store.begin().await.unwrap();
        users::set_membership(&mut tx, first, id, Role::Owner, clock.now()).await.unwrap();
        let places = users::memberships(&mut tx, id, None).await.unwrap();
        let places: Vec<_> = places.into_iter().map(|place| (place.organisation_id, place.role)).collect();
        assert_eq!(places, [(first, Role::Owner), (second, Role::Agent)]);
        assert_eq!(users::memberships(&mut tx, id, Some(second)).await.unwrap().len(), 1);
        assert!(users::memberships(&mut tx, UserId::new(&clock), None).await.unwrap().is_empty());
    }

    async fn a_token_opens_the_named_organisation_or_the_default(store: Store) {
        let clock = clock();
        let (home, other) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let foreign = organisation(&store, &clock).await;
        let user = person(&store, &clock, "a@example.com", &[(home, Role::Agent), (other, Role::Owner)]).await;
        let id = token(&store, &clock, user, None, "hash-1").await;
        let mut reader = store.reader().await.unwrap();

        let found = tokens::find(&mut reader, Key::Id(id), Named::Nothing).await.unwrap().unwrap();
        assert_eq!((found.user_id, found.hash.as_str(), found.bound_to), (user, "hash-1", None));
        assert_eq!(found.abilities, ["read", "send"]);
        assert_eq!((found.named, found.membership), (None, Some((home, Role::Agent))));

        let slug = other.to_string().to_lowercase();
        for named in [Named::Id(other), Named::Slug(&slug)] {
            let found = tokens::find(&mut reader, Key::Hash("hash-1"), named).await.unwrap().unwrap();
            assert_eq!((found.named, found.membership), (Some(other), Some((other, Role::Owner))));
        }
        let found = tokens::find(&mut reader, Key::Id(id), Named::Id(foreign)).await.unwrap().unwrap();
        assert_eq!((found.named, found.membership), (Some(foreign), None));
        let unknown = OrganisationId::new(&clock);
        let found = tokens::find(&mut reader, Key::Id(id), Named::Id(unknown)).await.unwrap().unwrap();
        assert_eq!(found.named, None);
        assert!(tokens::find(&mut reader, Key::Id(id + 1), Named::Nothing).await.unwrap().is_none());
        assert!(tokens::find(&mut reader, Key::Hash("hash-2"), Named::Nothing).await.unwrap().is_none());
    }

    async fn a_bound_token_stays_in_its_organisation(store: Store) {
        let clock = clock();
        let (home, other) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let user = person(&store, &clock, "a@example.com", &[(home, Role::Agent), (other, Role::Owner)]).await;
        let id = token(&store, &clock, user, Some(other), "hash").await;
        let mut reader = store.reader().await.unwrap();
        for named in [Named::Nothing, Named::Id(home), Named::Id(other)] {
            let found = tokens::find(&mut reader, Key::Id(id), named).await.unwrap().unwrap();
            assert_eq!((found.bound_to, found.membership), (Some(other), Some((other, Role::Owner))));
        }
    }

    async fn a_secret_belongs_to_one_token(store: Store) {
        let clock = clock();
        let home = organisation(&store, &clock).await;
        let user = person(&store, &clock, "a@example.com", &[(home, Role::Agent)]).await;
        let first = token(&store, &clock, user, None, "hash-1").await;
        let second = token(&store, &clock, user, Some(home), "hash-2").await;
        assert!(second > first);
        let mut tx = store.begin().await.unwrap();
        let listed = tokens::list(&mut tx, Some(user)).await.unwrap();
        assert_eq!(listed.iter().map(|token| token.id).collect::<Vec<_>>(), [first, second]);
        assert!(tokens::list(&mut tx, Some(UserId::new(&clock))).await.unwrap().is_empty());
        assert_eq!(tokens::delete_unbound(&mut tx, user).await.unwrap(), 1);
        assert!(!tokens::delete(&mut tx, first).await.unwrap());
        assert!(tokens::delete(&mut tx, second).await.unwrap());
        assert!(tokens::list(&mut tx, None).await.unwrap().is_empty());
    }

    async fn a_use_is_recorded_now_and_then(store: Store) {
        let clock = clock();
        let home = organisation(&store, &clock).await;
        let user = person(&store, &clock, "a@example.com", &[(home, Role::Agent)]).await;
        let id = token(&store, &clock, user, None, "hash").await;
        let start = clock.now();
        let mut tx = store.begin().await.unwrap();
        for (after, recorded) in [(0, 0), (59, 0), (61, 61)] {
            let now = start.plus(Duration::from_secs(after));
            tokens::touch(&mut tx, id, now, now.minus(Duration::from_mins(1)), None).await.unwrap();
            let token = tokens::by_id(&mut tx, id).await.unwrap().unwrap();
            assert_eq!(token.last_used_at, Some(start.plus(Duration::from_secs(recorded))));
        }
    }
}
