//! Everything the operations share.

use std::sync::Arc;

use kabar_domain::Clock;
use kabar_store::Store;

use crate::config::Config;
use crate::crypto::MasterKey;
use crate::metrics::Metrics;

/// The running engine. Operations are methods on it, one file each. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) key: MasterKey,
    pub(crate) config: Config,
    pub(crate) login_limiter: crate::auth::LoginLimiter,
    pub metrics: Arc<Metrics>,
}
