//! Who gets a notification over what, checked before anything is queued.

use kabar_domain::channel::ChannelKind;
use kabar_domain::message::Platform;
use kabar_domain::notification::NotificationChannel;
use kabar_domain::{ChannelId, OrganisationId};
use kabar_providers::smtp;
use kabar_store::accounts::{self, Filter};
use kabar_store::channels::{self, Channel};
use kabar_store::{Db, Window};

use super::SendNotification;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::messages::identity;
use crate::rules;

/// Legs of one notification.
const LEGS: usize = 100;

/// One recipient.
pub(super) struct Planned {
    pub channel: NotificationChannel,
    pub recipient: String,
    /// Of WhatsApp and Telegram: where the message goes out.
    pub line: Option<Channel>,
    /// Why this channel cannot be used at all.
    pub refused: Option<String>,
}

impl Engine {
    /// Each recipient of a channel once. A channel that cannot be used does not keep the others back.
    pub(super) async fn plan(
        &self,
        db: &mut (impl Db + Send),
        invalid: &mut Invalid,
        organisation: OrganisationId,
        request: &SendNotification,
    ) -> Result<Vec<Planned>> {
        let given = match request.channel_id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => {
                let not_found = || Error::NotFoundText("Channel not found.");
                let id: ChannelId = id.parse().map_err(|_| not_found())?;
                Some(channels::find(db, organisation, id).await?.ok_or_else(not_found)?)
            }
        };
        let asked = asked(invalid, &request.channels);
        if let Some(given) = &given
            && !asked.iter().any(|channel| platform(*channel) == Some(given.platform))
        {
            invalid.add("channel_id", "The channel is of a platform that channels does not contain.");
        }
        let mut planned: Vec<Planned> = Vec::new();
        for channel in asked {
            let (mut line, mut refused) = (None, None);
            if let Some(platform) = platform(channel) {
                line = match given.clone().filter(|given| given.platform == platform) {
                    Some(given) => Some(given),
                    None => default_line(db, organisation, platform).await?,
                };
                if line.is_none() {
                    refused = Some(format!("There is no {channel} account: connect one first."));
                }
            } else if let Some(setting) = self.lacks(channel) {
                refused = Some(format!("This server cannot send {channel}: set {setting}."));
            }
            if let Some(group) = line.as_ref().filter(|line| line.kind == ChannelKind::Group) {
                planned.push(Planned { channel, recipient: group.external_id.clone(), line, refused });
                continue;
            }
            let field = format!("to.{channel}");
            let to = request.to.get(channel.as_str()).map_or(&[][..], Vec::as_slice);
            if to.iter().all(|one| one.trim().is_empty()) {
                invalid
                    .add(&field, format!("The {field} field is required when channels contains {channel}."));
            }
            for one in to.iter().filter(|one| !one.trim().is_empty()) {
                match recipient(channel, one) {
                    Some(recipient) => {
                        let is_there = |leg: &Planned| leg.channel == channel && leg.recipient == recipient;
                        if !planned.iter().any(is_there) {
                            let (line, refused) = (line.clone(), refused.clone());
                            planned.push(Planned { channel, recipient, line, refused });
                        }
                    }
                    None => invalid.add(&field, format!("The {field} field {}.", form(channel))),
                }
            }
        }
        if planned.iter().all(|leg| leg.refused.is_some()) {
            let mut reasons: Vec<_> = planned.iter().filter_map(|leg| leg.refused.clone()).collect();
            reasons.dedup();
            for reason in reasons {
                invalid.add("channels", reason);
            }
        }
        if planned.len() > LEGS {
            invalid.add("to", format!("A notification goes to {LEGS} recipients at most."));
        }
        Ok(planned)
    }

    /// The setting without which nothing can be sent over a channel.
    fn lacks(&self, channel: NotificationChannel) -> Option<&'static str> {
        match channel {
            NotificationChannel::Email if self.config.smtp.is_none() => Some("KABAR_SMTP_URL"),
            NotificationChannel::Sms if self.sms.is_none() => {
                Some("KABAR_SMS_ACCOUNT, KABAR_SMS_TOKEN and KABAR_SMS_FROM")
            }
            _ => None,
        }
    }
}

/// The channels that are asked for, each once.
fn asked(invalid: &mut Invalid, names: &[String]) -> Vec<NotificationChannel> {
    invalid.require("channels", !names.is_empty());
    let mut asked = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match NotificationChannel::from_name(name) {
            Some(channel) if asked.contains(&channel) => {}
            Some(channel) => asked.push(channel),
            None => rules::selected(invalid, &format!("channels.{at}")),
        }
    }
    asked
}

/// The platform whose messages carry a channel's legs.
const fn platform(channel: NotificationChannel) -> Option<Platform> {
    match channel {
        NotificationChannel::Whatsapp => Some(Platform::Whatsapp),
        NotificationChannel::Telegram => Some(Platform::Telegram),
        NotificationChannel::Email | NotificationChannel::Sms => None,
    }
}

/// The direct line of the organisation's default account, or, where that is of another platform, of its oldest one.
async fn default_line(
    db: &mut (impl Db + Send),
    organisation: OrganisationId,
    platform: Platform,
) -> Result<Option<Channel>> {
    let default = accounts::find_default(db, organisation).await?;
    let mut account = default.filter(|default| default.platform == platform);
    if account.is_none() {
        let filter = Filter { platform: Some(platform), ..Filter::default() };
        let window = Window { after: None, offset: 0, limit: 1 };
        account = accounts::list(db, organisation, filter, window).await?.pop();
    }
    match account.and_then(|account| account.channel_id) {
        Some(id) => Ok(channels::find(db, organisation, id).await?),
        None => Ok(None),
    }
}

/// A recipient in the form it is kept in.
fn recipient(channel: NotificationChannel, text: &str) -> Option<String> {
    match channel {
        NotificationChannel::Email => smtp::address(text),
        NotificationChannel::Sms => number(text),
        NotificationChannel::Whatsapp => identity(Platform::Whatsapp, text).ok().map(|found| found.value),
        NotificationChannel::Telegram => identity(Platform::Telegram, text).ok().map(|found| found.value),
    }
}

/// What a recipient must be.
const fn form(channel: NotificationChannel) -> &'static str {
    match channel {
        NotificationChannel::Email => "must be a valid email address",
        NotificationChannel::Sms => "must be a phone number with its country code, as +6281234567890",
        NotificationChannel::Whatsapp => "must be a phone number in international form",
        NotificationChannel::Telegram => "must be a Telegram user id, digits only",
    }
}

/// A number in E.164 form.
fn number(text: &str) -> Option<String> {
    let digits = rules::phone_digits(text)?;
    ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_their_international_form() {
        assert_eq!(number("+62 812-3456-7890").as_deref(), Some("+6281234567890"));
        assert_eq!(number("6281234567890").as_deref(), Some("+6281234567890"));
        for wrong in ["081234567890", "12345", "+", "ani", "1234567890123456"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
