//! Signing in and out.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::{StatusCode, header};
use kabar_domain::{OrganisationId, Timestamp, UserId};
use kabar_engine::auth::{Login, Me};
use kabar_engine::users;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, Time, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, ClientAddress, Json};
use crate::session;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(get_me))
        .routes(routes!(get_user_me))
        .routes(routes!(get_session))
        .routes(routes!(logout))
}

#[derive(Deserialize, ToSchema)]
struct LoginRequest {
    #[schema(value_type = String, required, format = "email")]
    email: Option<String>,
    #[schema(value_type = String, required, format = "password")]
    password: Option<String>,
    /// Names the token in lists.
    device_name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Session {
    /// Shown this once.
    #[schema(example = "17|k3J9…")]
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    user: User,
    organisations: Vec<Membership>,
}

#[derive(Serialize, ToSchema)]
struct User {
    #[schema(value_type = Ulid)]
    id: UserId,
    name: String,
    email: String,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self { id: user.id, name: user.name, email: user.email }
    }
}

/// A person's place in an organisation.
#[derive(Serialize, ToSchema)]
struct Membership {
    #[schema(value_type = Ulid)]
    id: OrganisationId,
    name: String,
    slug: String,
    /// `owner`, `admin`, `supervisor`, `agent` or `viewer`.
    #[schema(value_type = String, example = "agent")]
    role: kabar_domain::Role,
}

impl From<users::Membership> for Membership {
    fn from(membership: users::Membership) -> Self {
        Self {
            id: membership.organisation_id,
            name: membership.name,
            slug: membership.slug,
            role: membership.role,
        }
    }
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
struct Token {
    id: i64,
    name: String,
    /// Of `read`, `write`, `send` and `admin`; `admin` implies the others, and a role may cap them.
    abilities: Vec<String>,
    #[schema(value_type = Option<Time>)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<Time>)]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct Caller {
    user: User,
    token: Token,
    /// Those the token is good for.
    organisations: Vec<Membership>,
}

impl From<Me> for Caller {
    fn from(me: Me) -> Self {
        Self {
            user: me.user.into(),
            token: Token {
                id: me.token.id,
                name: me.token.name,
                abilities: me.token.abilities,
                expires_at: me.token.expires_at,
                last_used_at: me.token.last_used_at,
            },
            organisations: me.organisations.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct BrowserSession {
    user: User,
    organisations: Vec<Membership>,
    /// The one that requests without `X-Organisation-Id` are about.
    organisation: Option<Membership>,
    /// What the caller may do in it: of `read`, `write`, `send` and `admin`.
    #[schema(value_type = Vec<String>)]
    abilities: Vec<&'static str>,
    /// For the header `X-CSRF-Token`; null for a token that is no browser's session.
    csrf_token: Option<String>,
    /// When the session ends unless it is used: 30 days after its last use.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<Timestamp>,
}

/// Signs in with e-mail and password.
///
/// The token is good for 30 days in all of the person's organisations. Five failures in a minute close the account for
/// the rest of it, twenty the address they come from.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "Auth", security(()),
    request_body = LoginRequest,
    responses(
        (status = 200, body = Data<Session>),
        (status = 401, description = "A wrong e-mail or password.", body = ref("#/components/schemas/Error")),
        (status = 422, description = "A field is missing.", body = ref("#/components/schemas/Error")),
        (status = 429, description = "Too many failures.", body = ref("#/components/schemas/Error")),
    ))]
async fn login(
    State(state): State<ApiState>,
    ClientAddress(client_address): ClientAddress,
    Json(request): Json<LoginRequest>,
) -> Result<axum::Json<Data<Session>>> {
    let outcome = state
        .engine
        .login(Login {
            email: request.email.unwrap_or_default(),
            password: request.password.unwrap_or_default(),
            device_name: request.device_name,
            client_address,
        })
        .await?;
    Ok(data(Session {
        access_token: outcome.token,
        token_type: "Bearer",
        user: outcome.user.into(),
        organisations: outcome.organisations.into_iter().map(Into::into).collect(),
    }))
}

/// The caller: person, token and organisations.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "Auth",
    security(("bearer" = [])), responses((status = 200, body = Data<Caller>)))]
async fn get_me(State(state): State<ApiState>, Auth(caller): Auth) -> Result<axum::Json<Data<Caller>>> {
    Ok(data(state.engine.me(&caller).await?.into()))
}

/// Another name of `/auth/me`.
#[utoipa::path(get, path = "/api/v1/user/me", tag = "Auth",
    security(("bearer" = [])), responses((status = 200, body = Data<Caller>)))]
async fn get_user_me(state: State<ApiState>, auth: Auth) -> Result<axum::Json<Data<Caller>>> {
    get_me(state, auth).await
}

/// What a page of the web app needs to know: who is signed in, where, what they may do there, and the CSRF token.
///
/// Requests that carry the session's cookie and change something must carry `csrf_token` in the header `X-CSRF-Token`;
/// without it they are a 419.
#[utoipa::path(get, path = "/api/v1/auth/session", tag = "Auth", security(("bearer" = [])),
    responses((status = 200, body = Data<BrowserSession>)))]
async fn get_session(
    State(state): State<ApiState>,
    Auth(caller): Auth,
) -> Result<axum::Json<Data<BrowserSession>>> {
    let me = state.engine.me(&caller).await?;
    let current = me.organisations.iter().find(|place| place.organisation_id == caller.organisation_id);
    Ok(data(BrowserSession {
        organisation: current.cloned().map(Into::into),
        organisations: me.organisations.into_iter().map(Into::into).collect(),
        user: me.user.into(),
        abilities: caller.abilities.names(),
        csrf_token: caller.session.then(|| state.engine.csrf_token(&caller)),
        expires_at: me.token.expires_at,
    }))
}

/// Ends the token of this request; others of the person go on.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "Auth", security(("bearer" = [])), responses((status = 204)))]
async fn logout(State(state): State<ApiState>, Auth(caller): Auth) -> Result<impl IntoResponse> {
    state.engine.logout(&caller).await?;
    let forget = caller.session.then(|| AppendHeaders([(header::SET_COOKIE, session::end(&state.engine))]));
    Ok((StatusCode::NO_CONTENT, forget, ()))
}
