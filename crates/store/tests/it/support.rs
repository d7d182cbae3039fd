//! An empty database of each kind for a test: a new SQLite file, and a new database on the PostgreSQL server that
//! `KABAR_TEST_POSTGRES_URL` names.

use kabar_domain::{Clock, OrganisationId, Timestamp};
use kabar_store::organisations::{self, Organisation};
use kabar_store::{Db, Options, Store};

/// Runs each test twice: on SQLite and on PostgreSQL.
#[macro_export]
macro_rules! both {
    ($($(#[$attr:meta])* async fn $name:ident($store:ident: Store) $body:block)*) => {$(
        $(#[$attr])*
        async fn $name($store: kabar_store::Store) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                $crate::support::on_sqlite(super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                $crate::support::on_postgres(super::$name).await;
            }
        }
    )*};
}

pub async fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("kabar.db").display());
    let store = Store::open(&Options { url, connections: 1 }).await.unwrap();
    test(store.clone()).await;
    store.close().await;
}

pub async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let server = std::env::var("KABAR_TEST_POSTGRES_URL")
        .expect("KABAR_TEST_POSTGRES_URL names the PostgreSQL server for tests; see scripts/postgres");
    let (base, _) = server.rsplit_once('/').expect("a database in the URL");
    let admin = Store::open(&Options { url: server.clone(), connections: 1 }).await.unwrap();
    let name = format!("test_{}", Clock::system().uuid().simple());
    let create = format!("CREATE DATABASE {name}");
    admin.reader().await.unwrap().fetch(&create, Vec::new()).await.unwrap();
    let store = Store::open(&Options { url: format!("{base}/{name}"), connections: 12 }).await.unwrap();
    test(store.clone()).await;
    store.close().await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    admin.reader().await.unwrap().fetch(&drop, Vec::new()).await.unwrap();
    admin.close().await;
}

/// A clock that stands still at the start of a second.
pub fn clock() -> Clock {
    Clock::manual(Timestamp::from_unix(1_700_000_000))
}

/// A new organisation.
pub async fn organisation(store: &Store, clock: &Clock) -> OrganisationId {
    let id = OrganisationId::new(clock);
    let mut tx = store.begin().await.unwrap();
    let organisation = Organisation {
        id,
        slug: id.to_string().to_lowercase(),
        name: "Test".into(),
        timezone: "Asia/Jakarta".into(),
        operating_hours: None,
        settings: serde_json::json!({}),
        default_account_id: None,
        created_at: clock.now(),
        updated_at: clock.now(),
    };
    organisations::insert(&mut tx, &organisation).await.unwrap();
    tx.commit().await.unwrap();
    id
}
