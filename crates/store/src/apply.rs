//! What the applier reads and writes, many rows at a time.

use std::collections::{BTreeSet, HashMap, HashSet};

use kabar_domain::channel::{
    ChannelKind, ChannelStatus, ConversationStatus, InboxClass, InboxStatus, Priority,
};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::{Direction, MessageKind, MessageStatus, Platform};
use kabar_domain::{
    AccountId, ChannelId, ContactId, ConversationId, HeldId, InboxItemId, MessageId, OrganisationId,
    Timestamp,
};
use uuid::Uuid;

use crate::args;
use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::groups;
use crate::store::{Db, Tx};
use crate::value::{Bind, Row, Value};

/// An account as the applier needs it.
#[derive(Clone, Debug)]
pub struct AccountRef {
    pub organisation_id: OrganisationId,
    pub id: AccountId,
    pub platform: Platform,
    /// What webhooks name it by: `phone_number_id`, or the bot's id.
    pub external_id: String,
    /// Fingerprints of the app secrets it accepts, space-separated; `None`: the server's own.
    pub signed_by: Option<String>,
    /// Some of its direct chats have channels of their own.
    pub has_linked_chats: bool,
}

const ACCOUNT: &str = "a.organisation_id, a.id, a.platform, a.external_id, a.signed_by,
    EXISTS (SELECT 1 FROM channels c WHERE c.account_id = a.id AND c.kind = 1 AND c.external_id <> ''
            AND c.deleted_at IS NULL)";

fn account(row: &mut Row) -> Result<AccountRef> {
    Ok(AccountRef {
        organisation_id: row.get(0)?,
        id: row.get(1)?,
        platform: row.get(2)?,
        external_id: row.get(3)?,
        signed_by: row.get(4)?,
        has_linked_chats: row.get(5)?,
    })
}

/// Active WhatsApp accounts by `phone_number_id`.
pub async fn accounts_by_number(tx: &mut Tx, numbers: Vec<String>) -> Result<Vec<AccountRef>> {
    let mut rows = Rows::new(&[("external_id", of::<String>())]);
    for number in numbers {
        rows.push([number.value()]);
    }
    let sql = format!(
        "SELECT {ACCOUNT} FROM {{rows}} JOIN accounts a
         ON a.platform = 1 AND a.external_id = u.external_id AND a.retired_at IS NULL"
    );
    tx.bulk_fetch(&sql, rows).await?.iter_mut().map(account).collect()
}

/// Active accounts by our own id.
pub async fn accounts_by_id(tx: &mut Tx, ids: Vec<AccountId>) -> Result<Vec<AccountRef>> {
    let mut rows = Rows::new(&[("id", of::<AccountId>())]);
    for id in ids {
        rows.push([id.value()]);
    }
    let sql =
        format!("SELECT {ACCOUNT} FROM {{rows}} JOIN accounts a ON a.id = u.id AND a.retired_at IS NULL");
    tx.bulk_fetch(&sql, rows).await?.iter_mut().map(account).collect()
}

/// Active WhatsApp accounts of a business account, one number when `digits` names it.
pub async fn accounts_by_waba(tx: &mut Tx, waba_id: &str, digits: Option<&str>) -> Result<Vec<AccountRef>> {
    let sql = format!(
        "SELECT {ACCOUNT} FROM accounts a WHERE a.platform = 1 AND a.waba_id = $1 AND a.retired_at IS NULL
         AND ($2 IS NULL OR a.phone_digits = $2) ORDER BY a.id"
    );
    tx.fetch(&sql, args![waba_id, digits]).await?.iter_mut().map(account).collect()
}

/// Lets nobody else apply to these organisations until the transaction ends. Two that write the same people and
/// conversations at once, many rows a statement, would wait for each other in a circle.
pub async fn lock_organisations(tx: &mut Tx, organisations: &BTreeSet<OrganisationId>) -> Result<()> {
    let lock = tx.for_update();
    if lock.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&[("id", of::<OrganisationId>())]);
    for organisation in organisations {
        rows.push([organisation.value()]);
    }
    let sql = format!("SELECT m.id FROM {{rows}} JOIN organisations m ON m.id = u.id {lock}");
    tx.bulk_fetch(&sql, rows).await?;
    Ok(())
}

