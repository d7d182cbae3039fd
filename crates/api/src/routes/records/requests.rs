//! What clients say about records.

use kabar_engine::patch::Patch;
use kabar_engine::records::{NewEvidence, RecordFields, RecordQuery};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::data::{Time, Ulid};

/// Where a record belongs, and when it happened. Several values of a filter are separated by commas.
#[derive(Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::routes) struct ListRecordsQuery {
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
        pub(in crate::routes) struct $name {
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
pub(in crate::routes) struct CommentRequest {
    #[schema(value_type = String, required, max_length = 10_000)]
    pub text: Option<String>,
}

/// A file of the media library, or a reference to one elsewhere.
#[derive(Deserialize, ToSchema)]
pub(in crate::routes) struct EvidenceRequest {
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
pub(in crate::routes) struct WatcherRequest {
    /// A member of the organisation; the caller when left out.
    #[schema(value_type = Option<Ulid>)]
    pub user_id: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::routes) struct WatcherQuery {
    /// The caller when left out.
    pub user_id: Option<String>,
}
