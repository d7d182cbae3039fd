//! Resumable uploads: samples of templates' files, given in the name of an app.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::accounts::APP_ID;
use super::{Answer, Call, GraphError};
use crate::params::Params;
use crate::state::Inner;

const TYPES: &[&str] = &["application/pdf", "image/jpeg", "image/jpg", "image/png", "video/mp4"];

/// An upload that was begun; with a handle once all of it is there.
struct Session {
    mime_type: String,
    length: usize,
    signature: String,
    handle: Option<String>,
}

/// By session id, without the signature.
#[derive(Default)]
pub(super) struct Uploads(HashMap<String, Session>);

impl Uploads {
    /// The MIME type behind a handle.
    pub(super) fn mime_type(&self, handle: &str) -> Option<&str> {
        let found = self.0.values().find(|session| session.handle.as_deref() == Some(handle))?;
        Some(&found.mime_type)
    }
}

/// `POST /{app_id}/uploads`.
pub(super) fn begin(inner: &Inner, call: &Call, params: &Params) -> Answer {
    if !matches!(call.id.as_str(), APP_ID | "app") {
        return Err(call.unknown());
    }
    let length = params.int("file_length").ok_or_else(|| GraphError::missing("file_length"))?;
    let mime_type = params.text("file_type").ok_or_else(|| GraphError::missing("file_type"))?;
    let length = usize::try_from(length).ok().filter(|length| *length > 0).ok_or_else(|| {
        GraphError::text(100, "(#100) Param file_length must be greater than or equal to 1.")
    })?;
    if !TYPES.contains(&mime_type.as_str()) {
        return Err(GraphError::text(
            100,
            format!("(#100) Param file_type must be one of {{{}}}.", TYPES.join(", ")),
        ));
    }
    let (id, signature) = (format!("upload:MT{}=", inner.ids.object()), format!("AR{}", inner.ids.object()));
    let session = Session { mime_type, length, signature: signature.clone(), handle: None };
    inner.graph().uploads.0.insert(id.clone(), session);
    Ok(json!({"id": format!("{id}?sig={signature}")}))
}

/// `POST` and `GET /upload:…`.
pub(super) fn session(inner: &Inner, call: &Call, params: &Params) -> Answer {
    let mut graph = inner.graph();
    let session = graph.uploads.0.get_mut(&call.id).ok_or_else(|| call.unknown())?;
    if params.text("sig").as_deref() != Some(session.signature.as_str()) || !call.edge.is_empty() {
        return Err(call.unknown());
    }
    let have = if session.handle.is_some() { session.length } else { 0 };
    if call.http_method == "GET" {
        return Ok(json!({"id": call.id, "file_offset": have}));
    }
    if !params.is_oauth {
        return Err(GraphError::text(100, "(#100) An OAuth authorization header is required for an upload."));
    }
    match params.file_offset {
        None => return Err(GraphError::missing("file_offset")),
        Some(0) => {}
        Some(offset) => {
            return Err(GraphError::with(100, format!("The offset is {offset}, not {have}")));
        }
    }
    if params.body.len() != session.length {
        let details = format!("The session is for {} bytes, but {} came", session.length, params.body.len());
        return Err(GraphError::with(100, details));
    }
    let handle = format!("4::{}", inner.ids.object());
    session.handle = Some(handle.clone());
    Ok(json!({"h": handle}))
}

/// Refuses a header whose sample is not a file that was uploaded, or not one of its format.
pub(super) fn check(uploads: &Uploads, components: &Value) -> Result<(), GraphError> {
    for part in components.as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_ascii_uppercase();
        let format = text(&part["format"]);
        if text(&part["type"]) == "HEADER" && matches!(format.as_str(), "IMAGE" | "VIDEO" | "DOCUMENT") {
            let handle = part["example"]["header_handle"][0].as_str().unwrap_or_default();
            let start = match format.as_str() {
                "IMAGE" => "image/",
                "VIDEO" => "video/",
                _ => "application/",
            };
            if !uploads.mime_type(handle).is_some_and(|mime_type| mime_type.starts_with(start)) {
                let details = "The header's sample is not a handle of an uploaded file of its format";
                return Err(GraphError { subcode: Some(2_388_273), ..GraphError::with(100, details) });
            }
        }
        for card in part["cards"].as_array().into_iter().flatten() {
            check(uploads, &card["components"])?;
        }
    }
    Ok(())
}
