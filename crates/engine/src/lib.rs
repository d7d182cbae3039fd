//! What Kabar does. Operations take a [`Principal`] and answer domain values or an [`Error`]; they know neither
//! HTTP nor SQL.

pub mod accounts;
pub mod apply;
pub mod auth;
pub mod billing;
pub mod channels;
mod chat;
pub mod config;
pub mod contacts;
pub mod conversations;
mod credentials;
pub mod crypto;
mod digests;
pub mod doctor;
mod engine;
mod error;
pub mod events;
mod failpoint;
pub mod groups;
pub mod health;
pub mod held;
pub mod idempotency;
pub mod inbound;
pub mod inbox;
pub mod ingest;
mod jobs;
pub mod media;
mod message_templates;
pub mod messages;
pub mod metrics;
pub mod notifications;
pub mod operations;
pub mod organisations;
pub mod outbound;
pub mod page;
pub mod patch;
pub mod places;
pub mod records;
pub mod services;
pub mod signups;
pub mod templates;
pub mod tokens;
pub mod understanding;
pub mod users;
pub mod visibility;
pub mod vocabulary;
pub mod webhooks;

mod rules;
mod window;

pub use auth::Principal;
pub use config::Config;
pub use engine::{Engine, Running};
pub use error::{Error, Invalid, Result};
pub use window::Window;
