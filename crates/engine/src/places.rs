//! Sites, facilities and categories: what an organisation's work is about.

mod categories;
mod facilities;
mod import;
mod learn;
mod links;
mod named;
mod qr;
mod sites;

use std::collections::HashSet;

use kabar_store::events::NewEvent;
use uuid::Uuid;

pub use categories::CategoryFields;
pub(crate) use categories::seed;
pub(crate) use facilities::whole;
pub use facilities::{FacilityFields, FacilityQuery};
pub use import::{ImportAction, ImportReport, ImportedRow};
pub use kabar_store::categories::{Category, Names};
pub use kabar_store::facilities::Facility;
pub use kabar_store::sites::Site;
pub use learn::Meant;
pub use links::{FacilityLink, FacilityLinks, LinkQuery, QrSheet, SheetEntry};
pub(crate) use links::{facility_of, spoken, started};
pub use qr::Qr;
pub use sites::SiteFields;

use crate::error::{Error, Invalid};
use crate::rules;

const NAME: usize = 255;
const CODE: usize = 64;
const ALIASES: usize = 50;
/// Metadata, in bytes of JSON.
const BAG: usize = 16 * 1024;

/// Which rows of a list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct PlaceQuery {
    /// Looked for anywhere in the names.
    pub q: Option<String>,
    /// `active`, which also counts without it, `archived` or `all`.
    pub status: Option<String>,
}

impl PlaceQuery {
    /// What the store calls `archived` and `search`.
    fn checked(self, invalid: &mut Invalid) -> (Option<bool>, Option<String>) {
        let archived = match self.status.as_deref() {
            None | Some("active") => Some(false),
            Some("archived") => Some(true),
            Some("all") => None,
            Some(_) => {
                rules::selected(invalid, "status");
                None
            }
        };
        (archived, self.q.map(|text| text.to_lowercase()))
    }
}

/// Other names of one thing: trimmed, each once whatever its case.
fn aliases(invalid: &mut Invalid, given: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for (index, alias) in given.into_iter().enumerate() {
        let alias = alias.trim();
        rules::text(invalid, &format!("aliases.{index}"), alias, NAME);
        if !alias.is_empty() && seen.insert(alias.to_lowercase()) {
            names.push(alias.to_owned());
        }
    }
    if names.len() > ALIASES {
        invalid.add("aliases", format!("The aliases field must not have more than {ALIASES} items."));
    }
    names
}

/// The event of a change, by what it did to a thing's use.
fn changed(kinds: [&'static str; 3], id: Uuid, was_archived: bool, is_archived: bool) -> NewEvent {
    let kind = match (was_archived, is_archived) {
        (false, true) => kinds[1],
        (true, false) => kinds[2],
        _ => kinds[0],
    };
    event(kind, id)
}

fn event(kind: &'static str, id: Uuid) -> NewEvent {
    NewEvent { kind, subject_id: Some(id), data: None }
}

/// A code that another one in use has is the client's mistake.
fn taken(error: kabar_store::Error, index: &str) -> Error {
    if error.is_conflict_on(index, index) {
        let mut invalid = Invalid::default();
        rules::taken(&mut invalid, "code");
        return Error::Invalid(invalid);
    }
    error.into()
}
