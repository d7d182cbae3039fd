//! Understanding for apps that only ask: what a text says, and which of the organisation's names it means.

mod classify;
mod entities;
mod names;
mod structure;
mod texts;

pub use classify::{Classified, Weighed};
pub use entities::{Entity, Extracted};
pub use names::{MatchRequest, Matched, NameList, NameMatch};
pub use structure::{Parsed, Validity};
pub use texts::{Answers, Texts};
