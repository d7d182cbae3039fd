//! Sessions, codes and tokens by the clock, on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use harness::{Server, column, engine};
use kabar_domain::Clock;
use kabar_engine::apps::{App, AppFields, ConnectQuery, Exchange, Request};
use kabar_engine::auth::Login;
use kabar_engine::patch::Patch;
use kabar_engine::tokens::NewApiToken;
use kabar_engine::{Engine, Error, Principal};
use kabar_store::{Store, args};
use support::clock;

#[expect(dead_code, reason = "other tests use the rest")]
mod harness;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../../store/tests/it/support.rs"]
mod support;

const OWNER: &str = "owner@example.com";
const PASSWORD: &str = "correct horse";
const NOWHERE: &str = "http://127.0.0.1:9";
const REDIRECT: &str = "https://crm.example.com/cb";
const DAY: Duration = Duration::from_hours(24);

fn login() -> Login {
    Login { email: OWNER.into(), password: PASSWORD.into(), device_name: None, client_address: None }
}

async fn session(engine: &Engine) -> (String, Principal) {
    let session = engine.open_session(login()).await.unwrap();
    let caller = engine.authenticate_session(&session, None).await.unwrap();
    (session, caller)
}

async fn app(engine: &Engine, owner: &Principal) -> App {
    let fields = AppFields {
        name: Patch::Set(Some("CRM".into())),
        slug: Patch::Set(Some("crm".into())),
        redirect_uris: Patch::Set(Some(vec![REDIRECT.into()])),
        ..AppFields::default()
    };
    engine.create_app(owner, fields).await.unwrap()
}

/// A code that the owner gave the app.
async fn code(engine: &Engine, owner: &Principal) -> Exchange {
    let query = ConnectQuery { app: Some("crm"), redirect_uri: Some(REDIRECT), ..ConnectQuery::default() };
    let Request::Ask(asked) = engine.connect_request(query).await.unwrap() else {
        panic!("the link is good")
    };
    let back = engine.allow_connect(owner, &asked, owner.organisation_id).await.unwrap();
    let code = back.strip_prefix("https://crm.example.com/cb?code=").unwrap().to_owned();
    Exchange { code, redirect_uri: REDIRECT.into(), ..Exchange::default() }
}

async fn started(store: &Store, clock: &Clock) -> std::sync::Arc<Engine> {
    let engine = engine(store, clock, NOWHERE);
    assert!(engine.bootstrap(Some(OWNER), Some(PASSWORD)).await.unwrap().is_none());
    engine
}

async fn kinds(store: &Store, pattern: &str) -> Vec<String> {
    column(store, "SELECT kind FROM events WHERE kind LIKE $1 ORDER BY seq", args![pattern]).await
}

both! {
    async fn a_session_ends_thirty_days_after_its_last_use(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let (used, _) = session(&engine).await;
        let (unused, _) = session(&engine).await;
        for _ in 0..3 {
            clock.advance(20 * DAY);
            engine.authenticate_session(&used, None).await.unwrap();
            let now = clock.now();
            harness::until("the use is recorded", async || {
                let uses = column::<Option<i64>>(&store, "SELECT MAX(last_used_at) FROM api_tokens", args![]).await;
                uses[0] == Some(now.as_micros())
            })
            .await;
        }
        assert!(matches!(engine.authenticate_session(&unused, None).await, Err(Error::Unauthenticated)));
        clock.advance(30 * DAY);
        assert!(matches!(engine.authenticate_session(&used, None).await, Err(Error::Unauthenticated)));
    }

    async fn a_session_is_a_cookie_only_and_its_csrf_token_its_own(store: Store) {
        let engine = started(&store, &clock()).await;
        let (secret, caller) = session(&engine).await;
        let (_, other) = session(&engine).await;
        assert!(matches!(engine.authenticate(&secret, None).await, Err(Error::Unauthenticated)));
        let token = engine.login(login()).await.unwrap().token;
        assert!(matches!(engine.authenticate_session(&token, None).await, Err(Error::Unauthenticated)));
        let csrf = engine.csrf_token(&caller);
        assert!(engine.is_csrf_token(&caller, &csrf) && !engine.is_csrf_token(&other, &csrf));
        assert!(!engine.is_csrf_token(&caller, "") && !engine.is_csrf_token(&caller, "not base64!"));
    }

    async fn a_code_is_good_for_five_minutes(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let (_, owner) = session(&engine).await;
        app(&engine, &owner).await;
        let (early, late) = (code(&engine, &owner).await, code(&engine, &owner).await);
        clock.advance(Duration::from_secs(299));
        let given = engine.exchange_code_for_token(early).await.unwrap();
        assert_eq!(given.abilities, ["read"]);
        engine.authenticate(&given.token, None).await.unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(matches!(engine.exchange_code_for_token(late).await, Err(Error::InvalidGrant)));
    }

    async fn of_two_who_show_a_code_at_once_none_keeps_a_token(store: Store) {
        let engine = started(&store, &clock()).await;
        let (_, owner) = session(&engine).await;
        app(&engine, &owner).await;
        let shown = code(&engine, &owner).await;
        let (first, second) = tokio::join!(engine.exchange_code_for_token(shown.clone()), engine.exchange_code_for_token(shown));
        let given: Vec<_> = [first, second].into_iter().filter_map(Result::ok).collect();
        assert_eq!(given.len(), 1);
        assert!(matches!(engine.authenticate(&given[0].token, None).await, Err(Error::Unauthenticated)));
        assert_eq!(kinds(&store, "token.%").await, ["token.revoked"]);
    }

    async fn of_a_tokens_end_is_told_once_seven_days_before(store: Store) {
        let clock = clock();
        let engine = started(&store, &clock).await;
        let (_, owner) = session(&engine).await;
        for days in [6, 8, 30] {
            let new = NewApiToken {
                name: Some(format!("{days} days")),
                abilities: Some(vec!["read".into()]),
                expires_at: Some(clock.now().plus(days * DAY).to_string()),
                ..NewApiToken::default()
            };
            engine.create_api_token(&owner, new).await.unwrap();
        }
        clock.advance(2 * DAY);
        let server = Server::run(&store, harness::engine(&store, &clock, NOWHERE)).await;
        harness::until("it is told", async || !kinds(&store, "token.expiring").await.is_empty()).await;
        assert_eq!(kinds(&store, "token.expiring").await.len(), 2);
        let told: Vec<String> =
            column(&store, "SELECT data FROM events WHERE kind = 'token.expiring'", args![]).await;
        assert!(told.iter().all(|data| !data.contains("30 days")), "{told:?}");
        let left: Vec<i64> = column(&store, "SELECT COUNT(announce_at) FROM api_tokens", args![]).await;
        assert_eq!(left, [1]);
        server.stop().await;
    }
}
