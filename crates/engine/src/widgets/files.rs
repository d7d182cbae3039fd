//! Files that visitors bring. What an upload is answered with is good for the visitor who uploaded it alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::Stream;
use kabar_domain::FileId;

use super::Visitor;
use crate::engine::Engine;
use crate::error::Result;
use crate::media::{File, NewFile, Source};

/// Bytes of one file.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A visitor's file.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// What a message names it by.
    pub handle: String,
    pub file: File,
}

fn signed_text(visitor: &Visitor, id: FileId) -> String {
    format!("attachment {} {} {id} {}", visitor.organisation_id, visitor.widget.id, visitor.subject)
}

impl Engine {
    /// Bytes of the largest file that visitors may bring.
    pub fn largest_attachment(&self) -> u64 {
        self.config.media_max_bytes.min(LARGEST)
    }

    /// Before a file's bytes are read.
    pub fn may_attach(&self, visitor: &Visitor) -> Result<()> {
        self.visits.brings(visitor, self.clock.now())
    }

    pub async fn attach(
        &self,
        visitor: &Visitor,
        new: NewFile,
        body: impl Stream<Item = Result<Bytes, String>> + Send,
    ) -> Result<Attachment> {
        let most = self.largest_attachment();
        let file = self.store_upload(visitor.organisation_id, Source::Visitor, new, body, most).await?;
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(&signed_text(visitor, file.id)));
        Ok(Attachment { handle: format!("{}.{signature}", file.id), file })
    }

    /// The file behind a handle.
    pub(super) fn opened(&self, visitor: &Visitor, handle: &str) -> Option<FileId> {
        let (id, signature) = handle.split_once('.')?;
        let id = id.parse().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.key.verify(&signed_text(visitor, id), &signature).then_some(id)
    }
}
