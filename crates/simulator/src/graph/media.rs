//! Uploaded and inbound files, and the signed URLs they are downloaded from.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::{Answer, Call, Caller, GraphError, authenticate, success};
use crate::callbacks::signature;
use crate::config::Number;
use crate::ids::now_seconds;
use crate::params::Params;
use crate::state::Inner;

/// How long a download URL works.
const URL_SECONDS: u64 = 300;
const MIB: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct MediaFile {
    pub phone_number_id: String,
    pub mime_type: String,
    pub file_name: Option<String>,
    pub bytes: Bytes,
    pub sha256: String,
}

impl MediaFile {
    pub(crate) fn new(
        phone_number_id: String,
        mime_type: String,
        file_name: Option<String>,
        bytes: Bytes,
    ) -> Self {
        // Webhooks carry the hash in base64.
        let sha256 = STANDARD.encode(digest::digest(&digest::SHA256, &bytes));
        Self { phone_number_id, mime_type, file_name, bytes, sha256 }
    }
}

/// The message type that carries a MIME type, and its largest size. `None`: Meta does not take the type.
fn kind_of(mime_type: &str) -> Option<(&'static str, usize)> {
    let essence = mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match essence.as_str() {
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => ("audio", 16 * MIB),
        "image/jpeg" | "image/png" => ("image", 5 * MIB),
        "image/webp" => ("sticker", 500 << 10),
        "video/mp4" | "video/3gpp" => ("video", 16 * MIB),
        "text/plain"
        | "application/pdf"
        | "application/msword"
        | "application/vnd.ms-excel"
        | "application/vnd.ms-powerpoint"
        | "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        | "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        | "application/vnd.openxmlformats-officedocument.presentationml.presentation" => {
            ("document", 100 * MIB)
        }
        _ => return None,
    })
}

pub(super) fn upload(inner: &Inner, number: &Number, params: &Params) -> Answer {
    if params.text("messaging_product").as_deref() != Some("whatsapp") {
        return Err(GraphError::missing("messaging_product"));
    }
    let file = params.upload("file").ok_or_else(|| GraphError::missing("file"))?;
    let mime_type = params
        .text("type")
        .filter(|kind| kind.contains('/'))
        .or_else(|| file.mime_type.clone())
        .ok_or_else(|| GraphError::missing("type"))?;
    let (_, limit) = kind_of(&mime_type).ok_or_else(|| {
        GraphError::text(
            100,
            format!("(#100) Param file must be a file with a supported MIME type; received '{mime_type}'."),
        )
    })?;
    if file.bytes.is_empty() || file.bytes.len() > limit {
        return Err(GraphError::with(
            100,
            format!("Media of type {mime_type} must have 1 to {limit} bytes, but has {}", file.bytes.len()),
        ));
    }
    let id = inner.ids.object();
    let media =
        MediaFile::new(number.phone_number_id.clone(), mime_type, file.file_name.clone(), file.bytes.clone());
    inner.graph().add_media(id.clone(), media);
    Ok(json!({"id": id}))
}

/// Refuses an id that is not this number's, or whose file the message's type cannot carry.
pub(super) fn usable(inner: &Inner, number: &Number, kind: &str, id: &str) -> Result<(), GraphError> {
    let graph = inner.graph();
    let Some(file) = graph.media.get(id).filter(|file| file.phone_number_id == number.phone_number_id) else {
        return Err(GraphError::with(
            100,
            format!("Param {kind}['id'] is not a valid whatsapp business account media attachment ID"),
        ));
    };
    // Anything may be sent as a document, except what Meta does not take at all.
    match kind_of(&file.mime_type) {
        Some((own, _)) if own == kind || kind == "document" => Ok(()),
        _ => Err(GraphError::with(
            131_053,
            format!("Media of type {} cannot be sent as {kind}", file.mime_type),
        )),
    }
}

/// `GET` and `DELETE /{media_id}`. `None` when the id is no media.
pub(super) fn object(inner: &Arc<Inner>, caller: &Caller, call: &Call, params: &Params) -> Option<Answer> {
    let file = inner.graph().media.get(&call.id).cloned()?;
    let foreign = params.text("phone_number_id").is_some_and(|id| id != file.phone_number_id);
    if foreign || caller.number(&file.phone_number_id).is_none() || !call.edge.is_empty() {
        return Some(Err(call.unknown()));
    }
    Some(match call.http_method.as_str() {
        "GET" => Ok(json!({
            "messaging_product": "whatsapp",
            "url": url(inner, caller.host.as_deref(), &call.id),
            "mime_type": file.mime_type,
            "sha256": file.sha256,
            "file_size": file.bytes.len(),
            "id": call.id,
        })),
        "DELETE" => {
            inner.graph().media.remove(&call.id);
            Ok(success())
        }
        _ => Err(call.unknown()),
    })
}

/// Base of URLs handed out: the configured one, else the address the request came to.
pub(super) fn base(inner: &Inner, host: Option<&str>) -> String {
    let configured = inner.config().public_base.clone();
    configured.map_or_else(
        || format!("http://{}", host.unwrap_or("127.0.0.1")),
        |base| base.trim_end_matches('/').to_owned(),
    )
}

fn url(inner: &Inner, host: Option<&str>, id: &str) -> String {
    let expires = now_seconds() + URL_SECONDS;
    format!(
        "{}/whatsapp_business/attachments/?mid={id}&ext={expires}&hash={}",
        base(inner, host),
        url_hash(inner, id, expires)
    )
}

fn url_hash(inner: &Inner, id: &str, expires: u64) -> String {
    let secret = inner.config().app_secret.clone();
    signature(&secret, format!("{id}.{expires}").as_bytes())[7..31].to_owned()
}

/// The file behind a URL: 401 without a token that may see it, 404 when the URL is wrong or too old.
pub(super) fn download(inner: &Inner, params: &Params) -> Result<Response, GraphError> {
    let gone = || (StatusCode::NOT_FOUND, "URL signature expired").into_response();
    if params.bearer.is_none() {
        return Ok((StatusCode::UNAUTHORIZED, "Unauthorized").into_response());
    }
    let caller = authenticate(inner, params)?;
    let id = params.text("mid").unwrap_or_default();
    let expires = params.text("ext").and_then(|text| text.parse().ok()).unwrap_or(0);
    if expires < now_seconds() || params.text("hash") != Some(url_hash(inner, &id, expires)) {
        return Ok(gone());
    }
    let Some(file) = inner.graph().media.get(&id).cloned() else { return Ok(gone()) };
    if caller.number(&file.phone_number_id).is_none() {
        return Ok((StatusCode::UNAUTHORIZED, "Unauthorized").into_response());
    }
    let name = file.file_name.unwrap_or_else(|| "media".to_owned());
    let name: String = name.chars().filter(|c| c.is_ascii() && !c.is_ascii_control() && *c != '"').collect();
    let headers =
        [(CONTENT_TYPE, file.mime_type), (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))];
    Ok((headers, file.bytes).into_response())
}
