//! SELECTs whose conditions depend on what was asked.

use crate::error::Result;
use crate::store::Db;
use crate::value::{Bind, Row, Value};

/// A statement that grows, its parameters numbered as they come.
#[derive(Debug)]
pub(crate) struct Select {
    sql: String,
    args: Vec<Value>,
}

impl Select {
    /// Begins with `sql`, whose `?`s stand for `args` in order.
    pub fn new(sql: &str, args: Vec<Value>) -> Self {
        let mut select = Self { sql: String::with_capacity(sql.len() + 256), args: Vec::new() };
        select.push(sql, args);
        select
    }

    /// Adds `sql`, whose `?`s stand for `args` in order.
    pub fn push(&mut self, sql: &str, args: Vec<Value>) -> &mut Self {
        let mut parts = sql.split('?');
        self.sql.push(' ');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, arg) in parts.zip(args) {
            self.args.push(arg);
            self.sql.push('$');
            self.sql.push_str(&self.args.len().to_string());
            self.sql.push_str(part);
        }
        self
    }

    /// Adds `sql` when there is a value for its one `?`.
    pub fn push_some(&mut self, sql: &str, value: Option<Value>) -> &mut Self {
        if let Some(value) = value {
            self.push(sql, vec![value]);
        }
        self
    }

    /// Adds `sql (…)` with all values, as `AND id IN (…)`. The list is filled up to a power of two with its last
    /// value, so that lists of any length make few distinct statements.
    pub fn push_in(&mut self, sql: &str, mut values: Vec<Value>) -> &mut Self {
        let Some(last) = values.last().cloned() else {
            self.push("AND 1 = 0", Vec::new());
            return self;
        };
        values.resize(values.len().next_power_of_two(), last);
        let marks = vec!["?"; values.len()].join(", ");
        self.push(&format!("{sql} ({marks})"), values)
    }

    /// Adds what lists of things that can be archived are asked for: in or out of use (both without it), and a text in
    /// lower case, looked for anywhere in `search`.
    pub fn push_listed(&mut self, archived: Option<bool>, search: Option<&str>) -> &mut Self {
        match archived {
            Some(true) => self.push("AND archived_at IS NOT NULL", Vec::new()),
            Some(false) => self.push("AND archived_at IS NULL", Vec::new()),
            None => self,
        };
        let pattern = search.map(|text| contains(text).value());
        self.push_some(r"AND search LIKE ? ESCAPE '\'", pattern)
    }

    pub async fn fetch(self, db: &mut impl Db) -> Result<Vec<Row>> {
        db.fetch(&self.sql, self.args).await
    }

    pub async fn fetch_optional(self, db: &mut impl Db) -> Result<Option<Row>> {
        Ok(db.fetch(&self.sql, self.args).await?.into_iter().next())
    }

    /// The one number of a `SELECT COUNT(*)`.
    pub async fn count(self, db: &mut impl Db) -> Result<i64> {
        self.fetch_optional(db).await?.map_or(Ok(0), |mut row| row.get(0))
    }
}

/// Which rows of an ordered list.
#[derive(Clone, Copy, Debug)]
pub struct Window<P> {
    /// Rows after this place; else from the start.
    pub after: Option<P>,
    pub offset: i64,
    pub limit: i64,
}

/// `text` as a pattern of `LIKE … ESCAPE '\'` that finds it anywhere.
pub(crate) fn contains(text: &str) -> String {
    format!("%{}%", escaped(text))
}

/// `text` as a pattern of `LIKE … ESCAPE '\'` that finds what begins with it.
pub(crate) fn begins(text: &str) -> String {
    format!("{}%", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn parameters_are_numbered_across_parts() {
        let mut select = Select::new("SELECT a FROM t WHERE b = ?", args![1_i64]);
        select.push_some("AND c = ?", None).push_some("AND d = ?", Some(Value::Int(2)));
        select.push_in("AND e IN", args![3_i64, 4_i64, 5_i64]);
        assert_eq!(select.sql, " SELECT a FROM t WHERE b = $1 AND d = $2 AND e IN ($3, $4, $5, $6)");
        assert_eq!(select.args.last(), Some(&Value::Int(5)));
    }

    #[test]
    fn a_pattern_finds_the_wildcards_themselves() {
        assert_eq!(contains(r"100%_\"), r"%100\%\_\\%");
    }
}