/// Notes that webhooks reach these accounts.
pub async fn touch_accounts(
    tx: &mut Tx,
    seen: Vec<(OrganisationId, AccountId)>,
    now: Timestamp,
) -> Result<()> {
    let mut rows =
        Rows::new(&[("org", of::<OrganisationId>()), ("account", of::<AccountId>()), ("now", of::<i64>())]);
    for (organisation, account) in seen {
        rows.push([organisation.value(), account.value(), now.value()]);
    }
    tx.bulk_execute(
        "UPDATE accounts SET last_event_at = u.now, webhook_verified_at = COALESCE(webhook_verified_at, u.now)
         FROM {rows} WHERE accounts.organisation_id = u.org AND accounts.id = u.account",
        rows,
    )
    .await?;
    Ok(())
}

/// Channels by account and provider id (empty for the direct line).
pub async fn channels(
    tx: &mut Tx,
    keys: Vec<(AccountId, String)>,
) -> Result<HashMap<(AccountId, String), ChannelId>> {
    let mut rows = Rows::new(&[("account_id", of::<AccountId>()), ("external_id", of::<String>())]);
    for (account, external) in keys {
        rows.push([account.value(), external.value()]);
    }
    let mut found = HashMap::new();
    for mut row in tx
        .bulk_fetch(
            "SELECT c.account_id, c.external_id, c.id FROM {rows} JOIN channels c
             ON c.account_id = u.account_id AND c.external_id = u.external_id AND c.deleted_at IS NULL",
            rows,
        )
        .await?
    {
        found.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    Ok(found)
}

/// A group seen for the first time: a `pending` channel, or a `connected` one where we asked for it.
pub async fn insert_group_channel(
    tx: &mut Tx,
    account: &AccountRef,
    id: ChannelId,
    external_id: &str,
    title: &str,
    status: ChannelStatus,
    now: Timestamp,
) -> Result<()> {
    let connected_at = (status == ChannelStatus::Connected).then_some(now);
    tx.execute(
        "INSERT INTO channels (organisation_id, id, account_id, platform, kind, status, external_id, display_name,
             allow_routine_logs, allow_issues, connected_at, last_seen_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $11, $11)",
        args![
            account.organisation_id,
            id,
            account.id,
            account.platform,
            ChannelKind::Group,
            status,
            external_id,
            title,
            true,
            connected_at,
            now
        ],
    )
    .await?;
    groups::note(tx, account.organisation_id, (account.id, account.platform), id, title, now).await
}

pub async fn touch_channels(
    tx: &mut Tx,
    seen: Vec<(OrganisationId, ChannelId)>,
    now: Timestamp,
) -> Result<()> {
    let mut rows =
        Rows::new(&[("org", of::<OrganisationId>()), ("channel", of::<ChannelId>()), ("now", of::<i64>())]);
    for (organisation, channel) in seen {
        rows.push([organisation.value(), channel.value(), now.value()]);
    }
    tx.bulk_execute(
        "UPDATE channels SET last_seen_at = u.now FROM {rows}
         WHERE channels.organisation_id = u.org AND channels.id = u.channel",
        rows,
    )
    .await?;
    Ok(())
}

/// A contact as the applier needs it.
#[derive(Clone, Copy, Debug)]
pub struct ContactRef {
    pub id: ContactId,
    pub has_name: bool,
    pub last_seen_at: Option<Timestamp>,
}

