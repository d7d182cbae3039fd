//! Contacts: the people who write to us, and the names providers know them by.

use std::collections::HashMap;

use kabar_domain::inbound::Identity;
use kabar_domain::{ChannelId, ContactId, ConversationId, OrganisationId, Timestamp};
use serde_json::Value as Json;

use crate::args;
use crate::counters::{self, Counter};
use crate::error::Result;
use crate::select::{Select, Window, contains};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub organisation_id: OrganisationId,
    pub id: ContactId,
    pub name: Option<String>,
    /// WhatsApp phone digits without `+`.
    pub wa_id: Option<String>,
    /// As people write it.
    pub phone: Option<String>,
    pub email: Option<String>,
    pub language: Option<String>,
    pub username: Option<String>,
    pub profile: Option<Json>,
    pub custom_fields: Option<Json>,
    pub last_seen_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub identities: Vec<Identity>,
}

impl Contact {
    /// One about whom nothing is known yet.
    pub const fn new(organisation_id: OrganisationId, id: ContactId, now: Timestamp) -> Self {
        Self {
            organisation_id,
            id,
            name: None,
            wa_id: None,
            phone: None,
            email: None,
            language: None,
            username: None,
            profile: None,
            custom_fields: None,
            last_seen_at: None,
            created_at: now,
            updated_at: now,
            identities: Vec::new(),
        }
    }
}

/// What substring search looks into: the given texts in lower case, one a line.
pub fn search_text<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    texts.into_iter().flatten().map(str::to_lowercase).collect::<Vec<_>>().join("\n")
}

fn search_of(contact: &Contact) -> String {
    search_text([
        contact.name.as_deref(),
        contact.phone.as_deref(),
        contact.wa_id.as_deref(),
        contact.email.as_deref(),
        contact.username.as_deref(),
    ])
}

const SELECT: &str = "SELECT organisation_id, id, name, wa_id, phone, email, language, username, profile,
    custom_fields, last_seen_at, created_at, updated_at FROM contacts WHERE organisation_id = ?";

fn contact(mut row: Row) -> Result<Contact> {
    Ok(Contact {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        wa_id: row.get(3)?,
        phone: row.get(4)?,
        email: row.get(5)?,
        language: row.get(6)?,
        username: row.get(7)?,
        profile: row.get(8)?,
        custom_fields: row.get(9)?,
        last_seen_at: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        identities: Vec::new(),
    })
}

/// Puts each contact's identities in, in the order of their kinds.
async fn with_identities(
    db: &mut impl Db,
    organisation: OrganisationId,
    mut contacts: Vec<Contact>,
) -> Result<Vec<Contact>> {
    if contacts.is_empty() {
        return Ok(contacts);
    }
    let mut select = Select::new(
        "SELECT contact_id, kind, value FROM contact_identities WHERE organisation_id = ?",
        args![organisation],
    );
    select.push_in("AND contact_id IN", contacts.iter().map(|contact| contact.id.value()).collect());
    let mut found: HashMap<ContactId, Vec<Identity>> = HashMap::new();
    for mut row in select.fetch(db).await? {
        let identity = Identity { kind: row.get(1)?, value: row.get(2)? };
        found.entry(row.get(0)?).or_default().push(identity);
    }
    for contact in &mut contacts {
        contact.identities = found.remove(&contact.id).unwrap_or_default();
        contact.identities.sort_by(|a, b| (a.kind, &a.value).cmp(&(b.kind, &b.value)));
    }
    Ok(contacts)
}

/// Which contacts to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Nobody but who has a conversation on these channels or is a member of their groups.
    pub within: Option<&'a [ChannelId]>,
    /// In lower case; looked for anywhere in name, phone, `wa_id`, e-mail and username.
    pub search: Option<&'a str>,
}

impl Filter<'_> {
    fn apply(self, select: &mut Select) {
        keep_within(select, self.within);
        select.push_some(r"AND search LIKE ? ESCAPE '\'", self.search.map(|text| contains(text).value()));
    }
}

fn keep_within(select: &mut Select, channels: Option<&[ChannelId]>) {
    let Some(channels) = channels else { return };
    let channels: Vec<_> = channels.iter().map(|id| id.value()).collect();
    // The peer of a direct conversation is its contact, and has an index.
    let writes =
        "AND (EXISTS (SELECT 1 FROM conversations v WHERE v.organisation_id = contacts.organisation_id
        AND v.peer_id = contacts.id AND v.channel_id IN";
    let belongs =
        ") OR EXISTS (SELECT 1 FROM group_members g WHERE g.organisation_id = contacts.organisation_id
        AND g.contact_id = contacts.id AND g.channel_id IN";
    select.push_in(writes, channels.clone()).push_in(belongs, channels).push("))", Vec::new());
}

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    filter: Filter<'_>,
    window: Window<ContactId>,
) -> Result<Vec<Contact>> {
    let mut select = Select::new(SELECT, args![organisation]);
    filter.apply(&mut select);
    select.push_some("AND id < ?", window.after.map(Bind::value));
    select.push("ORDER BY id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    let contacts = select.fetch(db).await?.into_iter().map(contact).collect::<Result<_>>()?;
    with_identities(db, organisation, contacts).await
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId, filter: Filter<'_>) -> Result<i64> {
    if filter.within.is_none() && filter.search.is_none() {
        return counters::contacts(db, organisation).await;
    }
    let mut select =
        Select::new("SELECT COUNT(*) FROM contacts WHERE organisation_id = ?", args![organisation]);
    filter.apply(&mut select);
    select.count(db).await
}

pub async fn find(db: &mut impl Db, organisation: OrganisationId, id: ContactId) -> Result<Option<Contact>> {
    find_within(db, organisation, id, None).await
}

/// [`find`], if it is one of [`Filter::within`].
pub async fn find_within(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: ContactId,
    channels: Option<&[ChannelId]>,
) -> Result<Option<Contact>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]);
    keep_within(&mut select, channels);
    let found: Vec<Contact> = select.fetch(db).await?.into_iter().map(contact).collect::<Result<_>>()?;
    Ok(with_identities(db, organisation, found).await?.into_iter().next())
}

