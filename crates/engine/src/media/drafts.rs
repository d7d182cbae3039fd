//! Files that visitors of widgets bring: in nobody's library until they are sent.

use std::time::Duration;

use kabar_domain::{FileId, OrganisationId};
use kabar_store::files::{self, drafts};

use crate::engine::{Engine, PRUNE};
use crate::error::{Invalid, Result};
use crate::rules;

/// For how long what was not sent is kept.
pub(super) const KEPT: Duration = Duration::from_hours(24);

impl Engine {
    /// A visitor sends these. They stay from now on.
    pub(crate) async fn keep_drafts(&self, organisation: OrganisationId, ids: Vec<FileId>) -> Result<()> {
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        let mut tx = self.store.begin().await?;
        for (index, id) in ids.into_iter().enumerate() {
            if drafts::keep(&mut tx, organisation, id, now).await? {
                self.announce_file(&mut tx, organisation, id);
            } else if files::find(&mut tx, organisation, id).await?.is_none() {
                rules::selected(&mut invalid, &format!("attachments.{index}"));
            }
        }
        invalid.check()?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn forget_drafts(&self) -> Result<()> {
        let now = self.clock.now();
        let stale = drafts::stale(&mut self.store.reader().await?, now, PRUNE).await?;
        if stale.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        for (organisation, id) in stale {
            let deleted = drafts::delete(&mut tx, organisation, id, now).await?;
            if let Some(key) = deleted.and_then(|deleted| deleted.object) {
                self.remove_later(&mut tx, organisation, key).await?;
            }
        }
        tx.commit().await?;
        self.jobs_ready.notify_waiters();
        Ok(())
    }
}