pub async fn contacts_by_identity(
    tx: &mut Tx,
    keys: impl IntoIterator<Item = &(OrganisationId, Identity)>,
) -> Result<HashMap<(OrganisationId, Identity), ContactRef>> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("kind", of::<IdentityKind>()),
        ("val", of::<String>()),
    ]);
    for (organisation, identity) in keys {
        rows.push([organisation.value(), identity.kind.value(), (&identity.value).value()]);
    }
    let mut found = HashMap::with_capacity(rows.len());
    for mut row in tx
        .bulk_fetch(
            "SELECT i.organisation_id, i.kind, i.value, c.id, c.name IS NOT NULL, c.last_seen_at FROM {rows}
             JOIN contact_identities i ON i.organisation_id = u.org AND i.kind = u.kind AND i.value = u.val
             JOIN contacts c ON c.organisation_id = i.organisation_id AND c.id = i.contact_id",
            rows,
        )
        .await?
    {
        let key = (row.get(0)?, Identity { kind: row.get(1)?, value: row.get(2)? });
        found.insert(key, ContactRef { id: row.get(3)?, has_name: row.get(4)?, last_seen_at: row.get(5)? });
    }
    Ok(found)
}

#[derive(Debug)]
pub struct NewContact {
    pub organisation_id: OrganisationId,
    pub id: ContactId,
    pub name: Option<String>,
    pub username: Option<String>,
    pub language: Option<String>,
    pub wa_id: Option<String>,
    pub phone: Option<String>,
    /// Lower-case text that the contact search looks through.
    pub search: String,
    pub seen_at: Timestamp,
    pub created_at: Timestamp,
}

pub async fn insert_contacts(tx: &mut Tx, contacts: Vec<NewContact>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<ContactId>()),
        ("name", of::<String>()),
        ("username", of::<String>()),
        ("language", of::<String>()),
        ("wa_id", of::<String>()),
        ("phone", of::<String>()),
        ("search", of::<String>()),
        ("last_seen_at", of::<i64>()),
        ("created_at", of::<i64>()),
        ("updated_at", of::<i64>()),
    ]);
    for contact in contacts {
        rows.push([
            contact.organisation_id.value(),
            contact.id.value(),
            contact.name.value(),
            contact.username.value(),
            contact.language.value(),
            contact.wa_id.value(),
            contact.phone.value(),
            contact.search.value(),
            contact.seen_at.value(),
            contact.created_at.value(),
            contact.created_at.value(),
        ]);
    }
    tx.bulk_insert("contacts", rows, "").await?;
    Ok(())
}

/// Identities that nobody has yet; how many went in (fewer when another node was quicker).
pub async fn insert_identities(
    tx: &mut Tx,
    identities: Vec<(OrganisationId, Identity, ContactId)>,
) -> Result<u64> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("kind", of::<IdentityKind>()),
        ("value", of::<String>()),
        ("contact_id", of::<ContactId>()),
    ]);
    for (organisation, identity, contact) in identities {
        rows.push([organisation.value(), identity.kind.value(), identity.value.value(), contact.value()]);
    }
    tx.bulk_insert("contact_identities", rows, "ON CONFLICT DO NOTHING").await
}

/// Notes when contacts were last seen, and names those that had none.
pub async fn touch_contacts(
    tx: &mut Tx,
    seen: Vec<(OrganisationId, ContactId, Timestamp, Option<String>)>,
) -> Result<()> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("contact", of::<ContactId>()),
        ("seen", of::<i64>()),
        ("called", of::<String>()),
        ("lower_name", of::<String>()),
    ]);
    for (organisation, contact, at, name) in seen {
        let lower = name.as_ref().map(|name| format!("{} ", name.to_lowercase()));
        rows.push([organisation.value(), contact.value(), at.value(), name.value(), lower.value()]);
    }
    tx.bulk_execute(
        "UPDATE contacts SET
             search = CASE WHEN name IS NULL AND u.called IS NOT NULL THEN u.lower_name || search ELSE search END,
             name = COALESCE(name, u.called),
             last_seen_at = CASE WHEN last_seen_at IS NULL OR last_seen_at < u.seen THEN u.seen ELSE last_seen_at END,
             updated_at = CASE WHEN name IS NULL AND u.called IS NOT NULL THEN u.seen ELSE updated_at END
         FROM {rows} WHERE contacts.organisation_id = u.org AND contacts.id = u.contact",
        rows,
    )
    .await?;
    Ok(())
}

