//! What sites, facilities and categories have in common: names that people and corrections gave.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Category, Facility, Site};

/// Something with names.
pub(super) trait Named: Clone + PartialEq {
    fn id(&self) -> Uuid;
    fn name(&self) -> &str;
    fn code(&self) -> Option<&str>;
    /// Where its name has to be its own; everywhere, or at one site.
    fn scope(&self) -> Uuid {
        Uuid::nil()
    }
    /// Names that people gave, besides `name` and `code`.
    fn other_names(&self) -> Vec<&str>;
    fn learned(&mut self) -> &mut Vec<String>;
}

impl Named for Site {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
    fn other_names(&self) -> Vec<&str> {
        self.aliases.iter().map(String::as_str).collect()
    }
    fn learned(&mut self) -> &mut Vec<String> {
        &mut self.learned
    }
}

impl Named for Facility {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
    fn scope(&self) -> Uuid {
        self.site_id.uuid()
    }
    fn other_names(&self) -> Vec<&str> {
        self.aliases.iter().map(String::as_str).collect()
    }
    fn learned(&mut self) -> &mut Vec<String> {
        &mut self.learned
    }
}

impl Named for Category {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn code(&self) -> Option<&str> {
        self.key.as_deref()
    }
    fn other_names(&self) -> Vec<&str> {
        self.names.iter().chain(self.aliases.iter().map(String::as_str)).collect()
    }
    fn learned(&mut self) -> &mut Vec<String> {
        &mut self.learned
    }
}

/// How a name was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Found(usize),
    Unknown,
    /// Several have this name.
    Ambiguous,
}

/// Rows that are in use, found by code or name whatever their case.
#[derive(Debug)]
pub(super) struct Book<T> {
    pub rows: Vec<T>,
    codes: HashMap<String, usize>,
    names: HashMap<(Uuid, String), Vec<usize>>,
    ids: HashMap<Uuid, usize>,
}

impl<T: Named> Book<T> {
    pub fn new(rows: Vec<T>) -> Self {
        let mut book =
            Self { rows: Vec::new(), codes: HashMap::new(), names: HashMap::new(), ids: HashMap::new() };
        for row in rows {
            book.add(row);
        }
        book
    }

    pub fn add(&mut self, row: T) -> usize {
        let at = self.rows.len();
        self.ids.insert(row.id(), at);
        self.rows.push(row);
        self.enter(at);
        at
    }

    pub fn replace(&mut self, at: usize, row: T) {
        let before = &self.rows[at];
        if let Some(code) = before.code() {
            self.codes.remove(&code.to_lowercase());
        }
        if let Some(same) = self.names.get_mut(&(before.scope(), before.name().to_lowercase())) {
            same.retain(|other| *other != at);
        }
        self.rows[at] = row;
        self.enter(at);
    }

    fn enter(&mut self, at: usize) {
        let row = &self.rows[at];
        if let Some(code) = row.code() {
            self.codes.insert(code.to_lowercase(), at);
        }
        self.names.entry((row.scope(), row.name().to_lowercase())).or_default().push(at);
    }

    pub fn by_id(&self, id: Uuid) -> Option<usize> {
        self.ids.get(&id).copied()
    }

    pub fn by_code(&self, code: &str) -> Option<usize> {
        self.codes.get(&code.to_lowercase()).copied()
    }

    pub fn by_name(&self, scope: Uuid, name: &str) -> Lookup {
        match self.names.get(&(scope, name.to_lowercase())).map(Vec::as_slice) {
            None | Some([]) => Lookup::Unknown,
            Some([one]) => Lookup::Found(*one),
            Some(_) => Lookup::Ambiguous,
        }
    }

    /// By code, id or name, in that order.
    pub fn named(&self, scope: Uuid, text: &str) -> Lookup {
        if let Some(at) = self.by_code(text) {
            return Lookup::Found(at);
        }
        let id = text.parse::<kabar_domain::SubjectId>().ok();
        match id.and_then(|id| self.by_id(id.uuid())) {
            Some(at) => Lookup::Found(at),
            None => self.by_name(scope, text),
        }
    }
}
