//! WhatsApp Cloud API.

mod errors;
mod parse;
mod signature;

pub use errors::{Description, classify, describe};
pub use parse::parse;
pub use signature::{AppSecret, verify_challenge};
