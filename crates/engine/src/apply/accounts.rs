//! Whom an update is for, and whether who signed it may say so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kabar_domain::inbound::AccountKey;
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, Clock, HeldId};
use kabar_store::apply::{self, AccountRef, NewHeld};
use kabar_store::{Error as StoreError, Tx};

use super::Item;
use crate::engine::Engine;

/// An item and the accounts it concerns.
#[derive(Debug)]
pub(super) struct Resolved {
    pub item: Item,
    pub accounts: Result<Vec<Arc<AccountRef>>, Unresolved>,
}

#[derive(Debug)]
pub(super) enum Unresolved {
    /// Nobody has registered this account yet.
    Unclaimed,
    /// Signed with a secret that is not this account's.
    ForeignSignature(Arc<AccountRef>),
}

impl Resolved {
    /// The row that keeps this item for later.
    pub fn hold(&self, clock: &Clock, unclaimed: bool, error: String) -> NewHeld {
        let item = &self.item;
        let organisation_id = match &self.accounts {
            Ok(accounts) => accounts.first().map(|account| account.organisation_id),
            Err(Unresolved::ForeignSignature(account)) => Some(account.organisation_id),
            Err(Unresolved::Unclaimed) => None,
        };
        NewHeld {
            id: HeldId::new(clock),
            organisation_id,
            stream: item.stream,
            seq: item.seq,
            item: item.number,
            pointer: item.update.pointer.clone(),
            platform: item.source,
            account_key: match &item.update.account {
                AccountKey::PhoneNumber(number) => number.clone(),
                AccountKey::BusinessAccount { waba_id, display_phone_number: None } => waba_id.clone(),
                AccountKey::BusinessAccount { waba_id, display_phone_number: Some(digits) } => {
                    format!("{waba_id} {digits}")
                }
                AccountKey::Address => item.account_id.map(|id| id.to_string()).unwrap_or_default(),
            },
            unclaimed,
            error,
            received_at: item.received_at,
        }
    }
}

impl Engine {
    pub(super) async fn resolve_accounts(
        &self,
        tx: &mut Tx,
        items: Vec<Item>,
    ) -> Result<Vec<Resolved>, StoreError> {
        let mut numbers = HashSet::new();
        let mut addressed = HashSet::new();
        for item in &items {
            match (&item.update.account, item.account_id) {
                (AccountKey::PhoneNumber(number), _) => {
                    numbers.insert(number.clone());
                }
                (AccountKey::Address, Some(id)) => {
                    addressed.insert(id);
                }
                _ => {}
            }
        }
        let by_number: HashMap<String, Arc<AccountRef>> =
            apply::accounts_by_number(tx, numbers.into_iter().collect())
                .await?
                .into_iter()
                .map(|account| (account.external_id.clone(), Arc::new(account)))
                .collect();
        let by_id: HashMap<AccountId, Arc<AccountRef>> =
            apply::accounts_by_id(tx, addressed.into_iter().collect())
                .await?
                .into_iter()
                .map(|account| (account.id, Arc::new(account)))
                .collect();
        let mut resolved = Vec::with_capacity(items.len());
        for item in items {
            let found: Vec<Arc<AccountRef>> = match (&item.update.account, item.account_id) {
                (AccountKey::PhoneNumber(number), _) => by_number.get(number).cloned().into_iter().collect(),
                (AccountKey::Address, Some(id)) => by_id.get(&id).cloned().into_iter().collect(),
                (AccountKey::Address, None) => Vec::new(),
                (AccountKey::BusinessAccount { waba_id, display_phone_number }, _) => {
                    apply::accounts_by_waba(tx, waba_id, display_phone_number.as_deref())
                        .await?
                        .into_iter()
                        .map(Arc::new)
                        .collect()
                }
            };
            let accounts = if found.is_empty() {
                Err(Unresolved::Unclaimed)
            } else {
                let (accepted, foreign): (Vec<_>, Vec<_>) =
                    found.into_iter().partition(|account| self.signature_is_of(account, item.signed_by));
                match (accepted.is_empty(), foreign.into_iter().next()) {
                    (true, Some(account)) => Err(Unresolved::ForeignSignature(account)),
                    _ => Ok(accepted),
                }
            };
            resolved.push(Resolved { item, accounts });
        }
        Ok(resolved)
    }

    /// An account with an app secret of its own is spoken for by that secret only, every other by the server's:
    /// else one tenant could write another's messages.
    fn signature_is_of(&self, account: &AccountRef, signed_by: Option<i64>) -> bool {
        if account.platform != Platform::Whatsapp {
            return true;
        }
        let Some(fingerprint) = signed_by else { return false };
        match &account.signed_by {
            Some(own) => own.split_ascii_whitespace().any(|own| own == fingerprint.to_string()),
            None => self.secrets.is_global(fingerprint),
        }
    }
}
