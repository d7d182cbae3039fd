//! Organisations: the tenants, as their members see and change them.

pub(crate) mod validate;

use kabar_domain::{Ability, AccountId, OrganisationId, Role};
use kabar_store::events::NewEvent;
use kabar_store::organisations::{self, Listing};
use kabar_store::{users, vocabularies};
use serde_json::{Value, json};

pub use kabar_store::organisations::Organisation;

use crate::Engine;
use crate::auth::Principal;
use crate::error::{Error, Invalid, Result};
use crate::message_templates;
use crate::operations::OperationsSettings;
use crate::page::{Page, PageRequest};
use crate::patch::Patch;

/// What a client sends to create one; absent and null are the same.
#[derive(Clone, Debug, Default)]
pub struct CreateOrganisation {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub timezone: Option<String>,
    pub operating_hours: Option<Value>,
    pub settings: Option<Value>,
    pub default_messaging_account_id: Option<AccountId>,
}

/// What a client sends to change one; what is not sent stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateOrganisation {
    pub name: Patch<String>,
    pub slug: Patch<String>,
    pub timezone: Patch<String>,
    pub operating_hours: Patch<Value>,
    pub settings: Patch<Value>,
    pub default_messaging_account_id: Patch<AccountId>,
}

fn taken(error: kabar_store::Error) -> Error {
    if error.is_conflict_on("organisations_slug_key", "organisations.slug") {
        Invalid::one("slug", "The slug has already been taken.")
    } else {
        error.into()
    }
}

fn no_account() -> Error {
    Invalid::one("default_messaging_account_id", "The selected default messaging account id is invalid.")
}

fn event(kind: &'static str, organisation: &Organisation) -> NewEvent {
    let data = json!({ "slug": organisation.slug, "name": organisation.name });
    NewEvent { kind, subject_id: Some(organisation.id.uuid()), data: Some(data.to_string()) }
}

