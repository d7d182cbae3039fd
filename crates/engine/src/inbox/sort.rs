//! Saying what an item is: nothing to do, something after all, or of another class.

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::{Ability, InboxItemId};
use kabar_store::Tx;
use kabar_store::events::NewEvent;
use kabar_store::inbox::{self, Item};
use serde_json::{Value as Json, json};

use super::not_found;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// What an item is in truth.
#[derive(Clone, Debug, Default)]
pub struct Reclassification {
    pub class: Option<String>,
}

/// An item that is no record yet.
async fn to_sort(tx: &mut Tx, principal: &Principal, id: InboxItemId) -> Result<Item> {
    let found = inbox::find_to_change(tx, principal.organisation_id, id).await?;
    let item = found.ok_or_else(not_found)?;
    match item.status {
        InboxStatus::Converted => Err(Error::Conflict("The item was converted already.".into())),
        _ => Ok(item),
    }
}

impl Engine {
    /// There is nothing to do about it. Again, it changes nothing.
    pub async fn dismiss_inbox_item(
        &self,
        principal: &Principal,
        id: InboxItemId,
        reason: Option<String>,
    ) -> Result<Item> {
        principal.require(Ability::Write)?;
        let mut tx = self.store.begin().await?;
        let item = to_sort(&mut tx, principal, id).await?;
        let mut invalid = Invalid::default();
        let reason = rules::optional(&mut invalid, "reason", reason, 1_000);
        invalid.check()?;
        let before = item.clone();
        let after = Item { status: InboxStatus::Dismissed, ..item };
        let data = json!({ "reason": reason, "user_id": principal.user_id });
        self.write_item(tx, before, after, "inbox.dismissed", data).await
    }

    /// A dismissed item is to be seen to after all.
    pub async fn restore_inbox_item(&self, principal: &Principal, id: InboxItemId) -> Result<Item> {
        principal.require(Ability::Write)?;
        let mut tx = self.store.begin().await?;
        let item = to_sort(&mut tx, principal, id).await?;
        let before = item.clone();
        let status = match item.status {
            InboxStatus::Dismissed => InboxStatus::NeedsReview,
            other => other,
        };
        let after = Item { status, ..item };
        self.write_item(tx, before, after, "inbox.updated", json!({ "status": status })).await
    }

    /// A person knows better what an item is.
    pub async fn reclassify_inbox_item(
        &self,
        principal: &Principal,
        id: InboxItemId,
        change: Reclassification,
    ) -> Result<Item> {
        principal.require(Ability::Write)?;
        let mut tx = self.store.begin().await?;
        let item = to_sort(&mut tx, principal, id).await?;
        let mut invalid = Invalid::default();
        let text = rules::required(&mut invalid, "class", change.class, 64);
        // What the understanding calls general is unknown here.
        let class = InboxClass::from_name(if text == "general" { "unknown" } else { &text });
        if class.is_none() && !text.is_empty() {
            rules::selected(&mut invalid, "class");
        }
        let Some(class) = class else { return Err(Error::Invalid(invalid)) };
        let before = item.clone();
        let after = Item {
            class,
            confidence: Some(1.0),
            reasons: vec![inbox::BY_PERSON.into()],
            status: InboxStatus::NeedsReview,
            ..item
        };
        let data = json!({ "class": class, "from": before.class, "user_id": principal.user_id });
        self.write_item(tx, before, after, "inbox.updated", data).await
    }

    async fn write_item(
        &self,
        mut tx: Tx,
        before: Item,
        mut after: Item,
        kind: &'static str,
        data: Json,
    ) -> Result<Item> {
        if after != before {
            after.updated_at = self.clock.now();
            inbox::update(&mut tx, &after, before.status).await?;
            let event = NewEvent { kind, subject_id: Some(after.id.uuid()), data: Some(data.to_string()) };
            tx.record(after.organisation_id, after.updated_at, [event]);
        }
        self.show_media(&mut tx, after.organisation_id, &mut after.media).await?;
        tx.commit().await?;
        Ok(after)
    }
}
