//! What handlers take out of a request. Each refuses in the shape of every other error.

mod auth;
mod client_address;
mod json;
mod path;
mod query;
mod visitor;

pub(crate) use auth::Auth;
pub(crate) use client_address::ClientAddress;
pub(crate) use json::Json;
pub(crate) use path::{PathId, ProblemId, TokenId, WorkUpdateId};
pub(crate) use query::Query;
pub(crate) use visitor::Visitor;

/// `phone_number_id` → `phone number id`, as messages name fields.
fn spoken(field: &str) -> String {
    field.rsplit('.').next().unwrap_or(field).replace('_', " ")
}
