//! The least a durable webhook can cost: the same HTTP stack as the server, which verifies the HMAC, appends the raw
//! body to SQLite with group commit, and answers 200. Every ratio is against this, measured in the same run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::Outcome;

/// Bodies in one transaction at most. There is no timer: while one batch is committed, the next gathers.
const BATCH: usize = 512;
/// Webhooks waiting for the writer at most; beyond it the answer is 503.
const QUEUE: usize = 4_096;
/// Meta's largest body.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

#[derive(clap::Args)]
pub struct Options {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    /// The SQLite file to append to; made when missing.
    #[arg(long)]
    database: PathBuf,
    /// The app secret webhooks are signed with.
    #[arg(long)]
    secret: String,
}

struct Append {
    body: Bytes,
    committed: oneshot::Sender<bool>,
}

struct Baseline {
    key: hmac::Key,
    writer: mpsc::Sender<Append>,
}

pub async fn serve(options: Options) -> Outcome<()> {
    let connection = open(&options.database)?;
    let (writer, queue) = mpsc::channel(QUEUE);
    std::thread::Builder::new().name("writer".into()).spawn(move || write(connection, queue))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, options.secret.as_bytes());
    let listener = tokio::net::TcpListener::bind(&options.listen).await?;
    eprintln!("baseline listens on http://{}", listener.local_addr()?);
    axum::serve(listener, router(Arc::new(Baseline { key, writer }))).await?;
    Ok(())
}

fn router(state: Arc<Baseline>) -> Router {
    Router::new()
        .route("/webhooks/whatsapp", post(receive))
        .route("/healthz", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

async fn receive(State(state): State<Arc<Baseline>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !is_signed(&state.key, &headers, &body) {
        return StatusCode::FORBIDDEN;
    }
    let (committed, outcome) = oneshot::channel();
    if state.writer.try_send(Append { body, committed }).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    match outcome.await {
        Ok(true) => StatusCode::OK,
        Ok(false) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn is_signed(key: &hmac::Key, headers: &HeaderMap, body: &[u8]) -> bool {
    headers
        .get("x-hub-signature-256")
        .and_then(|value| value.as_bytes().strip_prefix(b"sha256="))
        .and_then(decode_hex)
        .is_some_and(|tag| hmac::verify(key, body, &tag).is_ok())
}

fn decode_hex(hex: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(bytes)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS inbound (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
    Ok(connection)
}

fn write(mut connection: Connection, mut queue: mpsc::Receiver<Append>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let stored = append(&mut connection, &batch);
        if let Err(error) = &stored {
            eprintln!("baseline: {error}");
        }
        for append in batch.drain(..) {
            // A client that has gone no longer wants to know.
            let _gone = append.committed.send(stored.is_ok());
        }
    }
}

fn append(connection: &mut Connection, batch: &[Append]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO inbound (body) VALUES (?1)")?;
        for append in batch {
            insert.execute([&append.body[..]])?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::body::{Mix, Number, Order, Source, SourceOptions};
    use crate::http::Connection as Client;

    async fn started(database: &Path) -> SocketAddr {
        let connection = open(database).unwrap();
        let (writer, queue) = mpsc::channel(QUEUE);
        std::thread::spawn(move || write(connection, queue));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router(Arc::new(Baseline { key, writer }))).await });
        address
    }

    fn source(secret: &str) -> Source {
        let number = Number { phone_number_id: "1".into(), phone: "6281".into(), waba_id: "2".into() };
        Source::new(SourceOptions {
            number: &number,
            secret,
            host: "localhost",
            path: "/webhooks/whatsapp",
            contacts: 10,
            order: Order::NewThenRandom,
            seed: 1,
            mix: Mix::Text,
        })
    }

    #[tokio::test]
    async fn a_signed_body_is_stored_as_it_came_and_a_forged_one_is_not() {
        let directory = crate::context::Scratch::new(&std::env::temp_dir()).unwrap();
        let database = directory.path().join("baseline.db");
        let address = started(&database).await;
        let mut client = Client::open(address).await.unwrap();
        let (mut body, mut request) = (Vec::new(), Vec::new());

        source("another secret").write_request(0, &mut body, &mut request);
        assert_eq!(client.send(&request).await.unwrap().status, 403);
        source("secret").write_request(1, &mut body, &mut request);
        assert_eq!(client.send(&request).await.unwrap().status, 200);

        let stored: Vec<u8> =
            open(&database).unwrap().query_row("SELECT body FROM inbound", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, body);
    }
}
