//! The simulator over HTTP, as a client and as a webhook see it.

mod callbacks;
mod faults;
mod graph;
mod harness;
mod telegram;
