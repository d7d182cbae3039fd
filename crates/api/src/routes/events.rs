//! Events, in pages and as a stream.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use kabar_domain::{SubjectId, Timestamp};
use kabar_engine::events::{self, EventStream, Heard};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Stretch, Time, Ulid};
use crate::error::{Error, Result};
use crate::extract::{Auth, Query};
use crate::server::Stopping;
use crate::state::ApiState;

/// What a stream's clients wait before they come back, in milliseconds.
pub(super) const RECONNECT: u32 = 2_000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_events))
}

#[derive(Serialize, ToSchema)]
struct Event<'a> {
    /// From 1, without gaps in the organisation.
    #[schema(example = 4711)]
    id: i64,
    #[serde(rename = "type")]
    #[schema(example = "message.received")]
    kind: &'a str,
    #[schema(value_type = Time)]
    timestamp: Timestamp,
    /// What it is about: the message of `message.received`, the contact of `contact.created`.
    #[schema(value_type = Option<Ulid>)]
    subject_id: Option<SubjectId>,
    /// The subject as `id` and what the event says of it. Events of messages have the `message`, as it is when it is
    /// read: `id`, `conversation_id`, `channel_id`, `contact_id`, `direction`, `type`, `status`, `body`,
    /// `provider_message_id`, `occurred_at`. What would be larger than 19 kB is left out: then `truncated` is true.
    #[schema(value_type = Object)]
    data: &'a RawValue,
}

impl<'a> From<&'a events::Event> for Event<'a> {
    fn from(event: &'a events::Event) -> Self {
        Self {
            id: event.seq,
            kind: &event.kind,
            timestamp: event.at,
            subject_id: event.subject_id,
            data: &event.data,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListEventsQuery {
    /// Events after this one. A page begins with the oldest kept, a stream with what happens next, when there is neither
    /// this nor `Last-Event-ID`.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Another name of `after`.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Types, separated by commas, as `message.*,conversation.updated`; all of them when left out.
    types: Option<String>,
    /// Events on a page, 1 to 100.
    #[param(minimum = 1, maximum = 100, example = 50)]
    limit: Option<i64>,
    /// The same as `Accept: text/event-stream`.
    stream: Option<bool>,
}

/// What happened in the organisation, oldest first: in pages, or as a stream of server-sent events.
///
/// `Accept: text/event-stream` makes it a stream. Each event has its number as `id`, its type as `event` and the same
/// JSON as in a page as `data`. `Last-Event-ID` (browsers send it when they come back) or `after` goes on behind an
/// event without gap or repetition. There is a comment at least every ten seconds. The stream ends when its token is
/// revoked or expires, and when the server stops: come back. A token bound to channels hears of the messages on them.
#[utoipa::path(get, path = "/api/v1/events", tag = "Events", security(("bearer" = ["read"])), params(ListEventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Of a stream: goes on after this event.")),
    responses((status = 200, content((Stretch<Event> = "application/json"), (String = "text/event-stream")))))]
async fn list_events(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListEventsQuery>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
) -> Result<Response> {
    let after = query.after.or(query.cursor);
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if query.stream.unwrap_or_else(|| accepts.contains("text/event-stream")) {
        let after = last_event_id(&headers)?.or(after);
        let events = state.engine.stream_events(&caller, query.types.as_deref(), after).await?;
        let stop = stopping.map(|Extension(Stopping(stop))| stop).unwrap_or_default();
        return Ok(stream(events, stop));
    }
    let limit = query.limit.unwrap_or(50);
    let page = state.engine.list_events(&caller, query.types.as_deref(), after, limit).await?;
    let events = page.events.iter().map(Event::from).collect();
    Ok(axum::Json(Stretch::new(events, limit, page.next_after)).into_response())
}

pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(given) = headers.get("last-event-id").filter(|given| !given.is_empty()) else { return Ok(None) };
    let number = given.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|number| *number >= 0);
    let wrong = || Error::field("last_event_id", "The Last-Event-ID header must be the number of an event.");
    number.map(Some).ok_or_else(wrong)
}

/// Each piece is made when the client has taken the one before: a slow client costs one piece.
fn stream(events: EventStream, stop: CancellationToken) -> Response {
    // An id without data tells where to come back to, before anything happened.
    let hello = format!("retry: {RECONNECT}\nid: {}\n\n: listening\n\n", events.position());
    let pieces =
        futures::stream::unfold((Some(hello), events, stop), |(hello, mut events, stop)| async move {
            if let Some(hello) = hello {
                return Some((Ok(Bytes::from(hello)), (None, events, stop)));
            }
            let heard = tokio::select! {
                () = stop.cancelled() => return None,
                heard = events.next() => heard,
            };
            let piece = match heard {
                Ok(Heard::Events(batch)) => written(&batch),
                Ok(Heard::Silence) => Ok(format!(": still here\nid: {}\n\n", events.position())),
                Ok(Heard::Over) => return None,
                Err(error) => {
                    tracing::warn!(%error, "a stream of events broke off; its client comes back");
                    return None;
                }
            };
            Some((piece.map(Bytes::from), (None, events, stop)))
        });
    streamed(pieces)
}

/// An answer that goes on as long as there are events.
pub(super) fn streamed(
    pieces: impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
) -> Response {
    let mut response = Body::from_stream(pieces).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // A reverse proxy must pass events on as they come.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn written(batch: &[Arc<events::Event>]) -> Result<String, std::io::Error> {
    let mut text = String::with_capacity(512 * batch.len());
    for event in batch {
        let data = serde_json::to_string(&Event::from(event.as_ref()))?;
        write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", event.seq, event.kind)
            .map_err(std::io::Error::other)?;
    }
    Ok(text)
}
