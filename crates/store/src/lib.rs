//! All SQL. One text serves SQLite and PostgreSQL; what must differ is named where it differs.

mod bulk;
pub mod counters;
mod error;
pub mod events;
pub mod log;
pub mod messages;
mod migrate;
mod postgres;
mod sqlite;
mod store;
mod value;

pub use bulk::{Rows, of};
pub use error::{Error, Result};
pub use store::{Db, Options, Reader, Store, Tx};
pub use value::{Bind, Read, Row, Type, Value};
