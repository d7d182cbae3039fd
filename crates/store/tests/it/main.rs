//! Every test runs on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod bulk;
mod commits;
mod conversations;
mod files;
mod groups;
mod idempotency;
mod jobs;
mod lists;
mod log;
mod organisations;
mod place;
mod queue;
mod records;
mod reopen;
mod signups;
mod support;
