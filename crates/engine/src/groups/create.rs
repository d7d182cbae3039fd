//! Making a group. It is written down before the provider is asked; whatever becomes of the answer, the webhook that
//! announces the group settles it, and it is not asked for twice.

use std::time::Duration;

use kabar_domain::channel::GroupState;
use kabar_domain::message::Platform;
use kabar_domain::outbound::Verdict;
use kabar_domain::{Ability, ChannelId};
use kabar_providers::whatsapp;
use kabar_store::accounts::{self, Account};
use kabar_store::groups::{self, Answered, Group};
use kabar_store::{Db, channels, organisations};
use serde_json::json;

use super::event;
use crate::auth::Principal;
use crate::engine::{Engine, PROVIDER_TIMEOUT};
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// A request this much older than the longest wait for an answer was given up by whoever made it.
const MARGIN: Duration = Duration::from_secs(30);

pub(super) const SUBJECT: usize = 128;
pub(super) const DESCRIPTION: usize = 2_048;

/// A group to be made, as a client gives it.
#[derive(Clone, Debug, Default)]
pub struct NewGroup {
    /// Any channel of the account that shall own it; absent: the default account's.
    pub channel_id: Option<String>,
    pub subject: Option<String>,
    pub description: Option<String>,
    /// `auto_approve` or `approval_required`.
    pub join_approval_mode: Option<String>,
}

/// The account that shall own a new group.
async fn owner(db: &mut impl Db, principal: &Principal, channel_id: Option<&str>) -> Result<Account> {
    let organisation = principal.organisation_id;
    let Some(id) = channel_id.map(str::trim).filter(|id| !id.is_empty()) else {
        let default = accounts::find_default(db, organisation).await?;
        return default.ok_or_else(|| {
            Invalid::one("channel_id", "The channel id field is required when there is no default account.")
        });
    };
    let not_found = || Error::NotFoundText("Channel not found.");
    let id: ChannelId = id.parse().map_err(|_| not_found())?;
    let channel = channels::find(db, organisation, id).await?.ok_or_else(not_found)?;
    accounts::find(db, organisation, channel.account_id)
        .await?
        .ok_or_else(|| Error::Conflict("The account of this channel is retired.".into()))
}

impl Engine {
    /// Asks for a group. It is `pending` until the provider announces it, `uncertain` when the answer was lost.
    pub async fn create_group(&self, principal: &Principal, new: NewGroup) -> Result<Group> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let account = owner(&mut self.store.reader().await?, principal, new.channel_id.as_deref()).await?;
        if account.platform != Platform::Whatsapp {
            return Err(Error::CapabilityMissing {
                provider: account.platform,
                field: "channel_id".into(),
                reason: "A Telegram bot cannot make a group. Make it in Telegram and add the bot: it then appears \
                         here by itself."
                    .into(),
            });
        }
        let mut invalid = Invalid::default();
        let subject = rules::required(&mut invalid, "subject", new.subject, SUBJECT);
        let description = rules::optional(&mut invalid, "description", new.description, DESCRIPTION);
        let join_approval_mode =
            rules::optional(&mut invalid, "join_approval_mode", new.join_approval_mode, 20);
        if join_approval_mode
            .as_deref()
            .is_some_and(|mode| !matches!(mode, "auto_approve" | "approval_required"))
        {
            rules::selected(&mut invalid, "join_approval_mode");
        }
        invalid.check()?;

        let now = self.clock.now();
        let id = ChannelId::new(&self.clock);
        let group = Group {
            organisation_id: organisation,
            id,
            account_id: account.id,
            platform: account.platform,
            state: GroupState::Asking,
            subject,
            description,
            invite_link: None,
            join_approval_mode,
            suspended: false,
            error: None,
            asked_at: Some(now),
            created_at: now,
            updated_at: now,
            external_id: None,
            channel_status: None,
            participants: 0,
        };
        let mut tx = self.store.begin().await?;
        groups::ask(&mut tx, &group).await?;
        let data = json!({ "status": "pending", "subject": group.subject });
        tx.record(organisation, now, vec![event("group.requested", id, &data)]);
        tx.commit().await?;

        let credentials = self.open_credentials(organisation, account.id, &account.credentials)?;
        let token = credentials.access_token.as_deref().unwrap_or_default();
        let wanted = whatsapp::NewGroup {
            subject: group.subject.clone(),
            description: group.description.clone(),
            join_approval_mode: group.join_approval_mode.clone(),
        };
        let asked = self.whatsapp.create_group(&account.external_id, token, &wanted).await;

        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        // The applier holds it too: the webhook that announces the group comes before this or after it.
        organisations::lock(&mut tx, organisation).await?;
        let answered = match asked {
            Ok(request_id) => groups::accept(&mut tx, organisation, account.id, id, &request_id, now).await?,
            Err(failure) if failure.verdict == Verdict::Uncertain => {
                tracing::warn!(group = %id, error = failure.error.title, "it is not known whether a group was made");
                groups::lose(&mut tx, organisation, id, now).await?
            }
            Err(failure) => {
                groups::forget(&mut tx, organisation, id).await?;
                let data = json!({ "status": "failed", "error": failure.error });
                tx.record(organisation, now, vec![event("group.failed", id, &data)]);
                tx.commit().await?;
                return Err(Error::of_provider(account.platform, failure));
            }
        };
        if let Answered::There(channel) = answered {
            let data = json!({ "status": "connected" });
            tx.record(organisation, now, vec![event("channel.updated", channel, &data)]);
        }
        tx.commit().await?;
        self.group_again(&group).await
    }

    /// Requests whose maker died before the answer are `uncertain`.
    pub(crate) async fn lose_abandoned_groups(&self) -> Result<()> {
        let now = self.clock.now();
        let before = now.minus(PROVIDER_TIMEOUT + MARGIN);
        if !groups::has_abandoned(&mut self.store.reader().await?, before).await? {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        for (organisation, id) in groups::lose_abandoned(&mut tx, before, now).await? {
            groups::lose(&mut tx, organisation, id, now).await?;
        }
        Ok(tx.commit().await?)
    }
}
