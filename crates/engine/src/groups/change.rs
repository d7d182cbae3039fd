//! Changing a group, its link, and its end.

use kabar_domain::Ability;
use kabar_domain::channel::{GroupState, MemberRole, MemberStatus};
use kabar_domain::inbound::{GroupFacts, Identity};
use kabar_domain::message::Platform;
use kabar_store::groups::{self, Group};
use kabar_store::members;
use serde_json::json;

use super::create::{DESCRIPTION, SUBJECT};
use super::{GroupName, Reached, event, find, learn, not_found};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::patch::Patch;
use crate::rules;

/// Telegram's own limit on a description.
const TELEGRAM_DESCRIPTION: usize = 255;

/// What to change about a group. What is left out stays.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    pub subject: Option<String>,
    /// Null or empty takes it away.
    pub description: Patch<String>,
    /// A file of the media library; null or empty takes the picture away, where the provider can.
    pub picture: Patch<String>,
}

impl Engine {
    /// Asks the provider for another subject, description or picture. WhatsApp's answer comes by webhook, so the group is
    /// answered as it still is; Telegram's is there at once.
    pub async fn update_group(
        &self,
        principal: &Principal,
        name: &GroupName,
        change: GroupChange,
    ) -> Result<Group> {
        principal.require(Ability::Write)?;
        let group = find(&mut self.store.reader().await?, principal, name).await?;
        let limit = if group.platform == Platform::Telegram { TELEGRAM_DESCRIPTION } else { DESCRIPTION };
        let mut invalid = Invalid::default();
        let title =
            change.subject.map(|subject| rules::required(&mut invalid, "subject", Some(subject), SUBJECT));
        let description = match change.description {
            Patch::Keep => None,
            Patch::Set(text) => {
                Some(rules::optional(&mut invalid, "description", text, limit).unwrap_or_default())
            }
        };
        let is_text = title.is_some() || description.is_some();
        if !is_text && matches!(change.picture, Patch::Keep) {
            invalid.add("subject", "The subject field is required when description is not present.");
        }
        invalid.check()?;
        let reached = self.reach(group).await?;
        let picture = self.wanted_picture(&reached, change.picture).await?;
        let (token, id) = (reached.token(), reached.external_id.as_str());
        if reached.platform() != Platform::Telegram {
            if is_text {
                let (title, description) = (title.as_deref(), description.as_deref());
                self.whatsapp.change_group(id, token, title, description).await.map_err(reached.refused())?;
            }
            Box::pin(self.change_picture(&reached, picture)).await?;
            return Ok(reached.group);
        }
        if let Some(title) = &title {
            self.telegram.set_chat_title(token, id, title).await.map_err(reached.refused())?;
        }
        if let Some(text) = &description {
            match self.telegram.set_chat_description(token, id, text).await {
                Err(failure) if failure.error.title.contains("not modified") => {}
                done => done.map_err(reached.refused())?,
            }
        }
        if is_text {
            self.keep_facts(&reached, &GroupFacts { title, description, ..GroupFacts::default() }).await?;
        }
        Box::pin(self.change_picture(&reached, picture)).await?;
        self.group_again(&reached.group).await
    }

    /// The link that lets people in; with `reset` a new one, and the old one is void.
    pub async fn group_invite_link(
        &self,
        principal: &Principal,
        name: &GroupName,
        reset: bool,
    ) -> Result<Group> {
        principal.require(Ability::Write)?;
        let reached = self.reach_named(principal, name).await?;
        self.ask_invite_link(&reached, reset).await?;
        self.group_again(&reached.group).await
    }

    pub(super) async fn ask_invite_link(&self, reached: &Reached, reset: bool) -> Result<String> {
        let (token, id) = (reached.token(), reached.external_id.as_str());
        let asked = if reached.platform() == Platform::Telegram {
            let known = if reset {
                None
            } else {
                self.telegram.chat(token, id).await.map_err(reached.refused())?.invite_link
            };
            match known {
                Some(link) => Ok(link),
                None => self.telegram.export_invite_link(token, id).await,
            }
        } else {
            self.whatsapp.group_invite_link(id, token, reset).await
        };
        let link = asked.map_err(reached.refused())?;
        if reached.group.invite_link.as_ref() != Some(&link) {
            let facts = GroupFacts { invite_link: Some(link.clone()), ..GroupFacts::default() };
            self.keep_facts(reached, &facts).await?;
        }
        Ok(link)
    }

