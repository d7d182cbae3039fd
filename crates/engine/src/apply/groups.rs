//! What happens to groups: they are made, renamed, suspended, ended, and people come and go.

use std::collections::HashSet;

use kabar_domain::channel::ChannelStatus;
use kabar_domain::inbound::{Chat, GroupChange, GroupFacts, Identity, IdentityKind, MemberChange, Party};
use kabar_domain::message::ProviderError;
use kabar_domain::{ChannelId, ContactId, OrganisationId, Timestamp};
use kabar_store::apply::{self, AccountRef};
use kabar_store::counters::Counter;
use kabar_store::{Error as StoreError, Tx, changes, groups, members};
use serde_json::{Value, json};

use super::batch::Batch;
use super::messages::new_contact;

impl Batch<'_> {
    pub(super) async fn group(
        &mut self,
        tx: &mut Tx,
        account: &AccountRef,
        chat: &Chat,
        change: GroupChange,
        occurred_at: Timestamp,
    ) -> Result<(), StoreError> {
        let Chat::Group { external_id, title, .. } = chat else { return Ok(()) };
        let organisation = account.organisation_id;
        let key = (account.id, external_id.clone());
        let known = apply::channels(tx, Vec::from([key.clone()])).await?.remove(&key);
        let channel = match (known, &change) {
            (known, GroupChange::Created { request_id, facts }) => {
                let request = (request_id.as_deref(), facts.title.as_deref());
                let ours = groups::claim(tx, organisation, account.id, request, known, self.now).await?;
                let channel = match (known, ours) {
                    (Some(known), _) => known,
                    (None, ours) => {
                        let channel = ours.unwrap_or_else(|| ChannelId::new(&self.engine.clock));
                        let title = facts.title.as_ref().or(title.as_ref()).unwrap_or(external_id);
                        let status =
                            if ours.is_some() { ChannelStatus::Connected } else { ChannelStatus::Pending };
                        self.new_group(tx, account, channel, external_id, title, status).await?;
                        channel
                    }
                };
                groups::learn(tx, organisation, channel, request_id.as_deref(), facts, self.now).await?;
                channel
            }
            (Some(known), _) => known,
            (None, GroupChange::Deleted) => return Ok(()),
            (None, change) => {
                let channel = ChannelId::new(&self.engine.clock);
                let new = match change {
                    GroupChange::Settings(facts) => facts.title.as_ref(),
                    _ => None,
                };
                let title = new.or(title.as_ref()).unwrap_or(external_id);
                self.new_group(tx, account, channel, external_id, title, ChannelStatus::Pending).await?;
                channel
            }
        };
        let (title, status) = match change {
            GroupChange::Members(changes) => {
                return self.members(tx, account, channel, changes, occurred_at).await;
            }
            GroupChange::Created { facts, .. } => (facts.title, None),
            GroupChange::Settings(facts) => {
                groups::learn(tx, organisation, channel, None, &facts, self.now).await?;
                (facts.title, None)
            }
            GroupChange::Membership { active: false } => (None, Some(ChannelStatus::Disconnected)),
            GroupChange::Membership { active: true } => (None, self.back(tx, organisation, channel).await?),
            GroupChange::Suspended(suspended) => {
                let facts = GroupFacts { suspended: Some(suspended), ..GroupFacts::default() };
                groups::learn(tx, organisation, channel, None, &facts, self.now).await?;
                let status = if suspended {
                    Some(ChannelStatus::Disconnected)
                } else {
                    self.back(tx, organisation, channel).await?
                };
                (None, status)
            }
            GroupChange::Deleted => {
                groups::delete(tx, organisation, channel, self.now).await?;
                members::dissolve(tx, organisation, channel, occurred_at, self.now).await?;
                (None, Some(ChannelStatus::Disconnected))
            }
        };
        changes::change_group(tx, organisation, channel, title.as_deref(), status, self.now).await?;
        let data = json!({ "display_name": title, "status": status });
        self.event(organisation, "channel.updated", channel.uuid(), Some(data.to_string()));
        Ok(())
    }

    /// The status of a group that can be used again: a person confirms it, as for a new one, unless we asked for it.
    async fn back(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        channel: ChannelId,
    ) -> Result<Option<ChannelStatus>, StoreError> {
        let was = changes::channel_status(tx, organisation, channel).await?;
        if was != Some(ChannelStatus::Disconnected) {
            return Ok(None);
        }
        let ours = groups::is_ours(tx, organisation, channel).await?;
        Ok(Some(if ours { ChannelStatus::Connected } else { ChannelStatus::Pending }))
    }

    /// Makes the channel of a group that was not known.
    pub(super) async fn new_group(
        &mut self,
        tx: &mut Tx,
        account: &AccountRef,
        channel: ChannelId,
        external_id: &str,
        title: &str,
        status: ChannelStatus,
    ) -> Result<(), StoreError> {
        apply::insert_group_channel(tx, account, channel, external_id, title, status, self.now).await?;
        let data = json!({ "status": status });
        self.event(account.organisation_id, "channel.created", channel.uuid(), Some(data.to_string()));
        Ok(())
    }

    pub(super) async fn group_refused(
        &mut self,
        tx: &mut Tx,
        account: &AccountRef,
        request_id: &str,
        error: &ProviderError,
    ) -> Result<(), StoreError> {
        let organisation = account.organisation_id;
        let trace = ChannelId::new(&self.engine.clock);
        let failed = groups::fail(tx, organisation, account.id, request_id, error, trace, self.now).await?;
        if let Some(group) = failed {
            let data = json!({ "status": "failed", "error": error });
            self.event(organisation, "group.failed", group.uuid(), Some(data.to_string()));
        }
        Ok(())
    }

    async fn members(
        &mut self,
        tx: &mut Tx,
        account: &AccountRef,
        channel: ChannelId,
        changes: Vec<MemberChange>,
        occurred_at: Timestamp,
    ) -> Result<(), StoreError> {
        let organisation = account.organisation_id;
        let mut told = Vec::new();
        for change in changes {
            let Some(identity) = change.party.identities.first().cloned() else { continue };
            // A bot is told of itself too.
            if identity == Identity::new(IdentityKind::Telegram, &account.external_id) {
                continue;
            }
            let contact_id = self.person(tx, organisation, &change.party, occurred_at).await?;
            let MemberChange { status, role, request_id, .. } = change;
            let change = members::Change { contact_id, identity, role, status, request_id };
            if members::change(tx, organisation, channel, &change, Some(occurred_at), self.now).await? {
                told.push(json!({ "contact_id": contact_id, "status": status, "role": role }));
            }
        }
        if !told.is_empty() {
            let data = json!({ "members": Value::Array(told) });
            self.event(organisation, "channel.members_updated", channel.uuid(), Some(data.to_string()));
        }
        Ok(())
    }

    /// The contact of somebody who did not write.
    async fn person(
        &mut self,
        tx: &mut Tx,
        organisation: OrganisationId,
        party: &Party,
        seen_at: Timestamp,
    ) -> Result<ContactId, StoreError> {
        let keys: Vec<_> = party.identities.iter().map(|identity| (organisation, identity.clone())).collect();
        let found = apply::contacts_by_identity(tx, &keys).await?;
        let known = keys.iter().find_map(|key| found.get(key)).map(|contact| contact.id);
        let contact = known.unwrap_or_else(|| ContactId::new(&self.engine.clock));
        if known.is_none() {
            let new = new_contact(organisation, contact, party, seen_at, self.now);
            apply::insert_contacts(tx, Vec::from([new])).await?;
            self.count(organisation, Counter::Contacts, 1);
            self.event(organisation, "contact.created", contact.uuid(), None);
        }
        let new: HashSet<_> = keys.into_iter().filter(|key| !found.contains_key(key)).collect();
        let learnt = new.iter().filter(|(_, identity)| identity.kind == IdentityKind::WaId);
        let learnt = learnt.map(|(_, identity)| (organisation, contact, identity.value.clone())).collect();
        let expected = new.len() as u64;
        let new = new.into_iter().map(|(organisation, identity)| (organisation, identity, contact)).collect();
        if apply::insert_identities(tx, new).await? != expected {
            return Err(StoreError::Contention("a contact appeared meanwhile".into()));
        }
        // Of a new contact the number is written already.
        apply::learn_numbers(tx, learnt).await?;
        Ok(contact)
    }
}
