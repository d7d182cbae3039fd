//! Everything the operations share, and the work that goes on behind them.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kabar_domain::{Clock, Timestamp};
use kabar_providers::storage::Storage;
use kabar_providers::{http, neoleap, sms, telegram, whatsapp};
use kabar_store::Store;
use kabar_store::log::{Lag, LogReader, LogWriter};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::billing::Billing;
use crate::config::Config;
use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::ingest::Secrets;
use crate::metrics::Metrics;

/// Longest wait for a provider's answer.
pub(crate) const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);
/// Log entries or events deleted at a time.
pub(crate) const PRUNE: i64 = 1_000;
/// How often old events are looked for.
const EVENTS_PRUNE: Duration = Duration::from_hours(1);
/// How often it is looked which recipients have not been written to for long.
const PAIRS_FORGET: Duration = Duration::from_mins(10);
/// How often the database is asked for events that this process did not record.
const EVENTS_POLL: Duration = Duration::from_secs(1);
/// From losing the connection that hints come over to making another.
const HINTS_AGAIN: Duration = Duration::from_secs(5);
/// How often what other nodes changed is looked at, and old rows are cleared.
const HOUSEKEEPING: Duration = Duration::from_secs(15);
/// A report that crosses with its message is visible no later than this after the time it bears.
const CROSSING: Duration = Duration::from_mins(10);

/// The running engine. Operations are methods on it, one file each. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) key: MasterKey,
    pub(crate) config: Config,
    pub metrics: Arc<Metrics>,
    pub(crate) login_limiter: crate::auth::LoginLimiter,
    /// Codes that were guessed.
    pub(crate) exchange_limiter: crate::auth::LoginLimiter,
    pub(crate) whatsapp: whatsapp::Client,
    pub(crate) telegram: telegram::Client,
    pub(crate) sms: Option<sms::Client>,
    /// Asks our own address.
    pub(crate) reach: kabar_providers::reach::Client,
    /// Set when organisations pay for the use of this server.
    pub(crate) billing: Option<Billing>,
    /// Fetches files from addresses that users give.
    pub(crate) fetcher: kabar_providers::fetch::Client,
    /// Asks model services.
    pub(crate) models: kabar_providers::ai::Client,
    pub(crate) storage: Storage,
    pub(crate) secrets: Secrets,
    /// Set while the engine runs: operations of the command line need no log.
    pub(crate) log: OnceLock<LogWriter>,
    /// Something was appended to the inbound log.
    pub(crate) appended: Arc<Notify>,
    pub(crate) lag: Lag,
    /// Inbox items wait to be understood.
    pub(crate) items_waiting: Notify,
    /// Something was queued for sending, or may be sent again.
    pub(crate) outbound_ready: Notify,
    /// Calls to providers under way.
    pub(crate) flights: crate::outbound::Flights,
    /// What waits to be sent.
    pub(crate) estimates: crate::outbound::Estimates,
    /// Jobs were added; each kind's workers wait for it, so wake all of them.
    pub(crate) jobs_ready: Notify,
    /// A signup got to its next step.
    pub(crate) signups_moved: Notify,
    /// Calls webhook endpoints.
    pub(crate) webhooks: kabar_providers::webhooks::Client,
    /// A webhook endpoint may have something to be told.
    pub(crate) webhooks_ready: Notify,
    /// Recent events.
    pub(crate) feed: crate::events::Feed,
    /// Files to fetch were noted since the workers were last woken.
    pub(crate) jobs_expected: AtomicBool,
    /// What organisations call their places and things.
    pub(crate) vocabularies: crate::vocabulary::Vocabularies,
    /// How much visitors of widgets did lately.
    pub(crate) visits: crate::widgets::Limits,
    /// Unclaimed updates may have an account now.
    pub(crate) claim_wanted: Notify,
    /// Cancelled when the work is to stop.
    pub(crate) stopping: CancellationToken,
}

/// The work behind the operations, until it is stopped.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    workers: Vec<JoinHandle<()>>,
    log_writers: Vec<JoinHandle<()>>,
}

