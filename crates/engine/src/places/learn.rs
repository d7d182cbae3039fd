//! Names that corrections teach.

use kabar_domain::{CategoryId, FacilityId, OrganisationId, SiteId};
use kabar_store::{Tx, categories, facilities, sites, vocabularies};
use kabar_understanding::is_common;
use uuid::Uuid;

use super::named::Named;
use super::whole;
use crate::engine::Engine;
use crate::error::Result;

/// Characters and words of a name at most: longer ones are sentences.
const LONGEST: usize = 80;
const WORDS: usize = 8;
/// Names learned for one thing; the oldest makes room.
const MOST: usize = 50;

/// What a correction said was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    Site(SiteId),
    Facility(FacilityId),
    Category(CategoryId),
}

/// The name as it is kept; `None` for what cannot be one.
fn name(text: &str) -> Option<String> {
    let name = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = name.chars().count() <= LONGEST && name.split(' ').count() <= WORDS;
    (fits && !name.contains('\0') && name.chars().filter(|letter| letter.is_alphanumeric()).count() >= 2)
        .then_some(name)
}

/// Teaches one of `rows` a name, and gives back those that changed: none when it is one of its names already, or one
/// that people gave to another. What was learned for another before is unlearned.
fn teach<T: Named>(mut rows: Vec<T>, id: Uuid, name: &str) -> Vec<T> {
    let wanted = name.to_lowercase();
    let is_given = |row: &T| {
        let given = row.other_names().into_iter().chain([row.name()]).chain(row.code());
        given.into_iter().any(|given| given.to_lowercase() == wanted)
    };
    if rows.iter().any(is_given) || !rows.iter().any(|row| row.id() == id) {
        return Vec::new();
    }
    rows.retain_mut(|row| {
        let is_meant = row.id() == id;
        let learned = row.learned();
        let known = learned.iter().position(|other| other.to_lowercase() == wanted);
        match (is_meant, known) {
            (true, None) => {
                learned.push(name.to_owned());
                let surplus = learned.len().saturating_sub(MOST);
                learned.drain(..surplus);
                true
            }
            (false, Some(at)) => {
                learned.remove(at);
                true
            }
            _ => false,
        }
    });
    rows
}

impl Engine {
    /// Remembers, in the transaction of the correction, that `text` means this: the next message that says it is matched.
    pub async fn learn_alias(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        meant: Meant,
        text: &str,
    ) -> Result<bool> {
        // A noun alone would be every tower, and a floor that of every tower.
        let Some(name) = name(text).filter(|name| !is_common(name)) else { return Ok(false) };
        vocabularies::bump(tx, organisation).await?;
        let changed = match meant {
            Meant::Site(id) => {
                let rows = sites::list(tx, organisation, &sites::Filter::active(), whole()).await?;
                let rows = teach(rows, id.uuid(), &name);
                sites::update(tx, organisation, &rows).await?;
                rows.len()
            }
            Meant::Facility(id) => {
                let filter = facilities::Filter::active(None);
                let rows = facilities::list(tx, organisation, &filter, whole()).await?;
                let rows = teach(rows, id.uuid(), &name);
                facilities::update(tx, organisation, &rows).await?;
                rows.len()
            }
            Meant::Category(id) => {
                let filter = categories::Filter::active();
                let rows = categories::list(tx, organisation, &filter, whole()).await?;
                let rows = teach(rows, id.uuid(), &name);
                categories::update(tx, organisation, &rows).await?;
                rows.len()
            }
        };
        Ok(changed > 0)
    }
}

#[cfg(test)]
mod tests {
    use kabar_domain::{Clock, Timestamp};

    use super::*;
    use crate::places::Site;

    #[test]
    fn a_name_is_learned_once_and_moves_with_a_later_correction() {
        let clock = Clock::manual(Timestamp::from_unix(1_700_000_000));
        let site = |name: &str| {
            let mut site = Site::new(SiteId::new(&clock), clock.now());
            name.clone_into(&mut site.name);
            site
        };
        let mut rows = vec![site("Warehouse North"), site("Warehouse South")];
        let (north, south) = (rows[0].id.uuid(), rows[1].id.uuid());
        let apply = |rows: &mut Vec<Site>, id: Uuid, name: &str| {
            let changed = teach(rows.clone(), id, name);
            for site in &changed {
                if let Some(row) = rows.iter_mut().find(|row| row.id == site.id) {
                    row.clone_from(site);
                }
            }
            changed.len()
        };
        assert_eq!(apply(&mut rows, north, "gudang"), 1);
        assert_eq!(apply(&mut rows, north, "Gudang"), 0);
        assert_eq!(apply(&mut rows, south, "Gudang"), 2);
        assert_eq!((rows[0].learned.len(), rows[1].learned.as_slice()), (0, &["Gudang".to_owned()][..]));
        assert_eq!(apply(&mut rows, south, "warehouse north"), 0, "people gave it to another");
        for n in 0..60 {
            apply(&mut rows, north, &format!("name {n}"));
        }
        assert_eq!((rows[0].learned.len(), rows[0].learned[0].as_str()), (MOST, "name 10"));
    }

    #[test]
    fn sentences_and_marks_are_no_names() {
        for wrong in ["", "?", "a", " . ", "one two three four five six seven eight nine", &"x".repeat(81)] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert_eq!(name("  gd  A ").as_deref(), Some("gd A"));
    }
}
