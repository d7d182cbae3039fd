//! The least of Meta's Graph API that lets a number be registered and messages be sent: every send is accepted at once
//! and remembered, so that its statuses can be played and its time be looked at.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri};
use serde_json::{Value, json};

use crate::Outcome;
use crate::body::{Number, SentMessage, scramble};

/// A message as the server under test sent it.
#[derive(Clone)]
pub struct Accepted {
    pub message: SentMessage,
    pub text: String,
    /// When the request had been read.
    pub at: Instant,
}

/// What a number may send, as the provider says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throughput {
    /// 80 messages a second.
    Standard,
    /// 1,000 messages a second.
    High,
}

#[derive(Clone)]
pub struct GraphStub {
    address: SocketAddr,
    state: Arc<Stub>,
}

struct Stub {
    number: Number,
    is_high: AtomicBool,
    sends: AtomicU64,
    accepted: Mutex<Vec<Accepted>>,
}

impl Stub {
    fn accepted(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GraphStub {
    pub async fn start(number: Number) -> Outcome<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Stub {
            number,
            is_high: AtomicBool::new(true),
            sends: AtomicU64::new(0),
            accepted: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(1024 * 1024))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, state })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What numbers may send that are registered from now on. All messages sent before are forgotten.
    pub fn begin(&self, throughput: Throughput) {
        self.state.is_high.store(throughput == Throughput::High, Ordering::Relaxed);
        drop(self.take_accepted());
    }

    pub fn accepted_count(&self) -> usize {
        self.state.accepted().len()
    }

    /// The messages sent after the first `known`.
    pub fn accepted_after(&self, known: usize) -> Vec<Accepted> {
        self.state.accepted().get(known..).unwrap_or_default().to_vec()
    }

    /// All messages sent since the last call.
    pub fn take_accepted(&self) -> Vec<Accepted> {
        std::mem::take(&mut *self.state.accepted())
    }
}

async fn answer(State(stub): State<Arc<Stub>>, method: Method, uri: Uri, body: Bytes) -> Json<Value> {
    if method == Method::POST && uri.path().ends_with("/messages") {
        return Json(accept(&stub, &body, Instant::now()));
    }
    if method == Method::GET && !uri.path().ends_with("/subscribed_apps") {
        return Json(json!({
            "id": stub.number.phone_number_id,
            "display_phone_number": format!("+{}", stub.number.phone),
            "verified_name": "Kabar Bench",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "name_status": "APPROVED",
            "platform_type": "CLOUD_API",
            "status": "CONNECTED",
            "throughput": {"level": if stub.is_high.load(Ordering::Relaxed) { "HIGH" } else { "STANDARD" }},
        }));
    }
    Json(json!({"success": true, "data": []}))
}

fn accept(stub: &Stub, body: &[u8], at: Instant) -> Value {
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if sent["type"].is_null() {
        // A read receipt or a typing indicator.
        return json!({"success": true});
    }
    let recipient = text(&sent["to"]).trim_start_matches('+').to_owned();
    let send = stub.sends.fetch_add(1, Ordering::Relaxed);
    let wamid = format!("wamid.HBgNNjI4MTEwMDAwMDAwFQIAERgS{:016X}AA==", scramble(send));
    stub.accepted().push(Accepted {
        message: SentMessage {
            wamid: wamid.clone(),
            recipient: recipient.clone(),
            callback_data: sent["biz_opaque_callback_data"].as_str().map(str::to_owned),
        },
        text: text(&sent["text"]["body"]),
        at,
    });
    json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": sent["to"], "wa_id": recipient}],
        "messages": [{"id": wamid}],
    })
}
