//! The inbound log and what is held back of it, for the operator's command line.

use kabar_domain::HeldId;
use kabar_store::held::Held;
use kabar_store::log::{LogReader, Logged};

use crate::engine::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// The newest entries of the inbound log.
    pub async fn list_log(&self, limit: i64) -> Result<Vec<Logged>> {
        Ok(LogReader::open(&self.store)?.list(None, limit).await?)
    }

    /// One entry of the inbound log.
    pub async fn log_entry(&self, stream: i64, seq: i64) -> Result<Option<Logged>> {
        Ok(LogReader::open(&self.store)?.get(stream, seq).await?)
    }

    /// Held updates of every organisation, newest first.
    pub async fn list_all_held(&self, resolved: bool, limit: i64) -> Result<Vec<Held>> {
        Ok(kabar_store::held::all(&mut self.store.reader().await?, resolved, limit).await?)
    }

    pub async fn held_update(&self, id: HeldId) -> Result<Option<Held>> {
        Ok(kabar_store::held::by_id(&mut self.store.reader().await?, id).await?)
    }

    /// Settles a held update without applying it.
    pub async fn dismiss_held(&self, id: HeldId) -> Result<()> {
        let mut tx = self.store.begin().await?;
        if !kabar_store::held::dismiss(&mut tx, id, self.clock.now()).await? {
            return Err(Error::NotFound("HeldUpdate"));
        }
        Ok(tx.commit().await?)
    }
}
