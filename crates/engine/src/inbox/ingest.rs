//! Taking in a message or event from any other source.

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::{Media, MessageKind, Platform};
use kabar_domain::{Ability, ChannelId, ContactId, InboxItemId, OrganisationId, Timestamp};
use kabar_store::contacts::{self, Contact};
use kabar_store::events::NewEvent;
use kabar_store::inbox::{self, Item};
use kabar_store::{Tx, channels};
use serde_json::{Map, Value as Json, json};

use super::not_found;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;

/// Characters of a text at most; ten times what a WhatsApp message holds.
const TEXT: usize = 65_536;
/// Files of one item at most.
const FILES: usize = 100;
/// Metadata, in bytes of JSON.
const BAG: usize = 64 * 1024;

/// An item as another system gives it.
#[derive(Clone, Debug, Default)]
pub struct NewItem {
    /// That system's own reference: the same one twice is one item.
    pub external_id: Option<String>,
    pub platform: Option<String>,
    pub channel_id: Option<String>,
    pub sender: Option<NewSender>,
    /// A message's type; any other word makes an `unknown` item that keeps the word in its metadata.
    pub kind: Option<String>,
    pub text: Option<String>,
    pub media: Vec<NewMedia>,
    /// RFC 3339.
    pub occurred_at: Option<String>,
    pub metadata: Option<Json>,
}

#[derive(Clone, Debug, Default)]
pub struct NewSender {
    pub name: Option<String>,
    pub phone: Option<String>,
    pub external_id: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct NewMedia {
    pub id: Option<String>,
    pub mime_type: Option<String>,
    pub sha256: Option<String>,
    pub caption: Option<String>,
    pub filename: Option<String>,
}

/// The item, and whether it was new.
#[derive(Clone, Debug)]
pub struct Ingested {
    pub item: Item,
    pub created: bool,
}

/// Who sent it, checked. Identities come the most lasting first.
#[derive(Debug, Default)]
struct Sender {
    name: Option<String>,
    phone: Option<String>,
    external_id: Option<String>,
    identities: Vec<Identity>,
}

impl Sender {
    fn checked(invalid: &mut Invalid, given: NewSender) -> Self {
        let mut sender = Self {
            name: rules::optional(invalid, "sender.name", given.name, 255),
            phone: rules::optional(invalid, "sender.phone", given.phone, 40),
            external_id: rules::optional(invalid, "sender.external_id", given.external_id, 255),
            identities: Vec::new(),
        };
        if let Some(phone) = &sender.phone {
            match rules::phone_digits(phone) {
                Some(digits) => sender.identities.push(Identity::new(IdentityKind::WaId, digits)),
                None => invalid.add("sender.phone", "The sender.phone field must be a phone number."),
            }
        }
        if let Some(external) = &sender.external_id {
            sender.identities.push(Identity::new(IdentityKind::External, external.clone()));
        }
        sender
    }

    fn json(&self) -> Option<Json> {
        let fields = [("name", &self.name), ("phone", &self.phone), ("external_id", &self.external_id)];
        let fields: Map<String, Json> = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))))
            .collect();
        (!fields.is_empty()).then_some(Json::Object(fields))
    }
}

struct Checked {
    external_id: Option<String>,
    platform: Option<Platform>,
    channel: Option<ChannelId>,
    sender: Sender,
    kind: MessageKind,
    text: Option<String>,
    media: Vec<Media>,
    occurred_at: Option<Timestamp>,
    metadata: Option<Json>,
}

