//! Categories: what problems and things are about.

use kabar_domain::{Ability, CategoryId, Clock, OrganisationId};
use kabar_store::{Tx, categories, vocabularies};
use kabar_understanding::default_categories;

use super::{Category, NAME, Names, PlaceQuery, aliases, changed, event};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

/// A category to make, or what changes in one; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct CategoryFields {
    pub name: Patch<String>,
    pub names: Patch<Names>,
    pub aliases: Patch<Vec<String>>,
    pub archived: Option<bool>,
}

const fn not_found() -> Error {
    Error::NotFound("Category")
}

impl CategoryFields {
    /// Puts what was given into a category, except whether it is in use.
    pub(super) fn apply(self, invalid: &mut Invalid, category: &mut Category) {
        if let Patch::Set(name) = self.name {
            category.name = rules::required(invalid, "name", name, NAME);
        }
        if let Patch::Set(names) = self.names {
            let names = names.unwrap_or_default();
            category.names = Names {
                en: rules::optional(invalid, "names.en", names.en, NAME),
                id: rules::optional(invalid, "names.id", names.id, NAME),
                ar: rules::optional(invalid, "names.ar", names.ar, NAME),
            };
        }
        if let Patch::Set(given) = self.aliases {
            category.aliases = aliases(invalid, given.unwrap_or_default());
        }
    }
}

/// Gives an organisation that has no vocabulary yet the default categories.
pub(crate) async fn seed(tx: &mut Tx, clock: &Clock, organisation: OrganisationId) -> Result<()> {
    if !vocabularies::begin(tx, organisation).await? {
        return Ok(());
    }
    let rows: Vec<_> = default_categories()
        .iter()
        .map(|default| {
            let mut category = Category::new(CategoryId::new(clock), clock.now());
            category.key = Some(default.key.to_owned());
            default.english.clone_into(&mut category.name);
            category.names = Names {
                en: Some(default.english.to_owned()),
                id: Some(default.indonesian.to_owned()),
                ar: Some(default.arabic.to_owned()),
            };
            category
        })
        .collect();
    Ok(categories::insert(tx, organisation, &rows).await?)
}

impl Engine {
    /// Gives the default categories to organisations that an earlier version, or a command, made.
    pub(crate) async fn seed_categories(&self) -> Result<()> {
        let missing = vocabularies::missing(&mut self.store.reader().await?).await?;
        for organisation in missing {
            let mut tx = self.store.begin().await?;
            seed(&mut tx, &self.clock, organisation).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// In the order they were made, the default ones first.
    pub async fn list_categories(
        &self,
        principal: &Principal,
        query: PlaceQuery,
        page: &PageRequest,
    ) -> Result<Page<Category>> {
        principal.require(Ability::Read)?;
        let mut invalid = Invalid::default();
        let (archived, search) = query.checked(&mut invalid);
        invalid.check()?;
        let filter = categories::Filter { archived, search };
        let window = page.window(CategoryId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = categories::count(&mut db, principal.organisation_id, &filter).await?;
        let rows = categories::list(&mut db, principal.organisation_id, &filter, window).await?;
        Ok(page.page_of(rows, total, |category| category.id.uuid().into()))
    }

    pub async fn get_category(&self, principal: &Principal, id: CategoryId) -> Result<Category> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        categories::find(&mut db, principal.organisation_id, id).await?.ok_or_else(not_found)
    }

    pub async fn create_category(&self, principal: &Principal, fields: CategoryFields) -> Result<Category> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        let mut category = Category::new(CategoryId::new(&self.clock), now);
        invalid.require("name", !fields.name.is_keep());
        fields.apply(&mut invalid, &mut category);
        invalid.check()?;
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        categories::insert(&mut tx, organisation, std::slice::from_ref(&category)).await?;
        tx.record(organisation, now, [event("category.created", category.id.uuid())]);
        tx.commit().await?;
        Ok(category)
    }

    pub async fn update_category(
        &self,
        principal: &Principal,
        id: CategoryId,
        fields: CategoryFields,
    ) -> Result<Category> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        vocabularies::bump(&mut tx, organisation).await?;
        let mut category = categories::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let mut invalid = Invalid::default();
        let before = category.archived_at;
        if let Some(archive) = fields.archived {
            category.archived_at = archive.then(|| before.unwrap_or(now));
        }
        fields.apply(&mut invalid, &mut category);
        invalid.check()?;
        category.updated_at = now;
        categories::update(&mut tx, organisation, std::slice::from_ref(&category)).await?;
        let kinds = ["category.updated", "category.archived", "category.restored"];
        let event = changed(kinds, id.uuid(), before.is_some(), category.archived_at.is_some());
        tx.record(organisation, now, [event]);
        tx.commit().await?;
        Ok(category)
    }
}
