//! Floods: what one person or one channel sends beyond its limit is gathered in one item, and nothing of it is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kabar_domain::channel::InboxClass;
use kabar_domain::operations::Severity;
use kabar_domain::{InboxItemId, OrganisationId};
use kabar_store::Tx;
use kabar_store::intake::{self, Source, Window};
use kabar_store::understanding::Unread;
use uuid::Uuid;

use super::decide::in_group;
use super::read::Reading;
use crate::error::Result;
use crate::operations::{Flood, OperationsSettings};

/// The longest stretch that settings allow.
pub(crate) const LONGEST: Duration = Duration::from_hours(24);

/// What a flood makes of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It comes singly.
    Single,
    /// It is the first beyond the limit, and gathers those that follow.
    Digest(String),
    /// It is gathered in the item that came first.
    Gathered,
}

/// The stretches of the sources of a batch, counted on in memory.
pub(super) struct Floods {
    windows: BTreeMap<Source, Window>,
    gathered: Vec<(OrganisationId, InboxItemId, InboxItemId)>,
}

/// Whose limits an item counts against. Problems in direct chats have a stretch and a limit of their own.
fn sources(item: &Unread, reading: &Reading, flood: &Flood) -> Vec<(Source, i64, &'static str)> {
    let mut sources = Vec::with_capacity(2);
    if let Some(contact) = item.contact_id {
        let direct = reading.class == InboxClass::Problem && !in_group(item);
        sources.push(if direct {
            let own = Uuid::from_u128(contact.uuid().as_u128() ^ 1);
            ((item.organisation_id, own), flood.per_direct_number, "this person")
        } else {
            ((item.organisation_id, contact.uuid()), flood.per_number, "this person")
        });
    }
    if let Some(channel) = item.channel {
        sources.push(((item.organisation_id, channel.id.uuid()), flood.per_channel, "this channel"));
    }
    sources
}

impl Floods {
    pub async fn load<'a>(
        tx: &mut Tx,
        items: impl Iterator<Item = (&'a Unread, &'a Reading, &'a OperationsSettings)>,
    ) -> Result<Self> {
        let wanted: BTreeSet<Source> = items
            .filter(|(_, reading, _)| reading.class != InboxClass::Unknown)
            .flat_map(|(item, reading, settings)| sources(item, reading, &settings.flood))
            .map(|(source, ..)| source)
            .collect();
        let wanted: Vec<Source> = wanted.into_iter().collect();
        let windows = intake::windows(tx, &wanted).await?.into_iter().collect();
        Ok(Self { windows, gathered: Vec::new() })
    }

    /// Counts an item that says something. What is a matter of life is never gathered.
    pub fn take(&mut self, item: &Unread, reading: &Reading, settings: &OperationsSettings) -> Flow {
        if reading.class == InboxClass::Unknown {
            return Flow::Single;
        }
        let flood = &settings.flood;
        let length = Duration::from_mins(u64::from(flood.window_minutes));
        let at = item.created_at;
        let is_critical =
            reading.class == InboxClass::Problem && reading.severity == Some(Severity::Critical);
        let mut flow = Flow::Single;
        for (source, limit, who) in sources(item, reading, flood) {
            let fresh = Window { started_at: at, taken: 0, digest_id: None };
            let window = self.windows.entry(source).or_insert(fresh);
            if at >= window.started_at.plus(length) {
                *window = fresh;
            }
            window.taken += 1;
            if window.taken <= limit || flow != Flow::Single || is_critical {
                continue;
            }
            flow = if let Some(digest) = window.digest_id {
                self.gathered.push((item.organisation_id, item.id, digest));
                Flow::Gathered
            } else {
                window.digest_id = Some(item.id);
                Flow::Digest(format!(
                    "more than {limit} came from {who} in {} minutes: what follows is gathered here",
                    flood.window_minutes
                ))
            };
        }
        flow
    }

    pub async fn keep(self, tx: &mut Tx) -> Result<()> {
        intake::keep(tx, self.windows).await?;
        Ok(intake::gather(tx, self.gathered).await?)
    }
}
