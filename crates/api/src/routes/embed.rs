//! What a chat widget on a page asks for its visitor.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use kabar_domain::file::FileStatus;
use kabar_domain::message::{Direction, Media};
use kabar_domain::widget::{Appearance, Position, Theme};
use kabar_domain::{ConversationId, MessageId, Timestamp};
use kabar_engine::media::NewFile;
use kabar_engine::widgets::{self, Begin, Seen, Told, VisitorStream, Written};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::{RECONNECT, last_event_id, streamed};
use super::media::{parts, unreadable};
use crate::data::{Data, Time, Ulid, data};
use crate::error::{Error, Result};
use crate::extract::{Json, Visitor};
use crate::page::PageQuery;
use crate::server::Stopping;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(begin_visit))
        .routes(routes!(list_visit_messages, create_visit_message))
        .routes(routes!(create_visit_attachment))
        .routes(routes!(list_visit_events))
        .routes(routes!(read_visit))
        .routes(routes!(update_visit_profile))
}

#[derive(Deserialize, ToSchema)]
struct VisitRequest {
    /// What the visitor reads, the best first.
    #[serde(default)]
    #[schema(example = json!(["id", "en-GB"]))]
    languages: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Visit {
    /// The widget's slug.
    slug: String,
    appearance: Look,
    /// That everything is said in.
    #[schema(example = "id")]
    language: String,
    /// `ltr` or `rtl`.
    direction: &'static str,
    /// Everything the page says, by name.
    strings: BTreeMap<&'static str, String>,
    /// Whether somebody is there now.
    open: bool,
    /// When somebody is next, while nobody is.
    #[schema(value_type = Option<Time>)]
    opens_at: Option<Timestamp>,
    /// What to ask before the first message.
    ask: Vec<Question>,
    whatsapp_url: Option<String>,
    #[schema(value_type = Option<Ulid>)]
    conversation_id: Option<ConversationId>,
    /// Messages to the visitor that were not shown yet; 100 stands for more.
    unread: i64,
    /// `Last-Event-ID` for a stream that goes on from here.
    position: i64,
    /// Seconds until the token ends.
    expires_in: u64,
    /// Bytes.
    largest_attachment: u64,
}

/// How the widget looks to this visitor.
#[derive(Serialize, ToSchema)]
struct Look {
    accent: String,
    accent_text: String,
    theme: Theme,
    position: Position,
}

impl From<Appearance> for Look {
    fn from(look: Appearance) -> Self {
        let accent_text = look.text_on_accent().to_owned();
        Self { accent: look.accent, accent_text, theme: look.theme, position: look.position }
    }
}

#[derive(Serialize, ToSchema)]
struct Question {
    key: String,
    label: String,
    required: bool,
}

impl From<widgets::Asked> for Question {
    fn from(asked: widgets::Asked) -> Self {
        Self { key: asked.key, label: asked.label, required: asked.required }
    }
}

#[derive(Serialize, ToSchema)]
struct VisitMessage {
    #[schema(value_type = Ulid)]
    id: MessageId,
    /// What the page called it, of the visitor's own.
    client_id: Option<String>,
    /// `visitor` or `agent`.
    from: &'static str,
    /// Who of the other side wrote it.
    author: Option<String>,
    body: Option<String>,
    attachments: Vec<VisitFile>,
    #[schema(value_type = Time)]
    at: Timestamp,
    read: bool,
    edited: bool,
    /// Its content is not shown any more.
    deleted: bool,
}

#[derive(Serialize, ToSchema)]
struct VisitFile {
    name: Option<String>,
    mime_type: Option<String>,
    size: Option<u64>,
    /// Good for at least 15 minutes; null while the file is not here.
    url: Option<String>,
}

impl From<Media> for VisitFile {
    fn from(media: Media) -> Self {
        let is_here = media.status.is_none_or(|status| status == FileStatus::Stored);
        Self {
            name: media.filename,
            mime_type: media.mime_type,
            size: media.size,
            url: media.url.filter(|_| is_here),
        }
    }
}

impl From<Seen> for VisitMessage {
    fn from(seen: Seen) -> Self {
        Self {
            id: seen.id,
            client_id: seen.client_id,
            from: if seen.direction == Direction::Inbound { "visitor" } else { "agent" },
            author: seen.author,
            body: seen.body,
            attachments: seen.media.into_iter().map(VisitFile::from).collect(),
            at: seen.at,
            read: seen.is_read,
            edited: seen.is_edited,
            deleted: seen.is_deleted,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct VisitMessages {
    /// Newest first.
    data: Vec<VisitMessage>,
    meta: VisitMeta,
}

#[derive(Serialize, ToSchema)]
struct VisitMeta {
    /// Goes into `cursor` for what was said before; null when that was all.
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct VisitMessageRequest {
    /// The page's own name for the message, letters, digits, `-` and `_`: sent twice, it is one message.
    #[schema(value_type = String, required, max_length = 64)]
    client_id: Option<String>,
    /// Required without attachments.
    #[schema(max_length = 4096)]
    body: Option<String>,
    /// What uploads were answered with; 5 at most.
    #[serde(default)]
    attachments: Vec<String>,
    /// The address of the page.
    page: Option<String>,
    /// The language of the page.
    language: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct VisitAccepted {
    client_id: String,
    #[schema(value_type = Time)]
    at: Timestamp,
}

/// A file to bring.
#[derive(ToSchema)]
#[expect(dead_code, reason = "stands for the form in the API description")]
struct VisitAttachmentRequest {
    /// Its name and type are those of the part.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

#[derive(Serialize, ToSchema)]
struct VisitAttachment {
    /// For a message's `attachments`.
    id: String,
    name: Option<String>,
    mime_type: Option<String>,
    /// Bytes.
    size: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
struct VisitReadRequest {
    /// The last message that was shown.
    #[schema(value_type = Ulid, required)]
    message_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct VisitProfileRequest {
    /// Answers by the fields' keys.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    language: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct VisitProfile {
    /// What is still to be asked.
    ask: Vec<Question>,
}

/// Begins a visit: everything the page needs to show.
#[utoipa::path(post, path = "/embed/v1/session", tag = "Embed widget: visitors", request_body = VisitRequest,
    security(("embed_token" = [])), responses((status = 200, body = Data<Visit>)))]
async fn begin_visit(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    Json(request): Json<VisitRequest>,
) -> Result<axum::Json<Data<Visit>>> {
    let visit = state.engine.begin_visit(&visitor, Begin { languages: request.languages }).await?;
    Ok(data(Visit {
        slug: visit.slug,
        appearance: visit.appearance.into(),
        language: visit.language,
        direction: if visit.is_rtl { "rtl" } else { "ltr" },
        strings: visit.strings,
        open: visit.is_open,
        opens_at: visit.opens_at,
        ask: visit.ask.into_iter().map(Question::from).collect(),
        whatsapp_url: visit.whatsapp_url,
        conversation_id: visit.conversation_id,
        unread: visit.unread,
        position: visit.position,
        expires_in: visit.expires_in.as_secs(),
        largest_attachment: visit.largest_attachment,
    }))
}

/// What was said, newest first.
#[utoipa::path(get, path = "/embed/v1/messages", tag = "Embed widget: visitors", params(PageQuery),
    security(("embed_token" = [])), responses((status = 200, body = VisitMessages)))]
async fn list_visit_messages(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    page: PageQuery,
) -> Result<axum::Json<VisitMessages>> {
    let page = state.engine.visit_history(&visitor, &page.request(30)?).await?;
    let data = page.items.into_iter().map(VisitMessage::from).collect();
    Ok(axum::Json(VisitMessages { data, meta: VisitMeta { next_cursor: page.next_cursor } }))
}

/// Takes a visitor's message. It is on disk when this answers, and in the stream of events a moment later.
#[utoipa::path(post, path = "/embed/v1/messages", tag = "Embed widget: visitors",
    request_body = VisitMessageRequest, security(("embed_token" = [])),
    responses((status = 200, body = Data<VisitAccepted>)))]
async fn create_visit_message(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    Json(request): Json<VisitMessageRequest>,
) -> Result<axum::Json<Data<VisitAccepted>>> {
    let written = Written {
        client_id: request.client_id,
        body: request.body,
        attachments: request.attachments,
        page: request.page,
        language: request.language,
    };
    let accepted = state.engine.write_message(&visitor, written).await?;
    Ok(data(VisitAccepted { client_id: accepted.client_id, at: accepted.at }))
}

/// Stores a file that a message is to bring.
#[utoipa::path(post, path = "/embed/v1/attachments", tag = "Embed widget: visitors",
    request_body(content = VisitAttachmentRequest, content_type = "multipart/form-data"),
    security(("embed_token" = [])),
    responses((status = 200, body = Data<VisitAttachment>)))]
async fn create_visit_attachment(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    request: Request,
) -> Result<axum::Json<Data<VisitAttachment>>> {
    state.engine.may_attach(&visitor)?;
    let required = || Error::field("file", "The file field is required.");
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| required())?;
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        if field.name() != Some("file") {
            continue;
        }
        let new = NewFile {
            filename: field.file_name().map(str::to_owned),
            mime_type: field.content_type().map(str::to_owned),
        };
        let attached = state.engine.attach(&visitor, new, parts(field)).await?;
        return Ok(data(VisitAttachment {
            id: attached.handle,
            name: attached.file.filename,
            mime_type: attached.file.mime_type,
            size: attached.file.size,
        }));
    }
    Err(required())
}

