//! Linking a group or chat to an account.

use kabar_domain::channel::{ChannelKind, ChannelStatus};
use kabar_domain::{Ability, ChannelId, SiteId};
use kabar_store::channels::{self, AccountFacts, Channel};
use kabar_store::{Db, sites};

use super::{conflict, event, find_account};
use crate::accounts::Served;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::rules;

/// A channel to link, as a client gives it.
#[derive(Clone, Debug, Default)]
pub struct NewChannel {
    pub messaging_account_id: Option<String>,
    /// `group` or `direct`.
    pub kind: Option<String>,
    pub external_id: Option<String>,
    pub display_name: Option<String>,
    pub purpose: Option<String>,
    pub allow_routine_logs: Option<bool>,
    pub allow_issues: Option<bool>,
    pub default_site_id: Option<String>,
}

/// The site in use that a client names; whatever else is named gets one answer. The one a channel has may be sent
/// back as it was read.
pub(super) async fn site(
    db: &mut impl Db,
    principal: &Principal,
    invalid: &mut Invalid,
    id: Option<String>,
    now: Option<SiteId>,
) -> Result<Option<SiteId>> {
    let Some(id) = id else { return Ok(None) };
    let named: Option<SiteId> = id.trim().parse().ok();
    if named.is_some() && named == now {
        return Ok(now);
    }
    let found = match named {
        Some(id) => sites::find(db, principal.organisation_id, id).await?,
        None => None,
    };
    if found.is_none_or(|site| site.archived_at.is_some()) {
        rules::selected(invalid, "default_site_id");
    }
    Ok(named)
}

impl Engine {
    /// Links a channel. One that appeared by itself, and waits to be approved, is taken over as it is.
    pub async fn create_channel(&self, principal: &Principal, new: NewChannel) -> Result<Served<Channel>> {
        principal.require(Ability::Write)?;
        let organisation_id = principal.organisation_id;
        let mut invalid = Invalid::default();
        let account_id = rules::required(&mut invalid, "messaging_account_id", new.messaging_account_id, 64);
        let kind = rules::required(&mut invalid, "kind", new.kind, 20);
        let external_id = rules::required(&mut invalid, "external_id", new.external_id, 255);
        let display_name = rules::required(&mut invalid, "display_name", new.display_name, 255);
        let purpose = rules::optional(&mut invalid, "purpose", new.purpose, 1000);
        let named = match kind.as_str() {
            "group" => Some(ChannelKind::Group),
            "direct" => Some(ChannelKind::Direct),
            _ => None,
        };
        if named.is_none() && !kind.is_empty() {
            rules::selected(&mut invalid, "kind");
        }

        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let default_site_id = site(&mut tx, principal, &mut invalid, new.default_site_id, None).await?;
        let account = find_account(&mut tx, principal, Some(&account_id)).await?;
        if account.is_none() && !account_id.is_empty() {
            rules::selected(&mut invalid, "messaging_account_id");
        }
        invalid.check()?;
        let taken = || {
            let mut invalid = Invalid::default();
            rules::taken(&mut invalid, "external_id");
            crate::Error::Invalid(invalid)
        };
        let (Some(account), Some(kind)) = (account, named) else {
            return Err(crate::Error::Internal("an unchecked channel".into()));
        };
        let there = channels::find_external(&mut tx, organisation_id, account.id, &external_id).await?;
        let (id, kind_of_event) = match there {
            Some(mut channel) if channel.status == ChannelStatus::Pending => {
                channels::lock(&mut tx, organisation_id, channel.id).await?;
                channel.kind = kind;
                channel.status = ChannelStatus::Connected;
                channel.connected_at = channel.connected_at.or(Some(now));
                channel.display_name = display_name;
                channel.purpose = purpose.or(channel.purpose);
                channel.allow_routine_logs = new.allow_routine_logs.unwrap_or(channel.allow_routine_logs);
                channel.allow_issues = new.allow_issues.unwrap_or(channel.allow_issues);
                channel.default_site_id = default_site_id.or(channel.default_site_id);
                channel.updated_at = now;
                channels::update(&mut tx, &channel).await?;
                (channel.id, "channel.updated")
            }
            Some(_) => return Err(taken()),
            None => {
                let channel = Channel {
                    organisation_id,
                    id: ChannelId::new(&self.clock),
                    account_id: account.id,
                    platform: account.platform,
                    kind,
                    status: ChannelStatus::Connected,
                    external_id,
                    display_name,
                    purpose,
                    allow_routine_logs: new.allow_routine_logs.unwrap_or(true),
                    allow_issues: new.allow_issues.unwrap_or(true),
                    default_site_id,
                    connected_at: Some(now),
                    last_seen_at: None,
                    archived_at: None,
                    created_at: now,
                    updated_at: now,
                    account: AccountFacts::default(),
                };
                channels::insert(&mut tx, &channel).await.map_err(conflict)?;
                (channel.id, "channel.created")
            }
        };
        tx.record(organisation_id, now, vec![event(kind_of_event, id)]);
        tx.commit().await?;
        self.channel_by_id(principal, id).await
    }
}