impl Engine {
    pub fn new(store: Store, clock: Clock, key: MasterKey, config: Config) -> Result<Self> {
        let unmade = |error| Error::Internal(format!("the HTTP client cannot be made: {error}"));
        let client = http::client(PROVIDER_TIMEOUT).map_err(unmade)?;
        let storage = Storage::open(&config.media)
            .map_err(|error| Error::Internal(format!("the place for media cannot be used: {error}")))?;
        let guard = http::Guard::new(config.allowed_networks.clone());
        let webhooks = kabar_providers::webhooks::Client::new(&guard).map_err(unmade)?;
        let fetcher = kabar_providers::fetch::Client::new(&guard).map_err(unmade)?;
        let models = kabar_providers::ai::Client::new(&guard, config.ai_timeout).map_err(unmade)?;
        Ok(Self {
            storage,
            metrics: Arc::new(Metrics::new()?),
            login_limiter: crate::auth::LoginLimiter::default(),
            exchange_limiter: crate::auth::LoginLimiter::default(),
            whatsapp: whatsapp::Client::new(client.clone(), config.meta_base_url.clone()),
            reach: kabar_providers::reach::Client::new(client.clone()),
            sms: config.sms.clone().map(|sms| sms::Client::new(client.clone(), sms)),
            billing: config.billing.clone().map(|settings| Billing {
                gateway: neoleap::Client::new(client.clone(), settings.gateway),
                trial: settings.trial,
                grace: settings.grace,
                seller: settings.seller,
            }),
            telegram: telegram::Client::new(client, config.telegram_base_url.clone()),
            fetcher,
            models,
            webhooks,
            secrets: Secrets::new(&config.meta_app_secrets),
            log: OnceLock::new(),
            appended: Arc::new(Notify::new()),
            lag: Lag::default(),
            items_waiting: Notify::new(),
            outbound_ready: Notify::new(),
            flights: crate::outbound::Flights::default(),
            estimates: crate::outbound::Estimates::default(),
            jobs_ready: Notify::new(),
            signups_moved: Notify::new(),
            webhooks_ready: Notify::new(),
            feed: crate::events::Feed::default(),
            jobs_expected: AtomicBool::new(false),
            vocabularies: crate::vocabulary::Vocabularies::default(),
            visits: crate::widgets::Limits::default(),
            claim_wanted: Notify::new(),
            stopping: CancellationToken::new(),
            store,
            clock,
            key,
            config,
        })
    }

    /// The clock the engine was given.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The server's address as browsers and providers see it.
    pub fn public_url(&self) -> &Url {
        &self.config.public_url
    }

