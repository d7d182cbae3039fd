//! What work updates and problems have in common: their shape, their history, files and watchers.

pub(super) mod csv;
mod requests;

use kabar_domain::operations::{EvidenceStage, RecordKind};
use kabar_domain::{
    CategoryId, ChannelId, ConversationId, EntryId, FacilityId, InboxItemId, MessageId, RecordId, SiteId,
    Timestamp, UserId,
};
use kabar_engine::records::{self, Shown};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::conversations::MediaResource;
use crate::data::{Time, Ulid};

pub(super) use requests::{
    CommentRequest, ConvertInboxItemRequest, CreateProblemRequest, CreateWorkUpdateRequest, EvidenceRequest,
    ListRecordsQuery, UpdateProblemRequest, UpdateWorkUpdateRequest, WatcherQuery, WatcherRequest,
};

#[derive(Serialize, ToSchema)]
struct RecordSite {
    #[schema(value_type = Ulid)]
    id: SiteId,
    name: Option<String>,
    code: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RecordFacility {
    #[schema(value_type = Ulid)]
    id: FacilityId,
    name: Option<String>,
    code: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RecordCategory {
    #[schema(value_type = Ulid)]
    id: CategoryId,
    name: Option<String>,
}

/// A person of the team.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordPerson {
    #[schema(value_type = Ulid)]
    pub id: UserId,
    pub name: Option<String>,
}

/// Who reported it first.
#[derive(Serialize, ToSchema)]
struct RecordReporter {
    /// `contact`, or `user`: a person of the team.
    #[serde(rename = "type")]
    #[schema(example = "contact")]
    kind: &'static str,
    #[schema(value_type = Ulid)]
    id: String,
    name: Option<String>,
    phone: Option<String>,
}

/// A reference to a file, never the file.
#[derive(Serialize, ToSchema)]
struct EvidenceResource {
    #[schema(value_type = Ulid)]
    evidence_id: EntryId,
    /// `report`, `before` or `after`.
    #[schema(value_type = String, example = "before")]
    stage: EvidenceStage,
    #[serde(flatten)]
    file: MediaResource,
    #[schema(value_type = Option<Ulid>)]
    message_id: Option<MessageId>,
    /// Who of the team added it.
    #[schema(value_type = Option<Ulid>)]
    user_id: Option<UserId>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
}

/// Something that happened to a record.
#[derive(Serialize, ToSchema)]
pub(super) struct TimelineEntry {
    #[schema(value_type = Ulid)]
    id: EntryId,
    /// `created`, `edited`, `status`, `severity`, `assigned`, `due`, `comment`, `evidence`, `recurrence`, `merged`,
    /// `merged_in`, `unmerged` or `unmerged_from`.
    #[serde(rename = "type")]
    #[schema(example = "status")]
    kind: String,
    text: Option<String>,
    /// The type's own fields, as `from` and `to`.
    #[schema(value_type = Object)]
    data: Value,
    /// Who of the team did it.
    user: Option<RecordPerson>,
    /// Whose message brought it about.
    contact: Option<TimelineContact>,
    #[schema(value_type = Option<Ulid>)]
    message_id: Option<MessageId>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct TimelineContact {
    #[schema(value_type = Ulid)]
    id: kabar_domain::ContactId,
    name: Option<String>,
}

impl From<records::Entry> for TimelineEntry {
    fn from(entry: records::Entry) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind,
            text: entry.text,
            data: entry.data.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            user: entry.user_id.map(|id| RecordPerson { id, name: entry.user_name }),
            contact: entry.contact_id.map(|id| TimelineContact { id, name: entry.contact_name }),
            message_id: entry.message_id,
            created_at: entry.created_at,
        }
    }
}

/// What every record has.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordResource {
    #[schema(value_type = Ulid)]
    id: RecordId,
    /// `work_update` or `problem`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "problem")]
    kind: RecordKind,
    /// What people say: unique in the organisation, counted anew each year.
    #[schema(example = "P-2026-000123")]
    number: String,
    title: String,
    body: Option<String>,
    site: Option<RecordSite>,
    facility: Option<RecordFacility>,
    category: Option<RecordCategory>,
    reporter: Option<RecordReporter>,
    evidence: Vec<EvidenceResource>,
    /// The messages it was made of, those of merged reports among them.
    #[schema(value_type = Vec<Ulid>)]
    message_ids: Vec<MessageId>,
    #[schema(value_type = Option<Ulid>)]
    inbox_item_id: Option<InboxItemId>,
    #[schema(value_type = Option<Ulid>)]
    conversation_id: Option<ConversationId>,
    #[schema(value_type = Option<Ulid>)]
    channel_id: Option<ChannelId>,
    watchers: Vec<RecordPerson>,
    /// The latest of its history, oldest first: at most 500 entries, in lists 20.
    timeline: Vec<TimelineEntry>,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(value_type = Time)]
    occurred_at: Timestamp,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<Shown> for RecordResource {
    fn from(shown: Shown) -> Self {
        let Shown { row, evidence, message_ids, timeline, watchers, overdue: _ } = shown;
        let record = row.record;
        let contact = record.reporter_contact_id.map(|id| RecordReporter {
            kind: "contact",
            id: id.to_string(),
            name: row.contact_name,
            phone: row.contact_phone,
        });
        let user = record.reporter_user_id.map(|id| RecordReporter {
            kind: "user",
            id: id.to_string(),
            name: row.user_name,
            phone: None,
        });
        Self {
            id: record.id,
            kind: record.kind,
            number: record.number,
            title: record.title,
            body: record.body,
            site: record.site_id.map(|id| RecordSite { id, name: row.site_name, code: row.site_code }),
            facility: record.facility_id.map(|id| RecordFacility {
                id,
                name: row.facility_name,
                code: row.facility_code,
            }),
            category: record.category_id.map(|id| RecordCategory { id, name: row.category_name }),
            reporter: contact.or(user),
            evidence: evidence
                .into_iter()
                .map(|evidence| EvidenceResource {
                    evidence_id: evidence.id,
                    stage: evidence.stage,
                    file: evidence.file.into(),
                    message_id: evidence.message_id,
                    user_id: evidence.user_id,
                    created_at: evidence.created_at,
                })
                .collect(),
            message_ids,
            inbox_item_id: record.inbox_item_id,
            conversation_id: record.conversation_id,
            channel_id: record.channel_id,
            watchers: watchers
                .into_iter()
                .map(|watcher| RecordPerson { id: watcher.user_id, name: watcher.name })
                .collect(),
            timeline: timeline.into_iter().map(TimelineEntry::from).collect(),
            metadata: record.metadata.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            occurred_at: record.occurred_at,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
