//! Whether the server can do its work now, and how much of it waits.

use std::path::Path;
use std::time::Duration;

use kabar_store::log::LogReader;
use kabar_store::webhooks::{deliveries, serving};

use crate::engine::Engine;
use crate::error::Result;
use crate::metrics::Depths;

/// Free space below which the disk is called full: what a few large webhooks and their rows need.
const LEAST_FREE: u64 = 64 << 20;
/// A backlog older than this is not keeping up.
const OLDEST: Duration = Duration::from_mins(1);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    pub detail: String,
}

fn disk(folder: &Path) -> Check {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let detail = format!("{} MB free in {}", free >> 20, folder.display());
            Check { name: "disk", ok: free >= LEAST_FREE, detail }
        }
        Err(error) => Check { name: "disk", ok: false, detail: format!("{}: {error}", folder.display()) },
    }
}

impl Engine {
    /// Database, backlog and disk.
    pub async fn check_ready(&self) -> Vec<Check> {
        let database = match self.write_health().await {
            Ok(()) => Check { name: "database", ok: true, detail: "writable".into() },
            Err(error) => {
                tracing::warn!(%error, "not ready: the database cannot be written");
                let detail = "cannot be written; see the server's log".into();
                Check { name: "database", ok: false, detail }
            }
        };
        let backlog = match self.depths().await {
            Ok(depths) => Check {
                name: "backlog",
                ok: depths.backlog_age < OLDEST,
                detail: format!(
                    "{} webhooks wait, the oldest {} s",
                    depths.backlog,
                    depths.backlog_age.as_secs()
                ),
            },
            Err(_) => {
                Check { name: "backlog", ok: false, detail: "cannot be read; see the server's log".into() }
            }
        };
        let mut checks = Vec::from([database, backlog]);
        let mut folders = Vec::from([self.config.data_dir.clone()]);
        folders.extend(self.store.folder().filter(|folder| *folder != self.config.data_dir));
        checks.extend(folders.iter().map(|folder| disk(folder)));
        checks
    }

    async fn write_health(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        kabar_store::health::write(&mut tx, self.clock.now()).await?;
        tx.commit().await?;
        if let Some(log) = self.log.get() {
            log.check(&self.store).await?;
        }
        Ok(())
    }

    /// How much waits.
    pub async fn depths(&self) -> Result<Depths> {
        let (backlog, oldest) = LogReader::open(&self.store)?.backlog().await?;
        let mut db = self.store.reader().await?;
        let (queued, sending) = kabar_store::outbound::depth(&mut db).await?;
        Ok(Depths {
            webhook_lag: serving::lag(&mut db).await?,
            webhook_pending: deliveries::pending(&mut db).await?,
            backlog,
            backlog_age: oldest.map_or(Duration::ZERO, |oldest| self.clock.now().since(oldest)),
            outbound: Vec::from([("queued", queued), ("sending", sending)]),
        })
    }
}
