//! An account's secrets: sealed in its row, open only in memory.

use kabar_domain::{AccountId, OrganisationId};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::{Error, Result};

/// What an account authenticates with. Which fields are set depends on its platform.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_secret: Option<String>,
    /// Valid beside `app_secret` since the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_app_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_token: Option<String>,
    /// What Telegram sends back in `X-Telegram-Bot-Api-Secret-Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// The two-step PIN that a signup registered a WhatsApp number with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

fn context(organisation: OrganisationId, account: AccountId) -> String {
    format!("accounts/{organisation}/{account}")
}

impl Engine {
    pub(crate) fn seal_credentials(
        &self,
        organisation: OrganisationId,
        account: AccountId,
        credentials: &Credentials,
    ) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(credentials).map_err(|error| Error::Internal(error.to_string()))?;
        self.key.seal(&context(organisation, account), &plain)
    }

    pub(crate) fn open_credentials(
        &self,
        organisation: OrganisationId,
        account: AccountId,
        sealed: &[u8],
    ) -> Result<Credentials> {
        let plain = self.key.open(&context(organisation, account), sealed)?;
        serde_json::from_slice(&plain)
            .map_err(|_| Error::Internal("stored credentials are not readable".into()))
    }
}
