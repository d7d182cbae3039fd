//! Plays Meta's WhatsApp Cloud API, Telegram's Bot API and Neoleap's payment gateway: for `kabar demo`, and for every test.
//!
//! A [`Simulator`] answers requests as the providers would, remembers what it accepted, and calls webhooks back:
//! signed, in the providers' shapes, and again when they are refused. Below `/_sim/` lies a control plane that
//! plays the people on the other side, and breaks things on purpose.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use kabar_simulator::{Config, Simulator};
//!
//! let (simulator, address, _server) = Simulator::start(Config::default(), ([127, 0, 0, 1], 0).into()).await?;
//! println!("Graph API at http://{address}, {} messages sent", simulator.sent().len());
//! # Ok(())
//! # }
//! ```
//!
//! Known deviations: media given by URL is not fetched, `setWebhook` takes plain HTTP for loopback hosts, and
//! nothing is
//! reviewed, charged or rate-limited unless the configuration or a fault says so.

mod callbacks;
mod config;
mod control;
mod dispatch;
mod faults;
mod graph;
mod ids;
mod inbound;
mod limits;
mod neoleap;
mod params;
mod state;
mod statuses;
mod telegram;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use callbacks::signature;
pub use config::{Bot, Config, Number};
pub use control::ConfigPatch;
pub use faults::{Fault, FaultKind};
pub use graph::{APP_ID, NumberState, TokenState};
pub use inbound::{
    Delivered, GroupAction, GroupPerson, StatusRequest, TelegramFile, TelegramInbound, TemplateStatus,
    WhatsappInbound, WhatsappMedia, WhatsappWebhook,
};
pub use neoleap::Terminal;
pub use state::{Provider, Received, Sent};
pub use telegram::Pushed;

use state::Inner;

/// Both providers. Clones share everything; the last one to go ends the background work.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

impl Simulator {
    pub fn new(config: Config) -> Self {
        Self { inner: Arc::new(Inner::new(config)) }
    }

    /// Both provider APIs, and the control plane below `/_sim/`.
    pub fn router(&self) -> Router {
        Router::new()
            .nest("/_sim", control::router(self.clone()))
            .nest("/_sim/neoleap", neoleap::control())
            .merge(neoleap::router())
            .fallback(dispatch::serve)
            .with_state(Arc::clone(&self.inner))
    }

    /// Listens at `addr` (port 0: any) and serves until the task is aborted. Unless the configuration says
    /// otherwise, URLs handed out begin with the address.
    pub async fn start(
        config: Config,
        addr: SocketAddr,
    ) -> io::Result<(Self, SocketAddr, JoinHandle<io::Result<()>>)> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let simulator = Self::new(config);
        simulator.inner.config_mut().public_base.get_or_insert_with(|| format!("http://{addr}"));
        let router = simulator.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((simulator, addr, server))
    }

    /// Plays a call to a provider's API without a connection: the answer's status, and its body where that is JSON.
    pub async fn call(&self, path: &str, bearer: Option<&str>, body: &Value) -> (u16, Value) {
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/json");
        if let Some(token) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let Ok(request) = request.body(Body::from(body.to_string())) else { return (400, Value::Null) };
        let answer = dispatch::serve(State(Arc::clone(&self.inner)), request).await;
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Everything accepted, oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent_after(0)
    }

    /// What was accepted after the message with this `seq`.
    pub fn sent_after(&self, seq: u64) -> Vec<Sent> {
        self.inner.records().sent.after(seq).cloned().collect()
    }

    /// Every request to a provider API, oldest first, whatever became of it.
    pub fn received(&self) -> Vec<Received> {
        self.received_after(0)
    }

    pub fn received_after(&self, seq: u64) -> Vec<Received> {
        self.inner.records().received.after(seq).cloned().collect()
    }

    /// Forgets what was sent and received. Sequence numbers go on.
    pub fn forget(&self) {
        self.inner.records().clear();
    }

    pub fn push_fault(&self, fault: Fault) {
        self.inner.faults().push(fault);
    }

    /// Faults not used up yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.inner.faults().list()
    }

    pub fn clear_faults(&self) {
        self.inner.faults().clear();
    }

    pub fn config(&self) -> Config {
        self.inner.config().clone()
    }

    /// The newest WhatsApp group of that subject.
    pub fn whatsapp_group_id(&self, subject: &str) -> Option<String> {
        graph::group_id(&self.inner, subject)
    }

    /// Changes the configuration at run time.
    pub fn configure(&self, patch: ConfigPatch) {
        patch.apply(&mut self.inner.config_mut());
    }

    /// Says how a number stands. An error: there is no such number.
    pub fn set_number_state(&self, state: NumberState) -> Result<(), String> {
        self.inner.set_number_state(state)
    }

    /// Says what is odd about a token.
    pub fn set_token_state(&self, state: TokenState) {
        self.inner.set_token_state(state);
    }

    /// Replaces a number's access token; the old one answers 190 from now on. False: no such number.
    pub fn set_token(&self, phone_number_id: &str, access_token: &str) -> bool {
        let mut config = self.inner.config_mut();
        let found = config.numbers.iter_mut().find(|number| number.phone_number_id == phone_number_id);
        found.map(|number| access_token.clone_into(&mut number.access_token)).is_some()
    }
}
