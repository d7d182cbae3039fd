//! An account with its direct line, and people who wrote to it.

use kabar_domain::channel::{ChannelKind, ChannelStatus, ConversationStatus, InboxStatus};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::{Direction, MessageKind, MessageStatus, Platform};
use kabar_domain::{
    AccountId, ChannelId, Clock, ContactId, ConversationId, InboxItemId, MessageId, OrganisationId, Timestamp,
};
use kabar_store::accounts::{self, Account};
use kabar_store::apply::{
    self, ConversationBump, ConversationKey, NewConversation, NewInboxItem, NewMessage,
};
use kabar_store::channels::{self, AccountFacts, Channel};
use kabar_store::contacts::{self, Contact};
use kabar_store::counters::Counter;
use kabar_store::messages::provider_key;
use kabar_store::{Store, organisations};
use serde_json::json;

use crate::support::organisation;

pub struct Place<'a> {
    pub store: &'a Store,
    pub clock: &'a Clock,
    pub organisation: OrganisationId,
    pub account: AccountId,
    pub channel: ChannelId,
}

pub fn account(clock: &Clock, organisation_id: OrganisationId, external_id: &str) -> Account {
    Account {
        organisation_id,
        id: AccountId::new(clock),
        platform: Platform::Whatsapp,
        status: ChannelStatus::Connected,
        external_id: external_id.into(),
        display_name: "Sales line".into(),
        phone_number: Some("+62 811 000".into()),
        phone_digits: Some("62811000".into()),
        waba_id: Some("waba".into()),
        username: None,
        is_default: false,
        credentials: vec![1, 2, 3],
        settings: json!({"tone": "warm"}),
        metadata: json!({}),
        signed_by: Some(" 1 -2 ".into()),
        verified_name: None,
        quality: None,
        messaging_limit: None,
        messages_per_second: None,
        last_error: None,
        connected_at: None,
        checked_at: None,
        webhook_verified_at: None,
        last_event_at: None,
        created_at: clock.now(),
        updated_at: clock.now(),
        channel_id: None,
    }
}

pub fn channel(clock: &Clock, account: &Account, external_id: &str) -> Channel {
    Channel {
        organisation_id: account.organisation_id,
        id: ChannelId::new(clock),
        account_id: account.id,
        platform: account.platform,
        kind: if external_id.is_empty() { ChannelKind::Direct } else { ChannelKind::Group },
        status: ChannelStatus::Connected,
        external_id: external_id.into(),
        display_name: "Tim Gedung A".into(),
        purpose: None,
        allow_routine_logs: true,
        allow_issues: false,
        default_site_id: None,
        connected_at: Some(clock.now()),
        last_seen_at: None,
        archived_at: None,
        created_at: clock.now(),
        updated_at: clock.now(),
        account: AccountFacts { phone_number: account.phone_number.clone(), ..AccountFacts::default() },
    }
}

/// An account with its direct line.
pub async fn register(
    store: &Store,
    clock: &Clock,
    organisation: OrganisationId,
    external_id: &str,
) -> Account {
    let mut account = account(clock, organisation, external_id);
    let direct = channel(clock, &account, "");
    account.channel_id = Some(direct.id);
    let mut tx = store.begin().await.unwrap();
    organisations::lock(&mut tx, organisation).await.unwrap();
    accounts::insert(&mut tx, &account).await.unwrap();
    channels::insert(&mut tx, &direct).await.unwrap();
    tx.commit().await.unwrap();
    account
}

impl<'a> Place<'a> {
    pub async fn new(store: &'a Store, clock: &'a Clock, external_id: &str) -> Self {
        let organisation = organisation(store, clock).await;
        let account = register(store, clock, organisation, external_id).await;
        let channel = account.channel_id.unwrap();
        Self { store, clock, organisation, account: account.id, channel }
    }

    pub async fn contact(&self, wa_id: &str, name: &str) -> ContactId {
        let mut tx = self.store.begin().await.unwrap();
        let identity = Identity::new(IdentityKind::WaId, wa_id);
        let new = ContactId::new(self.clock);
        let (id, is_new) =
            contacts::claim_identity(&mut tx, self.organisation, &identity, new).await.unwrap();
        assert!(is_new);
        let mut contact = Contact::new(self.organisation, id, self.clock.now());
        contact.name = Some(name.into());
        contact.wa_id = Some(wa_id.into());
        contacts::insert(&mut tx, &contact).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// A conversation with `contact`, counted, of which nothing was said yet.
    pub async fn conversation(&self, contact: ContactId) -> ConversationId {
        let id = ConversationId::new(self.clock);
        let key = ConversationKey {
            organisation_id: self.organisation,
            peer_id: contact.uuid(),
            channel_id: self.channel,
            topic: String::new(),
        };
        let new =
            NewConversation { key, id, contact_id: Some(contact), title: None, created_at: self.clock.now() };
        let mut tx = self.store.begin().await.unwrap();
        apply::insert_conversations(&mut tx, vec![new]).await.unwrap();
        let counter = Counter::Conversations(self.channel, ConversationStatus::Open);
        tx.count(self.organisation, counter, 1);
        tx.commit().await.unwrap();
        id
    }

    /// An inbound message said at `at`, and its inbox item.
    pub async fn message(
        &self,
        conversation: ConversationId,
        contact: ContactId,
        provider_id: &str,
        at: Timestamp,
        reply_to: Option<&str>,
    ) -> MessageId {
        let id = MessageId::new(self.clock);
        let message = NewMessage {
            organisation_id: self.organisation,
            id,
            conversation_id: conversation,
            channel_id: self.channel,
            account_id: self.account,
            contact_id: Some(contact),
            direction: Direction::Inbound,
            kind: MessageKind::Image,
            status: MessageStatus::Received,
            body: Some(format!("said as {provider_id}")),
            media: Some(r#"[{"id":"m-1","mime_type":"image/jpeg"}]"#.into()),
            payload: Some(r#"{"forwarded":true}"#.into()),
            provider_message_id: provider_id.into(),
            provider_key: provider_key(self.account, provider_id),
            reply_to: reply_to.map(str::to_owned),
            occurred_at: at,
            created_at: self.clock.now(),
        };
        let item = NewInboxItem {
            organisation_id: self.organisation,
            id: InboxItemId::new(self.clock),
            platform: Platform::Whatsapp,
            channel_id: self.channel,
            conversation_id: conversation,
            contact_id: Some(contact),
            message_id: id,
            kind: MessageKind::Image,
            occurred_at: at,
            created_at: self.clock.now(),
        };
        let bump = ConversationBump {
            organisation_id: self.organisation,
            id: conversation,
            messages: 1,
            unread: 1,
            last_message_at: at,
            last_inbound_at: Some(at),
            reopen: false,
        };
        let mut tx = self.store.begin().await.unwrap();
        apply::insert_messages(&mut tx, vec![message]).await.unwrap();
        apply::insert_inbox_items(&mut tx, vec![item]).await.unwrap();
        apply::bump_conversations(&mut tx, vec![bump], self.clock.now()).await.unwrap();
        tx.count(self.organisation, Counter::Inbox(InboxStatus::New), 1);
        tx.commit().await.unwrap();
        id
    }
}
