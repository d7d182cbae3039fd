//! What work updates and problems have in common: their shape, their history, files and watchers.

pub(super) mod csv;

use kabar_domain::operations::{EvidenceStage, RecordKind};
use kabar_domain::{
    CategoryId, ChannelId, ConversationId, EntryId, FacilityId, InboxItemId, MessageId, RecordId, SiteId,
    Timestamp, UserId,
};
use kabar_engine::patch::Patch;
use kabar_engine::records::{self, NewEvidence, RecordFields, RecordQuery, Shown};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::conversations::MediaResource;
use crate::data::{Time, Ulid};

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

/// Where a record belongs, and when it happened. Several values of a filter are separated by commas.
#[derive(Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRecordsQuery {
    site_id: Option<String>,
    facility_id: Option<String>,
    category_id: Option<String>,
    /// A contact, a person of the team, or `me`.
    reporter_id: Option<String>,
    /// A person of the team, or `me`.
    watcher_id: Option<String>,
    /// Occurred then or later: an RFC 3339 time, or a day on the organisation's calendar.
    #[param(example = "2026-05-06")]
    from: Option<String>,
    /// Occurred before then; of a day, before its end.
    to: Option<String>,
    /// Words, all of which are in the number, title or body.
    q: Option<String>,
    /// `created_at`, `updated_at`, `occurred_at`, `due_at` or `severity`; with a `-` before, descending.
    /// `-created_at` when left out.
    #[param(example = "-created_at")]
    sort: Option<String>,
}

impl From<ListRecordsQuery> for RecordQuery {
    fn from(query: ListRecordsQuery) -> Self {
        Self {
            site_id: query.site_id,
            facility_id: query.facility_id,
            category_id: query.category_id,
            reporter_id: query.reporter_id,
            watcher_id: query.watcher_id,
            from: query.from,
            to: query.to,
            q: query.q,
            sort: query.sort,
            ..Self::default()
        }
    }
}

/// Bodies that say what a record is. Fields after the semicolon are no record's.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$attr:meta])* $field:ident: $kind:ty,)* $(; $($(#[$own:meta])* $extra:ident: $type:ty,)*)?
    })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize, ToSchema)]
        pub(super) struct $name {
            $($($(#[$own])* pub $extra: $type,)*)?
            $(#[serde(default)] $(#[$attr])* $field: $kind,)*
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            body: Patch<String>,
            #[serde(default)]
            #[schema(value_type = Option<Ulid>)]
            site_id: Patch<String>,
            /// A thing; it brings its site.
            #[serde(default)]
            #[schema(value_type = Option<Ulid>)]
            facility_id: Patch<String>,
            #[serde(default)]
            #[schema(value_type = Option<Ulid>)]
            category_id: Patch<String>,
            #[serde(default)]
            #[schema(value_type = Option<Time>)]
            occurred_at: Patch<String>,
            #[serde(default)]
            #[schema(value_type = Option<Object>)]
            metadata: Patch<Value>,
        }

        impl From<$name> for RecordFields {
            fn from(request: $name) -> Self {
                Self {
                    $($field: request.$field,)*
                    body: request.body,
                    site_id: request.site_id,
                    facility_id: request.facility_id,
                    category_id: request.category_id,
                    occurred_at: request.occurred_at,
                    metadata: request.metadata,
                    ..Self::default()
                }
            }
        }
    )*};
}

requests! {
    CreateWorkUpdateRequest {
        #[schema(value_type = String, required, max_length = 255)]
        title: Patch<String>,
    }
    /// What is left out stays.
    UpdateWorkUpdateRequest {
        #[schema(value_type = String, required = false, max_length = 255)]
        title: Patch<String>,
    }
    CreateProblemRequest {
        #[schema(value_type = String, required, max_length = 255)]
        title: Patch<String>,
        /// `low`, `medium`, `high` or `critical`; medium when left out.
        #[schema(value_type = String, required = false, example = "high")]
        severity: Patch<String>,
        /// `open` when left out.
        #[schema(value_type = String, required = false, example = "open")]
        status: Patch<String>,
        /// A member of the organisation.
        #[schema(value_type = Option<Ulid>)]
        assignee_id: Patch<String>,
    }
    /// What is left out stays.
    UpdateProblemRequest {
        #[schema(value_type = String, required = false, max_length = 255)]
        title: Patch<String>,
        /// `low`, `medium`, `high` or `critical`.
        #[schema(value_type = String, required = false, example = "high")]
        severity: Patch<String>,
        /// `acknowledged`, `in_progress`, `resolved`, `closed` or `reopened`; where a problem may go depends on where
        /// it stands.
        #[schema(value_type = String, required = false, example = "acknowledged")]
        status: Patch<String>,
        /// A member of the organisation; null: nobody.
        #[schema(value_type = Option<Ulid>)]
        assignee_id: Patch<String>,
        ;
        /// Of a change of status: what was done, for the history and the reporters.
        note: Option<String>,
    }
    /// What is left out is what was suggested, null is nothing.
    ConvertInboxItemRequest {
        /// The first line of the text when left out.
        #[schema(value_type = String, required = false, max_length = 255)]
        title: Patch<String>,
        /// Of a problem.
        #[schema(value_type = String, required = false, example = "high")]
        severity: Patch<String>,
        ;
        /// `work_update` or `problem`.
        #[schema(value_type = String, required, example = "problem")]
        to: Option<String>,
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct CommentRequest {
    #[schema(value_type = String, required, max_length = 10_000)]
    pub text: Option<String>,
}

/// A file of the media library, or a reference to one elsewhere.
#[derive(Deserialize, ToSchema)]
pub(super) struct EvidenceRequest {
    /// `report`, `before` or `after`; `report` when left out.
    #[schema(example = "after")]
    stage: Option<String>,
    #[schema(value_type = Option<Ulid>)]
    file_id: Option<String>,
    /// What another system calls the file.
    id: Option<String>,
    #[schema(example = "image/jpeg")]
    mime_type: Option<String>,
    /// Hexadecimal.
    sha256: Option<String>,
    filename: Option<String>,
    caption: Option<String>,
}

impl From<EvidenceRequest> for NewEvidence {
    fn from(request: EvidenceRequest) -> Self {
        Self {
            stage: request.stage,
            file_id: request.file_id,
            id: request.id,
            mime_type: request.mime_type,
            sha256: request.sha256,
            filename: request.filename,
            caption: request.caption,
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct WatcherRequest {
    /// A member of the organisation; the caller when left out.
    #[schema(value_type = Option<Ulid>)]
    pub user_id: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WatcherQuery {
    /// The caller when left out.
    pub user_id: Option<String>,
}
