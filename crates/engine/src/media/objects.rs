//! Bytes on their way into the object store.
//!
//! An object is announced as rubbish before its first byte is written: a job to remove it waits a day. The
//! transaction that makes a file of it takes the job back. So a crash in between leaves nothing behind, and a file
//! never loses its bytes.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use kabar_domain::job::JobKind;
use kabar_domain::{JobId, OrganisationId, Timestamp};
use kabar_providers::storage;
use kabar_store::files::{self, Object};
use kabar_store::jobs::{self, Leased, NewJob};
use kabar_store::{Error as StoreError, Tx};

use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::Done;

/// Longer than any file takes to arrive.
const ARRIVAL: Duration = Duration::from_hours(24);

/// An object in the store that no file refers to yet.
#[derive(Debug)]
pub(super) struct Received {
    pub sha256: String,
    pub size: i64,
    key: String,
    removal: JobId,
}

/// Why bytes did not become an object.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("it is too large")]
    TooLarge,
    /// They stopped coming.
    #[error("{0}")]
    Source(String),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn removal(organisation_id: OrganisationId, id: JobId, key: String, due_at: Timestamp) -> NewJob {
    NewJob {
        organisation_id,
        id,
        kind: JobKind::RemoveObject,
        subject_id: id.uuid(),
        data: Some(key),
        due_at,
    }
}

impl Engine {
    /// Writes a new object from what comes, at most `most` bytes.
    pub(super) async fn receive(
        &self,
        organisation: OrganisationId,
        bytes: impl Stream<Item = Result<Bytes, String>> + Send,
        most: u64,
    ) -> Result<Received, Broken> {
        let removal_id = JobId::new(&self.clock);
        let key = format!("{organisation}/{removal_id}");
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let job = removal(organisation, removal_id, key.clone(), now.plus(ARRIVAL));
        jobs::enqueue(&mut tx, job, now).await?;
        tx.commit().await?;
        let written = self.write_object(&key, bytes, most).await;
        if written.is_err() {
            self.hasten_removal(organisation, removal_id).await;
        }
        let written = written?;
        Ok(Received { sha256: written.sha256, size: written.size as i64, key, removal: removal_id })
    }

    async fn write_object(
        &self,
        key: &str,
        bytes: impl Stream<Item = Result<Bytes, String>> + Send,
        most: u64,
    ) -> Result<storage::Written, Broken> {
        let mut bytes = std::pin::pin!(bytes);
        let mut writer = self.storage.writer(key);
        while let Some(part) = bytes.next().await {
            let part = part.map_err(Broken::Source)?;
            if writer.size() + part.len() as u64 > most {
                return Err(Broken::TooLarge);
            }
            writer.write(&part).await?;
        }
        Ok(writer.finish().await?)
    }

    /// Makes the object the one of its content, unless there is one already; the key of the one that counts. From
    /// this transaction's commit on it stays.
    pub(super) async fn adopt(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        received: &Received,
    ) -> Result<String, StoreError> {
        let now = self.clock.now();
        let Received { sha256, size, key, removal } = received;
        let object = Object { sha256: sha256.clone(), size: *size, key: key.clone() };
        let kept = files::keep_object(tx, organisation, &object, now).await?;
        if kept != *key {
            jobs::hasten(tx, organisation, *removal, now).await?;
        } else if !jobs::cancel(tx, organisation, *removal).await? {
            return Err(StoreError::Contention("the object took too long and was removed".into()));
        }
        Ok(kept)
    }

    /// No file refers to the object from this transaction's commit on.
    pub(super) async fn remove_later(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        key: String,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        jobs::enqueue(tx, removal(organisation, JobId::new(&self.clock), key, now), now).await
    }

    /// Nobody wants the object.
    pub(super) async fn discard(&self, organisation: OrganisationId, received: &Received) {
        self.hasten_removal(organisation, received.removal).await;
    }

    async fn hasten_removal(&self, organisation: OrganisationId, id: JobId) {
        let work = async {
            let mut tx = self.store.begin().await?;
            jobs::hasten(&mut tx, organisation, id, self.clock.now()).await?;
            tx.commit().await
        };
        let result: Result<(), StoreError> = work.await;
        if let Err(error) = result {
            tracing::debug!(%error, "an unfinished object is removed tomorrow");
        }
        self.jobs_ready.notify_waiters();
    }

    pub(crate) async fn remove_object(&self, job: &Leased) -> Done {
        let Some(key) = &job.data else { return Done::Finished };
        match self.storage.remove(key).await {
            Ok(()) => Done::Finished,
            Err(error) => {
                tracing::warn!(key, %error, "an object cannot be removed now; it is tried again");
                Done::Again(super::fetch::wait(job.attempt))
            }
        }
    }
}
