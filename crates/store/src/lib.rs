//! All SQL. One text serves SQLite and PostgreSQL; what must differ is named where it differs.

pub mod accounts;
mod announce;
pub mod apply;
mod bulk;
pub mod changes;
pub mod channels;
pub mod contacts;
pub mod conversations;
pub mod counters;
mod error;
pub mod events;
pub mod health;
pub mod held;
pub mod idempotency;
pub mod inbox;
pub mod jobs;
pub mod log;
pub mod messages;
mod migrate;
pub mod notification_templates;
pub mod notifications;
pub mod organisations;
pub mod outbound;
mod postgres;
mod select;
mod sqlite;
pub mod statuses;
mod store;
pub mod tokens;
pub mod users;
mod value;

pub use bulk::{Rows, of};
pub use error::{Error, Result};
pub use select::Window;
pub use store::{Db, Options, Reader, Store, Tx};
pub use value::{Bind, Read, Row, Type, Value};
