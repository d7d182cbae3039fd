//! Works on what waits in the table of jobs, each kind beside the others.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::job::JobKind;
use kabar_store::Error as StoreError;
use kabar_store::jobs::{self, Leased};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::Result;

/// How often jobs are looked for when nobody says that there are some.
const POLL: Duration = Duration::from_millis(500);
/// A lease is extended each third of this while its job goes on.
const LEASE: Duration = Duration::from_mins(1);

/// More attempts than any kind makes by itself: something is wrong that waiting does not mend.
const ATTEMPTS: i64 = 250;

/// How an attempt at a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Finished,
    /// Try again after this time.
    Again(Duration),
}

impl Engine {
    /// Does jobs until `stop`. What is under way then is given up after its kind's grace, and done again by whoever
    /// starts next.
    pub(crate) async fn run_jobs(self: &Arc<Self>, stop: CancellationToken) {
        let owner = self.clock.uuid();
        self.free_abandoned_jobs(true).await;
        let mut kinds = JoinSet::new();
        for kind in JobKind::ALL {
            let (engine, stop) = (Arc::clone(self), stop.clone());
            kinds.spawn(async move { engine.run_kind(owner, *kind, stop).await });
        }
        while kinds.join_next().await.is_some() {}
    }

    pub(crate) async fn free_abandoned_jobs(&self, starting: bool) {
        let work = async {
            let mut tx = self.store.begin().await?;
            jobs::free_abandoned(&mut tx, self.clock.now(), starting).await?;
            tx.commit().await
        };
        let result: Result<(), StoreError> = work.await;
        if let Err(error) = result {
            tracing::warn!(%error, "abandoned jobs could not be freed; it is tried again");
        }
    }

    async fn run_kind(self: Arc<Self>, owner: Uuid, kind: JobKind, stop: CancellationToken) {
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            let wake = self.jobs_ready.notified();
            let free = kind.concurrency() - running.len();
            for job in self.lease_jobs(owner, kind, free).await {
                let engine = Arc::clone(&self);
                running.spawn(async move { Box::pin(engine.do_job(job)).await });
            }
            tokio::select! {
                Some(_) = running.join_next() => {}
                () = wake => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
        let finished = async { while running.join_next().await.is_some() {} };
        tokio::time::timeout(kind.grace(), finished).await.ok();
        running.shutdown().await;
    }

    async fn lease_jobs(&self, owner: Uuid, kind: JobKind, limit: usize) -> Vec<Leased> {
        let now = self.clock.now();
        let work = async {
            if limit == 0 || !jobs::is_due(&mut self.store.reader().await?, kind, now).await? {
                return Ok(Vec::new());
            }
            let mut tx = self.store.begin().await?;
            let leased = jobs::lease(&mut tx, owner, kind, now, now.plus(LEASE), limit as i64).await?;
            tx.commit().await?;
            Ok(leased)
        };
        let leased: Result<Vec<Leased>, StoreError> = work.await;
        leased.unwrap_or_else(|error| {
            tracing::error!(%error, kind = kind.as_str(), "jobs cannot be read now");
            Vec::new()
        })
    }

    async fn do_job(&self, job: Leased) {
        let done = if job.attempt > ATTEMPTS {
            let (kind, subject) = (job.kind.as_str(), job.subject_id);
            tracing::error!(kind, %subject, "a job that never succeeds is given up");
            if let Err(error) = self.give_up_job(&job).await {
                tracing::error!(%error, kind, %subject, "what was given up could not be noted");
            }
            Done::Finished
        } else {
            tokio::select! {
                done = self.attempt_job(&job) => done,
                () = self.keep_lease(&job) => return,
            }
        };
        while let Err(error) = self.end_job(&job, done).await {
            tracing::error!(%error, kind = job.kind.as_str(), "a job's end cannot be written now; trying again");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Each kind's own work. It writes its own results; whatever it finds done already it does not do twice.
    async fn attempt_job(&self, job: &Leased) -> Done {
        match job.kind {
            JobKind::NotifyLeg => Box::pin(self.attempt_leg(job)).await,
            JobKind::FetchMedia => Box::pin(self.fetch_media(job)).await,
            JobKind::RemoveObject => self.remove_object(job).await,
            JobKind::RefineItem => Box::pin(self.refine_item(job)).await,
            JobKind::SyncTemplates => Box::pin(self.attempt_sync(job)).await,
            JobKind::Signup => Box::pin(self.attempt_signup(job)).await,
            JobKind::InquirePayment => Box::pin(self.inquire_payment(job)).await,
            JobKind::Greet => Box::pin(self.greet(job)).await,
        }
    }

    /// Leaves whatever waits for the job in a state that says so.
    async fn give_up_job(&self, job: &Leased) -> Result<()> {
        match job.kind {
            JobKind::FetchMedia => self.give_up_file(job).await,
            JobKind::Signup => self.give_up_signup(job).await,
            JobKind::InquirePayment => self.give_up_inquiry(job).await,
            // An object takes room, and what was read or sent before stands.
            JobKind::NotifyLeg
            | JobKind::RemoveObject
            | JobKind::RefineItem
            | JobKind::SyncTemplates
            | JobKind::Greet => Ok(()),
        }
    }

    /// Ends only when the lease is lost.
    async fn keep_lease(&self, job: &Leased) {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            let work = async {
                let mut tx = self.store.begin().await?;
                let kept = jobs::extend(&mut tx, job, self.clock.now().plus(LEASE)).await?;
                tx.commit().await?;
                Ok(kept)
            };
            let kept: Result<bool, StoreError> = work.await;
            match kept {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(
                        kind = job.kind.as_str(),
                        "a job's lease was lost; another server does it"
                    );
                    return;
                }
                Err(error) => tracing::warn!(%error, "a job's lease could not be extended"),
            }
        }
    }

    async fn end_job(&self, job: &Leased, done: Done) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        match done {
            Done::Finished => {
                jobs::finish(&mut tx, job).await?;
            }
            Done::Again(wait) => jobs::postpone(&mut tx, job, self.clock.now(), wait).await?,
        }
        tx.commit().await
    }
}
