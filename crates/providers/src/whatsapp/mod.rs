//! WhatsApp Cloud API.

mod client;
mod errors;
mod media;
mod parse;
mod receipts;
mod send;
mod signature;
mod templates;

pub use client::{Client, NumberInfo, VERSION};
pub use errors::{Description, classify, describe};
pub use media::MediaInfo;
pub use parse::parse;
pub use send::payload;
pub use signature::{AppSecret, verify_challenge};
pub use templates::{CreatedTemplate, RemoteTemplate};
