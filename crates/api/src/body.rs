//! Limits on request bodies and handlers, for every route alike: a handler that reads its body need not know them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::error::Error;
use crate::state::Limits;

const FINE: u8 = 0;
const TOO_LARGE: u8 = 1;
const STALLED: u8 = 2;

/// Holds bodies to their size and time, and handlers to theirs.
pub(crate) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let webhook = path.starts_with("/webhooks/") || path.starts_with("/api/webhooks/");
    let most = if webhook { limits.webhook_body } else { limits.body };
    if announced(request.headers()).is_some_and(|length| length > most) {
        return closing(too_large());
    }
    let outcome = Arc::new(AtomicU8::new(FINE));
    let request = if request.body().is_end_stream() {
        request
    } else {
        request.map(|inner| {
            Body::new(Limited {
                inner,
                left: most,
                deadline: Instant::now() + limits.body_time,
                alarm: None,
                outcome: Arc::clone(&outcome),
            })
        })
    };
    let Ok(response) = tokio::time::timeout(limits.handler_time, next.run(request)).await else {
        tracing::error!("a request took too long and was given up");
        return Error::new(StatusCode::SERVICE_UNAVAILABLE, "The request took too long.")
            .retry_after(limits.handler_time)
            .into_response();
    };
    // Whatever a handler makes of a body that broke off, this is why it did.
    match outcome.load(Ordering::Relaxed) {
        TOO_LARGE => closing(too_large()),
        STALLED => {
            closing(Error::new(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time."))
        }
        _ => response,
    }
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

/// A body that fails once it is larger or slower than allowed, and says which.
struct Limited {
    inner: Body,
    left: u64,
    deadline: Instant,
    /// Made when the body first lets us wait; most are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
    outcome: Arc<AtomicU8>,
}

impl Limited {
    fn fail(&self, outcome: u8, why: &'static str) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.outcome.store(outcome, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(why)))))
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => this.fail(TOO_LARGE, "the request body is too large"),
                }
            }
            Poll::Pending => {
                let deadline = this.deadline;
                let alarm = this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                match alarm.as_mut().poll(context) {
                    Poll::Ready(()) => this.fail(STALLED, "the request body did not arrive in time"),
                    Poll::Pending => Poll::Pending,
                }
            }
            end @ Poll::Ready(_) => end,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
