//! Contacts.

use axum::extract::State;
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::{ContactId, Timestamp};
use kabar_engine::contacts::{self, ContactUpsert};
use kabar_engine::patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, List, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json, PathId, Query};
use crate::page::{PageQuery, list};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_contacts, create_or_update_contact)).routes(routes!(get_contact))
}

/// A name a provider knows the person by.
#[derive(Serialize, ToSchema)]
struct ContactIdentity {
    /// `wa_id`, `bsuid`, `telegram`, `widget` or `external`.
    #[schema(value_type = String, example = "wa_id")]
    kind: IdentityKind,
    #[schema(example = "966500000000")]
    value: String,
}

impl From<Identity> for ContactIdentity {
    fn from(identity: Identity) -> Self {
        Self { kind: identity.kind, value: identity.value }
    }
}

#[derive(Serialize, ToSchema)]
struct Contact {
    #[schema(value_type = Ulid)]
    id: ContactId,
    /// Phone digits on WhatsApp; null for people who hide their number, or write elsewhere.
    #[schema(example = "966500000000")]
    wa_id: Option<String>,
    #[schema(example = "+966500000000")]
    phone: Option<String>,
    #[schema(example = "Ali")]
    name: Option<String>,
    email: Option<String>,
    #[schema(example = "ar")]
    language: Option<String>,
    username: Option<String>,
    #[schema(value_type = Option<Object>)]
    profile: Option<Value>,
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<Value>,
    identities: Vec<ContactIdentity>,
    #[schema(value_type = Option<Time>)]
    last_seen_at: Option<Timestamp>,
    #[schema(value_type = Time)]
    created_at: Timestamp,
    #[schema(value_type = Time)]
    updated_at: Timestamp,
}

impl From<contacts::Contact> for Contact {
    fn from(contact: contacts::Contact) -> Self {
        Self {
            id: contact.id,
            wa_id: contact.wa_id,
            phone: contact.phone,
            name: contact.name,
            email: contact.email,
            language: contact.language,
            username: contact.username,
            profile: contact.profile,
            custom_fields: contact.custom_fields,
            identities: contact.identities.into_iter().map(ContactIdentity::from).collect(),
            last_seen_at: contact.last_seen_at,
            created_at: contact.created_at,
            updated_at: contact.updated_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListContactsQuery {
    /// Part of a name, phone, `wa_id`, e-mail or username.
    #[param(example = "ali")]
    search: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct CreateOrUpdateContactRequest {
    /// E.164 number; `+`, spaces and dashes are taken out.
    #[schema(value_type = String, required, example = "966500000000")]
    wa_id: Option<String>,
    /// Display phone (with +).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "+966500000000")]
    phone: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Ali")]
    name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ali@example.com")]
    email: Patch<String>,
    /// Language hint.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ar")]
    language: Patch<String>,
    /// Free-form, 4 KB at most.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    profile: Patch<Value>,
    /// Free-form, 4 KB at most.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    custom_fields: Patch<Value>,
}

/// The organisation's contacts, newest first.
///
/// A token bound to channels finds those who have a conversation on them or are members of their groups.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "Contacts",
    security(("bearer" = ["read"])), params(ListContactsQuery, PageQuery),
    responses((status = 200, body = List<Contact>)))]
async fn list_contacts(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Query(query): Query<ListContactsQuery>,
    page: PageQuery,
) -> Result<axum::Json<List<Contact>>> {
    Ok(list(state.engine.list_contacts(&caller, query.search.as_deref(), &page.request(25)?).await?))
}

/// Creates the contact with this `wa_id`, or overwrites what is sent of it: what is left out stays, null clears.
#[utoipa::path(post, path = "/api/v1/contacts", tag = "Contacts",
    security(("bearer" = ["write"])), request_body = CreateOrUpdateContactRequest,
    responses((status = 200, body = Data<Contact>)))]
async fn create_or_update_contact(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<CreateOrUpdateContactRequest>,
) -> Result<axum::Json<Data<Contact>>> {
    let upsert = ContactUpsert {
        wa_id: request.wa_id,
        phone: request.phone,
        name: request.name,
        email: request.email,
        language: request.language,
        profile: request.profile,
        custom_fields: request.custom_fields,
    };
    Ok(data(state.engine.create_or_update_contact(&caller, upsert).await?.into()))
}

/// One contact.
#[utoipa::path(get, path = "/api/v1/contacts/{id}", tag = "Contacts",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<Contact>)))]
async fn get_contact(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<ContactId>,
) -> Result<axum::Json<Data<Contact>>> {
    Ok(data(state.engine.get_contact(&caller, id).await?.into()))
}
