//! Contacts: the people who write to us.

use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::{Ability, ContactId};
use kabar_store::events::NewEvent;
use kabar_store::{Window, contacts};
use serde_json::Value as Json;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

pub use kabar_store::contacts::Contact;

/// `profile` and `custom_fields`, in bytes of JSON.
const BAG: usize = 4 * 1024;

/// A contact to create or change. What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ContactUpsert {
    /// The phone number it is known by on WhatsApp.
    pub wa_id: Option<String>,
    pub phone: Patch<String>,
    pub name: Patch<String>,
    pub email: Patch<String>,
    pub language: Patch<String>,
    pub profile: Patch<Json>,
    pub custom_fields: Patch<Json>,
}

const fn not_found() -> Error {
    Error::NotFound("Contact")
}

/// A field's new text, trimmed; empty clears it.
fn text(invalid: &mut Invalid, field: &str, patch: Patch<String>, max: usize) -> Patch<String> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Set(value) => Patch::Set(rules::optional(invalid, field, value, max)),
    }
}

fn bag(invalid: &mut Invalid, field: &str, patch: Patch<Json>) -> Patch<Json> {
    match patch {
        Patch::Set(Some(value)) => Patch::Set(Some(rules::object(invalid, field, value, BAG))),
        other => other,
    }
}

/// One `@` between two parts, the second with a dot inside, nothing that cannot be in an address.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && !local.contains('@')
        && host.split('.').count() >= 2
        && host.split('.').all(|part| !part.is_empty())
        && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

impl ContactUpsert {
    /// Checked, and the digits of its number.
    fn checked(self) -> Result<(Self, String)> {
        let mut invalid = Invalid::default();
        let given = rules::required(&mut invalid, "wa_id", self.wa_id, 64);
        let digits = rules::phone_digits(&given);
        if digits.is_none() && !given.is_empty() {
            invalid.add("wa_id", "The wa id field must be a phone number of 5 to 20 digits.");
        }
        let checked = Self {
            wa_id: None,
            phone: text(&mut invalid, "phone", self.phone, 40),
            name: text(&mut invalid, "name", self.name, 255),
            email: text(&mut invalid, "email", self.email, 255),
            language: text(&mut invalid, "language", self.language, 35),
            profile: bag(&mut invalid, "profile", self.profile),
            custom_fields: bag(&mut invalid, "custom_fields", self.custom_fields),
        };
        if checked.email.value().is_some_and(|email| !is_email(email)) {
            invalid.add("email", "The email field must be a valid email address.");
        }
        invalid.check()?;
        Ok((checked, digits.unwrap_or_default()))
    }

    fn apply(self, contact: &mut Contact) {
        self.phone.apply(&mut contact.phone);
        self.name.apply(&mut contact.name);
        self.email.apply(&mut contact.email);
        self.language.apply(&mut contact.language);
        self.profile.apply(&mut contact.profile);
        self.custom_fields.apply(&mut contact.custom_fields);
    }
}

impl Engine {
    /// Newest first. `search` is looked for anywhere in name, phone, `wa_id`, e-mail and username.
    pub async fn list_contacts(
        &self,
        principal: &Principal,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Contact>> {
        principal.require_in_channels(Ability::Read)?;
        let search = search.map(|text| text.replace('\0', "").to_lowercase()).filter(|text| !text.is_empty());
        let mut invalid = Invalid::default();
        rules::text(&mut invalid, "search", search.as_deref().unwrap_or_default(), 255);
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| ContactId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let within = principal.reach.channels.as_deref();
        let filter = contacts::Filter { within, search: search.as_deref() };
        let total = contacts::count(&mut db, principal.organisation_id, filter).await?;
        let rows = contacts::list(&mut db, principal.organisation_id, filter, window).await?;
        Ok(page.page_of(rows, total, |contact| contact.id.uuid().into()))
    }

    pub async fn get_contact(&self, principal: &Principal, id: ContactId) -> Result<Contact> {
        principal.require_in_channels(Ability::Read)?;
        let within = principal.reach.channels.as_deref();
        let mut db = self.store.reader().await?;
        contacts::find_within(&mut db, principal.organisation_id, id, within).await?.ok_or_else(not_found)
    }

    /// Creates the contact with this `wa_id`, or changes it.
    pub async fn create_or_update_contact(
        &self,
        principal: &Principal,
        upsert: ContactUpsert,
    ) -> Result<Contact> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let (upsert, digits) = upsert.checked()?;
        let now = self.clock.now();
        let identity = Identity::new(IdentityKind::WaId, digits.clone());
        let mut tx = self.store.begin().await?;
        let new_id = ContactId::new(&self.clock);
        let (id, is_new) = contacts::claim_identity(&mut tx, organisation, &identity, new_id).await?;
        let kind = if is_new {
            let mut contact = Contact::new(organisation, id, now);
            contact.phone = Some(format!("+{digits}"));
            contact.wa_id = Some(digits);
            upsert.apply(&mut contact);
            contacts::insert(&mut tx, &contact).await?;
            Some("contact.created")
        } else {
            let mut contact =
                contacts::find_for_update(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
            let before = contact.clone();
            // Known so far by another name only, or merged: the number it was asked by is its `wa_id` now.
            contact.wa_id.get_or_insert(digits);
            upsert.apply(&mut contact);
            if contact == before {
                None
            } else {
                contact.updated_at = now;
                contacts::update(&mut tx, &contact).await?;
                Some("contact.updated")
            }
        };
        if let Some(kind) = kind {
            let event = NewEvent { kind, subject_id: Some(id.uuid()), data: None };
            tx.record(organisation, now, vec![event]);
        }
        let contact = contacts::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        tx.commit().await?;
        Ok(contact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_look_like_addresses() {
        for right in ["ali@example.com", "a.b+c@sub.example.co.id", "علي@مثال.شبكة"] {
            assert!(is_email(right), "{right}");
        }
        for wrong in ["nonsense", "@example.com", "a@", "a@b", "a@.com", "a b@example.com", "a@b@example.com"]
        {
            assert!(!is_email(wrong), "{wrong}");
        }
    }
}
