//! What handlers are given.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::Clock;
use kabar_engine::Engine;
use kabar_engine::config::IpNet;

/// The state of every route. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub engine: Arc<Engine>,
    pub limits: Limits,
    /// Networks of proxies that say truly for whom they ask.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// Makes request ids.
    pub(crate) ids: Clock,
}

impl ApiState {
    pub fn new(engine: Arc<Engine>) -> Self {
        // The form around a file is small.
        let upload_body = engine.largest_file().saturating_add(64 * 1024);
        let limits = Limits { upload_body, ..Limits::default() };
        Self { engine, limits, trusted_proxies: Arc::default(), ids: Clock::system() }
    }

    #[must_use]
    pub fn with_trusted_proxies(mut self, networks: Vec<IpNet>) -> Self {
        self.trusted_proxies = networks.into();
        self
    }

    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How much and how long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request body.
    pub body: u64,
    /// Bytes of a webhook body; Meta sends up to 3 MB.
    pub webhook_body: u64,
    /// Bytes of a table to import.
    pub import_body: u64,
    /// Bytes of an uploaded file with the form around it.
    pub upload_body: u64,
    /// For a request's head, and between two requests of a connection.
    pub head_time: Duration,
    /// For a connection to send its first byte.
    pub idle_time: Duration,
    /// For a request's body; of an uploaded file for its next part.
    pub body_time: Duration,
    /// For a handler.
    pub handler_time: Duration,
    /// For an uploaded file to be stored.
    pub upload_time: Duration,
    /// For requests under way when the server stops.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1024 * 1024,
            webhook_body: 3 * 1024 * 1024,
            import_body: 8 * 1024 * 1024,
            upload_body: u64::MAX,
            // Also how long a kept-alive connection may be idle: clients that pool theirs expect most of a minute.
            head_time: Duration::from_secs(50),
            idle_time: Duration::from_mins(5),
            body_time: Duration::from_secs(30),
            handler_time: Duration::from_mins(1),
            upload_time: Duration::from_hours(12),
            drain_time: Duration::from_secs(25),
        }
    }
}
