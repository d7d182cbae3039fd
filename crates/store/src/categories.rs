//! Categories: what problems and things are about.

use kabar_domain::{CategoryId, OrganisationId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::contacts::search_text;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};
use crate::{Rows, args, of};

/// A category's name in each language, as far as it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub en: Option<String>,
    pub id: Option<String>,
    pub ar: Option<String>,
}

impl Names {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        [&self.en, &self.id, &self.ar].into_iter().flatten().map(String::as_str)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    pub id: CategoryId,
    /// The default category that it is or was.
    pub key: Option<String>,
    pub name: String,
    pub names: Names,
    /// Other names that people gave.
    pub aliases: Vec<String>,
    /// Other names that corrections taught, the latest last.
    pub learned: Vec<String>,
    pub archived_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Category {
    /// Without a name yet.
    pub fn new(id: CategoryId, now: Timestamp) -> Self {
        Self {
            id,
            key: None,
            name: String::new(),
            names: Names::default(),
            aliases: Vec::new(),
            learned: Vec::new(),
            archived_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

const SELECT: &str = "SELECT id, key, name, names, aliases, learned, archived_at, created_at, updated_at
    FROM categories WHERE organisation_id = ?";

fn category(mut row: Row) -> Result<Category> {
    Ok(Category {
        id: row.get(0)?,
        key: row.get(1)?,
        name: row.get(2)?,
        names: row.json(3)?.unwrap_or_default(),
        aliases: row.json(4)?.unwrap_or_default(),
        learned: row.json(5)?.unwrap_or_default(),
        archived_at: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

fn rows(organisation: OrganisationId, categories: &[Category]) -> Rows {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<CategoryId>()),
        ("key", of::<String>()),
        ("name", of::<String>()),
        ("names", of::<String>()),
        ("aliases", of::<String>()),
        ("learned", of::<String>()),
        ("search", of::<String>()),
        ("archived_at", of::<Timestamp>()),
        ("created_at", of::<Timestamp>()),
        ("updated_at", of::<Timestamp>()),
    ]);
    for category in categories {
        let names = std::iter::once(category.name.as_str()).chain(category.names.iter());
        let search = search_text(names.chain(category.aliases.iter().map(String::as_str)).map(Some));
        rows.push([
            organisation.value(),
            category.id.value(),
            category.key.as_ref().value(),
            category.name.as_str().value(),
            (&json!(category.names)).value(),
            (&json!(category.aliases)).value(),
            (&json!(category.learned)).value(),
            search.value(),
            category.archived_at.value(),
            category.created_at.value(),
            category.updated_at.value(),
        ]);
    }
    rows
}

pub async fn insert(tx: &mut Tx, organisation: OrganisationId, categories: &[Category]) -> Result<()> {
    tx.bulk_insert("categories", rows(organisation, categories), "").await?;
    Ok(())
}

/// Writes everything but the key and the time of creation.
pub async fn update(tx: &mut Tx, organisation: OrganisationId, categories: &[Category]) -> Result<()> {
    tx.bulk_execute(
        "UPDATE categories SET name = u.name, names = u.names, aliases = u.aliases, learned = u.learned,
             search = u.search, archived_at = u.archived_at, updated_at = u.updated_at
         FROM {rows} WHERE categories.organisation_id = u.organisation_id AND categories.id = u.id",
        rows(organisation, categories),
    )
    .await?;
    Ok(())
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: CategoryId,
) -> Result<Option<Category>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]);
    select.fetch_optional(db).await?.map(category).transpose()
}

/// Which categories to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In or out of use; both without it.
    pub archived: Option<bool>,
    /// In lower case: looked for anywhere in the names and aliases.
    pub search: Option<String>,
}

impl Filter {
    /// What is in use.
    pub const fn active() -> Self {
        Self { archived: Some(false), search: None }
    }

    fn apply(&self, select: &mut Select) {
        select.push_listed(self.archived, self.search.as_deref());
    }
}

/// In the order they were made.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: &Filter,
    window: Window<CategoryId>,
) -> Result<Vec<Category>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND id > ?", window.after.map(Bind::value));
    select.push("ORDER BY id LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    select.fetch(db).await?.into_iter().map(category).collect()
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: &Filter) -> Result<i64> {
    let mut select =
        Select::new("SELECT COUNT(*) FROM categories WHERE organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}
