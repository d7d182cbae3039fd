//! The least of Meta's Graph API that lets a number be registered and messages be sent: every send is accepted at once
//! and remembered, so that its statuses can be played later.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
}

#[derive(Clone)]
pub struct GraphStub {
    address: SocketAddr,
    accepted: Arc<Mutex<Vec<Accepted>>>,
}

struct Stub {
    number: Number,
    sends: AtomicU64,
    accepted: Arc<Mutex<Vec<Accepted>>>,
}

impl GraphStub {
    pub async fn start(number: Number) -> Outcome<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new(Stub { number, sends: AtomicU64::new(0), accepted: Arc::clone(&accepted) });
        let router =
            Router::new().fallback(answer).layer(DefaultBodyLimit::max(1024 * 1024)).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, accepted })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn accepted_count(&self) -> usize {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All messages sent since the last call.
    pub fn take_accepted(&self) -> Vec<Accepted> {
        std::mem::take(&mut *self.accepted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(State(stub): State<Arc<Stub>>, method: Method, uri: Uri, body: Bytes) -> Json<Value> {
    if method == Method::POST && uri.path().ends_with("/messages") {
        return Json(accept(&stub, &body));
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
            "throughput": {"level": "HIGH"},
        }));
    }
    Json(json!({"success": true, "data": []}))
}

fn accept(stub: &Stub, body: &[u8]) -> Value {
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if sent["type"].is_null() {
        // A read receipt or a typing indicator.
        return json!({"success": true});
    }
    let recipient = text(&sent["to"]).trim_start_matches('+').to_owned();
    let send = stub.sends.fetch_add(1, Ordering::Relaxed);
    let wamid = format!("wamid.HBgNNjI4MTEwMDAwMDAwFQIAERgS{:016X}AA==", scramble(send));
    stub.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(Accepted {
        message: SentMessage {
            wamid: wamid.clone(),
            recipient: recipient.clone(),
            callback_data: sent["biz_opaque_callback_data"].as_str().map(str::to_owned),
        },
        text: text(&sent["text"]["body"]),
    });
    json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": sent["to"], "wa_id": recipient}],
        "messages": [{"id": wamid}],
    })
}
