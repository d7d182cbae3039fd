//! Categories out of a table.

use kabar_domain::CategoryId;
use kabar_store::{categories, vocabularies};
use uuid::Uuid;

use super::super::{Category, CategoryFields, event, whole};
use super::sites::text;
use super::{Import, ImportReport, opened};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::patch::Patch;

/// `code` is the key of a default category.
const COLUMNS: &[&str] = &["name", "code", "name_en", "name_id", "name_ar", "aliases"];

impl Engine {
    /// Makes and changes categories by the rows of a CSV file. Rows that cannot be used are reported and the others
    /// done; a dry run changes nothing.
    pub async fn import_categories(
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
        let filter = categories::Filter::active();
        let there = categories::list(&mut tx, organisation, &filter, whole()).await?;
        let mut import = Import::new(there, &table, dry_run, now);
        for line in &table.lines {
            let mut invalid = Invalid::default();
            let at = import.target(&mut invalid, Uuid::nil(), line);
            if at.is_none() && line.get("code").is_some() {
                invalid.add("code", "The code field must be the key of a category that is there.");
            }
            let mut category = match at {
                Some(at) => import.book.rows[at].clone(),
                None => Category::new(CategoryId::new(&self.clock), now),
            };
            if at.is_none() {
                invalid.require("name", line.get("name").is_some());
            }
            let mut names = category.names.clone();
            for (column, name) in
                [("name_en", &mut names.en), ("name_id", &mut names.id), ("name_ar", &mut names.ar)]
            {
                if let Some(given) = line.get(column) {
                    *name = Some(given.to_owned());
                }
            }
            let fields = CategoryFields {
                name: text(line, "name"),
                names: Patch::Set(Some(names)),
                aliases: line.list("aliases").map_or(Patch::Keep, |names| Patch::Set(Some(names))),
                archived: None,
            };
            fields.apply(&mut invalid, &mut category);
            import.settle(line, at, category, invalid, |category, now| category.updated_at = now);
        }
        let (created, updated, report) = import.finish();
        if dry_run {
            return Ok(report);
        }
        categories::insert(&mut tx, organisation, &created).await?;
        categories::update(&mut tx, organisation, &updated).await?;
        let events = |kind, rows: &[Category]| {
            rows.iter().map(|category| event(kind, category.id.uuid())).collect::<Vec<_>>()
        };
        tx.record(organisation, now, events("category.created", &created));
        tx.record(organisation, now, events("category.updated", &updated));
        tx.commit().await?;
        Ok(report)
    }
}
