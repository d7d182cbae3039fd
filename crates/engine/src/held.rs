//! Pieces of inbound bodies that are not applied, and applying them again.

use kabar_domain::{Ability, HeldId, Role};
use kabar_store::{Reader, Window, held};

use crate::apply::Replayed;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub use kabar_store::held::Held;

/// Which held updates to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct HeldQuery {
    pub resolved: Option<bool>,
    /// `quarantined` or `unclaimed`.
    pub reason: Option<String>,
}

/// Updates that belong to no organisation yet are the operator's business: the owners and admins of the server's
/// first organisation.
async fn sees_unowned(db: &mut Reader, principal: &Principal) -> Result<bool> {
    Ok(matches!(principal.role, Role::Owner | Role::Admin)
        && held::is_operator(db, principal.organisation_id).await?)
}

impl Engine {
    /// Newest first.
    pub async fn list_held_updates(
        &self,
        principal: &Principal,
        query: HeldQuery,
        page: &PageRequest,
    ) -> Result<Page<Held>> {
        principal.require(Ability::Admin)?;
        let mut invalid = Invalid::default();
        let reason = query.reason.and_then(|text| {
            let reason = ["quarantined", "unclaimed"].into_iter().find(|reason| *reason == text);
            if reason.is_none() {
                rules::selected(&mut invalid, "reason");
            }
            reason
        });
        invalid.check()?;
        let window = Window {
            after: page.after()?.map(|place| HeldId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let unowned = sees_unowned(&mut db, principal).await?;
        let filter = held::Filter { resolved: query.resolved, reason, unowned };
        let total = held::count(&mut db, principal.organisation_id, &filter).await?;
        let rows = held::list(&mut db, principal.organisation_id, &filter, window).await?;
        Ok(page.page_of(rows, total, |held| held.id.uuid().into()))
    }

    /// Applies a held update's body again.
    pub async fn replay_held_update(&self, principal: &Principal, id: HeldId) -> Result<(Held, Replayed)> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let not_found = || Error::NotFound("HeldUpdate");
        let mut db = self.store.reader().await?;
        let unowned = sees_unowned(&mut db, principal).await?;
        held::find(&mut db, organisation, id, unowned).await?.ok_or_else(not_found)?;
        // A replay reads and writes over connections of its own.
        drop(db);
        let replayed = self.replay_held(id).await?;
        let mut db = self.store.reader().await?;
        let held = held::find(&mut db, organisation, id, unowned).await?.ok_or_else(not_found)?;
        Ok((held, replayed))
    }
}
