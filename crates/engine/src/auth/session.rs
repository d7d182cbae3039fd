//! Sessions of browsers: tokens that are good as a cookie only, and what proves that a page of ours sends it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kabar_domain::{Reach, TokenKind};
use kabar_store::tokens::{self, NewToken};
use kabar_store::users;

use super::{Login, Principal, token};
use crate::Engine;
use crate::crypto::sha256_hex;
use crate::error::Result;

/// A session ends when it was not used for so long.
pub(super) const IDLE: Duration = Duration::from_hours(30 * 24);

impl Engine {
    /// Signs a person in as [`Engine::login`] does; the secret is for a cookie.
    pub async fn open_session(&self, login: Login) -> Result<String> {
        let user = self.check_password(&login).await?;
        let secret = token::secret()?;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if users::memberships(&mut tx, user.id, None).await?.is_empty() {
            return Err(super::belongs_nowhere());
        }
        let id = tokens::insert(
            &mut tx,
            &NewToken {
                kind: TokenKind::Session,
                app_id: None,
                reach: &Reach::default(),
                announce_at: None,
                user_id: user.id,
                organisation_id: None,
                name: "browser",
                hash: &sha256_hex(secret.as_bytes()),
                // As much as the person's role in each organisation, whatever becomes of it.
                abilities: &["*"],
                expires_at: Some(now.plus(IDLE)),
                created_at: now,
            },
        )
        .await?;
        tx.commit().await?;
        Ok(token::text(id, &secret))
    }

    /// [`Engine::authenticate`] for what a cookie holds.
    pub async fn authenticate_session(&self, session: &str, organisation: Option<&str>) -> Result<Principal> {
        self.identify(session, organisation, true).await
    }

    /// What pages send along with the cookie: other sites can make a browser send the one and cannot know the other.
    pub fn csrf_token(&self, principal: &Principal) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(&csrf_text(principal)))
    }

    pub fn is_csrf_token(&self, principal: &Principal, presented: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(presented);
        signature.is_ok_and(|signature| self.key.verify(&csrf_text(principal), &signature))
    }
}

fn csrf_text(principal: &Principal) -> String {
    format!("session {}", principal.token_id)
}
