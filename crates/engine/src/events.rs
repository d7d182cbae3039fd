//! Events as apps hear of them: in pages, as a stream, and by webhooks.

mod feed;
mod render;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::{Ability, ChannelId, EventFilter, SubjectId, Timestamp};
use kabar_store::events;
use kabar_store::webhooks::deliveries;
use serde_json::value::RawValue;

use crate::auth::Principal;
use crate::engine::{Engine, PRUNE};
use crate::error::{Invalid, Result};

pub(crate) use feed::Feed;
pub(crate) use render::render;
pub use stream::{EventStream, Heard};

/// Numbers that one page of a filtered list looks through at most.
const LOOKED_THROUGH: i64 = 10_000;

/// A change in an organisation.
#[derive(Clone, Debug)]
pub struct Event {
    /// From 1, without gaps in its organisation.
    pub seq: i64,
    /// As `message.received`.
    pub kind: String,
    pub at: Timestamp,
    pub subject_id: Option<SubjectId>,
    /// Of the message that it is about.
    pub channel_id: Option<ChannelId>,
    /// An object: the subject as `id`, what the event says, and for events of messages the `message` as it is now.
    pub data: Box<RawValue>,
}

/// A part of the events.
#[derive(Clone, Debug)]
pub struct EventPage {
    pub events: Vec<Event>,
    /// Where the next page begins, when there is more to look through.
    pub next_after: Option<i64>,
}

/// Filters that a client gave under the name `field`.
pub(crate) fn parse_filter<'a>(
    field: &str,
    patterns: impl IntoIterator<Item = &'a str>,
) -> Result<EventFilter> {
    let patterns: Vec<_> =
        patterns.into_iter().map(str::trim).filter(|pattern| !pattern.is_empty()).collect();
    if patterns.len() > kabar_domain::event::MOST_FILTERS {
        let most = kabar_domain::event::MOST_FILTERS;
        return Err(Invalid::one(field, format!("The {field} field must not have more than {most} items.")));
    }
    EventFilter::parse(patterns).map_err(|wrong| {
        let message = format!(
            "The {field} field has `{}`, which is no event type: use names as message.received, message.* or *.",
            wrong.0
        );
        Invalid::one(field, message)
    })
}

/// The filter of a comma-separated list; every event without one.
fn filter_of(types: Option<&str>) -> Result<EventFilter> {
    match types {
        None => Ok(EventFilter::all()),
        Some(types) => parse_filter("types", types.split(',')),
    }
}

fn check_after(after: Option<i64>) -> Result<()> {
    if after.is_some_and(|after| after < 0) {
        return Err(Invalid::one("after", "The after field must be at least 0."));
    }
    Ok(())
}

impl Principal {
    /// A token bound to channels hears of messages on them.
    fn hears(&self, event: &Event) -> bool {
        self.reach.channels.is_none() || event.channel_id.is_some_and(|id| self.reaches_channel(id))
    }
}

impl Engine {
    /// The organisation's events numbered after `after`, oldest first.
    pub async fn list_events(
        &self,
        principal: &Principal,
        types: Option<&str>,
        after: Option<i64>,
        limit: i64,
    ) -> Result<EventPage> {
        principal.require_in_channels(Ability::Read)?;
        let filter = filter_of(types)?;
        check_after(after)?;
        if !(1..=100).contains(&limit) {
            return Err(Invalid::one("limit", "The limit field must be between 1 and 100."));
        }
        let organisation = principal.organisation_id;
        let after = after.unwrap_or(0);
        let mut db = self.store.reader().await?;
        let last = events::last_seq(&mut db, organisation).await?;
        // What is forgotten need not be looked through.
        let first = events::first_kept(&mut db, organisation, after + 1).await?.unwrap_or(last + 1);
        let upto = last.min((first - 1).saturating_add(LOOKED_THROUGH));
        let mut found = events::range(&mut db, organisation, after, upto, &filter, limit + 1).await?;
        let is_full = found.len() as i64 > limit;
        found.truncate(limit as usize);
        let looked_to = if is_full { found.last().map_or(upto, |event| event.seq) } else { upto };
        let mut events = render(&mut db, organisation, found).await?;
        events.retain(|event| principal.hears(event));
        Ok(EventPage { events, next_after: (looked_to < last).then_some(looked_to) })
    }

    /// Follows the organisation's events from the one after `after`, else from now.
    pub async fn stream_events(
        self: &Arc<Self>,
        principal: &Principal,
        types: Option<&str>,
        after: Option<i64>,
    ) -> Result<EventStream> {
        principal.require_in_channels(Ability::Read)?;
        let filter = filter_of(types)?;
        check_after(after)?;
        let last = self.store.watch_events(principal.organisation_id).await?;
        Ok(EventStream::new(Arc::clone(self), principal.clone(), filter, after, last))
    }

    pub(crate) async fn prune_events(&self) -> Result<()> {
        let days = u64::from(self.config.event_retention_days);
        let before = self.clock.now().minus(Duration::from_hours(24 * days));
        let organisations = events::organisations(&mut self.store.reader().await?).await?;
        for organisation in organisations {
            let is_old = async || -> Result<bool> {
                let oldest = events::oldest(&mut self.store.reader().await?, organisation).await?;
                Ok(oldest.is_some_and(|at| at < before))
            };
            // In portions, so that nobody waits for it.
            while is_old().await? {
                let mut tx = self.store.begin().await?;
                events::prune(&mut tx, organisation, before, PRUNE).await?;
                tx.commit().await?;
            }
        }
        let days = u64::from(self.config.webhook_retention_days);
        let before = self.clock.now().minus(Duration::from_hours(24 * days));
        loop {
            let mut tx = self.store.begin().await?;
            let pruned = deliveries::prune(&mut tx, before, PRUNE).await?;
            tx.commit().await?;
            if pruned < PRUNE as u64 {
                return Ok(());
            }
        }
    }
}