    /// Starts taking webhooks, applying and sending.
    pub async fn start(self: &Arc<Self>) -> Result<Running> {
        self.load_secrets().await?;
        self.seed_categories().await?;
        let (log, log_writers) =
            LogWriter::start(&self.store, Arc::clone(&self.appended), self.lag.clone()).await?;
        if self.log.set(log).is_err() {
            return Err(Error::Internal("the engine is running already".into()));
        }
        let stop = self.stopping.clone();
        let mut workers = Vec::new();
        workers.push(self.applier_thread(&stop)?);
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.run_sender(token).await }));
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.run_jobs(token).await }));
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.run_housekeeping(token).await }));
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.look_for_events(token).await }));
        if !self.store.is_sqlite() {
            let engine = Arc::clone(self);
            let token = stop.clone();
            workers.push(tokio::spawn(async move { engine.exchange_hints(token).await }));
        }
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.run_webhooks(token).await }));
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.run_understanding(token).await }));
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.push(tokio::spawn(async move { engine.run_digests(token).await }));
        Ok(Running { stop, workers, log_writers })
    }

    /// The applier waits for the disk: it has a thread of its own, so that requests do not wait with it.
    fn applier_thread(self: &Arc<Self>, stop: &CancellationToken) -> Result<JoinHandle<()>> {
        let engine = Arc::clone(self);
        let stop = stop.clone();
        let reader = LogReader::open(&self.store)?;
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new()
            .name("applier".into())
            .spawn(move || runtime.block_on(engine.run_applier(reader, stop)))
            .map_err(|error| Error::Internal(format!("the applier cannot be started: {error}")))?;
        Ok(tokio::task::spawn_blocking(move || {
            if thread.join().is_err() {
                tracing::error!("the applier ended unexpectedly");
            }
        }))
    }

    /// Tells the other nodes that there are new events, and hears it from them. Without it they look each second.
    async fn exchange_hints(&self, stop: CancellationToken) {
        let node = self.clock.uuid();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                Err(error) = self.store.exchange_hints(node) => {
                    tracing::warn!(%error, "other nodes cannot be told of new events now; they look each second");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(HINTS_AGAIN) => {}
            }
        }
    }

    /// Finds what other nodes, or commands on this machine, recorded.
    async fn look_for_events(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.store.look_for_events().await {
                tracing::warn!(%error, "new events cannot be looked for now");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVENTS_POLL) => {}
            }
        }
    }

    async fn run_housekeeping(&self, stop: CancellationToken) {
        let mut prune_at = self.clock.now();
        let mut forget_at = prune_at;
        // The first time it looks at all there is.
        let mut swept_until = Timestamp::from_micros(0);
        while !stop.is_cancelled() {
            let now = self.clock.now();
            if self.housekeep(swept_until.min(now).minus(CROSSING)).await {
                swept_until = now;
            }
            if self.clock.now() >= prune_at {
                went("events are forgotten", self.prune_events().await);
                went("old rows are forgotten", self.forget_old().await);
                prune_at = self.clock.now().plus(EVENTS_PRUNE);
            }
            if self.clock.now() >= forget_at {
                went("recipients' limits are tidied", self.forget_pairs().await);
                forget_at = self.clock.now().plus(PAIRS_FORGET);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.claim_wanted.notified() => {}
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
        }
    }

    async fn forget_pairs(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        kabar_store::outbound::forget_pairs(&mut tx, self.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets what is of no use any more, in portions, so that nobody waits for it.
    async fn forget_old(&self) -> Result<()> {
        let month = self.clock.now().minus(Duration::from_hours(24 * 30));
        let flood = self.clock.now().minus(crate::understanding::LONGEST_FLOOD);
        loop {
            let mut tx = self.store.begin().await?;
            let early = kabar_store::statuses::forget_early(&mut tx, month, PRUNE).await?;
            let digests = kabar_store::digests::forget(&mut tx, month, PRUNE).await?;
            let intake = kabar_store::intake::forget(&mut tx, flood, PRUNE).await?;
            tx.commit().await?;
            if early.max(digests).max(intake) < PRUNE as u64 {
                return Ok(());
            }
        }
    }

    /// Does what is to be done now and then, each for itself: what fails keeps nothing else from being done. `true`:
    /// reports that came before their message, from `swept_until` on, were looked at.
    async fn housekeep(&self, swept_until: Timestamp) -> bool {
        went("webhook secrets are read", self.load_secrets().await);
        went("what waited for an account is applied", self.replay_claimable().await.map(drop));
        let swept = went("early reports are applied", self.sweep_reports(swept_until).await);
        went("abandoned groups are given up", self.lose_abandoned_groups().await);
        self.free_abandoned_jobs(false).await;
        went("uncertain messages are told of", self.announce_uncertain().await);
        went("templates are synchronised", self.sync_stale_templates().await);
        went("categories are there", self.seed_categories().await);
        went("expiring tokens are told of", self.announce_expiring_tokens().await);
        went("what is paid is looked at", self.sweep_billing().await);
        went("unsent files are removed", self.forget_drafts().await);
        went("the inbound log is pruned", self.prune_log().await);
        went("what is over is forgotten", self.forget_ended().await);
        swept
    }

    /// In portions, so that nobody waits for it; as many as there are, so that the log does not grow.
    async fn prune_log(&self) -> Result<()> {
        let log = LogReader::open(&self.store)?;
        let kept = Duration::from_hours(24 * u64::from(self.config.inbound_retention_days));
        let before = self.clock.now().minus(kept);
        while log.prune(before, PRUNE).await? == PRUNE as u64 {}
        Ok(())
    }

    async fn forget_ended(&self) -> Result<()> {
        let now = self.clock.now();
        let day = Duration::from_hours(24);
        let mut tx = self.store.begin().await?;
        kabar_store::tokens::forget_sessions(&mut tx, now).await?;
        kabar_store::apps::forget_codes(&mut tx, now.minus(day)).await?;
        kabar_store::idempotency::purge(&mut tx, now.minus(day)).await?;
        kabar_store::files::purge_uploads(&mut tx, now).await?;
        kabar_store::signups::forget_secrets(&mut tx, now.minus(day * 30)).await?;
        self.forget_widget_keys(&mut tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Whether a piece of housekeeping went well; else it says so, and it is tried again.
fn went<E: std::fmt::Display>(what: &'static str, done: std::result::Result<(), E>) -> bool {
    match done {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, wanted = what, "housekeeping did not finish; it is tried again");
            false
        }
    }
}

impl Running {
    /// Stops the work. Call it when no more webhooks come: what was accepted is written, what is under way ends,
    /// what waits is found by the next start.
    pub async fn stop(self, engine: Arc<Engine>) {
        self.stop.cancel();
        engine.appended.notify_waiters();
        engine.outbound_ready.notify_waiters();
        engine.jobs_ready.notify_waiters();
        for worker in self.workers {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a worker ended unexpectedly");
            }
        }
        let store = engine.store.clone();
        // The last owner of the log's queue: its writers finish once it is gone.
        drop(engine);
        for writer in self.log_writers {
            match tokio::time::timeout(Duration::from_secs(5), writer).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::error!(%error, "the inbound log's writer ended unexpectedly"),
            }
        }
        store.close().await;
    }
}