impl Engine {
    /// The caller's organisations, in the order they were created.
    pub async fn list_organisations(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<Organisation>> {
        principal.require(Ability::Read)?;
        let after = page.after()?.map(|place| OrganisationId::from_uuid(place.id));
        let only = principal.only();
        let mut reader = self.store.reader().await?;
        let items = organisations::list(
            &mut reader,
            Listing { member: principal.user_id, only, after, offset: page.offset(), limit: page.fetch() },
        )
        .await?;
        let total = organisations::count(&mut reader, principal.user_id, only).await?;
        Ok(page.page_of(items, total, |organisation| organisation.id.uuid().into()))
    }

    /// Any organisation the caller belongs to, not only the one the request runs in.
    pub async fn get_organisation(&self, principal: &Principal, id: OrganisationId) -> Result<Organisation> {
        require_token(principal, Ability::Read)?;
        let mut reader = self.store.reader().await?;
        let found = organisations::of_member(&mut reader, id, principal.user_id).await?;
        let (organisation, _) = visible(principal, found)?;
        Ok(organisation)
    }

    /// The caller becomes its owner.
    pub async fn create_organisation(
        &self,
        principal: &Principal,
        new: CreateOrganisation,
    ) -> Result<Organisation> {
        principal.require(Ability::Admin)?;
        let mut invalid = Invalid::default();
        let name = validate::name(&mut invalid, new.name);
        let slug = validate::slug(&mut invalid, new.slug);
        let timezone = validate::timezone(&mut invalid, new.timezone);
        validate::operating_hours(&mut invalid, new.operating_hours.as_ref());
        let settings = new.settings.unwrap_or_else(|| json!({}));
        let settings = validate::settings(&mut invalid, settings);
        OperationsSettings::check(&mut invalid, &settings);
        message_templates::check(&mut invalid, &settings);
        invalid.check()?;
        if new.default_messaging_account_id.is_some() {
            // Accounts are registered in an organisation that exists.
            return Err(no_account());
        }
        let now = self.clock.now();
        let id = OrganisationId::new(&self.clock);
        let mut settings = settings;
        self.seal_ai_key(id, &mut settings, None)?;
        let organisation = Organisation {
            id,
            slug,
            name,
            timezone,
            operating_hours: new.operating_hours,
            settings,
            default_account_id: None,
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.store.begin().await?;
        organisations::insert(&mut tx, &organisation).await.map_err(taken)?;
        crate::places::seed(&mut tx, &self.clock, organisation.id).await?;
        self.begin_trials(&mut tx, now).await?;
        users::set_membership(&mut tx, organisation.id, principal.user_id, Role::Owner, now).await?;
        tx.record(organisation.id, now, vec![event("organisation.created", &organisation)]);
        tx.commit().await?;
        Ok(organisation)
    }

    pub async fn update_organisation(
        &self,
        principal: &Principal,
        id: OrganisationId,
        change: UpdateOrganisation,
    ) -> Result<Organisation> {
        require_token(principal, Ability::Admin)?;
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, id).await?;
        let found = organisations::of_member(&mut tx, id, principal.user_id).await?;
        let (mut organisation, role) = visible(principal, found)?;
        if !role.abilities().allows(Ability::Admin) {
            return Err(Error::MissingAbility(Ability::Admin));
        }
        // It need not be the one that the request runs in.
        if let Some(why) = self.unpaid(&mut tx, id).await? {
            return Err(Error::PaymentRequired(why));
        }

        let mut invalid = Invalid::default();
        if let Patch::Set(name) = change.name {
            organisation.name = validate::name(&mut invalid, name);
        }
        if let Patch::Set(slug) = change.slug {
            organisation.slug = validate::slug(&mut invalid, slug);
        }
        if let Patch::Set(timezone) = change.timezone {
            organisation.timezone = validate::timezone(&mut invalid, timezone);
        }
        change.operating_hours.apply(&mut organisation.operating_hours);
        validate::operating_hours(&mut invalid, organisation.operating_hours.as_ref());
        if let Patch::Set(settings) = change.settings {
            let settings = settings.unwrap_or_else(|| json!({}));
            let before =
                std::mem::replace(&mut organisation.settings, validate::settings(&mut invalid, settings));
            OperationsSettings::check(&mut invalid, &organisation.settings);
            self.seal_ai_key(id, &mut organisation.settings, Some(&before))?;
            message_templates::check(&mut invalid, &organisation.settings);
            vocabularies::bump(&mut tx, id).await?;
        }
        invalid.check()?;

        let now = self.clock.now();
        organisation.updated_at = now;
        organisations::update(&mut tx, &organisation).await.map_err(taken)?;
        let account = match change.default_messaging_account_id {
            Patch::Keep => organisation.default_account_id,
            Patch::Set(account) => account,
        };
        if account != organisation.default_account_id {
            if !organisations::set_default_account(&mut tx, id, account, now).await? {
                return Err(no_account());
            }
            organisation.default_account_id = account;
        }
        tx.record(id, now, vec![event("organisation.updated", &organisation)]);
        tx.commit().await?;
        Ok(organisation)
    }
}

/// What the caller may know of: a token that is bound sees its own organisation only.
fn visible(principal: &Principal, found: Option<(Organisation, Role)>) -> Result<(Organisation, Role)> {
    found
        .filter(|(organisation, _)| principal.only().is_none_or(|only| only == organisation.id))
        .ok_or(Error::NotFound("Organisation"))
}

/// What the token itself must allow. The role that caps it is the one in the very organisation the operation is about,
/// not the one in the organisation the request runs in.
fn require_token(principal: &Principal, ability: Ability) -> Result<()> {
    if !principal.token_abilities.allows(ability) {
        return Err(Error::MissingAbility(ability));
    }
    if principal.reach.is_everything() { Ok(()) } else { Err(Error::OutOfReach) }
}
