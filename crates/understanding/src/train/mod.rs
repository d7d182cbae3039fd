//! Training the weights and measuring them. Not part of the library as others see it.

mod augment;
mod learn;
pub mod phrases;
mod random;
pub mod report;

pub use learn::{Settings, train};

/// Classifies with `bytes` from here on, if nothing was classified before.
#[cfg(feature = "train")]
pub fn install(bytes: Vec<u8>) {
    crate::model::Model::install(bytes);
}
