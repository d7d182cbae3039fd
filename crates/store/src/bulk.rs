//! Many parameters for one statement: a table of values that PostgreSQL takes as arrays in one round trip and
//! SQLite takes row by row through one prepared statement.

use uuid::Uuid;

use crate::value::{Bind, Type, Value};

/// One column of values.
#[derive(Debug)]
pub(crate) struct Column {
    pub name: &'static str,
    pub kind: Type,
    pub values: Vec<Value>,
}

/// Named, typed columns of equal length. In a statement `{rows}` stands for them as a table `u`.
#[derive(Debug)]
pub struct Rows {
    pub(crate) columns: Vec<Column>,
}

impl Rows {
    /// Declares the columns; then [`Rows::push`] fills them.
    pub fn new(columns: &[(&'static str, Type)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|(name, kind)| Column { name, kind: *kind, values: Vec::new() })
                .collect(),
        }
    }

    /// Adds a row; one value per declared column, in order (see [`crate::args`]).
    pub fn push<const N: usize>(&mut self, values: [Value; N]) {
        debug_assert_eq!(N, self.columns.len());
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.values.push(value);
        }
    }

    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// `{rows}` for SQLite: one row of numbered parameters.
    pub(crate) fn sqlite(&self, sql: &str) -> String {
        let cells: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| format!("?{} AS {}", i + 1, column.name))
            .collect();
        sql.replace("{rows}", &format!("(SELECT {}) AS u", cells.join(", ")))
    }

    /// `{rows}` for PostgreSQL: one array parameter per column.
    pub(crate) fn postgres(&self, sql: &str) -> String {
        let arrays: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| format!("${}::{}[]", i + 1, column.kind.postgres()))
            .collect();
        sql.replace("{rows}", &format!("UNNEST({}) AS u({})", arrays.join(", "), self.names()))
    }

    pub(crate) fn sqlite_insert(&self, table: &str, suffix: &str) -> String {
        let marks: Vec<_> = (1..=self.columns.len()).map(|i| format!("?{i}")).collect();
        format!("INSERT INTO {table} ({}) VALUES ({}) {suffix}", self.names(), marks.join(", "))
    }

    pub(crate) fn postgres_insert(&self, table: &str, suffix: &str) -> String {
        let names = self.names();
        self.postgres(&format!("INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}} {suffix}"))
    }
}

/// The values of one column as the array PostgreSQL takes.
pub(crate) fn bind_array(
    query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    column: Column,
) -> sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments> {
    macro_rules! array {
        ($type:ty, $variant:ident) => {
            query.bind(
                column
                    .values
                    .into_iter()
                    .map(|value| match value {
                        Value::$variant(inner) => Some(inner),
                        _ => None,
                    })
                    .collect::<Vec<Option<$type>>>(),
            )
        };
    }
    match column.kind {
        Type::Uuid => array!(Uuid, Uuid),
        Type::Int => array!(i64, Int),
        Type::Bool => array!(bool, Bool),
        Type::Float => array!(f64, Float),
        Type::Text => array!(String, Text),
        Type::Bytes => array!(Vec<u8>, Bytes),
    }
}

/// The column type that `T` is bound as.
pub const fn of<T: Bind>() -> Type {
    T::TYPE
}
