//! What every floor of the house shares: identifiers, time, states and their transitions, permissions
//! and the one message model. Nothing here does I/O.

pub mod access;
pub mod billing;
pub mod channel;
pub mod clock;
pub mod content;
pub mod event;
pub mod file;
pub mod hours;
pub mod id;
pub mod inbound;
pub mod job;
pub mod message;
pub mod notification;
pub mod operations;
pub mod outbound;
pub mod pacing;
pub mod signup;
pub mod webhook;
pub mod widget;

pub use access::{Abilities, Ability, Reach, Role, TokenKind};
pub use clock::{Clock, Timestamp};
pub use event::EventFilter;
pub use id::*;
