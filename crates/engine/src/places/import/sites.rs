//! Sites out of a table.

use kabar_domain::{SiteId, UserId};
use kabar_store::users::{self, Member};
use kabar_store::{sites, vocabularies};
use uuid::Uuid;

use super::super::{Site, SiteFields, event, whole};
use super::{Import, ImportReport, Line, opened};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::patch::Patch;

const COLUMNS: &[&str] = &[
    "name",
    "code",
    "aliases",
    "timezone",
    "operating_hours",
    "address",
    "latitude",
    "longitude",
    "supervisors",
];

/// A cell that is there, as a field that is given.
pub(super) fn text(line: &Line, column: &str) -> Patch<String> {
    line.get(column).map_or(Patch::Keep, |text| Patch::Set(Some(text.to_owned())))
}

fn number(invalid: &mut Invalid, line: &Line, column: &str) -> Patch<f64> {
    let Some(text) = line.get(column) else { return Patch::Keep };
    // Spreadsheets of many countries write a decimal comma.
    let Ok(number) = text.replace(',', ".").parse() else {
        invalid.add(column, format!("The {column} field must be a number."));
        return Patch::Keep;
    };
    Patch::Set(Some(number))
}

fn fields(invalid: &mut Invalid, line: &Line) -> SiteFields {
    let operating_hours = match line.get("operating_hours").map(serde_json::from_str) {
        None => Patch::Keep,
        Some(Ok(hours)) => Patch::Set(Some(hours)),
        Some(Err(_)) => {
            invalid.add("operating_hours", "The operating hours field must be JSON.");
            Patch::Keep
        }
    };
    SiteFields {
        name: text(line, "name"),
        code: text(line, "code"),
        aliases: line.list("aliases").map_or(Patch::Keep, |names| Patch::Set(Some(names))),
        timezone: text(line, "timezone"),
        operating_hours,
        address: text(line, "address"),
        latitude: number(invalid, line, "latitude"),
        longitude: number(invalid, line, "longitude"),
        ..SiteFields::default()
    }
}

/// Supervisors by e-mail or id.
fn supervisors(invalid: &mut Invalid, line: &Line, members: &[Member]) -> Option<Vec<UserId>> {
    let mut ids = Vec::new();
    for named in line.list("supervisors")? {
        let email = named.to_lowercase();
        let id = named.parse().ok();
        match members.iter().find(|member| member.email == email || Some(member.id) == id) {
            Some(member) if ids.contains(&member.id) => {}
            Some(member) => ids.push(member.id),
            None => invalid.add("supervisors", format!("`{named}` is nobody of this organisation.")),
        }
    }
    Some(ids)
}

impl Engine {
    /// Makes and changes sites by the rows of a CSV file. Rows that cannot be used are reported and the others done;
    /// a dry run changes nothing.
    pub async fn import_sites(
        &self,
        principal: &Principal,
        file: &[u8],
        dry_run: bool,
    ) -> Result<ImportReport> {
        let table = opened(principal, file, COLUMNS, &["name"])?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        let members = users::members(&mut tx, organisation).await?;
        let there = sites::list(&mut tx, organisation, &sites::Filter::active(), whole()).await?;
        let mut import = Import::new(there, &table, dry_run, now);
        for line in &table.lines {
            let mut invalid = Invalid::default();
            let at = import.target(&mut invalid, Uuid::nil(), line);
            let mut site = match at {
                Some(at) => import.book.rows[at].clone(),
                None => Site::new(SiteId::new(&self.clock), now),
            };
            fields(&mut invalid, line).apply(&mut invalid, &mut site);
            if at.is_none() {
                invalid.require("name", line.get("name").is_some());
            }
            if let Some(ids) = supervisors(&mut invalid, line, &members) {
                site.supervisor_ids = ids;
            }
            import.settle(line, at, site, invalid, |site, now| site.updated_at = now);
        }
        let (created, updated, report) = import.finish();
        if dry_run {
            return Ok(report);
        }
        sites::insert(&mut tx, organisation, &created).await?;
        sites::update(&mut tx, organisation, &updated).await?;
        tx.record(organisation, now, created.iter().map(|site| event("site.created", site.id.uuid())));
        tx.record(organisation, now, updated.iter().map(|site| event("site.updated", site.id.uuid())));
        tx.commit().await?;
        Ok(report)
    }
}
