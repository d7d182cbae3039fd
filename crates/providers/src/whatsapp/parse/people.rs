//! Who is meant: `contacts[]`, `from…`, `to…`.

use kabar_domain::inbound::{Identity, IdentityKind, Party};
use serde_json::Value;

use super::json::{Object, copy_text, digits, object};

/// One entry of `value.contacts[]`.
#[derive(Debug, Default)]
pub(super) struct Contact {
    wa_id: Option<String>,
    user_id: Option<String>,
    parent_user_id: Option<String>,
    name: Option<String>,
    username: Option<String>,
}

impl Contact {
    /// Copies: an event kept whole keeps its contacts.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let contact = value.as_object()?;
        let profile = object(contact, "profile");
        let of_profile = |key| profile.and_then(|profile| copy_text(profile, key));
        Some(Self {
            wa_id: copy_text(contact, "wa_id").and_then(digits),
            user_id: copy_text(contact, "user_id"),
            parent_user_id: copy_text(contact, "parent_user_id"),
            name: of_profile("name"),
            username: of_profile("username").or_else(|| copy_text(contact, "username")),
        })
    }
}

/// The names one object gives a person: phone digits and business-scoped ids.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub phone: Option<String>,
    pub user_id: Option<String>,
    pub parent_user_id: Option<String>,
}

impl Named {
    pub(super) fn sender(message: &Object) -> Self {
        Self::read(message, "from", "from_user_id", "from_parent_user_id")
    }

    pub(super) fn recipient(message: &Object) -> Self {
        Self::read(message, "to", "to_user_id", "to_parent_user_id")
    }

    pub(super) fn member(member: &Object) -> Self {
        // `input` is what a removal was asked with.
        let phone = if member.contains_key("wa_id") { "wa_id" } else { "input" };
        Self::read(member, phone, "user_id", "parent_user_id")
    }

    pub(super) fn read(object: &Object, phone: &str, user_id: &str, parent: &str) -> Self {
        let mut named = Self {
            phone: copy_text(object, phone),
            user_id: copy_text(object, user_id),
            parent_user_id: copy_text(object, parent),
        };
        named.settle();
        named
    }

    /// One text that is a number or a business-scoped id.
    pub(super) fn phone_or_user_id(text: String) -> Self {
        let mut named = Self { phone: Some(text), ..Self::default() };
        named.settle();
        named
    }

    fn settle(&mut self) {
        // A business-scoped id may stand where a phone number used to.
        if self.phone.as_deref().is_some_and(is_bsuid) {
            let id = self.phone.take();
            self.user_id = self.user_id.take().or(id);
        }
        self.phone = self.phone.take().and_then(digits);
    }

    pub(super) const fn is_nobody(&self) -> bool {
        self.phone.is_none() && self.user_id.is_none()
    }

    pub(super) fn or(self, other: Self) -> Self {
        if self.is_nobody() { other } else { self }
    }

    /// The person with what `contacts` add. The entry at `hint` is tried first: Meta writes the list in the
    /// messages' order, but does not promise to.
    pub(super) fn party(self, contacts: &[Contact], hint: usize) -> Party {
        let is_them = |contact: &&Contact| {
            (self.phone.is_some() && contact.wa_id == self.phone)
                || (self.user_id.is_some() && contact.user_id == self.user_id)
        };
        let contact = contacts.get(hint).filter(is_them).or_else(|| contacts.iter().find(is_them));
        let Self { mut phone, mut user_id, mut parent_user_id } = self;
        let (mut name, mut username) = (None, None);
        if let Some(contact) = contact {
            phone = phone.or_else(|| contact.wa_id.clone());
            user_id = user_id.or_else(|| contact.user_id.clone());
            parent_user_id = parent_user_id.or_else(|| contact.parent_user_id.clone());
            name.clone_from(&contact.name);
            username.clone_from(&contact.username);
        }
        Party { identities: identities(phone, user_id, parent_user_id), name, username, language: None }
    }

    pub(super) fn identity(self) -> Option<Identity> {
        identities(self.phone, self.user_id, None).into_iter().next()
    }
}

/// Each once: a person without a parent business may be named by the same id twice.
fn identities(phone: Option<String>, user_id: Option<String>, parent: Option<String>) -> Vec<Identity> {
    let mut identities = Vec::with_capacity(2);
    identities.extend(phone.map(|phone| Identity::new(IdentityKind::WaId, phone)));
    identities.extend(user_id.map(|id| Identity::new(IdentityKind::Bsuid, id)));
    let parent = parent.map(|id| Identity::new(IdentityKind::Bsuid, id));
    identities.extend(parent.filter(|parent| identities.last() != Some(parent)));
    identities
}

/// `US.1349…`, `US.ENT.1349…`.
fn is_bsuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 3 && bytes[0].is_ascii_uppercase() && bytes[1].is_ascii_uppercase() && bytes[2] == b'.'
}
