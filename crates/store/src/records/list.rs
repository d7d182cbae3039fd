//! Lists of records.

use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{CategoryId, FacilityId, OrganisationId, RecordId, SiteId, SubjectId, Timestamp, UserId};

use super::{COLUMNS, JOINS, NAMES, Named, named};
use crate::args;
use crate::error::Result;
use crate::select::{Select, Window, contains};
use crate::store::Db;
use crate::value::Bind;

/// Whose a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignee {
    Is(UserId),
    Nobody,
}

/// Which records to list. Empty lists and `None` leave all in.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub sites: Vec<SiteId>,
    pub facilities: Vec<FacilityId>,
    pub categories: Vec<CategoryId>,
    pub severities: Vec<Severity>,
    pub statuses: Vec<ProblemStatus>,
    pub assignee: Option<Assignee>,
    /// A contact, or a person of the team.
    pub reporter: Option<SubjectId>,
    pub watcher: Option<UserId>,
    /// Occurred then or later.
    pub from: Option<Timestamp>,
    /// Occurred before.
    pub to: Option<Timestamp>,
    /// Still open, and due before.
    pub overdue: Option<Timestamp>,
    /// Lower-case words, all of which are in the number, title or body.
    pub words: Vec<String>,
    /// Or the number is this one.
    pub number: Option<String>,
    pub merged: Merged,
}

/// What to do about records that were merged into others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merged {
    #[default]
    Without,
    With,
    Into(RecordId),
}

/// What a list is ordered by; then by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub by: Key,
    pub ascending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    #[default]
    Created,
    Updated,
    Occurred,
    /// What is never due comes after all that is.
    Due,
    Severity,
}

impl Key {
    const fn expression(self) -> &'static str {
        match self {
            Self::Created => "r.created_at",
            Self::Updated => "r.updated_at",
            Self::Occurred => "r.occurred_at",
            Self::Due => "COALESCE(r.due_at, 9000000000000000)",
            Self::Severity => "COALESCE(r.severity, 0)",
        }
    }

    /// What a record is ordered by.
    pub fn of(self, row: &Named) -> i64 {
        let record = &row.record;
        match self {
            Self::Created => record.created_at.as_micros(),
            Self::Updated => record.updated_at.as_micros(),
            Self::Occurred => record.occurred_at.as_micros(),
            Self::Due => record.due_at.map_or(9_000_000_000_000_000, Timestamp::as_micros),
            Self::Severity => record.severity.map_or(0, Severity::code),
        }
    }
}

pub(crate) fn values<T: Bind + Copy>(list: &[T]) -> Vec<crate::Value> {
    list.iter().map(|value| value.value()).collect()
}

impl Filter {
    pub(crate) fn apply(&self, select: &mut Select) {
        for (column, values) in [
            ("r.site_id", values(&self.sites)),
            ("r.facility_id", values(&self.facilities)),
            ("r.category_id", values(&self.categories)),
            ("r.severity", values(&self.severities)),
            ("r.status", values(&self.statuses)),
        ] {
            if !values.is_empty() {
                select.push_in(&format!("AND {column} IN"), values);
            }
        }
        match self.assignee {
            Some(Assignee::Is(user)) => select.push("AND r.assignee_id = ?", args![user]),
            Some(Assignee::Nobody) => select.push("AND r.assignee_id IS NULL", Vec::new()),
            None => select,
        };
        if let Some(id) = self.reporter {
            select.push("AND (r.reporter_contact_id = ? OR r.reporter_user_id = ?)", args![id, id]);
        }
        select.push_some(
            "AND EXISTS (SELECT 1 FROM record_watchers w WHERE w.organisation_id = r.organisation_id
                 AND w.record_id = r.id AND w.user_id = ?)",
            self.watcher.map(Bind::value),
        );
        select.push_some("AND r.occurred_at >= ?", self.from.map(Bind::value));
        select.push_some("AND r.occurred_at < ?", self.to.map(Bind::value));
        select.push_some("AND r.status IN (1, 2, 3, 6) AND r.due_at < ?", self.overdue.map(Bind::value));
        if !self.words.is_empty() {
            let all = vec![r"r.search LIKE ? ESCAPE '\'"; self.words.len()].join(" AND ");
            let or = if self.number.is_some() { "r.number = ? OR " } else { "" };
            let words = self.words.iter().map(|word| contains(word).value());
            let values = self.number.iter().map(Bind::value).chain(words);
            select.push(&format!("AND ({or}{all})"), values.collect());
        }
        match self.merged {
            Merged::Without => select.push("AND r.merged_into IS NULL", Vec::new()),
            Merged::With => select,
            Merged::Into(id) => select.push("AND r.merged_into = ?", args![id]),
        };
    }
}

/// The window's place is what the list is ordered by, then the id.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    kind: RecordKind,
    filter: &Filter,
    order: Order,
    window: Window<(i64, RecordId)>,
) -> Result<Vec<Named>> {
    let key = order.by.expression();
    let (direction, beyond) = if order.ascending { ("ASC", ">") } else { ("DESC", "<") };
    // Ids grow with time, and have an index.
    let by_id = order.by == Key::Created;
    let sorted = if by_id {
        format!("ORDER BY r.id {direction}")
    } else {
        format!("ORDER BY {key} {direction}, r.id {direction}")
    };
    // First the places, then the names of this page's rows alone.
    let mut select = Select::new(
        &format!(
            "SELECT {COLUMNS}, {NAMES} FROM (SELECT r.organisation_id AS org, r.id AS id FROM records r
             WHERE r.organisation_id = ? AND r.kind = ?"
        ),
        args![organisation, kind],
    );
    filter.apply(&mut select);
    match window.after {
        Some((_, id)) if by_id => select.push(&format!("AND r.id {beyond} ?"), args![id]),
        Some((at, id)) => select.push(&format!("AND ({key}, r.id) {beyond} (?, ?)"), args![at, id]),
        None => &mut select,
    };
    select.push(&format!("{sorted} LIMIT ? OFFSET ?) k"), args![window.limit, window.offset]);
    select.push(
        &format!("JOIN records r ON r.organisation_id = k.org AND r.id = k.id {JOINS} {sorted}"),
        Vec::new(),
    );
    select.fetch(db).await?.into_iter().map(named).collect()
}

pub async fn count(
    db: &mut impl Db,
    organisation: OrganisationId,
    kind: RecordKind,
    filter: &Filter,
) -> Result<i64> {
    let mut select = Select::new(
        "SELECT COUNT(*) FROM records r WHERE r.organisation_id = ? AND r.kind = ?",
        args![organisation, kind],
    );
    filter.apply(&mut select);
    select.count(db).await
}
