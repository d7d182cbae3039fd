//! Who is calling.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use kabar_engine::Principal;

use crate::error::{Error, Result};
use crate::session;
use crate::state::ApiState;

/// The caller: `Authorization: Bearer …`, `X-API-Key: …` or a browser's session, in the organisation
/// `X-Organisation-Id` names.
#[derive(Debug)]
pub(crate) struct Auth(pub Principal);

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn token(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).or_else(|| headers.get("x-api-key")?.to_str().ok().map(str::trim))
}

/// Open to organisations that are not paid for, beside all reading: to sign in, to pay, what brings messages in, and
/// questions that change nothing.
const NEVER_HELD: [&str; 10] = [
    "/api/v1/auth/",
    "/api/v1/billing/",
    "/api/v1/embed-tokens",
    "/embed/",
    "/api/v1/inbox",
    "/api/v1/messages/classify",
    "/api/v1/messages/parse",
    "/api/v1/messages/validate-structure",
    "/api/v1/matching/",
    "/api/v1/ai/",
];
/// Access can be taken away there.
const ACCESS: [&str; 2] = ["/api/v1/tokens/", "/api/v1/connected-apps/"];

/// Whether a request waits until its organisation is paid for.
fn is_held(method: &Method, path: &str) -> bool {
    let is_under = |places: &[&str]| {
        places.iter().any(|place| if place.ends_with('/') { path.starts_with(place) } else { path == *place })
    };
    !(method.is_safe() || is_under(&NEVER_HELD) || (*method == Method::DELETE && is_under(&ACCESS)))
}

impl FromRequestParts<ApiState> for Auth {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self> {
        // Whoever asked before (for an idempotency key) left it here.
        if let Some(principal) = parts.extensions.get::<Principal>() {
            return Ok(Self(principal.clone()));
        }
        // A name that is no text is nobody's.
        let organisation =
            parts.headers.get("x-organisation-id").map(|value| value.to_str().unwrap_or("?").trim());
        let organisation = organisation.filter(|name| !name.is_empty());
        let engine = &state.engine;
        let mut principal = if let Some(token) = token(&parts.headers) {
            engine.authenticate(token, organisation).await?
        } else {
            let session = session::presented(&parts.headers, engine);
            let session = session.ok_or(kabar_engine::Error::Unauthenticated)?;
            let organisation = organisation.or_else(|| linked(parts));
            let principal = engine.authenticate_session(session, organisation).await?;
            session::check(&parts.method, &parts.headers, engine, &principal)?;
            principal
        };
        if is_held(&parts.method, parts.uri.path()) {
            engine.hold_unpaid(&mut principal).await?;
        }
        parts.extensions.insert(principal.clone());
        Ok(Self(principal))
    }
}

/// The organisation that a link in a browser names (`organisation_id`), since it carries no header.
fn linked(parts: &Parts) -> Option<&str> {
    let query = parts.uri.query().filter(|_| parts.method.is_safe())?;
    query.split('&').find_map(|pair| pair.strip_prefix("organisation_id=")).filter(|name| !name.is_empty())
}
