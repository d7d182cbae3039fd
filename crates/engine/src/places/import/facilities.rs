//! Facilities out of a table.

use std::mem;

use kabar_domain::FacilityId;
use kabar_store::{categories, facilities, sites, vocabularies};
use uuid::Uuid;

use super::super::named::{Book, Lookup, Named};
use super::super::{Category, Facility, FacilityFields, Site, event, whole};
use super::sites::text;
use super::{Import, ImportReport, Line, opened};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::patch::Patch;

const COLUMNS: &[&str] = &["site", "name", "code", "aliases", "category", "parent"];

/// Adds why a name in a column means nothing.
fn unknown(invalid: &mut Invalid, column: &str, text: &str, lookup: Lookup) {
    let why = match lookup {
        Lookup::Ambiguous => "is the name of several; say which by its code",
        _ => "is not there",
    };
    invalid.add(column, format!("`{text}` {why}."));
}

fn look_up<T: Named>(
    invalid: &mut Invalid,
    book: &Book<T>,
    scope: Uuid,
    line: &Line,
    column: &str,
) -> Option<usize> {
    let text = line.get(column)?;
    match book.named(scope, text) {
        Lookup::Found(at) => Some(at),
        lookup => {
            unknown(invalid, column, text, lookup);
            None
        }
    }
}

struct Places {
    sites: Book<Site>,
    categories: Book<Category>,
}

/// Whether `parent` is `facility`, or in it.
fn is_inside(book: &Book<Facility>, facility: FacilityId, parent: FacilityId) -> bool {
    let mut above = Some(parent);
    for _ in 0..=book.rows.len() {
        let Some(id) = above else { return false };
        if id == facility {
            return true;
        }
        above = book.by_id(id.uuid()).and_then(|at| book.rows[at].parent_id);
    }
    true
}

impl Import<Facility> {
    /// Does one line; false when it waits for a parent that a later line may make.
    fn line(&mut self, line: &Line, places: &Places, id: FacilityId, is_last: bool) -> bool {
        let mut invalid = Invalid::default();
        let site = look_up(&mut invalid, &places.sites, Uuid::nil(), line, "site");
        let site = site.map(|at| places.sites.rows[at].id);
        let at = self.target(&mut invalid, site.map(kabar_domain::SiteId::uuid).unwrap_or_default(), line);
        let known = at.map(|at| self.book.rows[at].clone());
        let Some(site) = site.or(known.as_ref().map(|facility| facility.site_id)) else {
            invalid.require("site", line.get("site").is_some());
            let nowhere = kabar_domain::SiteId::from_uuid(Uuid::nil());
            self.settle(line, None, Facility::new(id, nowhere, self.now), invalid, |_, _| {});
            return true;
        };
        if known.is_none() {
            invalid.require("name", line.get("name").is_some());
        }
        let mut facility = known.unwrap_or_else(|| Facility::new(id, site, self.now));
        if facility.site_id != site {
            if self.book.rows.iter().any(|row| row.parent_id == Some(facility.id)) {
                invalid.add("site", "Facilities with others in them cannot be moved to another site.");
            }
            facility.site_id = site;
            facility.parent_id = None;
        }
        if let Some(parent) = line.get("parent") {
            match self.book.named(site.uuid(), parent) {
                Lookup::Unknown if !is_last => return false,
                Lookup::Found(at) if self.book.rows[at].site_id == site => {
                    let parent = self.book.rows[at].id;
                    if is_inside(&self.book, facility.id, parent) {
                        invalid.add("parent", "A facility cannot be in itself, or in one that is in it.");
                    }
                    facility.parent_id = Some(parent);
                }
                lookup => unknown(&mut invalid, "parent", parent, lookup),
            }
        }
        if let Some(category) = line.get("category") {
            let named = places.categories.rows.iter().find(|row| {
                row.other_names().iter().any(|name| name.to_lowercase() == category.to_lowercase())
            });
            facility.category_id = match places.categories.named(Uuid::nil(), category) {
                Lookup::Found(at) => Some(places.categories.rows[at].id),
                _ if named.is_some() => named.map(|row| row.id),
                lookup => {
                    unknown(&mut invalid, "category", category, lookup);
                    None
                }
            };
        }
        let fields = FacilityFields {
            name: text(line, "name"),
            code: text(line, "code"),
            aliases: line.list("aliases").map_or(Patch::Keep, |names| Patch::Set(Some(names))),
            ..FacilityFields::default()
        };
        fields.apply(&mut invalid, &mut facility);
        self.settle(line, at, facility, invalid, |facility, now| facility.updated_at = now);
        true
    }
}

impl Engine {
    /// Makes and changes facilities by the rows of a CSV file. Rows that cannot be used are reported and the others
    /// done; a dry run changes nothing.
    pub async fn import_facilities(
        &self,
        principal: &Principal,
        file: &[u8],
        dry_run: bool,
    ) -> Result<ImportReport> {
        let mut table = opened(principal, file, COLUMNS, &["name"])?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        let places = Places {
            sites: Book::new(sites::list(&mut tx, organisation, &sites::Filter::active(), whole()).await?),
            categories: Book::new(
                categories::list(&mut tx, organisation, &categories::Filter::active(), whole()).await?,
            ),
        };
        let filter = facilities::Filter::active(None);
        let there = facilities::list(&mut tx, organisation, &filter, whole()).await?;
        let mut import = Import::new(there, &table, dry_run, now);
        let mut waiting = mem::take(&mut table.lines);
        let mut is_last = false;
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|line| !import.line(line, &places, FacilityId::new(&self.clock), is_last));
            is_last = waiting.len() == before;
        }
        let (created, updated, report) = import.finish();
        if dry_run {
            return Ok(report);
        }
        facilities::insert(&mut tx, organisation, &created).await?;
        facilities::update(&mut tx, organisation, &updated).await?;
        let events = |kind, rows: &[Facility]| {
            rows.iter().map(|facility| event(kind, facility.id.uuid())).collect::<Vec<_>>()
        };
        tx.record(organisation, now, events("facility.created", &created));
        tx.record(organisation, now, events("facility.updated", &updated));
        tx.commit().await?;
        Ok(report)
    }
}
