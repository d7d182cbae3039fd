//! Who is in a group, who is put out of it, who is made its administrator.

use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::Platform;
use kabar_domain::{Ability, ChannelId, ContactId};
use kabar_providers::telegram::ADMIN_RIGHTS;
use kabar_providers::whatsapp;
use kabar_store::contacts::{self, Contact};
use kabar_store::events::NewEvent;
use kabar_store::groups::Group;
use kabar_store::members::{self, Change, Member};
use kabar_store::{Db, Tx, Window, channels};
use serde_json::json;

use super::invite::{Named, named};
use super::{GroupName, Invited, Participants, event};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

/// In the group, or expected there.
const PRESENT: &[MemberStatus] = &[MemberStatus::Invited, MemberStatus::Requested, MemberStatus::Joined];

/// More members than these are to be had from their own list.
const SHOWN: i64 = 256;

pub(super) async fn present(db: &mut impl Db, group: &Group) -> Result<Vec<Member>> {
    let window = Window { after: None, offset: 0, limit: SHOWN };
    Ok(members::list(db, group.organisation_id, group.id, PRESENT, window).await?)
}

/// What became of each of the people a request names.
type Outcomes = Vec<(Named, Result<MemberStatus, Error>)>;

impl Engine {
    /// The members of a channel. `status` is one of theirs, `all`, or absent: who is in or expected.
    pub async fn list_channel_members(
        &self,
        principal: &Principal,
        channel: ChannelId,
        status: Option<String>,
        page: &PageRequest,
    ) -> Result<Page<Member>> {
        principal.require(Ability::Read)?;
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        if channels::find(&mut db, organisation, channel).await?.is_none() {
            return Err(crate::channels::not_found());
        }
        let one;
        let statuses = match status.as_deref() {
            None => PRESENT,
            Some("all") => MemberStatus::ALL,
            Some(name) => {
                let mut invalid = Invalid::default();
                one = MemberStatus::from_name(name).map(|status| [status]);
                if one.is_none() {
                    rules::selected(&mut invalid, "status");
                }
                invalid.check()?;
                one.as_ref().map_or(PRESENT, |one| one.as_slice())
            }
        };
        let window = Window {
            after: page.after()?.map(|place| ContactId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let total = members::count(&mut db, organisation, channel, statuses).await?;
        let rows = members::list(&mut db, organisation, channel, statuses, window).await?;
        Ok(page.page_of(rows, total, |member| member.contact_id.uuid().into()))
    }

    /// Puts people out. On WhatsApp the webhook tells whether it worked, and they cannot come back through the link.
    pub async fn remove_group_participants(
        &self,
        principal: &Principal,
        name: &GroupName,
        people: Participants,
    ) -> Result<Vec<Invited>> {
        principal.require(Ability::Write)?;
        let reached = self.reach_named(principal, name).await?;
        let mut db = self.store.reader().await?;
        let people = named(&mut db, &reached, people).await?;
        drop(db);
        let (token, id) = (reached.token(), reached.external_id.as_str());
        if reached.platform() != Platform::Telegram {
            let identities: Vec<Identity> = people.iter().map(|person| person.identity.clone()).collect();
            for some in identities.chunks(whatsapp::MAX_PARTICIPANTS) {
                self.whatsapp.remove_participants(id, token, some).await.map_err(reached.refused())?;
            }
            return Ok(people.into_iter().map(|person| Invited::new(person, "removing")).collect());
        }
        let mut outcomes = Outcomes::new();
        for person in people {
            let removed = self.telegram.remove_chat_member(token, id, &person.identity.value).await;
            let removed = removed.map(|()| MemberStatus::Removed).map_err(reached.refused());
            outcomes.push((person, removed));
        }
        self.write_outcomes_of(&reached.group, MemberRole::Member, outcomes).await
    }

    /// Makes members administrators, with the rights that the bot has itself.
    pub async fn promote_group_participants(
        &self,
        principal: &Principal,
        name: &GroupName,
        people: Participants,
    ) -> Result<Vec<Invited>> {
        principal.require(Ability::Write)?;
        let group = super::find(&mut self.store.reader().await?, principal, name).await?;
        if group.platform == Platform::Whatsapp {
            return Err(Error::CapabilityMissing {
                provider: group.platform,
                field: "participants".into(),
                reason: "WhatsApp's Groups API cannot promote a participant: the business that made the group is its \
                         only administrator."
                    .into(),
            });
        }
        let reached = self.reach(group).await?;
        let mut db = self.store.reader().await?;
        let people = named(&mut db, &reached, people).await?;
        drop(db);
        let (token, id) = (reached.token(), reached.external_id.as_str());
        let bot = self.telegram.chat_member(token, id, &reached.account.external_id).await;
        let bot = bot.map_err(reached.refused())?;
        let has = |right: &&str| bot.as_ref().is_some_and(|bot| bot.may(right));
        let mut rights: Vec<&str> = ADMIN_RIGHTS.iter().copied().filter(has).collect();
        if rights.is_empty() {
            // The least that makes an administrator; Telegram says what the bot lacks.
            rights.push("can_manage_chat");
        }
        let mut outcomes = Outcomes::new();
        for person in people {
            let user = person.identity.value.as_str();
            let promoted = self.telegram.promote_chat_member(token, id, user, &rights).await;
            outcomes.push((person, promoted.map(|()| MemberStatus::Joined).map_err(reached.refused())));
        }
        self.write_outcomes_of(&reached.group, MemberRole::Admin, outcomes).await
    }

    /// Writes what a provider did at once, and answers for each person.
    async fn write_outcomes_of(
        &self,
        group: &Group,
        role: MemberRole,
        outcomes: Outcomes,
    ) -> Result<Vec<Invited>> {
        let done = if role == MemberRole::Admin { "promoted" } else { "removed" };
        let mut tx = self.store.begin().await?;
        let mut written = Vec::new();
        let mut answers = Vec::with_capacity(outcomes.len());
        for (person, outcome) in outcomes {
            match outcome {
                Ok(status) => {
                    let contact = self.member_contact(&mut tx, group, &person.identity, None).await?;
                    written.push((contact, person.identity.clone(), role, status, None));
                    answers.push(Invited::new(person, done));
                }
                Err(error) => answers.push(Invited::failed(person, &error)),
            }
        }
        self.observe(&mut tx, group, written, None).await?;
        tx.commit().await?;
        Ok(answers)
    }

    /// The contact that a member is, made when there is none.
    pub(super) async fn member_contact(
        &self,
        tx: &mut Tx,
        group: &Group,
        identity: &Identity,
        name: Option<String>,
    ) -> Result<ContactId> {
        let (organisation, now) = (group.organisation_id, self.clock.now());
        let new = ContactId::new(&self.clock);
        let (id, is_new) = contacts::claim_identity(tx, organisation, identity, new).await?;
        if is_new {
            let mut contact = Contact::new(organisation, id, now);
            contact.name = name;
            contact.wa_id = (identity.kind == IdentityKind::WaId).then(|| identity.value.clone());
            contact.phone = contact.wa_id.as_ref().map(|digits| format!("+{digits}"));
            contacts::insert(tx, &contact).await?;
            let created = NewEvent { kind: "contact.created", subject_id: Some(id.uuid()), data: None };
            tx.record(organisation, now, vec![created]);
        }
        Ok(id)
    }

    /// Writes what we did, or found at the provider. With `all` these are everybody of that status: others of it are
    /// not there any more.
    pub(super) async fn observe(
        &self,
        tx: &mut Tx,
        group: &Group,
        people: Vec<(ContactId, Identity, MemberRole, MemberStatus, Option<String>)>,
        all: Option<MemberStatus>,
    ) -> Result<()> {
        let (organisation, now) = (group.organisation_id, self.clock.now());
        let mut changes: Vec<Change> = people
            .into_iter()
            .map(|(contact_id, identity, role, status, request_id)| Change {
                contact_id,
                identity,
                role,
                status,
                request_id,
            })
            .collect();
        if let Some(all) = all {
            let gone = if all == MemberStatus::Joined { MemberStatus::Left } else { MemberStatus::Declined };
            let window = Window { after: None, offset: 0, limit: i64::MAX };
            for member in members::list(tx, organisation, group.id, &[all], window).await? {
                if changes.iter().all(|change| change.contact_id != member.contact_id) {
                    let Member { contact_id, identity, role, .. } = member;
                    changes.push(Change { contact_id, identity, role, status: gone, request_id: None });
                }
            }
        }
        let mut told = Vec::new();
        for change in &changes {
            if members::change(tx, organisation, group.id, change, None, now).await? {
                told.push(json!({ "contact_id": change.contact_id, "status": change.status,
                    "role": change.role }));
            }
        }
        if !told.is_empty() {
            let data = json!({ "members": told });
            tx.record(organisation, now, vec![event("channel.members_updated", group.id, &data)]);
        }
        Ok(())
    }
}
