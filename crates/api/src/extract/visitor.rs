//! Which visitor of a widget is calling, and from which page.

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use kabar_engine::widgets::{self, Knock};

use super::ClientAddress;
use super::auth::bearer;
use crate::error::{Error, Result};
use crate::state::ApiState;

/// A visitor: `Authorization: Bearer <embed token>`, on a page that the widget allows.
#[derive(Debug)]
pub(crate) struct Visitor(pub widgets::Visitor);

impl FromRequestParts<ApiState> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self> {
        let Ok(ClientAddress(address)) = ClientAddress::from_request_parts(parts, state).await;
        let text =
            |name| parts.headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
        let knock = Knock {
            token: bearer(&parts.headers),
            origin: text(header::ORIGIN),
            is_same_origin: text(header::HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
            address,
        };
        Ok(Self(state.engine.admit_visitor(knock).await?))
    }
}
