//! Pages of lists.

use crate::error::{Error, Invalid};

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub page: i64,
    /// 1 to 100.
    pub per_page: i64,
    /// An opaque place to go on from, out of an earlier answer; then `page` is not used.
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub page: i64,
    pub per_page: i64,
    pub total: i64,
    pub next_cursor: Option<String>,
}

impl PageRequest {
    /// Checks what a client gave. `limit` and `per_page` are two names of one parameter.
    pub fn new(
        page: Option<i64>,
        limit: Option<i64>,
        per_page: Option<i64>,
        cursor: Option<String>,
        default: i64,
    ) -> Result<Self, Error> {
        let mut invalid = Invalid::default();
        let name = if per_page.is_none() && limit.is_some() { "limit" } else { "per_page" };
        let size = per_page.or(limit).unwrap_or(default);
        if !(1..=100).contains(&size) {
            invalid.add(name, format!("The {} field must be between 1 and 100.", name.replace('_', " ")));
        }
        let number = page.unwrap_or(1);
        if !(1..=1_000_000_000).contains(&number) {
            invalid.add("page", "The page field must be at least 1.");
        }
        invalid.check()?;
        Ok(Self { page: number, per_page: size, cursor })
    }

    pub const fn offset(&self) -> i64 {
        (self.page - 1) * self.per_page
    }
}
