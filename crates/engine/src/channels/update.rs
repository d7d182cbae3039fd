//! Changing a channel: its behaviour, its place, its account.

use kabar_domain::channel::ChannelStatus;
use kabar_domain::{Ability, ChannelId, Timestamp};
use kabar_store::channels::{self, Channel};

use super::create::site;
use super::{conflict, event, find_account, not_found};
use crate::accounts::Served;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::patch::Patch;
use crate::rules;

/// What to change about a channel. What is left out stays.
#[derive(Clone, Debug, Default)]
pub struct ChannelChange {
    pub display_name: Option<String>,
    pub purpose: Patch<String>,
    pub allow_routine_logs: Option<bool>,
    pub allow_issues: Option<bool>,
    pub default_site_id: Patch<String>,
    /// `connected` or `archived`.
    pub status: Option<String>,
    /// The same in another word.
    pub archived: Option<bool>,
    pub messaging_account_id: Option<String>,
}

/// The state a client asks for: archived, in service, or as it is.
fn wanted(
    invalid: &mut Invalid,
    status: Option<&str>,
    archived: Option<bool>,
    now: &Channel,
) -> Option<bool> {
    let by_status = match status {
        None => None,
        Some("archived") => Some(true),
        // A client may send back what it read.
        Some("connected" | "active") => Some(false),
        Some(text) if text == now.status.as_str() => None,
        Some(_) => {
            rules::selected(invalid, "status");
            None
        }
    };
    by_status.or(archived)
}

fn set_archived(channel: &mut Channel, archive: bool, now: Timestamp) -> Result<()> {
    if archive {
        if channel.status != ChannelStatus::Archived {
            channel.status = ChannelStatus::Archived;
            channel.archived_at = Some(now);
        }
    } else if channel.account.retired {
        return Err(Error::Conflict(
            "The account of this channel is retired. Give the channel another account.".into(),
        ));
    } else {
        channel.status = ChannelStatus::Connected;
        channel.archived_at = None;
        channel.connected_at = channel.connected_at.or(Some(now));
    }
    Ok(())
}

impl Engine {
    pub async fn update_channel(
        &self,
        principal: &Principal,
        id: ChannelId,
        change: ChannelChange,
    ) -> Result<Served<Channel>> {
        principal.require_in_channels(Ability::Write)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if !principal.reaches_channel(id) || !channels::lock(&mut tx, organisation, id).await? {
            return Err(not_found());
        }
        let mut channel = channels::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let before = channel.clone();
        let mut invalid = Invalid::default();
        if change.display_name.is_some() {
            channel.display_name = rules::required(&mut invalid, "display_name", change.display_name, 255);
        }
        if let Patch::Set(purpose) = change.purpose {
            channel.purpose = rules::optional(&mut invalid, "purpose", purpose, 1000);
        }
        if let Patch::Set(id) = change.default_site_id {
            let now = channel.default_site_id;
            channel.default_site_id = site(&mut tx, principal, &mut invalid, id, now).await?;
        }
        channel.allow_routine_logs = change.allow_routine_logs.unwrap_or(channel.allow_routine_logs);
        channel.allow_issues = change.allow_issues.unwrap_or(channel.allow_issues);
        let archive = wanted(&mut invalid, change.status.as_deref(), change.archived, &before);
        let target = match &change.messaging_account_id {
            None => None,
            Some(id) => {
                let account = find_account(&mut tx, principal, Some(id)).await?;
                // The retired account a channel still hangs on is no target, but may be sent back as read.
                let unchanged =
                    id.trim().parse().is_ok_and(|id: kabar_domain::AccountId| id == channel.account_id);
                if account.as_ref().is_none_or(|account| account.platform != channel.platform) && !unchanged {
                    rules::selected(&mut invalid, "messaging_account_id");
                }
                account.filter(|_| !unchanged)
            }
        };
        invalid.check()?;
        if let Some(account) = target {
            if channel.is_direct_line() {
                return Err(Error::Conflict(
                    "The direct line of an account belongs to it and cannot be moved to another.".into(),
                ));
            }
            channel.account_id = account.id;
            channel.account.retired = false;
            if channel.status == ChannelStatus::Disconnected {
                channel.status = ChannelStatus::Connected;
            }
        }
        if let Some(archive) = archive {
            set_archived(&mut channel, archive, now)?;
        }
        if channel != before {
            channel.updated_at = now;
            channels::update(&mut tx, &channel).await.map_err(conflict)?;
            tx.record(organisation, now, vec![event("channel.updated", id)]);
        }
        tx.commit().await?;
        self.channel_by_id(principal, id).await
    }
}
