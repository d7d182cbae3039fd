//! From chat to meaning: what a technician's or a citizen's message says, in English, Indonesian with Malay, Arabic,
//! and mixtures of them. Nothing here does I/O; everything it knows is compiled in.
//!
//! [`analyse`] is what a server calls for each message. Its parts stand alone: [`classify`], [`severity`],
//! [`entities()`], [`Index`] for matching names, [`suggest_category`], [`templates`] and [`redact`].
//!
//! ```
//! use kabar_understanding::{Class, Context, Entry, Index, Severity, analyse};
//!
//! let places = Index::new([Entry::new("site-a", "Building A"), Entry::new("site-b", "Building B")]);
//! let context = Context { locations: Some(&places), ..Context::default() };
//! let seen = analyse("AC bocor lagi di gd A lt 2, udah 2x minggu ini", &context);
//!
//! assert_eq!(seen.classification.class, Class::Problem);
//! assert!(seen.severity.is_some_and(|found| found.severity >= Severity::Medium));
//! assert_eq!(seen.entities.locations[0].found.as_ref().map(|found| found.key.as_str()), Some("site-a"));
//! ```
//!
//! Offsets are counted in Unicode scalar values over the original text.

mod analysis;
mod categories;
mod classify;
mod entities;
mod features;
mod language;
mod lexicon;
mod matching;
mod model;
mod redact;
mod root;
mod rules;
mod severity;
pub mod templates;
pub mod text;
#[cfg(any(test, feature = "train"))]
pub mod train;
mod vocabulary;

pub use analysis::{Analysis, Context, analyse};
pub use categories::{
    Category, CategorySource, Suggestion, default_categories, suggest_category, suggest_default_category,
};
pub use classify::{Class, Classification, Reason, classify, engine};
pub use entities::{Entities, Entity, FoundName, Lists, entities};
pub use language::{Detected, Language, detect_language};
pub use matching::{Candidate, Entry, Found, Index, Mention, is_common};
pub use redact::redact;
pub use severity::{Assessment, Severity, severity};
