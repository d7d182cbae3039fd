//! What is known of a visitor: what the organisation's server said, and what the visitor was asked.

use std::collections::BTreeMap;

use kabar_domain::ContactId;
use kabar_store::contacts::{self, Contact};
use kabar_store::events::NewEvent;
use kabar_store::{Db, Tx};
use serde_json::{Map, Value as Json, json};

use super::fields::KNOWN;
use super::inbound::said;
use super::session::label;
use super::{Asked, Visitor};
use crate::contacts::is_email;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// Characters of an answer.
const ANSWER: usize = 255;

/// What a contact says under a field's key.
fn answer<'a>(contact: &'a Contact, key: &str) -> Option<&'a str> {
    match key {
        "name" => contact.name.as_deref(),
        "email" => contact.email.as_deref(),
        "phone" => contact.phone.as_deref(),
        _ => contact.custom_fields.as_ref()?.get(key)?.as_str(),
    }
}

fn put(contact: &mut Contact, key: &str, value: String) {
    match key {
        "name" => contact.name = Some(value),
        "email" => contact.email = Some(value),
        "phone" => contact.phone = Some(value),
        _ => {
            let fields = contact.custom_fields.get_or_insert_with(|| Json::Object(Map::new()));
            if let Some(fields) = fields.as_object_mut() {
                fields.insert(key.to_owned(), value.into());
            }
        }
    }
}

fn check(invalid: &mut Invalid, key: &str, value: &str) {
    let field = format!("fields.{key}");
    rules::text(invalid, &field, value, ANSWER);
    match key {
        "email" if !is_email(value) => invalid.add(&field, "The email field must be a valid email address."),
        "phone" if rules::phone_digits(value).is_none() => {
            invalid.add(&field, "The phone field must be a phone number of 5 to 20 digits.");
        }
        _ => {}
    }
}

impl Engine {
    /// What the widget asks and nobody has said yet.
    pub(super) async fn open_questions(
        &self,
        db: &mut impl Db,
        visitor: &Visitor,
        language: &str,
    ) -> Result<Vec<Asked>> {
        let widget = &visitor.widget;
        if widget.fields.is_empty() {
            return Ok(Vec::new());
        }
        let contact = match contacts::find_identity(db, visitor.organisation_id, &visitor.identity()).await? {
            Some(id) => contacts::find(db, visitor.organisation_id, id).await?,
            None => None,
        };
        let is_known = |key: &str| {
            said(&visitor.context, key).is_some()
                || contact.as_ref().is_some_and(|contact| answer(contact, key).is_some())
        };
        let open = widget.fields.iter().filter(|field| !is_known(&field.key));
        Ok(open
            .map(|field| Asked {
                key: field.key.clone(),
                label: label(widget, field, language),
                required: field.required,
            })
            .collect())
    }

    /// Writes down what the visitor answered. `answers` are by the fields' keys; empty ones count as not given.
    pub async fn answer_fields(
        &self,
        visitor: &Visitor,
        answers: BTreeMap<String, String>,
        language: Option<&str>,
    ) -> Result<Vec<Asked>> {
        let mut invalid = Invalid::default();
        let mut given = Vec::new();
        for (key, value) in answers {
            let value = value.trim().to_owned();
            if !visitor.widget.fields.iter().any(|field| field.key == key) {
                let shown: String = key.chars().take(40).collect();
                rules::selected(&mut invalid, &format!("fields.{shown}"));
            } else if !value.is_empty() {
                check(&mut invalid, &key, &value);
                given.push((key, value));
            }
        }
        invalid.check()?;
        if !given.is_empty() {
            self.change_visitor(visitor, given, true).await?;
        }
        let language = language.unwrap_or(&visitor.widget.default_language);
        self.open_questions(&mut self.store.reader().await?, visitor, language).await
    }

    /// Fills in what the organisation's server said of the visitor and the contact does not.
    pub(super) async fn know_visitor(&self, visitor: &Visitor) -> Result<()> {
        let mut fits = Vec::new();
        for key in KNOWN {
            let Some(value) = said(&visitor.context, key) else { continue };
            let mut invalid = Invalid::default();
            check(&mut invalid, key, value);
            if invalid.check().is_ok() {
                fits.push((key.to_owned(), value.to_owned()));
            }
        }
        if fits.is_empty() {
            return Ok(());
        }
        let organisation = visitor.organisation_id;
        let mut db = self.store.reader().await?;
        if let Some(id) = contacts::find_identity(&mut db, organisation, &visitor.identity()).await?
            && let Some(contact) = contacts::find(&mut db, organisation, id).await?
            && fits.iter().all(|(key, _)| answer(&contact, key).is_some())
        {
            return Ok(());
        }
        drop(db);
        self.change_visitor(visitor, fits, false).await
    }

    /// Puts values into the visitor's contact, which is made if there is none; over those that are there only with
    /// `over`.
    async fn change_visitor(
        &self,
        visitor: &Visitor,
        values: Vec<(String, String)>,
        over: bool,
    ) -> Result<()> {
        let organisation = visitor.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let (id, is_new) =
            contacts::claim_identity(&mut tx, organisation, &visitor.identity(), ContactId::new(&self.clock))
                .await?;
        let mut contact = if is_new {
            Contact::new(organisation, id, now)
        } else {
            let found = contacts::find_for_update(&mut tx, organisation, id).await?;
            found.ok_or_else(|| Error::Internal("an identity without its contact".into()))?
        };
        let before = contact.clone();
        for (key, value) in values {
            if over || answer(&contact, &key).is_none() {
                put(&mut contact, &key, value);
            }
        }
        if is_new {
            contacts::insert(&mut tx, &contact).await?;
            record(&mut tx, visitor, "contact.created", id, now);
        } else if contact != before {
            contact.updated_at = now;
            contacts::update(&mut tx, &contact).await?;
            record(&mut tx, visitor, "contact.updated", id, now);
        }
        Ok(tx.commit().await?)
    }
}

fn record(tx: &mut Tx, visitor: &Visitor, kind: &'static str, id: ContactId, now: kabar_domain::Timestamp) {
    let data = json!({ "widget": visitor.widget.slug }).to_string();
    let event = NewEvent { kind, subject_id: Some(id.uuid()), data: Some(data) };
    tx.record(visitor.organisation_id, now, [event]);
}
