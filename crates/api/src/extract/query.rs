//! Query parameters.

use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::spoken;
use crate::error::{Error, Result};

/// The query as `T`. Empty parameters count as not given; unknown ones are passed over.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let text = parts.uri.query().unwrap_or_default();
        if text.contains("%00") {
            return Err(Error::field("query", "The query must not contain NUL characters."));
        }
        let given: Vec<_> = text.split('&').filter(|pair| !pair.is_empty() && !pair.ends_with('=')).collect();
        let uri = http::Uri::builder().path_and_query(format!("/?{}", given.join("&"))).build();
        let uri = uri.map_err(|_| Error::field("query", "The query is malformed."))?;
        axum::extract::Query::try_from_uri(&uri).map(|query| Self(query.0)).map_err(|error| refused(&error))
    }
}

/// `Failed to deserialize query string: page: invalid digit found in string`, in our words.
fn refused(rejection: &QueryRejection) -> Error {
    let text = rejection.body_text();
    let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
    let Some((field, why)) = detail.split_once(": ").filter(|(field, _)| !field.contains([' ', '`'])) else {
        return Error::field("query", format!("The query is invalid: {detail}."));
    };
    let name = spoken(field);
    let message = if why.contains("invalid digit") || why.contains("too large") || why.contains("too small") {
        format!("The {name} field must be an integer.")
    } else {
        format!("The selected {name} is invalid.")
    };
    Error::field(field, message)
}
