//! WhatsApp Cloud API.

mod client;
mod errors;
mod groups;
mod inspect;
mod media;
mod parse;
mod receipts;
mod send;
mod signature;
mod signup;
mod templates;

pub use client::{Client, NumberInfo, VERSION};
pub use errors::{Description, classify, describe};
pub use groups::{Failed, GroupInfo, JoinRequest, MAX_PARTICIPANTS, NewGroup};
pub use inspect::Callbacks;
pub use media::MediaInfo;
pub use parse::parse;
pub use send::payload;
pub use signature::{AppSecret, verify_challenge};
pub use signup::{App, AppData, NoToken, TokenFacts, WabaNumber};
pub use templates::{CreatedTemplate, RemoteTemplate};