/// The contact a provider's name for a person belongs to.
pub async fn find_identity(
    db: &mut impl Db,
    organisation: OrganisationId,
    identity: &Identity,
) -> Result<Option<ContactId>> {
    db.fetch(
        "SELECT contact_id FROM contact_identities WHERE organisation_id = $1 AND kind = $2 AND value = $3",
        args![organisation, identity.kind, &identity.value],
    )
    .await?
    .into_iter()
    .next()
    .map(|mut row| row.get(0))
    .transpose()
}

/// The contact with this identity, and whether it is new: then it is `new_id`, and the caller must
/// [`insert`] it in the same transaction. Of several callers at the same time one gets a new contact; the
/// others wait for it and get the same.
pub async fn claim_identity(
    tx: &mut Tx,
    organisation: OrganisationId,
    identity: &Identity,
    new_id: ContactId,
) -> Result<(ContactId, bool)> {
    loop {
        if let Some(found) = find_identity(tx, organisation, identity).await? {
            return Ok((found, false));
        }
        if attach_identity(tx, organisation, identity, new_id).await? {
            return Ok((new_id, true));
        }
    }
}

/// Gives a contact another identity; false when somebody has it already.
pub async fn attach_identity(
    tx: &mut Tx,
    organisation: OrganisationId,
    identity: &Identity,
    contact: ContactId,
) -> Result<bool> {
    let added = tx
        .execute(
            "INSERT INTO contact_identities (organisation_id, kind, value, contact_id) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            args![organisation, identity.kind, &identity.value, contact],
        )
        .await?;
    Ok(added == 1)
}

/// Gives whom a conversation is with another identity, when nobody has it.
pub async fn attach_to_peer(
    tx: &mut Tx,
    organisation: OrganisationId,
    identity: &Identity,
    conversation: ConversationId,
) -> Result<()> {
    let sql = "SELECT contact_id FROM conversations WHERE organisation_id = $1 AND id = $2";
    let found = tx.fetch_optional(sql, args![organisation, conversation]).await?;
    let contact: Option<ContactId> = found.map_or(Ok(None), |mut row| row.get(0))?;
    if let Some(contact) = contact {
        attach_identity(tx, organisation, identity, contact).await?;
    }
    Ok(())
}

/// The contact, kept from changing until the transaction ends.
pub async fn find_for_update(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ContactId,
) -> Result<Option<Contact>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND id = ?", args![id]).push(tx.lock_rows(), Vec::new());
    let found: Vec<Contact> = select.fetch(tx).await?.into_iter().map(contact).collect::<Result<_>>()?;
    Ok(with_identities(tx, organisation, found).await?.into_iter().next())
}

/// Adds the contact and counts it. Identities are added apart.
pub async fn insert(tx: &mut Tx, contact: &Contact) -> Result<()> {
    tx.execute(
        "INSERT INTO contacts (organisation_id, id, name, wa_id, phone, email, language, username, profile,
             custom_fields, search, last_seen_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        args![
            contact.organisation_id,
            contact.id,
            contact.name.as_ref(),
            contact.wa_id.as_ref(),
            contact.phone.as_ref(),
            contact.email.as_ref(),
            contact.language.as_ref(),
            contact.username.as_ref(),
            contact.profile.as_ref(),
            contact.custom_fields.as_ref(),
            search_of(contact),
            contact.last_seen_at,
            contact.created_at,
            contact.updated_at,
        ],
    )
    .await?;
    tx.count(contact.organisation_id, Counter::Contacts, 1);
    Ok(())
}

/// Writes what people may change.
pub async fn update(tx: &mut Tx, contact: &Contact) -> Result<()> {
    tx.execute(
        "UPDATE contacts SET name = $3, wa_id = $4, phone = $5, email = $6, language = $7, username = $8,
             profile = $9, custom_fields = $10, search = $11, updated_at = $12
         WHERE organisation_id = $1 AND id = $2",
        args![
            contact.organisation_id,
            contact.id,
            contact.name.as_ref(),
            contact.wa_id.as_ref(),
            contact.phone.as_ref(),
            contact.email.as_ref(),
            contact.language.as_ref(),
            contact.username.as_ref(),
            contact.profile.as_ref(),
            contact.custom_fields.as_ref(),
            search_of(contact),
            contact.updated_at,
        ],
    )
    .await?;
    Ok(())
}
