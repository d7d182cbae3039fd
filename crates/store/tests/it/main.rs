//! Every test runs on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod conversations;
mod idempotency;
mod lists;
mod organisations;
mod place;
mod support;
