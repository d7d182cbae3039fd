//! An app that is told of events: it takes every webhook at once and counts it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use crate::Outcome;

pub struct Receiver {
    address: SocketAddr,
    state: Arc<Received>,
    server: tokio::task::JoinHandle<()>,
}

struct Received {
    by_endpoint: Vec<AtomicU32>,
    total: AtomicU64,
    repeated: AtomicU64,
    ids: Mutex<HashSet<Box<str>>>,
}

impl Receiver {
    pub async fn start(endpoints: usize) -> Outcome<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Received {
            by_endpoint: std::iter::repeat_with(AtomicU32::default).take(endpoints).collect(),
            total: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            ids: Mutex::default(),
        });
        let router = Router::new().route("/{endpoint}", post(receive)).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("kabar-bench: the receiver of webhooks ended: {error}");
            }
        });
        Ok(Self { address, state, server })
    }

    pub fn url(&self, endpoint: usize) -> String {
        format!("http://{}/{endpoint}", self.address)
    }

    pub fn total(&self) -> u64 {
        self.state.total.load(Ordering::Relaxed)
    }

    /// Webhooks that came again.
    pub fn repeated(&self) -> u64 {
        self.state.repeated.load(Ordering::Relaxed)
    }

    /// Of the endpoint that got the fewest webhooks, and of the one that got the most.
    pub fn extremes(&self) -> (u32, u32) {
        let counts = self.state.by_endpoint.iter().map(|count| count.load(Ordering::Relaxed));
        counts.fold((u32::MAX, 0), |(least, most), count| (least.min(count), most.max(count)))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(received): State<Arc<Received>>,
    Path(endpoint): Path<usize>,
    headers: HeaderMap,
    _body: Bytes,
) -> StatusCode {
    let Some(count) = received.by_endpoint.get(endpoint) else { return StatusCode::NOT_FOUND };
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    if received.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id.into()) {
        count.fetch_add(1, Ordering::Relaxed);
        received.total.fetch_add(1, Ordering::Relaxed);
    } else {
        received.repeated.fetch_add(1, Ordering::Relaxed);
    }
    StatusCode::OK
}