fn media(invalid: &mut Invalid, given: Vec<NewMedia>) -> Vec<Media> {
    if given.len() > FILES {
        invalid.add("media", format!("The media field must not have more than {FILES} items."));
    }
    let mut list = Vec::new();
    for (index, file) in given.into_iter().take(FILES).enumerate() {
        let field = |name: &str| format!("media.{index}.{name}");
        let id = rules::required(invalid, &field("id"), file.id, 1024);
        let sha256 = rules::optional(invalid, &field("sha256"), file.sha256, 128);
        if sha256
            .as_ref()
            .is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            invalid.add(
                &field("sha256"),
                format!("The {} field must be 64 hexadecimal digits.", field("sha256")),
            );
        }
        list.push(Media {
            id: Some(id),
            mime_type: rules::optional(invalid, &field("mime_type"), file.mime_type, 255),
            sha256: sha256.map(|hash| hash.to_ascii_lowercase()),
            caption: rules::optional(invalid, &field("caption"), file.caption, 4096),
            filename: rules::optional(invalid, &field("filename"), file.filename, 255),
            ..Media::default()
        });
    }
    list
}

fn checked(new: NewItem) -> Result<Checked> {
    let mut invalid = Invalid::default();
    let external_id = rules::optional(&mut invalid, "external_id", new.external_id, 255);
    let platform = new.platform.and_then(|text| {
        let platform = Platform::from_name(&text);
        if platform.is_none() {
            rules::selected(&mut invalid, "platform");
        }
        platform
    });
    let channel = new.channel_id.and_then(|text| {
        let channel = text.parse().ok();
        if channel.is_none() {
            rules::selected(&mut invalid, "channel_id");
        }
        channel
    });
    let sender = Sender::checked(&mut invalid, new.sender.unwrap_or_default());
    let word = rules::optional(&mut invalid, "type", new.kind, 64);
    let text = new.text.filter(|text| !text.trim().is_empty());
    rules::text(&mut invalid, "text", text.as_deref().unwrap_or_default(), TEXT);
    let media = media(&mut invalid, new.media);
    let occurred_at = new.occurred_at.and_then(|text| {
        let time = Timestamp::parse(text.trim());
        if time.is_none() {
            invalid.add("occurred_at", "The occurred at field must be an RFC 3339 time with an offset.");
        }
        time
    });
    let mut metadata = new.metadata.map(|metadata| rules::object(&mut invalid, "metadata", metadata, BAG));
    let bare = metadata.as_ref().and_then(Json::as_object).is_none_or(Map::is_empty);
    if text.is_none() && media.is_empty() && bare && invalid.errors.is_empty() {
        invalid.add("text", "The text field is required when media and metadata are not present.");
    }
    invalid.check()?;
    let kind = word.as_deref().map_or(Some(MessageKind::Text), MessageKind::from_name);
    if let (None, Some(word)) = (kind, word)
        && let Some(fields) = metadata.get_or_insert_with(|| json!({})).as_object_mut()
    {
        fields.entry("type").or_insert(Json::String(word));
    }
    Ok(Checked {
        external_id,
        platform,
        channel,
        sender,
        kind: kind.unwrap_or(MessageKind::Unknown),
        text,
        media,
        occurred_at,
        metadata,
    })
}

