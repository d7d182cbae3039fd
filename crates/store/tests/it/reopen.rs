//! The database of a test, opened again: what another process, or the next start, finds.

use kabar_store::{Db as _, Options, Store};

/// How a test's database is opened.
pub async fn options(store: &Store) -> Options {
    let url = if let Some(folder) = store.folder() {
        format!("sqlite://{}", folder.join("kabar.db").display())
    } else {
        let mut db = store.reader().await.unwrap();
        let rows = db.fetch("SELECT current_database()", Vec::new()).await.unwrap();
        let name: String = rows.into_iter().next().unwrap().get(0).unwrap();
        let server = std::env::var("KABAR_TEST_POSTGRES_URL").unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        format!("{base}/{name}")
    };
    Options { url, connections: 12 }
}
