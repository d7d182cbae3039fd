//! Files: uploads, URLs and ids on the way in; `getFile` and downloads on the way out.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{BotError, TelegramState};
use crate::config::Bot;
use crate::ids::Ids;
use crate::params::Params;
use crate::state::Inner;

/// Largest download, and largest uploads: photos, everything else.
const DOWNLOAD_LIMIT: usize = 20 << 20;
const PHOTO_LIMIT: usize = 10 << 20;
const UPLOAD_LIMIT: usize = 50 << 20;

#[derive(Clone)]
pub(crate) struct BotFile {
    pub id: String,
    pub unique_id: String,
    pub path: String,
    pub name: Option<String>,
    pub mime_type: Option<String>,
    pub bytes: Bytes,
}

impl BotFile {
    fn new(ids: &Ids, folder: &str, name: Option<String>, mime_type: Option<String>, bytes: Bytes) -> Self {
        let (id, unique_id) = ids.file();
        let extension =
            name.as_deref().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
        let extension = extension.unwrap_or(match folder {
            "photo" => "jpg",
            "video" | "animation" => "mp4",
            "voice" => "oga",
            "audio" => "mp3",
            "sticker" => "webp",
            _ => "bin",
        });
        let path = format!("{folder}s/file_{}.{extension}", &unique_id[4..]);
        Self { id, unique_id, path, name, mime_type, bytes }
    }

    /// The fields every kind of file object has.
    pub(super) fn describe(&self) -> Value {
        json!({"file_id": self.id, "file_unique_id": self.unique_id, "file_size": self.bytes.len()})
    }
}

impl TelegramState {
    /// Stores a file for a bot; its id is what messages refer to.
    pub(crate) fn add_file(
        &mut self,
        ids: &Ids,
        token: &str,
        folder: &str,
        name: Option<String>,
        mime_type: Option<String>,
        bytes: Bytes,
    ) -> BotFile {
        let file = BotFile::new(ids, folder, name, mime_type, bytes);
        self.bot(token).files.insert(file.id.clone(), file.clone());
        file
    }
}

/// The file that a parameter names: an upload, `attach://<upload>`, a URL, or the id of a stored file. A URL is
/// not fetched; the file stands for it with no bytes.
pub(super) fn resolve(
    inner: &Inner,
    bot: &Bot,
    params: &Params,
    folder: &str,
    field: &str,
    value: Option<&str>,
) -> Result<BotFile, BotError> {
    let part = value.and_then(|value| value.strip_prefix("attach://")).unwrap_or(field);
    let mut telegram = inner.telegram();
    if let Some(upload) = params.upload(part) {
        let limit = if folder == "photo" { PHOTO_LIMIT } else { UPLOAD_LIMIT };
        if upload.bytes.len() > limit {
            return Err(BotError::of(413, None));
        }
        if upload.bytes.is_empty() {
            return Err(BotError::bad("file must be non-empty"));
        }
        let (name, mime) = (upload.file_name.clone(), upload.mime_type.clone());
        return Ok(telegram.add_file(&inner.ids, &bot.token, folder, name, mime, upload.bytes.clone()));
    }
    let Some(value) = value else {
        return Err(BotError::bad(&format!("there is no {folder} in the request")));
    };
    if let Some(file) = telegram.bot(&bot.token).files.get(value) {
        return Ok(file.clone());
    }
    match url::Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            let name = url.path_segments().and_then(|mut parts| parts.next_back().map(str::to_owned));
            let name = name.filter(|name| !name.is_empty());
            Ok(telegram.add_file(&inner.ids, &bot.token, folder, name, None, Bytes::new()))
        }
        _ => Err(BotError::bad("wrong file identifier/HTTP URL specified")),
    }
}

pub(super) fn get(inner: &Inner, bot: &Bot, params: &Params) -> Result<Value, BotError> {
    let id = params.text("file_id").ok_or_else(|| BotError::bad("file_id is not specified"))?;
    let mut telegram = inner.telegram();
    let file = telegram.bot(&bot.token).files.get(&id);
    let file = file.ok_or_else(|| BotError::bad("wrong file_id or the file is temporarily unavailable"))?;
    if file.bytes.len() > DOWNLOAD_LIMIT {
        return Err(BotError::bad("file is too big"));
    }
    let mut answer = file.describe();
    answer["file_path"] = json!(file.path);
    Ok(answer)
}

pub(super) fn download(inner: &Inner, bot: &Bot, path: &str) -> Result<Response, BotError> {
    let mut telegram = inner.telegram();
    let file = telegram.bot(&bot.token).files.values().find(|file| file.path == path).cloned();
    let file = file.ok_or_else(|| BotError::of(404, None))?;
    // Telegram's file server does not keep the type either.
    Ok(([(CONTENT_TYPE, "application/octet-stream")], file.bytes).into_response())
}
