//! The inbox: what a message, or any other source, put before the team.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::message::{MessageKind, Platform};
use kabar_domain::operations::RecordKind;
use kabar_domain::{ChannelId, ContactId, ConversationId, InboxItemId, MessageId, RecordId, Timestamp};
use kabar_engine::inbox::{self, Conversion, InboxQuery, NewItem, NewMedia, NewSender, Reclassification};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::MediaResource;
use super::problems::Problem;
use super::records::ConvertInboxItemRequest;
use super::work_updates::WorkUpdate;
use crate::data::{Data, List, Time, Ulid, created, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_inbox, create_inbox_item))
        .routes(routes!(get_inbox_item))
        .routes(routes!(convert_inbox_item))
        .routes(routes!(dismiss_inbox_item))
        .routes(routes!(restore_inbox_item))
        .routes(routes!(reclassify_inbox_item))
}

/// Who sent an item, as far as known.
#[derive(Serialize, ToSchema)]
struct InboxSender {
    #[schema(value_type = Option<Ulid>)]
    contact_id: Option<ContactId>,
    name: Option<String>,
    phone: Option<String>,
    external_id: Option<String>,
}

/// What an item seems to be about; null where nothing is.
#[derive(Serialize, ToSchema)]
struct InboxSuggestions {
    #[schema(value_type = Option<Object>)]
    site: Value,
    #[schema(value_type = Option<Object>)]
    facility: Value,
    #[schema(value_type = Option<Object>)]
    category: Value,
    #[schema(value_type = Option<String>)]
    severity: Value,
}

#[derive(Serialize, ToSchema)]
struct InboxItem {
    #[schema(value_type = Ulid)]
    id: InboxItemId,
    /// `work_update`, `problem` or `unknown`.
    #[schema(value_type = String, example = "unknown")]
    class: InboxClass,
    /// 0 to 1; null until it is understood.
    confidence: Option<f64>,
    reasons: Vec<String>,
    /// `new`, `needs_review`, `converted` or `dismissed`.
    #[schema(value_type = String, example = "new")]
    status: InboxStatus,
    suggestions: InboxSuggestions,
    /// `language`, `engine`, `severity`, `entities`, `categories` and `structured`, as they were found; null until it
    /// is understood.
    #[schema(value_type = Option<Object>)]
    understanding: Option<Value>,
    /// The item that gathers what one source sent too much of, when this is part of it.
    #[schema(value_type = Option<Ulid>)]
    digest_id: Option<InboxItemId>,
    /// What it was converted to: `type`, `id`, `number`.
    #[schema(value_type = Option<Object>)]
    record: Option<Value>,
    #[schema(value_type = Option<Ulid>)]
    message_id: Option<MessageId>,
    #[schema(value_type = Option<Ulid>)]
    conversation_id: Option<ConversationId>,
    external_id: Option<String>,
    text: Option<String>,
    /// A message's type.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "text")]
    kind: MessageKind,
    media: Vec<MediaResource>,
    sender: InboxSender,
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<ChannelId>,
    /// `whatsapp`, `telegram` or `other`.
    #[schema(value_type = String, example = "whatsapp")]
    platform: Platform,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(value_type = Time)]
    occurred_at: Timestamp,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

fn take(object: &mut Option<Value>, field: &str) -> Value {
    object.as_mut().and_then(|value| value.get_mut(field)).map(Value::take).unwrap_or_default()
}

fn text(object: &mut Option<Value>, field: &str) -> Option<String> {
    match take(object, field) {
        Value::String(text) => Some(text),
        _ => None,
    }
}

