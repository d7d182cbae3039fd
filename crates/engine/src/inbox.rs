//! The inbox: what a message, or any other source, put before the team.

mod convert;
mod ingest;
mod sort;

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::{Ability, InboxItemId};
use kabar_store::{Window, inbox};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub use convert::{Conversion, Converted};
pub use ingest::{Ingested, NewItem, NewMedia, NewSender};
pub use kabar_store::inbox::Item;
pub use sort::Reclassification;

/// Which items to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct InboxQuery {
    pub status: Option<String>,
    pub class: Option<String>,
    pub channel_id: Option<String>,
    pub digest_id: Option<String>,
}

const fn not_found() -> Error {
    Error::NotFound("InboxItem")
}

impl Engine {
    /// Newest first.
    pub async fn list_inbox(
        &self,
        principal: &Principal,
        query: InboxQuery,
        page: &PageRequest,
    ) -> Result<Page<Item>> {
        principal.require_in_channels(Ability::Read)?;
        let mut invalid = Invalid::default();
        let within = principal.reach.channels.as_deref();
        let mut filter = inbox::Filter { within, ..inbox::Filter::default() };
        if let Some(text) = query.status {
            filter.status = InboxStatus::from_name(&text);
            if filter.status.is_none() {
                rules::selected(&mut invalid, "status");
            }
        }
        if let Some(text) = query.class {
            filter.class = InboxClass::from_name(&text);
            if filter.class.is_none() {
                rules::selected(&mut invalid, "class");
            }
        }
        if let Some(text) = query.channel_id {
            filter.channel = text.parse().ok();
            if filter.channel.is_none() {
                rules::selected(&mut invalid, "channel_id");
            }
        }
        if let Some(text) = query.digest_id {
            filter.digest = text.parse().ok();
            if filter.digest.is_none() {
                rules::selected(&mut invalid, "digest_id");
            }
        }
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| InboxItemId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let total = inbox::count(&mut db, principal.organisation_id, filter).await?;
        let mut rows = if total == 0 {
            Vec::new()
        } else {
            inbox::list(&mut db, principal.organisation_id, filter, window).await?
        };
        let media = rows.iter_mut().flat_map(|item| &mut item.media);
        self.show_media(&mut db, principal.organisation_id, media).await?;
        Ok(page.page_of(rows, total, |item| item.id.uuid().into()))
    }

    pub async fn get_inbox_item(&self, principal: &Principal, id: InboxItemId) -> Result<Item> {
        principal.require_in_channels(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let organisation = principal.organisation_id;
        let found = inbox::find(&mut db, organisation, id).await?;
        // What came from elsewhere has no channel.
        let reached = |item: &Item| match item.channel_id {
            Some(channel) => principal.reaches_channel(channel),
            None => principal.reach.is_everything(),
        };
        let mut item = found.filter(reached).ok_or_else(not_found)?;
        self.show_media(&mut db, organisation, &mut item.media).await?;
        Ok(item)
    }
}