/// Writes the number of contacts that had none: they were known by another identity first.
pub async fn learn_numbers(tx: &mut Tx, learnt: Vec<(OrganisationId, ContactId, String)>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("contact", of::<ContactId>()),
        ("digits", of::<String>()),
    ]);
    for (organisation, contact, digits) in learnt {
        rows.push([organisation.value(), contact.value(), digits.value()]);
    }
    tx.bulk_execute(
        "UPDATE contacts SET wa_id = u.digits, phone = COALESCE(phone, '+' || u.digits),
             search = search || ' +' || u.digits
         FROM {rows} WHERE contacts.organisation_id = u.org AND contacts.id = u.contact AND contacts.wa_id IS NULL",
        rows,
    )
    .await?;
    Ok(())
}

/// What makes a conversation: its channel, the contact (or the channel itself, for a group) and the topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConversationKey {
    pub organisation_id: OrganisationId,
    pub peer_id: Uuid,
    pub channel_id: ChannelId,
    pub topic: String,
}

pub async fn conversations(
    tx: &mut Tx,
    keys: impl IntoIterator<Item = &ConversationKey>,
) -> Result<HashMap<ConversationKey, ConversationId>> {
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("peer_id", of::<Uuid>()),
        ("channel_id", of::<ChannelId>()),
        ("topic", of::<String>()),
    ]);
    for key in keys {
        rows.push([
            key.organisation_id.value(),
            key.peer_id.value(),
            key.channel_id.value(),
            (&key.topic).value(),
        ]);
    }
    let mut found = HashMap::with_capacity(rows.len());
    for mut row in tx
        .bulk_fetch(
            "SELECT c.organisation_id, c.peer_id, c.channel_id, c.topic, c.id FROM {rows}
             JOIN conversations c ON c.organisation_id = u.org AND c.peer_id = u.peer_id
                 AND c.channel_id = u.channel_id AND c.topic = u.topic",
            rows,
        )
        .await?
    {
        let key = ConversationKey {
            organisation_id: row.get(0)?,
            peer_id: row.get(1)?,
            channel_id: row.get(2)?,
            topic: row.get(3)?,
        };
        found.insert(key, row.get(4)?);
    }
    Ok(found)
}

/// A conversation that does not exist yet, empty.
#[derive(Debug)]
pub struct NewConversation {
    pub key: ConversationKey,
    pub id: ConversationId,
    pub contact_id: Option<ContactId>,
    pub title: Option<String>,
    pub created_at: Timestamp,
}

/// How many went in (fewer when another node was quicker).
pub async fn insert_conversations(tx: &mut Tx, conversations: Vec<NewConversation>) -> Result<u64> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<ConversationId>()),
        ("channel_id", of::<ChannelId>()),
        ("peer_id", of::<Uuid>()),
        ("topic", of::<String>()),
        ("contact_id", of::<ContactId>()),
        ("title", of::<String>()),
        ("status", of::<ConversationStatus>()),
        ("priority", of::<Priority>()),
        ("unread_count", of::<i64>()),
        ("message_count", of::<i64>()),
        ("last_message_at", of::<i64>()),
        ("created_at", of::<i64>()),
        ("updated_at", of::<i64>()),
    ]);
    for new in conversations {
        rows.push([
            new.key.organisation_id.value(),
            new.id.value(),
            new.key.channel_id.value(),
            new.key.peer_id.value(),
            new.key.topic.value(),
            new.contact_id.value(),
            new.title.value(),
            ConversationStatus::Open.value(),
            Priority::Normal.value(),
            Value::Int(0),
            Value::Int(0),
            new.created_at.value(),
            new.created_at.value(),
            new.created_at.value(),
        ]);
    }
    tx.bulk_insert("conversations", rows, "ON CONFLICT DO NOTHING").await
}

