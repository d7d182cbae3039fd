//! A request's parameters, from whichever of the four encodings the providers accept.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// Meta takes documents of 100 MB; the rest is the form around them.
const BODY_LIMIT: usize = 110 << 20;

pub(crate) struct Upload {
    pub field: String,
    pub file_name: Option<String>,
    pub mime_type: Option<String>,
    pub bytes: Bytes,
}

/// Query, form, multipart or JSON parameters under one roof. Only JSON carries types: the accessors therefore
/// also read numbers, booleans and nested JSON out of strings.
#[derive(Default)]
pub(crate) struct Params {
    pub values: Map<String, Value>,
    pub uploads: Vec<Upload>,
    pub bearer: Option<String>,
    /// Whether the credential came as `OAuth`, not as `Bearer`.
    pub is_oauth: bool,
    /// Of a resumable upload.
    pub file_offset: Option<u64>,
    /// A body that is neither a form nor JSON.
    pub body: Bytes,
    pub host: Option<String>,
}

impl Params {
    /// Reads the request to its end. The second part is the body for the log: verbatim when it was JSON.
    pub(crate) async fn read(parts: Parts, body: Body) -> Result<(Self, Arc<RawValue>), String> {
        let mut params = Self::default();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        params.host = header("host").map(str::to_owned);
        params.bearer = header("authorization").and_then(bearer).map(str::to_owned);
        params.is_oauth = header("authorization")
            .is_some_and(|header| header.trim().to_ascii_lowercase().starts_with("oauth "));
        params.file_offset = header("file_offset").and_then(|offset| offset.trim().parse().ok());
        let kind = header(CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
        for (key, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            params.values.insert(key.into_owned(), Value::String(value.into_owned()));
        }
        let mut raw = None;
        if kind.starts_with("multipart/form-data") {
            params.read_multipart(Request::from_parts(parts, body)).await?;
        } else {
            let bytes = to_bytes(body, BODY_LIMIT).await.map_err(|error| error.to_string())?;
            if kind.starts_with("application/x-www-form-urlencoded") {
                for (key, value) in url::form_urlencoded::parse(&bytes) {
                    params.values.insert(key.into_owned(), Value::String(value.into_owned()));
                }
            } else if let Ok(Value::Object(object)) = serde_json::from_slice(&bytes) {
                params.values.extend(object);
                raw = serde_json::from_slice::<Box<RawValue>>(&bytes).ok();
            } else {
                params.body = bytes;
            }
        }
        let raw = match raw {
            Some(raw) => raw,
            None => to_raw_value(&params.values).map_err(|error| error.to_string())?,
        };
        Ok((params, Arc::from(raw)))
    }

    async fn read_multipart(&mut self, mut request: Request) -> Result<(), String> {
        DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
        let mut form = Multipart::from_request(request, &()).await.map_err(|error| error.body_text())?;
        while let Some(field) = form.next_field().await.map_err(|error| error.body_text())? {
            let name = field.name().unwrap_or_default().to_owned();
            let file_name = field.file_name().map(str::to_owned);
            let mime_type = field.content_type().map(str::to_owned);
            let bytes = field.bytes().await.map_err(|error| error.body_text())?;
            if file_name.is_some() {
                let note = Value::String(format!("<{} bytes>", bytes.len()));
                self.values.entry(name.clone()).or_insert(note);
                self.uploads.push(Upload { field: name, file_name, mime_type, bytes });
            } else {
                self.values.insert(name, Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        Ok(())
    }

    /// The value, unless absent, `null` or an empty string.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value as text; numbers and booleans are written out.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        match self.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            Some(Value::String(text)) => matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes"),
            _ => false,
        }
    }

    /// An object or array, whether sent as such or as JSON in a string. `Some(Err)` when it is neither.
    pub(crate) fn json(&self, key: &str) -> Option<Result<Value, ()>> {
        match self.get(key)? {
            Value::String(text) => Some(serde_json::from_str(text).map_err(|_| ())),
            value => Some(Ok(value.clone())),
        }
    }

    pub(crate) fn upload(&self, field: &str) -> Option<&Upload> {
        self.uploads.iter().find(|upload| upload.field == field)
    }
}

/// The credential of a `Bearer` (or Meta's resumable-upload `OAuth`) authorisation header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth")).then(|| token.trim())
}