impl From<inbox::Item> for InboxItem {
    fn from(item: inbox::Item) -> Self {
        let (mut sender, mut suggestions) = (item.sender, item.suggestions);
        Self {
            id: item.id,
            class: item.class,
            confidence: item.confidence,
            reasons: item.reasons,
            status: item.status,
            suggestions: InboxSuggestions {
                site: take(&mut suggestions, "site"),
                facility: take(&mut suggestions, "facility"),
                category: take(&mut suggestions, "category"),
                severity: take(&mut suggestions, "severity"),
            },
            understanding: item.understanding,
            digest_id: item.digest_id,
            record: item.record,
            message_id: item.message_id,
            conversation_id: item.conversation_id,
            external_id: item.external_id,
            text: item.text,
            kind: item.kind,
            media: item.media.into_iter().map(MediaResource::from).collect(),
            sender: InboxSender {
                contact_id: item.contact_id,
                name: text(&mut sender, "name").or(item.contact_name),
                phone: text(&mut sender, "phone").or(item.contact_phone),
                external_id: text(&mut sender, "external_id"),
            },
            channel_id: item.channel_id,
            platform: item.platform,
            metadata: item.metadata.unwrap_or_else(|| Value::Object(Map::new())),
            occurred_at: item.occurred_at,
            created_at: item.created_at,
            updated_at: item.updated_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListInboxQuery {
    /// `new`, `needs_review`, `converted` or `dismissed`.
    #[param(example = "new")]
    status: Option<String>,
    /// `work_update`, `problem` or `unknown`.
    class: Option<String>,
    channel_id: Option<String>,
    /// The items that this one gathers.
    digest_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct InboxSenderRequest {
    name: Option<String>,
    #[schema(example = "+62811000111")]
    phone: Option<String>,
    /// The other system's reference to the person.
    external_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct InboxMediaRequest {
    #[schema(value_type = String, required)]
    id: Option<String>,
    #[schema(example = "image/jpeg")]
    mime_type: Option<String>,
    /// Hexadecimal.
    sha256: Option<String>,
    caption: Option<String>,
    filename: Option<String>,
}

/// At least one of `text`, `media` and `metadata` says something.
#[derive(Deserialize, ToSchema)]
struct CreateInboxItemRequest {
    /// The other system's reference; the same one twice is one item.
    #[schema(max_length = 255)]
    external_id: Option<String>,
    /// `whatsapp`, `telegram` or `other`; that of the channel when left out.
    platform: Option<String>,
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<String>,
    sender: Option<InboxSenderRequest>,
    /// A message's type, `text` when left out. Any other word makes an `unknown` item, with the word in
    /// `metadata.type`.
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    media: Option<Vec<InboxMediaRequest>>,
    /// Now, when left out.
    #[schema(value_type = Option<Time>)]
    occurred_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// What was put before the team, newest first.
#[utoipa::path(get, path = "/api/v1/inbox", tag = "Inbox",
    security(("bearer" = ["read"])), params(ListInboxQuery, PageQuery),
    responses((status = 200, body = List<InboxItem>)))]
async fn list_inbox(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListInboxQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<InboxItem>>> {
    let query = InboxQuery {
        status: query.status,
        class: query.class,
        channel_id: query.channel_id,
        digest_id: query.digest_id,
    };
    Ok(list(state.engine.list_inbox(&caller, query, &page.request(25)?).await?))
}

/// Takes in a message or event from any other source.
#[utoipa::path(post, path = "/api/v1/inbox", tag = "Inbox",
    security(("bearer" = ["write"])), request_body = CreateInboxItemRequest,
    responses((status = 201, body = Data<InboxItem>),
        (status = 200, body = Data<InboxItem>, description = "It was there already, by its `external_id`")))]
async fn create_inbox_item(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateInboxItemRequest>,
) -> Result<Response> {
    let new = NewItem {
        external_id: request.external_id,
        platform: request.platform,
        channel_id: request.channel_id,
        sender: request.sender.map(|sender| NewSender {
            name: sender.name,
            phone: sender.phone,
            external_id: sender.external_id,
        }),
        kind: request.kind,
        text: request.text,
        media: request
            .media
            .unwrap_or_default()
            .into_iter()
            .map(|file| NewMedia {
                id: file.id,
                mime_type: file.mime_type,
                sha256: file.sha256,
                caption: file.caption,
                filename: file.filename,
            })
            .collect(),
        occurred_at: request.occurred_at,
        metadata: request.metadata,
    };
    let ingested = state.engine.create_inbox_item(&caller, new).await?;
    let item = InboxItem::from(ingested.item);
    Ok(if ingested.created { created(item).into_response() } else { data(item).into_response() })
}

/// One item.
#[utoipa::path(get, path = "/api/v1/inbox/{id}", tag = "Inbox",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<InboxItem>)))]
async fn get_inbox_item(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InboxItemId>,
) -> Result<axum::Json<Data<InboxItem>>> {
    Ok(data(state.engine.get_inbox_item(&caller, id).await?.into()))
}

/// What an item became.
#[derive(Serialize, ToSchema)]
struct ConvertedItem {
    /// `work_update` or `problem`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "problem")]
    kind: RecordKind,
    /// The record's.
    #[schema(value_type = Ulid)]
    id: RecordId,
    #[schema(example = "P-2026-000123")]
    number: String,
    record: ConvertedRecord,
    item: InboxItem,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ConvertedRecord {
    Problem(Box<Problem>),
    WorkUpdate(Box<WorkUpdate>),
}

#[derive(Deserialize, ToSchema)]
struct DismissInboxItemRequest {
    #[schema(max_length = 1_000)]
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct ReclassifyInboxItemRequest {
    /// `work_update`, `problem` or `unknown`.
    #[schema(value_type = String, required, example = "problem")]
    class: Option<String>,
}

/// Makes a work update or a problem of it, once: the same again gives the same record.
#[utoipa::path(post, path = "/api/v1/inbox/{id}/convert", tag = "Inbox",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = ConvertInboxItemRequest,
    responses((status = 201, body = Data<ConvertedItem>),
        (status = 200, body = Data<ConvertedItem>, description = "It was converted already")))]
async fn convert_inbox_item(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InboxItemId>,
    Json(mut request): Json<ConvertInboxItemRequest>,
) -> Result<Response> {
    let conversion = Conversion { to: request.to.take(), fields: request.into() };
    let converted = state.engine.convert_inbox_item(&caller, id, conversion).await?;
    let record = &converted.record.row.record;
    let answer = ConvertedItem {
        kind: record.kind,
        id: record.id,
        number: record.number.clone(),
        record: match record.kind {
            RecordKind::Problem => ConvertedRecord::Problem(Box::new(converted.record.into())),
            RecordKind::WorkUpdate => ConvertedRecord::WorkUpdate(Box::new(converted.record.into())),
        },
        item: converted.item.into(),
    };
    Ok(if converted.created { created(answer).into_response() } else { data(answer).into_response() })
}

/// There is nothing to do about it.
#[utoipa::path(post, path = "/api/v1/inbox/{id}/dismiss", tag = "Inbox",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = DismissInboxItemRequest, responses((status = 200, body = Data<InboxItem>)))]
async fn dismiss_inbox_item(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InboxItemId>,
    Json(request): Json<DismissInboxItemRequest>,
) -> Result<axum::Json<Data<InboxItem>>> {
    Ok(data(state.engine.dismiss_inbox_item(&caller, id, request.reason).await?.into()))
}

/// There is something to do about it after all.
#[utoipa::path(post, path = "/api/v1/inbox/{id}/restore", tag = "Inbox",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<InboxItem>)))]
async fn restore_inbox_item(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InboxItemId>,
) -> Result<axum::Json<Data<InboxItem>>> {
    Ok(data(state.engine.restore_inbox_item(&caller, id).await?.into()))
}

/// Says what it is in truth.
#[utoipa::path(post, path = "/api/v1/inbox/{id}/reclassify", tag = "Inbox",
    security(("bearer" = ["write"])), params(("id" = Ulid, Path)),
    request_body = ReclassifyInboxItemRequest, responses((status = 200, body = Data<InboxItem>)))]
async fn reclassify_inbox_item(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<InboxItemId>,
    Json(request): Json<ReclassifyInboxItemRequest>,
) -> Result<axum::Json<Data<InboxItem>>> {
    let change = Reclassification { class: request.class };
    Ok(data(state.engine.reclassify_inbox_item(&caller, id, change).await?.into()))
}
