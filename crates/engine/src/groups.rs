//! Groups: made, changed, joined and left, where the provider lets us.
//!
//! WhatsApp confirms most of it by webhook: what is kept here follows the webhook, not the request. Telegram answers
//! at once, and keeps the members to itself: what is known of them is what its updates tell.

mod change;
mod create;
mod invite;
mod members;
mod picture;
mod requests;

use std::str::FromStr;

use kabar_domain::channel::{ChannelStatus, GroupState};
use kabar_domain::inbound::GroupFacts;
use kabar_domain::message::Platform;
use kabar_domain::{Ability, ChannelId};
use kabar_store::events::NewEvent;
use kabar_store::groups;
use kabar_store::{Db, Tx, Window, accounts};
use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub use change::GroupChange;
pub use create::NewGroup;
pub use invite::{Invited, Participant, Participants};
pub use kabar_store::groups::Group;
pub use kabar_store::members::Member;
pub use requests::Decision;

/// How a client names a group: by our id or the provider's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName(String);

/// What no group can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoName;

impl FromStr for GroupName {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"-_=+/@.:".contains(&letter);
        if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoName)
        }
    }
}

pub const fn not_found() -> Error {
    Error::NotFound("Group")
}

/// The word for how a group stands: its channel's status, or how far its making got.
pub const fn status(group: &Group) -> &'static str {
    match (group.state, group.channel_status) {
        (GroupState::Deleted, _) => "deleted",
        (GroupState::Failed, _) => "failed",
        (GroupState::Uncertain, _) => "uncertain",
        (GroupState::There, Some(status)) => status.as_str(),
        (GroupState::Asking | GroupState::Requested | GroupState::There, _) => "pending",
    }
}

/// A group that is there, and what it takes to ask its provider for something.
struct Reached {
    group: Group,
    /// The provider's id.
    external_id: String,
    account: Account,
    credentials: Credentials,
}

impl Reached {
    const fn platform(&self) -> Platform {
        self.group.platform
    }

    fn token(&self) -> &str {
        let credentials = &self.credentials;
        let token = match self.group.platform {
            Platform::Telegram => &credentials.bot_token,
            Platform::Whatsapp | Platform::Widget | Platform::Other => &credentials.access_token,
        };
        token.as_deref().unwrap_or_default()
    }

    fn missing<T>(&self, field: &str, reason: &str) -> Result<T> {
        let (field, reason) = (field.to_owned(), reason.to_owned());
        Err(Error::CapabilityMissing { provider: self.group.platform, field, reason })
    }

    /// A failed call to this group's provider.
    fn refused(&self) -> impl Fn(kabar_domain::outbound::SendFailure) -> Error + use<> {
        let platform = self.group.platform;
        move |failure| Error::of_provider(platform, failure)
    }
}

fn event(kind: &'static str, id: ChannelId, data: &Json) -> NewEvent {
    NewEvent { kind, subject_id: Some(id.uuid()), data: Some(data.to_string()) }
}

async fn find(db: &mut impl Db, principal: &Principal, name: &GroupName) -> Result<Group> {
    let organisation = principal.organisation_id;
    let by_id = match name.0.parse() {
        Ok(id) => groups::find(db, organisation, id).await?,
        Err(_) => None,
    };
    match by_id {
        Some(group) => Ok(group),
        None => groups::find_external(db, organisation, &name.0).await?.ok_or_else(not_found),
    }
}

/// Writes what a group is known to be like, and tells of it.
async fn learn(tx: &mut Tx, group: &Group, facts: &GroupFacts, now: kabar_domain::Timestamp) -> Result<()> {
    let organisation = group.organisation_id;
    groups::learn(tx, organisation, group.id, None, facts, now).await?;
    if facts.title.is_some() {
        let title = facts.title.as_deref();
        kabar_store::changes::change_group(tx, organisation, group.id, title, None, now).await?;
    }
    let data = json!({ "display_name": facts.title });
    tx.record(organisation, now, vec![event("channel.updated", group.id, &data)]);
    Ok(())
}

impl Engine {
    /// The groups of all accounts, and those asked for that are not there yet. `platform` narrows it.
    pub async fn list_groups(
        &self,
        principal: &Principal,
        platform: Option<String>,
        page: &PageRequest,
    ) -> Result<Page<Group>> {
        principal.require(Ability::Read)?;
        let mut invalid = Invalid::default();
        let wanted = platform.as_deref().and_then(crate::accounts::platform);
        if platform.is_some() && wanted.is_none() {
            rules::selected(&mut invalid, "platform");
        }
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| ChannelId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let total = groups::count(&mut db, organisation, wanted).await?;
        let rows = groups::list(&mut db, organisation, wanted, window).await?;
        Ok(page.page_of(rows, total, |group| group.id.uuid().into()))
    }

    /// A group and its members. With `refresh` the provider is asked first.
    pub async fn get_group(
        &self,
        principal: &Principal,
        name: &GroupName,
        refresh: bool,
    ) -> Result<(Group, Vec<Member>)> {
        principal.require(Ability::Read)?;
        let mut group = find(&mut self.store.reader().await?, principal, name).await?;
        if refresh {
            let reached = self.reach(group).await?;
            self.refresh_group(&reached).await?;
            group = self.group_again(&reached.group).await?;
        }
        let mut db = self.store.reader().await?;
        let members = members::present(&mut db, &group).await?;
        Ok((group, members))
    }

    async fn group_again(&self, group: &Group) -> Result<Group> {
        let mut db = self.store.reader().await?;
        groups::find(&mut db, group.organisation_id, group.id).await?.ok_or_else(not_found)
    }

    async fn reach_named(&self, principal: &Principal, name: &GroupName) -> Result<Reached> {
        let group = find(&mut self.store.reader().await?, principal, name).await?;
        self.reach(group).await
    }

    /// Fails when the group is not there, or no account is left to reach it over.
    async fn reach(&self, group: Group) -> Result<Reached> {
        let conflict = |text: &str| Err(Error::Conflict(text.to_owned()));
        let external_id = match (group.state, group.channel_status, &group.external_id) {
            (GroupState::Deleted, ..) => return conflict("The group was deleted."),
            (GroupState::Failed, ..) => return conflict("The group was not made; its `error` says why."),
            (_, Some(ChannelStatus::Archived), _) => {
                return conflict("The group's channel is archived: restore it first.");
            }
            (GroupState::There, _, Some(external_id)) => external_id.clone(),
            _ => return conflict("The group is not there yet: the provider has not announced it."),
        };
        let mut db = self.store.reader().await?;
        let account = accounts::find(&mut db, group.organisation_id, group.account_id).await?;
        let Some(account) = account else {
            return conflict("The account of this group is retired. Give its channel another account.");
        };
        let credentials = self.open_credentials(group.organisation_id, account.id, &account.credentials)?;
        Ok(Reached { group, external_id, account, credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::GroupName;

    #[test]
    fn a_group_is_named_by_either_id() {
        for name in ["01HZK7P5R3Q6V0YH4XJ3M8CHN1", "-1001234567890", "Y2FwaV9ncm91cDox+/A=", "1203@g.us"] {
            assert!(name.parse::<GroupName>().is_ok(), "{name}");
        }
        for name in ["", "a b", "a\0", "é", "a?", &"9".repeat(256)] {
            assert!(name.parse::<GroupName>().is_err(), "{name}");
        }
    }
}
