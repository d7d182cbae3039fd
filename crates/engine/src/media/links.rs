//! Signed links: whoever has one may read one file for a short time, without a token.

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use kabar_domain::file::FileStatus;
use kabar_domain::{FileId, Timestamp};
use kabar_providers::storage;
use kabar_store::files::{self, File};

use super::not_found;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// A link is good for one to two of these. Links made within one of them are the same, so that browsers can keep
/// what they loaded.
const STEP: Duration = Duration::from_mins(15);

/// A link as it was called.
#[derive(Clone, Debug)]
pub struct Link {
    pub id: FileId,
    /// Seconds since 1970.
    pub expires: i64,
    pub signature: String,
}

/// A file somebody has a link to.
#[derive(Clone, Debug)]
pub struct Linked {
    pub mime_type: Option<String>,
    pub filename: Option<String>,
    pub sha256: String,
    pub size: u64,
    key: String,
}

fn signed_text(id: FileId, expires: i64) -> String {
    format!("media {id} {expires}")
}

/// The last part of a link's path: for people and their browsers, it decides nothing.
fn shown_name(file: &File) -> String {
    file.filename.clone().unwrap_or_else(|| "file".to_owned())
}

impl Engine {
    /// A link to a stored file.
    pub fn file_url(&self, file: &File) -> Option<String> {
        if file.status != FileStatus::Stored {
            return None;
        }
        let step = STEP.as_secs() as i64;
        let expires = (self.clock.now().as_unix() / step + 2) * step;
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(&signed_text(file.id, expires)));
        let mut url = self.config.public_url.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend([
            "media",
            &file.id.to_string(),
            &shown_name(file),
        ]);
        url.query_pairs_mut()
            .append_pair("expires", &expires.to_string())
            .append_pair("signature", &signature);
        Some(url.into())
    }

    /// The file behind a link. A wrong or expired link is answered as an unknown one.
    pub async fn open_link(&self, link: &Link) -> Result<Linked> {
        let signature = URL_SAFE_NO_PAD.decode(&link.signature).map_err(|_| not_found())?;
        let signed = self.key.verify(&signed_text(link.id, link.expires), &signature);
        if !signed || Timestamp::from_unix(link.expires) <= self.clock.now() {
            return Err(not_found());
        }
        let mut db = self.store.reader().await?;
        let file = files::find_linked(&mut db, link.id).await?.ok_or_else(not_found)?;
        let (Some(sha256), Some(size), Some(key)) = (file.sha256, file.size, file.key) else {
            return Err(not_found());
        };
        let size = size as u64;
        Ok(Linked { mime_type: file.mime_type, filename: file.filename, sha256, size, key })
    }

    /// Its bytes, or a part of them. `Err` in the stream is for the log.
    pub async fn read_linked(
        &self,
        linked: &Linked,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, String>>> {
        let key = linked.key.clone();
        match self.storage.read(&key, range).await {
            Ok(bytes) => Ok(bytes
                .map(move |part| {
                    part.map_err(|error| {
                        tracing::warn!(key, %error, "an object could not be read to its end");
                        error.to_string()
                    })
                })
                .boxed()),
            Err(storage::Error::NotFound) => {
                tracing::error!(key, "an object that a file refers to is not in the store");
                Err(not_found())
            }
            Err(error) => {
                tracing::error!(key, %error, "an object cannot be read");
                Err(Error::Unavailable("Files cannot be read now.".into()))
            }
        }
    }
}
