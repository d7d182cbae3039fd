//! Inbound updates that are not applied, and applying them again.

use axum::extract::State;
use kabar_domain::message::Platform;
use kabar_domain::{HeldId, Timestamp};
use kabar_engine::held::{Held, HeldQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_held_updates)).routes(routes!(replay_held_update))
}

#[derive(Serialize, ToSchema)]
struct HeldUpdate {
    #[schema(value_type = Ulid)]
    id: HeldId,
    /// `quarantined` (it could not be applied) or `unclaimed` (its account is not registered).
    #[schema(example = "quarantined")]
    reason: String,
    #[schema(value_type = String, example = "whatsapp")]
    platform: Platform,
    /// How the webhook names its account.
    account_key: String,
    /// Where in the body it is (RFC 6901).
    #[schema(example = "/entry/0/changes/0/value/messages/3")]
    pointer: String,
    error: String,
    #[schema(value_type = Time)]
    received_at: Timestamp,
    #[schema(value_type = Option<Time>)]
    resolved_at: Option<Timestamp>,
}

impl From<Held> for HeldUpdate {
    fn from(held: Held) -> Self {
        Self {
            id: held.id,
            reason: held.reason,
            platform: held.platform,
            account_key: held.account_key,
            pointer: held.pointer,
            error: held.error,
            received_at: held.received_at,
            resolved_at: held.resolved_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListHeldUpdatesQuery {
    /// Only those that were applied in the end (true) or not yet (false).
    resolved: Option<bool>,
    /// `quarantined` or `unclaimed`.
    reason: Option<String>,
}

/// Inbound updates that are or were held back, newest first. Updates for accounts that nobody registered are shown
/// to the administrators of the server's first organisation.
#[utoipa::path(get, path = "/api/v1/inbound/held", tag = "Inbound",
    security(("bearer" = ["admin"])), params(ListHeldUpdatesQuery, PageQuery),
    responses((status = 200, body = List<HeldUpdate>)))]
async fn list_held_updates(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListHeldUpdatesQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<HeldUpdate>>> {
    let query = HeldQuery { resolved: query.resolved, reason: query.reason };
    Ok(list(state.engine.list_held_updates(&caller, query, &page.request(25)?).await?))
}

/// Applies what is held of an update's webhook body again. `resolved_at` says whether it went well.
#[utoipa::path(post, path = "/api/v1/inbound/held/{id}/replay", tag = "Inbound", security(("bearer" = ["admin"])),
    params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<HeldUpdate>)))]
async fn replay_held_update(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<HeldId>,
) -> Result<axum::Json<Data<HeldUpdate>>> {
    let (held, _) = state.engine.replay_held_update(&caller, id).await?;
    Ok(data(held.into()))
}
