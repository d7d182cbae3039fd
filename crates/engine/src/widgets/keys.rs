//! The keys that an organisation's embed tokens are signed with. The first is made with the first token.

use std::time::Duration;

use kabar_domain::{Ability, OrganisationId, WidgetKeyId};
use kabar_store::widgets::keys::{self, Key};
use kabar_store::{Tx, organisations};

use super::event;
use crate::auth::Principal;
use crate::crypto::random;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

/// How long tokens of the former key are taken when the client does not say, and at most: tokens live a day at most.
const OVERLAP: i64 = 24 * 3_600;

/// How long a key that is good no more is listed.
const LISTED: Duration = Duration::from_hours(90 * 24);

fn context(organisation: OrganisationId, id: WidgetKeyId) -> String {
    format!("widget_keys/{organisation}/{id}")
}

impl Engine {
    pub(super) fn open_widget_key(&self, key: &Key) -> Result<Vec<u8>> {
        self.key.open(&context(key.organisation_id, key.id), &key.secret)
    }

    async fn add_widget_key(&self, tx: &mut Tx, organisation: OrganisationId) -> Result<Key> {
        let id = WidgetKeyId::new(&self.clock);
        let secret = self.key.seal(&context(organisation, id), &random::<32>()?)?;
        let created_at = self.clock.now();
        let key =
            Key { organisation_id: organisation, id, secret, good_until: None, revoked_at: None, created_at };
        keys::insert(tx, &key).await?;
        Ok(key)
    }

    /// What new tokens are signed with.
    pub(super) async fn widget_key(&self, organisation: OrganisationId) -> Result<Key> {
        if let Some(key) = keys::current(&mut self.store.reader().await?, organisation).await? {
            return Ok(key);
        }
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, organisation).await?;
        // Somebody else may have been quicker.
        let key = match keys::current(&mut tx, organisation).await? {
            Some(key) => key,
            None => self.add_widget_key(&mut tx, organisation).await?,
        };
        tx.commit().await?;
        Ok(key)
    }

    /// Newest first.
    pub async fn list_widget_keys(&self, principal: &Principal) -> Result<Vec<Key>> {
        principal.require(Ability::Admin)?;
        Ok(keys::list(&mut self.store.reader().await?, principal.organisation_id).await?)
    }

    /// A new key; tokens of the one before are taken for `overlap` seconds more, a day unless given.
    pub async fn rotate_widget_key(&self, principal: &Principal, overlap: Option<i64>) -> Result<Key> {
        principal.require(Ability::Admin)?;
        let overlap = overlap.unwrap_or(OVERLAP);
        if !(0..=OVERLAP).contains(&overlap) {
            let message = format!("The overlap seconds field must be between 0 and {OVERLAP}.");
            return Err(Invalid::one("overlap_seconds", message));
        }
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, organisation).await?;
        if let Some(mut former) = keys::current(&mut tx, organisation).await? {
            former.good_until = Some(now.plus(Duration::from_secs(overlap.unsigned_abs())));
            keys::update(&mut tx, &former).await?;
        }
        let key = self.add_widget_key(&mut tx, organisation).await?;
        tx.record(organisation, now, [event("widget_key.rotated", key.id.uuid(), "")]);
        tx.commit().await?;
        Ok(key)
    }

    /// Nothing signed with this key is taken any more. Of the current key's successor the next token is signed.
    pub async fn revoke_widget_key(&self, principal: &Principal, id: WidgetKeyId) -> Result<Key> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        organisations::lock(&mut tx, organisation).await?;
        let mut key = keys::find(&mut tx, organisation, id).await?.ok_or(Error::NotFound("WidgetKey"))?;
        if key.revoked_at.is_none() {
            key.revoked_at = Some(now);
            keys::update(&mut tx, &key).await?;
            tx.record(organisation, now, [event("widget_key.revoked", id.uuid(), "")]);
        }
        tx.commit().await?;
        Ok(key)
    }

    pub(crate) async fn forget_widget_keys(&self, tx: &mut Tx) -> Result<()> {
        keys::purge(tx, self.clock.now().minus(LISTED)).await?;
        Ok(())
    }
}
