//! Who is calling.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use kabar_engine::Principal;

use crate::error::{Error, Result};
use crate::session;
use crate::state::ApiState;

/// The caller: `Authorization: Bearer …`, `X-API-Key: …` or a browser's session, in the organisation
/// `X-Organisation-Id` names.
#[derive(Debug)]
pub(crate) struct Auth(pub Principal);

fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| headers.get("x-api-key")?.to_str().ok().map(str::trim))
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
        let principal = if let Some(token) = token(&parts.headers) {
            engine.authenticate(token, organisation).await?
        } else {
            let session = session::presented(&parts.headers, engine);
            let session = session.ok_or(kabar_engine::Error::Unauthenticated)?;
            let organisation = organisation.or_else(|| linked(parts));
            let principal = engine.authenticate_session(session, organisation).await?;
            session::check(&parts.method, &parts.headers, engine, &principal)?;
            principal
        };
        parts.extensions.insert(principal.clone());
        Ok(Self(principal))
    }
}

/// The organisation that a link in a browser names (`organisation_id`), since it carries no header.
fn linked(parts: &Parts) -> Option<&str> {
    let query = parts.uri.query().filter(|_| parts.method.is_safe())?;
    query.split('&').find_map(|pair| pair.strip_prefix("organisation_id=")).filter(|name| !name.is_empty())
}