    async fn keep_facts(&self, reached: &Reached, facts: &GroupFacts) -> Result<()> {
        let mut tx = self.store.begin().await?;
        learn(&mut tx, &reached.group, facts, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Ends a group. WhatsApp tells by webhook that it is gone. One that never came to be is forgotten.
    pub async fn delete_group(&self, principal: &Principal, name: &GroupName) -> Result<()> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let group = find(&mut self.store.reader().await?, principal, name).await?;
        let now = self.clock.now();
        if matches!(group.state, GroupState::Failed | GroupState::Uncertain) {
            let mut tx = self.store.begin().await?;
            if !groups::forget(&mut tx, organisation, group.id).await? {
                return Err(not_found());
            }
            tx.record(organisation, now, vec![event("group.forgotten", group.id, &json!({}))]);
            return Ok(tx.commit().await?);
        }
        let reached = self.reach(group).await?;
        if reached.platform() == Platform::Telegram {
            return reached.missing(
                "group_id",
                "A Telegram bot cannot delete a group: its owner does that in Telegram. Archive the channel here.",
            );
        }
        match self.whatsapp.delete_group(&reached.external_id, reached.token()).await {
            // It is gone already, and its webhook was lost.
            Err(failure) if failure.error.code == 131_041 => {
                let mut tx = self.store.begin().await?;
                groups::delete(&mut tx, organisation, reached.group.id, now).await?;
                members::dissolve(&mut tx, organisation, reached.group.id, now, now).await?;
                tx.record(organisation, now, vec![event("channel.updated", reached.group.id, &json!({}))]);
                Ok(tx.commit().await?)
            }
            done => done.map_err(reached.refused()),
        }
    }

    /// Takes over what the provider says of a group now.
    pub(super) async fn refresh_group(&self, reached: &Reached) -> Result<()> {
        let (token, id) = (reached.token(), reached.external_id.as_str());
        // Everybody, where the provider tells; else those it tells of.
        let (facts, people, all) = if reached.platform() == Platform::Telegram {
            let chat = self.telegram.chat(token, id).await.map_err(reached.refused())?;
            let admins = self.telegram.chat_administrators(token, id).await.map_err(reached.refused())?;
            let facts = GroupFacts {
                title: chat.title,
                description: Some(chat.description.unwrap_or_default()),
                invite_link: chat.invite_link,
                ..GroupFacts::default()
            };
            let role = |status: &str| {
                if status == "creator" { MemberRole::Owner } else { MemberRole::Admin }
            };
            let people: Vec<_> = admins
                .into_iter()
                .filter_map(|admin| {
                    let role = role(&admin.status);
                    Some((admin.party.identities.into_iter().next()?, admin.party.name, role))
                })
                .collect();
            (facts, people, false)
        } else {
            let info = self.whatsapp.group(id, token).await.map_err(reached.refused())?;
            let facts = GroupFacts {
                title: info.subject,
                description: Some(info.description.unwrap_or_default()),
                invite_link: None,
                join_approval_mode: info.join_approval_mode,
                suspended: info.suspended,
            };
            let all = info.participants.is_some();
            let people = info.participants.unwrap_or_default();
            (facts, people.into_iter().map(|person| (person, None, MemberRole::Member)).collect(), all)
        };
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        learn(&mut tx, &reached.group, &facts, now).await?;
        let mut there = Vec::new();
        for (identity, name, role) in people {
            if identity == Identity::new(identity.kind, &reached.account.external_id) {
                continue;
            }
            let contact = self.member_contact(&mut tx, &reached.group, &identity, name).await?;
            there.push((contact, identity, role, MemberStatus::Joined, None));
        }
        self.observe(&mut tx, &reached.group, there, all.then_some(MemberStatus::Joined)).await?;
        Ok(tx.commit().await?)
    }
}