impl Engine {
    /// Puts an item before the team. One with an `external_id` that is there already changes nothing.
    pub async fn create_inbox_item(&self, principal: &Principal, new: NewItem) -> Result<Ingested> {
        principal.require(Ability::Write)?;
        let organisation_id = principal.organisation_id;
        let new = checked(new)?;
        if let Some(item) = self.already_there(organisation_id, new.external_id.as_deref()).await? {
            return Ok(Ingested { item, created: false });
        }
        let now = self.clock.now();
        let id = InboxItemId::new(&self.clock);
        let mut tx = self.store.begin().await?;
        let mut platform = new.platform;
        if let Some(channel) = new.channel {
            let Some(channel) = channels::find(&mut tx, organisation_id, channel).await? else {
                let mut invalid = Invalid::default();
                rules::selected(&mut invalid, "channel_id");
                return Err(crate::Error::Invalid(invalid));
            };
            platform.get_or_insert(channel.platform);
        }
        let mut changes = Vec::new();
        let contact_id = self.sender(&mut tx, organisation_id, &new.sender, now, &mut changes).await?;
        let item = Item {
            organisation_id,
            id,
            class: InboxClass::Unknown,
            status: InboxStatus::New,
            platform: platform.unwrap_or(Platform::Other),
            channel_id: new.channel,
            conversation_id: None,
            contact_id,
            message_id: None,
            external_id: new.external_id.clone(),
            kind: new.kind,
            text: new.text,
            media: new.media,
            sender: new.sender.json(),
            metadata: new.metadata,
            confidence: None,
            reasons: Vec::new(),
            suggestions: None,
            understanding: None,
            digest_id: None,
            record: None,
            occurred_at: new.occurred_at.unwrap_or(now),
            created_at: now,
            updated_at: now,
            contact_name: None,
            contact_phone: None,
        };
        if !inbox::insert(&mut tx, &item).await? {
            // Another call with the same reference came between; what this one did is undone with it.
            drop(tx);
            let item = self.already_there(organisation_id, new.external_id.as_deref()).await?;
            return Ok(Ingested { item: item.ok_or_else(not_found)?, created: false });
        }
        changes.push(NewEvent { kind: "inbox.created", subject_id: Some(id.uuid()), data: None });
        tx.record(organisation_id, now, changes);
        let item = inbox::find(&mut tx, organisation_id, id).await?.ok_or_else(not_found)?;
        tx.commit().await?;
        self.items_waiting.notify_one();
        Ok(Ingested { item, created: true })
    }

    async fn already_there(
        &self,
        organisation: OrganisationId,
        external_id: Option<&str>,
    ) -> Result<Option<Item>> {
        let Some(external_id) = external_id else { return Ok(None) };
        Ok(inbox::find_external(&mut self.store.reader().await?, organisation, external_id).await?)
    }

    /// The contact the sender's identities name, made when there is none.
    async fn sender(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        sender: &Sender,
        now: Timestamp,
        changes: &mut Vec<NewEvent>,
    ) -> Result<Option<ContactId>> {
        let Some((first, others)) = sender.identities.split_first() else { return Ok(None) };
        for other in others {
            // A number we do not know may come with a reference we do.
            if contacts::find_identity(tx, organisation, first).await?.is_none()
                && let Some(known) = contacts::find_identity(tx, organisation, other).await?
            {
                contacts::attach_identity(tx, organisation, first, known).await?;
                self.fill_in(tx, organisation, known, sender, now).await?;
                return Ok(Some(known));
            }
        }
        let new_id = ContactId::new(&self.clock);
        let (id, is_new) = contacts::claim_identity(tx, organisation, first, new_id).await?;
        for other in others {
            contacts::attach_identity(tx, organisation, other, id).await?;
        }
        if is_new {
            let mut contact = Contact::new(organisation, id, now);
            contact.name.clone_from(&sender.name);
            contact.phone.clone_from(&sender.phone);
            contact.wa_id = wa_id(sender);
            contacts::insert(tx, &contact).await?;
            changes.push(NewEvent { kind: "contact.created", subject_id: Some(id.uuid()), data: None });
        } else {
            self.fill_in(tx, organisation, id, sender, now).await?;
        }
        Ok(Some(id))
    }

    /// Adds what was not known of the contact; what was stays.
    async fn fill_in(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        id: ContactId,
        sender: &Sender,
        now: Timestamp,
    ) -> Result<()> {
        let Some(mut contact) = contacts::find_for_update(tx, organisation, id).await? else {
            return Ok(());
        };
        let before = contact.clone();
        contact.name = contact.name.or_else(|| sender.name.clone());
        contact.phone = contact.phone.or_else(|| sender.phone.clone());
        contact.wa_id = contact.wa_id.or_else(|| wa_id(sender));
        if contact != before {
            contact.updated_at = now;
            contacts::update(tx, &contact).await?;
        }
        Ok(())
    }
}

fn wa_id(sender: &Sender) -> Option<String> {
    let number = sender.identities.iter().find(|identity| identity.kind == IdentityKind::WaId);
    number.map(|identity| identity.value.clone())
}
