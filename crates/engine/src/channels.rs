//! Channels: the places where messages flow over an account.

mod create;
mod update;

use kabar_domain::channel::{ChannelKind, ChannelStatus};
use kabar_domain::message::Platform;
use kabar_domain::{Ability, AccountId, ChannelId};
use kabar_store::Window;
use kabar_store::channels::{self, StatusFilter};
use kabar_store::events::NewEvent;

use crate::accounts::Served;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub use create::NewChannel;
pub use kabar_store::channels::Channel;
pub use update::ChannelChange;

/// Which channels to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct ChannelQuery {
    pub platform: Option<String>,
    /// A channel's status, or `active`: all but archived.
    pub status: Option<String>,
    pub kind: Option<String>,
    pub messaging_account_id: Option<String>,
}

pub(crate) const fn not_found() -> Error {
    Error::NotFound("Channel")
}

fn event(kind: &'static str, id: ChannelId) -> NewEvent {
    NewEvent { kind, subject_id: Some(id.uuid()), data: None }
}

/// Two channels of one account cannot have one `external_id`.
fn conflict(error: kabar_store::Error) -> Error {
    if error.is_conflict_on("channels_external", "channels.external_id") {
        let mut invalid = Invalid::default();
        rules::taken(&mut invalid, "external_id");
        return Error::Invalid(invalid);
    }
    error.into()
}

impl Engine {
    fn served_channel(&self, row: Channel) -> Served<Channel> {
        Served { webhook_url: self.webhook_url(row.platform, row.account_id), row }
    }

    async fn channel_by_id(&self, principal: &Principal, id: ChannelId) -> Result<Served<Channel>> {
        if !principal.reaches_channel(id) {
            return Err(not_found());
        }
        let found = channels::find(&mut self.store.reader().await?, principal.organisation_id, id).await?;
        found.map(|channel| self.served_channel(channel)).ok_or_else(not_found)
    }

    pub async fn list_channels(
        &self,
        principal: &Principal,
        query: ChannelQuery,
        page: &PageRequest,
    ) -> Result<Page<Served<Channel>>> {
        principal.require_in_channels(Ability::Read)?;
        let mut invalid = Invalid::default();
        let within = principal.reach.channels.as_deref();
        let mut filter = channels::Filter { within, ..channels::Filter::default() };
        if let Some(text) = query.platform {
            filter.platform = Platform::from_name(&text).filter(|platform| *platform != Platform::Other);
            if filter.platform.is_none() {
                rules::selected(&mut invalid, "platform");
            }
        }
        if let Some(text) = query.status {
            filter.status = match text.as_str() {
                "active" => Some(StatusFilter::Active),
                name => ChannelStatus::from_name(name).map(StatusFilter::Is),
            };
            if filter.status.is_none() {
                rules::selected(&mut invalid, "status");
            }
        }
        if let Some(text) = query.kind {
            filter.kind = ChannelKind::from_name(&text);
            if filter.kind.is_none() {
                rules::selected(&mut invalid, "kind");
            }
        }
        if let Some(text) = query.messaging_account_id {
            filter.account = text.parse().ok();
            if filter.account.is_none() {
                rules::selected(&mut invalid, "messaging_account_id");
            }
        }
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| ChannelId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let total = channels::count(&mut db, principal.organisation_id, filter).await?;
        let rows = channels::list(&mut db, principal.organisation_id, filter, window).await?;
        let page = page.page_of(rows, total, |channel| channel.id.uuid().into());
        Ok(page.map(|channel| self.served_channel(channel)))
    }

    pub async fn get_channel(&self, principal: &Principal, id: ChannelId) -> Result<Served<Channel>> {
        principal.require_in_channels(Ability::Read)?;
        self.channel_by_id(principal, id).await
    }

    /// Takes a linked channel out of service. Its conversations and inbox items stay.
    pub async fn delete_channel(&self, principal: &Principal, id: ChannelId) -> Result<()> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let channel = channels::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        if channel.is_direct_line() {
            return Err(Error::Conflict(
                "The direct line of an account cannot be deleted. Archive it, or retire the account.".into(),
            ));
        }
        if !channels::delete(&mut tx, organisation, id, now).await? {
            return Err(not_found());
        }
        tx.record(organisation, now, vec![event("channel.deleted", id)]);
        tx.commit().await?;
        Ok(())
    }
}

/// The account a client names for a channel; unknown, foreign and malformed ids get the same answer.
async fn find_account(
    db: &mut impl kabar_store::Db,
    principal: &Principal,
    id: Option<&str>,
) -> Result<Option<kabar_store::accounts::Account>> {
    let Some(id) = id.and_then(|id| id.trim().parse::<AccountId>().ok()) else { return Ok(None) };
    Ok(kabar_store::accounts::find(db, principal.organisation_id, id).await?)
}
