//! Every test runs on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod conversations;
mod idempotency;
mod organisations;
mod support;
