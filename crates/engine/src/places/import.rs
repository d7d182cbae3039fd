//! Sites, facilities and categories out of a table. Each row makes one, or changes the one with its code or name; the
//! same file again changes nothing.

mod categories;
mod facilities;
mod sites;
mod table;

use kabar_domain::{Ability, Timestamp};
use uuid::Uuid;

use super::named::{Book, Lookup, Named};
use crate::auth::Principal;
use crate::error::{Invalid, Result};
use table::{Line, Table};

/// Rows of one file at most.
const ROWS: usize = 10_000;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportAction {
    Created,
    Updated,
    Unchanged,
    Failed,
}

impl ImportAction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ImportedRow {
    /// As a spreadsheet counts: the header is row 1.
    pub row: usize,
    pub action: ImportAction,
    /// None of a row that failed, or that a dry run would make.
    pub id: Option<Uuid>,
    pub name: String,
    pub invalid: Invalid,
}

/// What an import did, or would do.
#[derive(Clone, Debug)]
pub struct ImportReport {
    pub dry_run: bool,
    /// In the order of the file.
    pub rows: Vec<ImportedRow>,
    /// Columns that mean nothing here.
    pub ignored_columns: Vec<String>,
}

impl ImportReport {
    pub fn count(&self, action: ImportAction) -> usize {
        self.rows.iter().filter(|row| row.action == action).count()
    }
}

/// An import under way: what is in use, with what its rows made of it.
struct Import<T> {
    book: Book<T>,
    /// Rows of the book that the file changed, and those from here on it made.
    changed: Vec<usize>,
    before: usize,
    now: Timestamp,
    report: ImportReport,
}

impl<T: Named> Import<T> {
    fn new(rows: Vec<T>, table: &Table, dry_run: bool, now: Timestamp) -> Self {
        let report = ImportReport { dry_run, rows: Vec::new(), ignored_columns: table.ignored.clone() };
        Self { before: rows.len(), book: Book::new(rows), changed: Vec::new(), now, report }
    }

    /// The row that a line is about: the one with its code, or the one of its name unless both have codes.
    fn target(&self, invalid: &mut Invalid, scope: Uuid, line: &Line) -> Option<usize> {
        if line.is_longer {
            invalid.add("row", "The row has more cells than the header: put text with separators in quotes.");
        }
        let code = line.get("code");
        if let Some(at) = code.and_then(|code| self.book.by_code(code)) {
            return Some(at);
        }
        match self.book.by_name(scope, line.get("name")?) {
            Lookup::Found(at) if code.is_none() || self.book.rows[at].code().is_none() => Some(at),
            Lookup::Ambiguous if code.is_none() => {
                invalid.add("name", "Several have this name: say which by its code.");
                None
            }
            _ => None,
        }
    }

    /// Keeps what a line made of its target, and reports it. `touch` sets the time of the change.
    fn settle(
        &mut self,
        line: &Line,
        at: Option<usize>,
        row: T,
        invalid: Invalid,
        touch: impl Fn(&mut T, Timestamp),
    ) {
        let name = line.get("name").unwrap_or_default().to_owned();
        let is_kept = !self.report.dry_run || at.is_some_and(|at| at < self.before);
        let id = Some(row.id()).filter(|_| is_kept && invalid.errors.is_empty());
        let action = if invalid.errors.is_empty() { self.keep(at, row, touch) } else { ImportAction::Failed };
        self.report.rows.push(ImportedRow { row: line.number, action, id, name, invalid });
    }

    fn keep(&mut self, at: Option<usize>, mut row: T, touch: impl Fn(&mut T, Timestamp)) -> ImportAction {
        let Some(at) = at else {
            self.book.add(row);
            return ImportAction::Created;
        };
        if self.book.rows[at] == row {
            return ImportAction::Unchanged;
        }
        touch(&mut row, self.now);
        self.book.replace(at, row);
        if at < self.before && !self.changed.contains(&at) {
            self.changed.push(at);
        }
        ImportAction::Updated
    }

    /// What is to be inserted, what updated, and the report.
    fn finish(mut self) -> (Vec<T>, Vec<T>, ImportReport) {
        let updated = self.changed.iter().map(|at| self.book.rows[*at].clone()).collect();
        let created = self.book.rows.split_off(self.before);
        self.report.rows.sort_by_key(|row| row.row);
        (created, updated, self.report)
    }
}

/// The table in a file that a caller may import.
fn opened(principal: &Principal, file: &[u8], columns: &[&str], required: &[&str]) -> Result<Table> {
    principal.require(Ability::Write)?;
    Table::read(file, columns, required)
}
