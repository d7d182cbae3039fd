//! The one door of both provider APIs: reads the request, writes it down, applies a fault, and routes it.
//!
//! Paths are split by hand because Meta's first segment (a version) is optional, its second may be any kind of
//! object, and Telegram's token shares a segment with the word `bot`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

use crate::faults::{Fault, FaultKind, Target};
use crate::graph::{self, GraphError};
use crate::ids::now_ms;
use crate::params::Params;
use crate::state::{Inner, Provider, Received, digits};
use crate::telegram::{self, BotError};

/// How long a `timeout` fault holds a request unless it says otherwise: longer than any client waits.
const HOLD: Duration = Duration::from_mins(2);

enum Call {
    Graph(graph::Call),
    Telegram(telegram::Call),
}

impl Call {
    fn provider(&self) -> Provider {
        match self {
            Self::Graph(_) => Provider::Whatsapp,
            Self::Telegram(_) => Provider::Telegram,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Graph(call) => &call.name,
            Self::Telegram(call) => &call.method,
        }
    }

    fn is_send(&self) -> bool {
        match self {
            Self::Graph(call) => call.name == "messages",
            Self::Telegram(call) => call.method.starts_with("send") && call.method != "sendChatAction",
        }
    }
}

pub(crate) async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let http_method = parts.method.clone();
    let (params, raw) = match Params::read(parts, body).await {
        Ok(read) => read,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    let call = if telegram::is_bot_path(&path) {
        Call::Telegram(telegram::Call::parse(&path))
    } else {
        Call::Graph(graph::Call::parse(&http_method, &path, &params))
    };
    let to = match call.provider() {
        Provider::Whatsapp => params.text("to").or_else(|| params.text("recipient")).map(|to| recipient(&to)),
        Provider::Telegram => params.text("chat_id"),
    };
    let fault = inner.faults().take(&Target {
        provider: call.provider(),
        method: call.name(),
        to: to.as_deref(),
        is_send: call.is_send(),
    });
    let received = Received {
        seq: 0,
        provider: call.provider(),
        method: call.name().to_owned(),
        http_method: http_method.to_string(),
        path,
        to,
        body: Arc::clone(&raw),
        at: now_ms(),
        answered: None,
        fault: fault.as_ref().map(|fault| fault.kind),
    };
    let keep = inner.config().keep;
    let seq = inner.records().add_received(keep, received);

    if let Some(fault) = &fault
        && let Some(answer) = refuse(&inner, &call, fault).await
    {
        return note(&inner, seq, answer);
    }
    let answer = match call {
        Call::Graph(call) => graph::handle(&inner, call, params, raw, fault.as_ref()).await,
        Call::Telegram(call) => telegram::handle(&inner, call, params, raw).await,
    };
    if fault.is_some_and(|fault| fault.kind == FaultKind::DropAnswer) {
        return hang_up();
    }
    note(&inner, seq, answer)
}

/// A recipient as the filters compare it: digits for a phone, as it is for a group or business-scoped id.
pub(crate) fn recipient(to: &str) -> String {
    if to.chars().any(|c| c.is_ascii_alphabetic()) { to.to_owned() } else { digits(to) }
}

fn note(inner: &Inner, seq: u64, answer: Response) -> Response {
    if let Some(received) = inner.records().received.get_mut(seq) {
        received.answered = Some(answer.status().as_u16());
    }
    answer
}

/// The answer of the faults that keep a request from being accepted.
async fn refuse(inner: &Inner, call: &Call, fault: &Fault) -> Option<Response> {
    let description = fault.description.clone();
    match fault.kind {
        FaultKind::DropAnswer
        | FaultKind::DuplicateStatus
        | FaultKind::ReorderStatuses
        | FaultKind::FailStatus => {
            if let Some(delay) = fault.delay_ms {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            None
        }
        FaultKind::Timeout => {
            tokio::time::sleep(fault.delay_ms.map_or(HOLD, Duration::from_millis)).await;
            Some(hang_up())
        }
        FaultKind::ServerError => {
            let status = fault
                .http_status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some((status, "<html><body>upstream error</body></html>").into_response())
        }
        FaultKind::Throttle | FaultKind::Error => Some(match call {
            Call::Graph(_) => {
                let default = if fault.kind == FaultKind::Throttle { 130_429 } else { 131_000 };
                let mut error = GraphError::of(fault.code.unwrap_or(default), None);
                error.details = description.or(error.details);
                error.status = fault.http_status.unwrap_or(error.status);
                error.respond(&inner.ids)
            }
            Call::Telegram(_) if fault.kind == FaultKind::Throttle => {
                BotError::too_many_requests(fault.retry_after.unwrap_or(1)).respond()
            }
            Call::Telegram(_) => {
                let status = fault.http_status.or(fault.code.and_then(|code| u16::try_from(code).ok()));
                let mut error = BotError::of(status.unwrap_or(400), description);
                error.retry_after = fault.retry_after;
                error.migrate_to_chat_id = fault.migrate_to_chat_id;
                error.respond()
            }
        }),
    }
}

/// A response whose body fails before its first byte: the HTTP server closes the connection, and because
/// nothing was flushed yet the client sees it close without an answer.
fn hang_up() -> Response {
    let broken = futures::stream::once(async { Err::<Bytes, _>(io::Error::other("connection dropped")) });
    Response::new(Body::from_stream(broken))
}
