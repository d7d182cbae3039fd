//! Request bodies.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::spoken;
use crate::error::{Error, Result};

/// A JSON object as `T`; a body that is left out is an empty object. Whatever its `Content-Type`, a body that is
/// JSON is taken.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let is_json = says_json(request.headers());
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| Error::new(StatusCode::BAD_REQUEST, "The request body could not be read."))?;
        parse(&body, is_json).map(Self)
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let kind =
            value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    })
}

fn parse<T: DeserializeOwned>(body: &[u8], says_json: bool) -> Result<T> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    if let Some(field) = holding_nul(body) {
        return Err(Error::field(
            &field,
            format!("The {} field must not contain NUL characters.", spoken(&field)),
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    match parsed {
        Ok(value) => match deserializer.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(malformed(&error, says_json)),
        },
        Err(error) => {
            let path = error.path().to_string();
            let error = error.into_inner();
            match error.classify() {
                Category::Data => Err(unfit(&path, &error)),
                Category::Io | Category::Syntax | Category::Eof => Err(malformed(&error, says_json)),
            }
        }
    }
}

fn malformed(error: &serde_json::Error, says_json: bool) -> Error {
    if says_json {
        Error::new(StatusCode::BAD_REQUEST, format!("The request body is not valid JSON: {error}."))
    } else {
        Error::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send a JSON object with the header `Content-Type: application/json`.",
        )
    }
}

/// JSON, but not what is asked for. Names the field in our words.
fn unfit(path: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    // serde_json adds ` at line 1 column 5`.
    let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail);
    let quoted = |prefix: &str| detail.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    // Lists come as `media[0].id`; clients know `media.0.id`.
    let field = if path == "." { String::new() } else { path.replace('[', ".").replace(']', "") };
    if let Some(missing) = quoted("missing field `") {
        let field = if field.is_empty() { missing.to_owned() } else { format!("{field}.{missing}") };
        return Error::field(&field, format!("The {} field is required.", spoken(missing)));
    }
    if field.is_empty() {
        return Error::new(StatusCode::UNPROCESSABLE_ENTITY, "The request body must be a JSON object.");
    }
    let name = spoken(&field);
    let message = match detail.split_once(", expected ") {
        Some((given, expected)) if given.starts_with("invalid type") => {
            let wanted = match expected {
                "a string" | "string" | "str" => "a string",
                "a boolean" | "bool" => "true or false",
                "a sequence" => "a list",
                "a map" => "an object",
                other if other.starts_with("struct ") => "an object",
                "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64" | "usize" => "an integer",
                "f32" | "f64" => "a number",
                _ => return Error::field(&field, format!("The {name} field is invalid.")),
            };
            format!("The {name} field must be {wanted}.")
        }
        _ => format!("The selected {name} is invalid."),
    };
    Error::field(&field, message)
}

/// The first field whose text holds a NUL, which PostgreSQL cannot store.
fn holding_nul(body: &[u8]) -> Option<String> {
    // JSON has no other way to write one.
    if !body.windows(6).any(|part| part == b"\\u0000") {
        return None;
    }
    nul_in(&serde_json::from_slice(body).ok()?, "")
}

fn nul_in(value: &Value, path: &str) -> Option<String> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| nul_in(item, &below(&i.to_string())))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            if key.contains('\0') { Some(path.to_owned()) } else { nul_in(item, &below(key)) }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only parsed")]
    struct Body {
        name: String,
        age: Option<i64>,
        #[serde(default)]
        media: Vec<Media>,
        id: Option<kabar_domain::ContactId>,
        kind: Option<kabar_domain::channel::ChannelKind>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only parsed")]
    struct Media {
        mime_type: String,
    }

    fn refusal(body: &str) -> (u16, String, Vec<String>) {
        let error = parse::<Body>(body.as_bytes(), true).unwrap_err();
        (error.status.as_u16(), error.text.message, error.text.errors.into_keys().collect())
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        for (body, field, message) in [
            ("{}", "name", "The name field is required."),
            ("", "name", "The name field is required."),
            (r#"{"name": 5}"#, "name", "The name field must be a string."),
            (r#"{"name": "a", "age": "x"}"#, "age", "The age field must be an integer."),
            (r#"{"name": "a", "media": [{}]}"#, "media.0.mime_type", "The mime type field is required."),
            (
                r#"{"name": "a", "media": [{"mime_type": {}}]}"#,
                "media.0.mime_type",
                "The mime type field must be a string.",
            ),
            (r#"{"name": "a", "media": {}}"#, "media", "The media field must be a list."),
            (r#"{"name": "a", "id": "1"}"#, "id", "The selected id is invalid."),
            (r#"{"name": "a", "kind": "x"}"#, "kind", "The selected kind is invalid."),
            (r#"{"name": "a\u0000"}"#, "name", "The name field must not contain NUL characters."),
        ] {
            assert_eq!(refusal(body), (422, message.to_owned(), vec![field.to_owned()]), "{body}");
        }
        assert!(parse::<Body>(br#"{"name": "a\\u0000"}"#, true).is_ok());
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        assert_eq!(refusal("[]").0, 422);
        assert_eq!(refusal("null").0, 422);
        for body in ["{", "{\"name\": \"a\"} x", "name=a", "{\"name\": \"\\ud800\"}", "\u{feff}{}"] {
            assert_eq!(refusal(body).0, 400, "{body}");
        }
        assert_eq!(parse::<Body>(b"name=a", false).unwrap_err().status.as_u16(), 415);
        assert!(parse::<Body>(br#"{"name": "a"}"#, false).is_ok());
    }
}
