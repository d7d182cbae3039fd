//! Messages that a person has to look at: failed ones, and uncertain ones that nothing settled in time.

use kabar_domain::{Ability, MessageId, Timestamp};
use kabar_store::{Window, messages, outbound};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest, Place};
use crate::rules;

/// One of them.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// `failed` or `uncertain`.
    pub reason: String,
    pub listed_at: Timestamp,
    pub message: messages::Message,
}

impl Engine {
    /// Newest first; of one `reason` when it is given.
    pub async fn list_dead_letters(
        &self,
        principal: &Principal,
        reason: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<DeadLetter>> {
        principal.require(Ability::Read)?;
        let mut invalid = Invalid::default();
        if reason.is_some_and(|reason| !matches!(reason, "failed" | "uncertain")) {
            rules::selected(&mut invalid, "reason");
        }
        invalid.check()?;
        let after = page.after()?;
        let window = Window {
            after: after.map(|place| (Timestamp::from_micros(place.at), MessageId::from_uuid(place.id))),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let (organisation, now) = (principal.organisation_id, self.clock.now());
        let mut db = self.store.reader().await?;
        let total = outbound::count_dead(&mut db, organisation, reason, now).await?;
        let mut rows = Vec::new();
        for letter in outbound::list_dead(&mut db, organisation, reason, now, window).await? {
            if let Some(message) = messages::find_message(&mut db, organisation, letter.message_id).await? {
                rows.push(DeadLetter { reason: letter.reason, listed_at: letter.listed_at, message });
            }
        }
        Ok(page
            .page_of(rows, total, |row| Place { at: row.listed_at.as_micros(), id: row.message.id.uuid() }))
    }

    /// Takes a message off the list: somebody has seen to it.
    pub async fn dismiss_dead_letter(&self, principal: &Principal, id: MessageId) -> Result<()> {
        principal.require(Ability::Send)?;
        let mut tx = self.store.begin().await?;
        if !outbound::forget_dead(&mut tx, principal.organisation_id, id).await? {
            return Err(Error::NotFound("Message"));
        }
        tx.commit().await?;
        Ok(())
    }
}