/// What happens in the visitor's conversation, as a stream of server-sent events.
///
/// `message` (a message as the history has it, new or changed), `read` (`{id}`: another page showed it) and `typing`. Each
/// has the `id` to come back with as `Last-Event-ID`. The stream ends with its token, and when the server stops.
#[utoipa::path(get, path = "/embed/v1/events", tag = "Embed widget: visitors",
    params(("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event.")),
    security(("embed_token" = [])),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn list_visit_events(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
) -> Result<Response> {
    let events = state.engine.stream_visit(visitor, last_event_id(&headers)?).await?;
    let stop = stopping.map(|Extension(Stopping(stop))| stop).unwrap_or_default();
    Ok(stream(events, stop))
}

fn stream(events: VisitorStream, stop: CancellationToken) -> Response {
    let hello = format!("retry: {RECONNECT}\nid: {}\n\n: listening\n\n", events.position());
    streamed(futures::stream::unfold((Some(hello), events, stop), |(hello, mut events, stop)| async move {
        if let Some(hello) = hello {
            return Some((Ok(Bytes::from(hello)), (None, events, stop)));
        }
        let told = tokio::select! {
            () = stop.cancelled() => return None,
            told = events.next() => told,
        };
        match told {
            Ok(told) if told.iter().any(|told| matches!(told, Told::Over)) => None,
            Ok(told) => Some((Ok(Bytes::from(written(told, events.position()))), (None, events, stop))),
            Err(error) => {
                tracing::warn!(%error, "a visitor's stream broke off; its page comes back");
                None
            }
        }
    }))
}