/// How conversations stand. They stay so until the transaction ends.
pub async fn lock_conversations(
    tx: &mut Tx,
    ids: BTreeSet<(OrganisationId, ConversationId)>,
) -> Result<HashMap<ConversationId, ConversationStatus>> {
    let mut rows = Rows::new(&[("org", of::<OrganisationId>()), ("conversation", of::<ConversationId>())]);
    for (organisation, id) in ids {
        rows.push([organisation.value(), id.value()]);
    }
    let lock = tx.for_update();
    let sql = format!(
        "SELECT m.id, m.status FROM {{rows}} JOIN conversations m
         ON m.organisation_id = u.org AND m.id = u.conversation {lock}"
    );
    let mut found = tx.bulk_fetch(&sql, rows).await?;
    found.iter_mut().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// What new messages do to their conversation.
#[derive(Debug)]
pub struct ConversationBump {
    pub organisation_id: OrganisationId,
    pub id: ConversationId,
    pub messages: i64,
    pub unread: i64,
    pub last_message_at: Timestamp,
    pub last_inbound_at: Option<Timestamp>,
    pub reopen: bool,
}

pub async fn bump_conversations(tx: &mut Tx, mut bumps: Vec<ConversationBump>, now: Timestamp) -> Result<()> {
    // One order everywhere: two nodes never wait for each other in a circle.
    bumps.sort_unstable_by_key(|bump| bump.id);
    let mut rows = Rows::new(&[
        ("org", of::<OrganisationId>()),
        ("conversation", of::<ConversationId>()),
        ("messages", of::<i64>()),
        ("unread", of::<i64>()),
        ("last_at", of::<i64>()),
        ("inbound_at", of::<i64>()),
        ("reopen", of::<bool>()),
        ("now", of::<i64>()),
    ]);
    for bump in bumps {
        rows.push([
            bump.organisation_id.value(),
            bump.id.value(),
            bump.messages.value(),
            bump.unread.value(),
            bump.last_message_at.value(),
            bump.last_inbound_at.value(),
            bump.reopen.value(),
            now.value(),
        ]);
    }
    tx.bulk_execute(
        "UPDATE conversations SET
             message_count = message_count + u.messages,
             unread_count = unread_count + u.unread,
             last_message_at = CASE WHEN last_message_at < u.last_at OR message_count = 0 THEN u.last_at
                                    ELSE last_message_at END,
             last_inbound_at = CASE WHEN u.inbound_at IS NULL OR last_inbound_at >= u.inbound_at
                                    THEN last_inbound_at ELSE u.inbound_at END,
             status = CASE WHEN u.reopen THEN 1 ELSE status END,
             updated_at = u.now
         FROM {rows} WHERE conversations.organisation_id = u.org AND conversations.id = u.conversation",
        rows,
    )
    .await?;
    Ok(())
}

/// A message to store. `provider_key` is [`crate::messages::provider_key`].
#[derive(Debug)]
pub struct NewMessage {
    pub organisation_id: OrganisationId,
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub channel_id: ChannelId,
    pub account_id: AccountId,
    pub contact_id: Option<ContactId>,
    pub direction: Direction,
    pub kind: MessageKind,
    pub status: MessageStatus,
    pub body: Option<String>,
    /// JSON array, absent when empty.
    pub media: Option<String>,
    /// JSON object, absent when empty.
    pub payload: Option<String>,
    pub provider_message_id: String,
    pub provider_key: Uuid,
    pub reply_to: Option<String>,
    pub occurred_at: Timestamp,
    pub created_at: Timestamp,
}

/// Which of these provider keys have their message.
pub async fn stored(tx: &mut Tx, keys: Vec<(OrganisationId, Uuid)>) -> Result<HashSet<Uuid>> {
    let mut rows = Rows::new(&[("org", of::<OrganisationId>()), ("provider_key", of::<Uuid>())]);
    for (organisation, key) in keys {
        rows.push([organisation.value(), key.value()]);
    }
    let sql = "SELECT m.provider_key FROM {rows} JOIN messages m
               ON m.organisation_id = u.org AND m.provider_key = u.provider_key";
    tx.bulk_fetch(sql, rows).await?.iter_mut().map(|row| row.get(0)).collect()
}

/// Stores messages that are not there yet; for each, whether it is new.
pub async fn insert_messages(tx: &mut Tx, messages: Vec<NewMessage>) -> Result<Vec<bool>> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<MessageId>()),
        ("conversation_id", of::<ConversationId>()),
        ("channel_id", of::<ChannelId>()),
        ("account_id", of::<AccountId>()),
        ("contact_id", of::<ContactId>()),
        ("direction", of::<Direction>()),
        ("kind", of::<MessageKind>()),
        ("status", of::<MessageStatus>()),
        ("body", of::<String>()),
        ("media", of::<String>()),
        ("payload", of::<String>()),
        ("provider_message_id", of::<String>()),
        ("provider_key", of::<Uuid>()),
        ("reply_to", of::<String>()),
        ("sort_at", of::<i64>()),
        ("occurred_at", of::<i64>()),
        ("created_at", of::<i64>()),
        ("sent_at", of::<i64>()),
        ("failed_at", of::<i64>()),
    ]);
    for message in messages {
        // What was sent elsewhere comes with no other time.
        let sent_at = (message.direction == Direction::Outbound).then_some(message.occurred_at);
        let failed_at = (message.status == MessageStatus::Failed).then_some(message.occurred_at);
        rows.push([
            message.organisation_id.value(),
            message.id.value(),
            message.conversation_id.value(),
            message.channel_id.value(),
            message.account_id.value(),
            message.contact_id.value(),
            message.direction.value(),
            message.kind.value(),
            message.status.value(),
            message.body.value(),
            message.media.value(),
            message.payload.value(),
            message.provider_message_id.value(),
            message.provider_key.value(),
            message.reply_to.value(),
            message.occurred_at.as_unix().value(),
            message.occurred_at.value(),
            message.created_at.value(),
            sent_at.value(),
            failed_at.value(),
        ]);
    }
    tx.bulk_insert_new("messages", rows, 1).await
}

