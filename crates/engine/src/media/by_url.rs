//! Files of messages by their address: fetched before the message is queued, outside its transaction, and made files
//! of the library in it.

use kabar_domain::{FileId, OrganisationId};
use kabar_providers::fetch;
use kabar_store::{Error as StoreError, Tx};
use tokio::time::Instant;
use url::Url;

use super::objects::{Broken, Received};
use super::{NewFile, Source, not_stored};
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

/// A file that was fetched and that nothing refers to yet.
#[derive(Debug)]
pub(crate) struct Fetched {
    url: Url,
    described: NewFile,
    received: Received,
}

fn refused(reason: impl Into<String>) -> Error {
    Invalid::one("media_url", reason)
}

fn not_fetched(error: &fetch::Error) -> Error {
    let advice = match error {
        fetch::Error::Slow => " Upload it with POST /api/v1/media and send it by its media_id.",
        _ => "",
    };
    refused(format!("The file cannot be fetched. {error}{advice}"))
}

impl Engine {
    /// Fetches a file. Afterwards either [`Engine::keep_fetched`] or [`Engine::discard_fetched`].
    pub(crate) async fn fetch_by_url(&self, organisation: OrganisationId, url: &Url) -> Result<Fetched> {
        let until = Instant::now() + fetch::TIMEOUT;
        let found = self.fetcher.get(url, until).await.map_err(|error| not_fetched(&error))?;
        let most = self.config.media_max_bytes;
        let received = self.receive(organisation, found.bytes, most).await;
        let received = received.map_err(|broken| match broken {
            Broken::TooLarge => refused(format!("The file is larger than {most} bytes.")),
            Broken::Source(_) if Instant::now() >= until => not_fetched(&fetch::Error::Slow),
            Broken::Source(reason) => {
                tracing::debug!(reason, "a file that a user named did not come to its end");
                refused("The file broke off before its end.")
            }
            other => not_stored(&other),
        })?;
        if received.size == 0 {
            self.discard(organisation, &received).await;
            return Err(refused("The file is empty."));
        }
        let described = NewFile { filename: found.filename, mime_type: found.mime_type };
        Ok(Fetched { url: url.clone(), described, received })
    }

    /// Makes a file of it.
    pub(crate) async fn keep_fetched(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        fetched: &Fetched,
    ) -> Result<FileId, StoreError> {
        let Fetched { url, described, received } = fetched;
        let source = Source::Url(url.to_string());
        let file = self.add_file(tx, organisation, source, described.clone(), received).await?;
        Ok(file.id)
    }

    pub(crate) async fn discard_fetched(&self, organisation: OrganisationId, fetched: &Fetched) {
        self.discard(organisation, &fetched.received).await;
    }
}
