//! Limits on request bodies and handlers, for every route alike: a handler that reads its body need not know them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::error::Error;
use crate::state::Limits;

/// How much of an unread body is read for the sake of the connection, and for how long.
const DRAIN_SIZE: usize = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Whether a batch of the longest texts, with every letter escaped, has to fit.
fn takes_a_thousand_texts(path: &str) -> bool {
    ["messages/", "matching/", "ai/"]
        .iter()
        .any(|group| path.strip_prefix("/api/v1/").is_some_and(|rest| rest.starts_with(group)))
}

/// Holds bodies to their size and time, and handlers to theirs.
pub(crate) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let webhook = path.starts_with("/webhooks/") || path.starts_with("/api/webhooks/");
    let upload = is_upload(&request);
    let (most, handler_time) = match (webhook, upload) {
        (true, _) => (limits.webhook_body, limits.handler_time),
        (_, true) => (limits.upload_body, limits.upload_time),
        _ if path.ends_with("/import") || takes_a_thousand_texts(path) => {
            (limits.import_body, limits.handler_time)
        }
        _ => (limits.body, limits.handler_time),
    };
    if announced(request.headers()).is_some_and(|length| length > most) {
        return closing(too_large());
    }
    let (request, body) = if request.body().is_end_stream() {
        (request, None)
    } else {
        let (parts, inner) = request.into_parts();
        let body = Limited::new(inner, most, limits.body_time, upload);
        (Request::from_parts(parts, Body::new(body.clone())), Some(body))
    };
    let answered = tokio::time::timeout(handler_time, next.run(request)).await;
    let Ok(mut response) = answered else {
        tracing::error!("a request took too long and was given up");
        let error = Error::new(StatusCode::SERVICE_UNAVAILABLE, "The request took too long.");
        return closing(error.retry_after(handler_time));
    };
    let Some(body) = body else { return response };
    // Whatever a handler makes of a body that broke off, this is why it did.
    match body.outcome() {
        Outcome::TooLarge => closing(too_large()),
        Outcome::Stalled => {
            closing(Error::new(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time."))
        }
        Outcome::Read => response,
        Outcome::Open => {
            // A refusal needs no body, but a connection with the rest of one in it is good for nothing: the client
            // would meet a closed connection with its next request.
            let rest = tokio::time::timeout(DRAIN_TIME, body.drain()).await;
            if rest.is_err() || body.outcome() != Outcome::Read {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// Whether the request brings a file: it is taken as it comes, never held whole.
pub(crate) fn is_upload(request: &Request) -> bool {
    request.method() == Method::POST
        && matches!(request.uri().path(), "/api/v1/media" | "/embed/v1/attachments")
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large() -> Error {
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large")
}

/// What is left of the body is not worth reading.
fn closing(error: Error) -> Response {
    let mut response = error.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    /// To its end.
    Read,
    TooLarge,
    Stalled,
}

/// A body that fails once it is larger or slower than allowed. The middleware keeps a clone of what the handler gets, to
/// see how it went.
#[derive(Clone)]
struct Limited(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    left: u64,
    deadline: Instant,
    /// Each part has this time for itself.
    part_time: Option<Duration>,
    /// Made when the body first lets us wait; most are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
    outcome: Outcome,
}

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

impl Limited {
    fn new(body: Body, most: u64, time: Duration, by_part: bool) -> Self {
        let (deadline, part_time) = (Instant::now() + time, by_part.then_some(time));
        let outcome = Outcome::Open;
        Self(Arc::new(Mutex::new(Inner { body, left: most, deadline, part_time, alarm: None, outcome })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self) -> Outcome {
        let inner = self.inner();
        if inner.outcome == Outcome::Open && inner.body.is_end_stream() {
            Outcome::Read
        } else {
            inner.outcome
        }
    }

    /// Reads a small rest, for nothing.
    async fn drain(&self) {
        let mut left = DRAIN_SIZE;
        while left > 0 {
            match std::future::poll_fn(|context| self.inner().poll(context)).await {
                Some(Ok(frame)) => left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) | None => return,
            }
        }
    }
}

impl Inner {
    fn fail(&mut self, outcome: Outcome, why: &'static str) -> Polled {
        self.outcome = outcome;
        Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(why)))))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Polled {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        if let Some(time) = self.part_time {
                            self.deadline = Instant::now() + time;
                            self.alarm = None;
                        }
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => self.fail(Outcome::TooLarge, "the request body is too large"),
                }
            }
            Poll::Pending => {
                let deadline = self.deadline;
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                match alarm.as_mut().poll(context) {
                    Poll::Ready(()) => self.fail(Outcome::Stalled, "the request body did not arrive in time"),
                    Poll::Pending => Poll::Pending,
                }
            }
            Poll::Ready(None) => {
                self.outcome = Outcome::Read;
                Poll::Ready(None)
            }
            broken @ Poll::Ready(Some(Err(_))) => broken,
        }
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        self.inner().poll(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner().body.size_hint()
    }
}