/// A new inbox item of a stored message, which then waits to be understood.
#[derive(Debug)]
pub struct NewInboxItem {
    pub organisation_id: OrganisationId,
    pub id: InboxItemId,
    pub platform: Platform,
    pub channel_id: ChannelId,
    pub conversation_id: ConversationId,
    pub contact_id: Option<ContactId>,
    pub message_id: MessageId,
    pub kind: MessageKind,
    pub occurred_at: Timestamp,
    pub created_at: Timestamp,
}

pub async fn insert_inbox_items(tx: &mut Tx, items: Vec<NewInboxItem>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("id", of::<InboxItemId>()),
        ("class", of::<InboxClass>()),
        ("status", of::<InboxStatus>()),
        ("platform", of::<Platform>()),
        ("channel_id", of::<ChannelId>()),
        ("conversation_id", of::<ConversationId>()),
        ("contact_id", of::<ContactId>()),
        ("message_id", of::<MessageId>()),
        ("kind", of::<MessageKind>()),
        ("occurred_at", of::<i64>()),
        ("created_at", of::<i64>()),
        ("updated_at", of::<i64>()),
    ]);
    let waiting: Vec<_> = items.iter().map(|item| (item.organisation_id, item.id)).collect();
    for item in items {
        rows.push([
            item.organisation_id.value(),
            item.id.value(),
            InboxClass::Unknown.value(),
            InboxStatus::New.value(),
            item.platform.value(),
            item.channel_id.value(),
            item.conversation_id.value(),
            item.contact_id.value(),
            item.message_id.value(),
            item.kind.value(),
            item.occurred_at.value(),
            item.created_at.value(),
            item.created_at.value(),
        ]);
    }
    tx.bulk_insert("inbox_items", rows, "").await?;
    crate::understanding::enqueue(tx, waiting).await
}

/// Where an update of an inbound body stands, and why it is not applied.
#[derive(Clone, Debug)]
pub struct NewHeld {
    pub id: HeldId,
    pub organisation_id: Option<OrganisationId>,
    pub stream: i64,
    pub seq: i64,
    /// Which update of the body, from 0 in the order they are parsed.
    pub item: i64,
    pub pointer: String,
    pub platform: Platform,
    /// The number's or the business account's id; of one number of a business account, `123 62811`.
    pub account_key: String,
    /// No account yet; otherwise it is quarantined.
    pub unclaimed: bool,
    pub error: String,
    pub received_at: Timestamp,
}

