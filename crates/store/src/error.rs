//! What can go wrong with a database, sorted by what a caller can do about it.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique constraint; the index or column list as the database names it.
    #[error("conflict on {0}")]
    Conflict(String),
    /// The disk is full or failing: nothing was written.
    #[error("the database cannot write: {0}")]
    Full(String),
    /// The database cannot be reached now, or is locked by another process.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another transaction won; the same work may succeed when repeated.
    #[error("the transaction has to be repeated: {0}")]
    Contention(String),
    /// A row does not hold what the code expects.
    #[error("unexpected value in column {column}: {detail}")]
    Decode { column: usize, detail: &'static str },
    #[error("database: {0}")]
    Database(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether waiting may help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Unavailable(_) | Self::Contention(_))
    }

    /// The same error for somebody else whom it hit, too.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Conflict(on) => Self::Conflict(on.clone()),
            Self::Full(text) => Self::Full(text.clone()),
            Self::Unavailable(text) => Self::Unavailable(text.clone()),
            Self::Contention(text) => Self::Contention(text.clone()),
            Self::Decode { column, detail } => Self::Decode { column: *column, detail },
            Self::Database(text) => Self::Database(text.clone()),
        }
    }

    /// Whether this is a conflict on the named index (PostgreSQL) or on a column list holding `column` (SQLite).
    pub fn is_conflict_on(&self, index: &str, column: &str) -> bool {
        matches!(self, Self::Conflict(on) if on.contains(index) || on.contains(column))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let text = error.to_string();
        let rusqlite::Error::SqliteFailure(failure, detail) = &error else {
            return Self::Database(text);
        };
        match failure.code {
            Code::ConstraintViolation if matches!(failure.extended_code, 1555 | 2067) => {
                Self::Conflict(detail.clone().unwrap_or(text))
            }
            Code::DiskFull | Code::SystemIoFailure | Code::OutOfMemory => Self::Full(text),
            // A file system that failed is mounted read-only.
            Code::DatabaseBusy | Code::DatabaseLocked | Code::CannotOpen | Code::ReadOnly => {
                Self::Unavailable(text)
            }
            _ => Self::Database(text),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match &error {
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("23505") => Self::Conflict(database.constraint().unwrap_or_default().to_owned()),
                code => of_postgres(code.unwrap_or_default(), text),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(text),
            _ => Self::Database(text),
        }
    }
}

/// By its SQLSTATE.
fn of_postgres(code: &str, text: String) -> Error {
    match code {
        // Serialisation, deadlock, and a lock that was not to be had.
        "40001" | "40P01" | "55P03" => Error::Contention(text),
        // Class 53: insufficient resources; 58030: I/O error.
        "53100" | "53200" | "58030" => Error::Full(text),
        // Class 57 (shutdown, crash, starting, a statement that took too long), 53300 (too many connections), read-only,
        // and a transaction that stood still for longer than it may.
        "53300" | "57014" | "57P01" | "57P02" | "57P03" | "25006" | "25P03" => Error::Unavailable(text),
        _ if code.starts_with("08") => Error::Unavailable(text),
        _ => Error::Database(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_not_taken_as_lasting() {
        for code in ["25P03", "57014", "55P03", "40001", "08006", "53200"] {
            assert!(of_postgres(code, String::new()).is_transient(), "{code}");
        }
        assert!(!of_postgres("42P01", String::new()).is_transient());
        for code in [rusqlite::ffi::SQLITE_READONLY, rusqlite::ffi::SQLITE_NOMEM, rusqlite::ffi::SQLITE_FULL]
        {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            assert!(Error::from(error).is_transient(), "{code}");
        }
    }
}
