//! Signing in, tokens, organisations and idempotency keys, on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kabar_domain::{Ability, Clock, OrganisationId, Role};
use kabar_engine::auth::Login;
use kabar_engine::crypto::MasterKey;
use kabar_engine::idempotency::Claim;
use kabar_engine::organisations::{CreateOrganisation, UpdateOrganisation};
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::users::{NewUser, TokenRequest};
use kabar_engine::{Config, Engine, Error, Principal};
use kabar_store::{Db, Store};
use serde_json::json;
use support::{clock, organisation};

#[path = "../../store/tests/it/support.rs"]
mod support;

const OWNER: &str = "owner@example.com";
const PASSWORD: &str = "correct horse";
const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

fn engine_on(store: &Store, clock: &Clock) -> Engine {
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let nowhere = url::Url::parse("http://127.0.0.1:9").unwrap();
    let config = Config::new(std::env::temp_dir(), nowhere.clone(), nowhere.clone(), nowhere);
    Engine::new(store.clone(), clock.clone(), key, config).unwrap()
}

/// An engine whose first start is over: organisation `default` and its owner.
async fn started(store: &Store, clock: &Clock) -> Engine {
    let engine = engine_on(store, clock);
    assert!(engine.bootstrap(Some(OWNER), Some(PASSWORD)).await.unwrap().is_none());
    engine
}

fn login(email: &str, password: &str) -> Login {
    Login { email: email.into(), password: password.into(), device_name: None, client_address: ADDRESS }
}

async fn owner(engine: &Engine) -> Principal {
    let token = engine.login(login(OWNER, PASSWORD)).await.unwrap().token;
    engine.authenticate(&token, None).await.unwrap()
}

async fn person(engine: &Engine, email: &str, organisation: &str, role: Role) {
    engine.create_user(NewUser { email, name: "Ani", password: PASSWORD, organisation, role }).await.unwrap();
}

async fn token(engine: &Engine, email: &str, organisation: Option<&str>, abilities: &[Ability]) -> String {
    let request = TokenRequest { email, organisation, name: "test", abilities, expires_in: None };
    engine.create_token(request).await.unwrap().token
}

fn new(slug: &str) -> CreateOrganisation {
    CreateOrganisation {
        name: Some("PT Dua".into()),
        slug: Some(slug.into()),
        timezone: Some("Asia/Jakarta".into()),
        ..CreateOrganisation::default()
    }
}

fn fields(error: Error) -> Vec<String> {
    match error {
        Error::Invalid(invalid) => invalid.errors.into_keys().collect(),
        other => panic!("{other}"),
    }
}