/// Keeps updates for later. One that is kept already only hears whose it is by now, and why it still is.
pub async fn hold(tx: &mut Tx, held: Vec<NewHeld>) -> Result<()> {
    let mut rows = Rows::new(&[
        ("id", of::<HeldId>()),
        ("organisation_id", of::<OrganisationId>()),
        ("stream", of::<i64>()),
        ("seq", of::<i64>()),
        ("item", of::<i64>()),
        ("pointer", of::<String>()),
        ("platform", of::<Platform>()),
        ("account_key", of::<String>()),
        ("reason", of::<String>()),
        ("error", of::<String>()),
        ("received_at", of::<i64>()),
    ]);
    for update in held {
        rows.push([
            update.id.value(),
            update.organisation_id.value(),
            update.stream.value(),
            update.seq.value(),
            update.item.value(),
            update.pointer.value(),
            update.platform.value(),
            update.account_key.value(),
            if update.unclaimed { "unclaimed" } else { "quarantined" }.value(),
            update.error.value(),
            update.received_at.value(),
        ]);
    }
    tx.bulk_insert(
        "held_updates",
        rows,
        "ON CONFLICT (stream, seq, item) DO UPDATE SET reason = excluded.reason, error = excluded.error,
             organisation_id = excluded.organisation_id, account_key = excluded.account_key",
    )
    .await?;
    Ok(())
}

/// Marks updates of one body as applied.
pub async fn release(tx: &mut Tx, stream: i64, seq: i64, items: &[i64], now: Timestamp) -> Result<()> {
    let mut rows = Rows::new(&[
        ("stream", of::<i64>()),
        ("seq", of::<i64>()),
        ("item", of::<i64>()),
        ("now", of::<i64>()),
    ]);
    for item in items {
        rows.push([stream.value(), seq.value(), (*item).value(), now.value()]);
    }
    tx.bulk_execute(
        "UPDATE held_updates SET resolved_at = u.now FROM {rows} WHERE held_updates.stream = u.stream
         AND held_updates.seq = u.seq AND held_updates.item = u.item AND held_updates.resolved_at IS NULL",
        rows,
    )
    .await?;
    Ok(())
}

/// Open unclaimed updates whose account exists by now: where they are in the log, behind `after`.
pub async fn claimable(db: &mut impl Db, after: (i64, i64), limit: i64) -> Result<Vec<(i64, i64)>> {
    db.fetch(
        "SELECT DISTINCT h.stream, h.seq FROM held_updates h
         JOIN accounts a ON a.platform = h.platform AND a.retired_at IS NULL
             AND (h.account_key = a.external_id OR h.account_key = a.waba_id
                  OR h.account_key = a.waba_id || ' ' || a.phone_digits)
         WHERE h.resolved_at IS NULL AND h.reason = 'unclaimed' AND (h.stream, h.seq) > ($1, $2)
         ORDER BY h.stream, h.seq LIMIT $3",
        args![after.0, after.1, limit],
    )
    .await?
    .iter_mut()
    .map(|row| Ok((row.get(0)?, row.get(1)?)))
    .collect()
}

/// Open held updates of one body: their item numbers. Whoever replays the same body meanwhile waits.
pub async fn open_items(tx: &mut Tx, stream: i64, seq: i64) -> Result<Vec<i64>> {
    let sql = format!(
        "SELECT item FROM held_updates WHERE stream = $1 AND seq = $2 AND resolved_at IS NULL ORDER BY item {}",
        tx.lock_rows()
    );
    tx.fetch(&sql, args![stream, seq]).await?.iter_mut().map(|row| row.get(0)).collect()
}

/// The business account a number belongs to.
pub async fn waba_id(
    db: &mut impl Db,
    organisation: OrganisationId,
    account: AccountId,
) -> Result<Option<String>> {
    let mut rows = db
        .fetch(
            "SELECT waba_id FROM accounts WHERE organisation_id = $1 AND id = $2",
            args![organisation, account],
        )
        .await?;
    rows.first_mut().map_or(Ok(None), |row| row.get(0))
}