/// The last of them carries the number to come back with: who got only some of them gets them all again.
fn written(told: Vec<Told>, position: i64) -> String {
    let mut text = String::new();
    for told in told {
        let (kind, value) = match told {
            Told::Message(seen) => ("message", json!(VisitMessage::from(*seen))),
            Told::Read(id) => ("read", json!({ "id": id })),
            Told::Typing => ("typing", json!({})),
            Told::Silence | Told::Over => {
                text.push_str(": still here\n");
                continue;
            }
        };
        if !text.is_empty() {
            text.push('\n');
        }
        write!(text, "event: {kind}\ndata: {value}\n").unwrap_or_default();
    }
    write!(text, "id: {position}\n\n").unwrap_or_default();
    text
}

/// The visitor was shown a message, and what came before it.
#[utoipa::path(post, path = "/embed/v1/read", tag = "Embed widget: visitors", request_body = VisitReadRequest,
    security(("embed_token" = [])),
    responses((status = 204), (status = 404, description = "No such message in the visitor's conversation.",
        body = ref("#/components/schemas/Error"))))]
async fn read_visit(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    Json(request): Json<VisitReadRequest>,
) -> Result<StatusCode> {
    let required = || Error::field("message_id", "The message id field is required.");
    let id = request.message_id.ok_or_else(required)?;
    state.engine.read_visit(&visitor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the visitor answered to what the widget asks.
#[utoipa::path(patch, path = "/embed/v1/profile", tag = "Embed widget: visitors",
    request_body = VisitProfileRequest, security(("embed_token" = [])),
    responses((status = 200, body = Data<VisitProfile>)))]
async fn update_visit_profile(
    State(state): State<ApiState>,
    Visitor(visitor): Visitor,
    Json(request): Json<VisitProfileRequest>,
) -> Result<axum::Json<Data<VisitProfile>>> {
    let language = request.language.as_deref();
    let ask = state.engine.answer_fields(&visitor, request.fields, language).await?;
    Ok(data(VisitProfile { ask: ask.into_iter().map(Question::from).collect() }))
}