both! {
    async fn the_first_start_makes_one_owner(store: Store) {
        let engine = engine_on(&store, &clock());
        let (a, b, c) = tokio::join!(
            engine.bootstrap(None, None),
            engine.bootstrap(None, None),
            engine.bootstrap(None, None),
        );
        let made: Vec<_> = [a, b, c].into_iter().filter_map(|start| start.unwrap()).collect();
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].email.as_str(), made[0].password.len()), ("admin@localhost", 20));
        assert_eq!(engine.list_users().await.unwrap().len(), 1);
        let outcome = engine.login(login("Admin@LocalHost", &made[0].password)).await.unwrap();
        assert_eq!(outcome.organisations[0].slug, "default");
        assert_eq!(outcome.organisations[0].role, Role::Owner);
        assert!(engine.bootstrap(Some("x@example.com"), Some("a new password")).await.unwrap().is_none());
        assert_eq!(engine.list_users().await.unwrap().len(), 1);
    }

    async fn a_login_lasts_thirty_days_and_logout_ends_one(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let first = engine.login(login(" Owner@Example.com ", PASSWORD)).await.unwrap();
        let second = engine.login(login(OWNER, PASSWORD)).await.unwrap();
        let caller = engine.authenticate(&first.token, None).await.unwrap();
        let me = engine.me(&caller).await.unwrap();
        assert_eq!((me.user.email.as_str(), me.token.name.as_str()), (OWNER, "login"));
        assert_eq!(me.token.abilities, ["read", "write", "send", "admin"]);
        assert!(me.token.last_used_at.is_some());
        engine.logout(&caller).await.unwrap();
        assert!(matches!(engine.authenticate(&first.token, None).await, Err(Error::Unauthenticated)));
        engine.authenticate(&second.token, None).await.unwrap();
        clock.advance(Duration::from_hours(30 * 24));
        assert!(matches!(engine.authenticate(&second.token, None).await, Err(Error::Unauthenticated)));
    }

    async fn a_wrong_password_and_an_unknown_address_are_answered_alike(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        for attempt in [login(OWNER, "wrong"), login("nobody@example.com", "wrong")] {
            assert!(matches!(engine.login(attempt).await, Err(Error::Credentials)));
        }
        assert_eq!(fields(engine.login(login("", "")).await.err().unwrap()), ["email", "password"]);
        for _ in 0..4 {
            assert!(matches!(engine.login(login(OWNER, "wrong")).await, Err(Error::Credentials)));
        }
        let closed = engine.login(login("OWNER@example.com", PASSWORD)).await;
        assert!(matches!(closed, Err(Error::TooManyAttempts { .. })));
        clock.advance(Duration::from_mins(1));
        engine.login(login(OWNER, PASSWORD)).await.unwrap();
    }

    async fn a_burst_gets_no_more_guesses_than_a_row(store: Store) {
        let engine = std::sync::Arc::new(started(&store, &clock()).await);
        let guesses = (0..24).map(|_| {
            let engine = std::sync::Arc::clone(&engine);
            tokio::spawn(async move { matches!(engine.login(login(OWNER, "guess")).await, Err(Error::Credentials)) })
        });
        let mut tried = 0;
        for guess in guesses.collect::<Vec<_>>() {
            tried += usize::from(guess.await.unwrap());
        }
        // Those hashed at the same time as the fifth failure may pass, at most one a core and four.
        assert!((5..=8).contains(&tried), "{tried}");
    }

    async fn a_token_opens_what_its_person_may_enter(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let foreign = organisation(&store, &clock).await;
        let caller = owner(&engine).await;
        let second = engine.create_organisation(&caller, new("second")).await.unwrap();
        person(&engine, "agent@example.com", "default", Role::Viewer).await;
        engine.set_membership("agent@example.com", "second", Role::Agent).await.unwrap();

        let free = token(&engine, "agent@example.com", None, &[Ability::Admin]).await;
        let at_home = engine.authenticate(&free, None).await.unwrap();
        assert_eq!((at_home.organisation_id, at_home.abilities.names()), (caller.organisation_id, vec!["read"]));
        for name in [second.id.to_string(), "second".into(), second.id.to_string().to_lowercase()] {
            let there = engine.authenticate(&free, Some(&name)).await.unwrap();
            assert_eq!((there.organisation_id, there.role), (second.id, Role::Agent));
            assert_eq!(there.abilities.names(), ["read", "write", "send"]);
        }
        for name in [foreign.to_string(), foreign.to_string().to_lowercase(), "nowhere".into(), "?".into()] {
            let refused = engine.authenticate(&free, Some(&name)).await;
            assert!(matches!(refused, Err(Error::NotFound("Organisation"))), "{name}");
        }

        let bound = token(&engine, "agent@example.com", Some("second"), &[Ability::Read]).await;
        for name in [None, Some("second")] {
            let there = engine.authenticate(&bound, name).await.unwrap();
            assert_eq!((there.organisation_id, there.bound), (second.id, true));
            assert_eq!(there.abilities.names(), ["read"]);
        }
        let refused = engine.authenticate(&bound, Some("default")).await;
        assert!(matches!(refused, Err(Error::NotFound("Organisation"))));
        let there = engine.authenticate(&bound, None).await.unwrap();
        assert_eq!(engine.me(&there).await.unwrap().organisations.len(), 1);
        assert_eq!(engine.me(&at_home).await.unwrap().organisations.len(), 2);

        // The secret alone finds its token; a wrong number before it does not.
        let (id, secret) = free.split_once('|').unwrap();
        engine.authenticate(secret, None).await.unwrap();
        for wrong in [format!("{}|{secret}", id.parse::<i64>().unwrap() + 1), format!("{id}|{secret}x"), id.into()] {
            assert!(matches!(engine.authenticate(&wrong, None).await, Err(Error::Unauthenticated)), "{wrong}");
        }
        engine.revoke_token(id.parse().unwrap()).await.unwrap();
        assert!(matches!(engine.authenticate(&free, None).await, Err(Error::Unauthenticated)));
        assert!(matches!(engine.revoke_token(id.parse().unwrap()).await, Err(Error::NotFound("Token"))));
    }

    async fn who_left_or_is_disabled_stays_out(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        person(&engine, "agent@example.com", "default", Role::Agent).await;
        engine.create_organisation(&owner(&engine).await, new("second")).await.unwrap();
        engine.set_membership("agent@example.com", "second", Role::Agent).await.unwrap();
        let free = token(&engine, "agent@example.com", None, &[Ability::Read]).await;
        let bound = token(&engine, "agent@example.com", Some("default"), &[Ability::Read]).await;
        let home = engine.authenticate(&bound, None).await.unwrap();
        let change = |sql: &'static str, args| {
            let store = store.clone();
            async move {
                let mut tx = store.begin().await.unwrap();
                tx.execute(sql, args).await.unwrap();
                tx.commit().await.unwrap();
            }
        };
        let leave = "DELETE FROM memberships WHERE organisation_id = $1 AND user_id = $2";
        change(leave, kabar_store::args![home.organisation_id, home.user_id]).await;
        assert!(matches!(engine.authenticate(&bound, None).await, Err(Error::Unauthenticated)));
        // The default is gone: another place takes its part.
        let elsewhere = engine.authenticate(&free, None).await.unwrap();
        assert_ne!(elsewhere.organisation_id, home.organisation_id);
        let disable = "UPDATE users SET disabled_at = $2 WHERE id = $1";
        change(disable, kabar_store::args![home.user_id, clock.now()]).await;
        assert!(matches!(engine.authenticate(&free, None).await, Err(Error::Unauthenticated)));
        let refused = engine.login(login("agent@example.com", PASSWORD)).await;
        assert!(matches!(refused, Err(Error::Credentials)));
    }

    async fn a_new_password_signs_out(store: Store) {
        let engine = started(&store, &clock()).await;
        let session = engine.login(login(OWNER, PASSWORD)).await.unwrap().token;
        let program = token(&engine, OWNER, Some("default"), &[Ability::Read]).await;
        let made = engine.reset_password(OWNER, None).await.unwrap().unwrap();
        assert!(engine.authenticate(&session, None).await.is_err());
        engine.authenticate(&program, None).await.unwrap();
        engine.login(login(OWNER, &made)).await.unwrap();
        assert_eq!(fields(engine.reset_password(OWNER, Some("short")).await.unwrap_err()), ["password"]);
        assert_eq!(fields(engine.reset_password("x@example.com", None).await.unwrap_err()), ["email"]);
        assert_eq!(engine.list_tokens(Some(OWNER)).await.unwrap().len(), 2);
    }

    async fn people_are_checked_before_they_are_made(store: Store) {
        let engine = started(&store, &clock()).await;
        let sound = NewUser {
            email: "a@example.com",
            name: "A",
            password: PASSWORD,
            organisation: "default",
            role: Role::Agent,
        };
        engine.create_user(sound).await.unwrap();
        for (wrong, field) in [
            (NewUser { email: "A@example.com", ..sound }, "email"),
            (NewUser { email: "no address", ..sound }, "email"),
            (NewUser { email: "b@example.com", password: "short", ..sound }, "password"),
            (NewUser { email: "b@example.com", name: " ", ..sound }, "name"),
            (NewUser { email: "b@example.com", organisation: "none", ..sound }, "organisation"),
        ] {
            assert_eq!(fields(engine.create_user(wrong).await.unwrap_err()), [field]);
        }
        assert_eq!(engine.list_users().await.unwrap().len(), 2);
    }

    async fn organisations_are_seen_and_changed_by_their_own(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let foreign = organisation(&store, &clock).await;
        let caller = owner(&engine).await;
        let second = engine.create_organisation(&caller, new("second")).await.unwrap();
        let pages = |page| PageRequest::new(Some(page), Some(1), None, None, 25).unwrap();
        let page = engine.list_organisations(&caller, &pages(2)).await.unwrap();
        assert_eq!((page.items, page.total, page.next_cursor), (vec![second.clone()], 2, None));
        let first = engine.list_organisations(&caller, &pages(1)).await.unwrap();
        let next = PageRequest { cursor: first.next_cursor, ..pages(1) };
        assert_eq!(engine.list_organisations(&caller, &next).await.unwrap().items, vec![second.clone()]);

        assert_eq!(engine.get_organisation(&caller, second.id).await.unwrap(), second);
        for unknown in [foreign, OrganisationId::new(&clock)] {
            let get = engine.get_organisation(&caller, unknown).await;
            assert!(matches!(get, Err(Error::NotFound("Organisation"))));
            let update = engine.update_organisation(&caller, unknown, UpdateOrganisation::default()).await;
            assert!(matches!(update, Err(Error::NotFound("Organisation"))));
        }

        clock.advance(Duration::from_secs(5));
        let change = UpdateOrganisation {
            timezone: Patch::Set(Some("asia/riyadh".into())),
            operating_hours: Patch::Set(Some(json!({"sun": [["07:00", "15:00"]]}))),
            ..UpdateOrganisation::default()
        };
        let changed = engine.update_organisation(&caller, second.id, change).await.unwrap();
        assert_eq!(changed.timezone, "Asia/Riyadh");
        assert_eq!((changed.name, changed.slug, changed.created_at), (second.name, second.slug, second.created_at));
        assert!(changed.updated_at > second.updated_at);
        let cleared = UpdateOrganisation { operating_hours: Patch::Set(None), ..UpdateOrganisation::default() };
        let cleared = engine.update_organisation(&caller, second.id, cleared).await.unwrap();
        assert_eq!((cleared.operating_hours, cleared.timezone.as_str()), (None, "Asia/Riyadh"));

        let taken = engine.create_organisation(&caller, new("second")).await.unwrap_err();
        assert_eq!(taken.to_string(), "The slug has already been taken.");
        let slug = UpdateOrganisation { slug: Patch::Set(Some("default".into())), ..UpdateOrganisation::default() };
        let taken = engine.update_organisation(&caller, second.id, slug).await.unwrap_err();
        assert_eq!(fields(taken), ["slug"]);
        let missing = engine.create_organisation(&caller, CreateOrganisation::default()).await.unwrap_err();
        assert_eq!(fields(missing), ["name", "slug", "timezone"]);
        let account = kabar_domain::AccountId::new(&clock);
        let stranger = UpdateOrganisation {
            default_messaging_account_id: Patch::Set(Some(account)),
            ..UpdateOrganisation::default()
        };
        let refused = engine.update_organisation(&caller, second.id, stranger).await.unwrap_err();
        assert_eq!(fields(refused), ["default_messaging_account_id"]);
    }

    async fn the_role_in_that_very_organisation_counts(store: Store) {
        let engine = started(&store, &clock()).await;
        let second = engine.create_organisation(&owner(&engine).await, new("second")).await.unwrap();
        person(&engine, "both@example.com", "default", Role::Owner).await;
        engine.set_membership("both@example.com", "second", Role::Viewer).await.unwrap();
        let free = token(&engine, "both@example.com", None, &[Ability::Admin]).await;
        let caller = engine.authenticate(&free, None).await.unwrap();
        engine.get_organisation(&caller, second.id).await.unwrap();
        let update = engine.update_organisation(&caller, second.id, UpdateOrganisation::default()).await;
        assert!(matches!(update, Err(Error::MissingAbility(Ability::Admin))));
        // Seen from the organisation where the caller is a viewer, nothing new may be made.
        let viewer = engine.authenticate(&free, Some("second")).await.unwrap();
        let create = engine.create_organisation(&viewer, new("third")).await;
        assert!(matches!(create, Err(Error::MissingAbility(Ability::Admin))));
        engine.update_organisation(&viewer, caller.organisation_id, UpdateOrganisation::default()).await.unwrap();

        let bound = token(&engine, "both@example.com", Some("default"), &[Ability::Admin]).await;
        let bound = engine.authenticate(&bound, None).await.unwrap();
        let get = engine.get_organisation(&bound, second.id).await;
        assert!(matches!(get, Err(Error::NotFound("Organisation"))));
        let page = PageRequest::new(None, None, None, None, 25).unwrap();
        assert_eq!(engine.list_organisations(&bound, &page).await.unwrap().total, 1);
    }

    async fn a_change_is_an_event(store: Store) {
        let engine = started(&store, &clock()).await;
        let caller = owner(&engine).await;
        let second = engine.create_organisation(&caller, new("second")).await.unwrap();
        engine.update_organisation(&caller, second.id, UpdateOrganisation::default()).await.unwrap();
        let mut reader = store.reader().await.unwrap();
        let rows = reader
            .fetch(
                "SELECT kind FROM events WHERE organisation_id = $1 ORDER BY seq",
                kabar_store::args![second.id],
            )
            .await
            .unwrap();
        let kinds: Vec<String> = rows.into_iter().map(|mut row| row.get(0).unwrap()).collect();
        assert_eq!(kinds, ["organisation.created", "organisation.updated"]);
    }

    async fn commands_on_tokens_are_told_as_the_api_tells(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let told = async || {
            let sql = "SELECT kind FROM events WHERE kind LIKE 'token.%' ORDER BY seq";
            let rows = store.reader().await.unwrap().fetch(sql, Vec::new()).await.unwrap();
            rows.into_iter().map(|mut row| row.get::<String>(0).unwrap()).collect::<Vec<_>>()
        };
        let ours = token(&engine, OWNER, Some("default"), &[Ability::Read]).await;
        // Of no organisation: there is nobody to tell.
        let roaming = token(&engine, OWNER, None, &[Ability::Read]).await;
        assert_eq!(told().await, ["token.created"]);
        for token in [&ours, &roaming] {
            engine.revoke_token(token.split('|').next().unwrap().parse().unwrap()).await.unwrap();
            assert!(engine.authenticate(token, None).await.is_err());
        }
        assert_eq!(told().await, ["token.created", "token.revoked"]);
        assert!(matches!(engine.revoke_token(4711).await, Err(Error::NotFound("Token"))));
    }

    async fn a_key_answers_again_or_says_why_not(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let caller = owner(&engine).await;
        let claim = async |key: &str, print: &str| engine.claim_idempotent(&caller, key, print).await;
        assert_eq!(claim("done", "a").await.unwrap(), Claim::Run);
        assert_eq!(claim("done", "a").await.unwrap(), Claim::Running);
        engine.complete_idempotent(&caller, "done", 201, "{}").await.unwrap();
        assert_eq!(claim("done", "a").await.unwrap(), Claim::Replay { status: 201, body: "{}".into() });
        assert!(matches!(claim("done", "b").await, Err(Error::Conflict(_))));
        assert_eq!(claim("freed", "a").await.unwrap(), Claim::Run);
        engine.release_idempotent(&caller, "freed").await.unwrap();
        assert_eq!(claim("freed", "b").await.unwrap(), Claim::Run);
        clock.advance(Duration::from_mins(2));
        // It was cut off; nobody knows whether it took effect.
        assert!(matches!(claim("freed", "b").await, Err(Error::Conflict(_))));
        clock.advance(Duration::from_hours(24));
        assert_eq!(claim("freed", "b").await.unwrap(), Claim::Run);
    }
}
