//! Exchanging a code for a token.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kabar_domain::{ConnectionId, Reach, TokenKind};
use kabar_store::apps::{self, Code};
use kabar_store::tokens::{self, NewToken};
use subtle::ConstantTimeEq;

use crate::Engine;
use crate::auth::token;
use crate::crypto::{sha256, sha256_hex};
use crate::error::{Error, Result};

/// What an app shows.
#[derive(Clone, Default)]
pub struct Exchange {
    pub code: String,
    pub redirect_uri: String,
    /// PKCE's; needed when the code was asked for with a challenge.
    pub code_verifier: Option<String>,
    pub client_address: Option<IpAddr>,
}

#[derive(Clone)]
pub struct Exchanged {
    /// Shown once.
    pub token: String,
    pub abilities: Vec<String>,
}

fn same(one: &str, other: &str) -> bool {
    bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

/// Whether what was shown fits the code; every condition is looked at, whatever the others say.
fn fits(code: &Code, shown: &Exchange) -> bool {
    let verifier = shown.code_verifier.as_deref().unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    // Without a challenge a verifier proves nothing, and the app that sends one asked for a code with one.
    let proven = match &code.challenge {
        Some(asked) => same(asked, &challenge),
        None => shown.code_verifier.is_none(),
    };
    same(&code.redirect_uri, &shown.redirect_uri) & proven
}

impl Engine {
    /// A token for a code. Whatever is wrong, the answer is [`Error::InvalidGrant`]. A code that is shown again may have
    /// been stolen: the token it gave is revoked.
    pub async fn exchange_code_for_token(&self, shown: Exchange) -> Result<Exchanged> {
        let limiter = &self.exchange_limiter;
        limiter.check_address(shown.client_address, self.clock.now())?;
        let exchanged = self.exchange(&shown).await;
        if matches!(exchanged, Err(Error::InvalidGrant)) {
            limiter.failed_from(shown.client_address, self.clock.now());
        }
        exchanged
    }

    async fn exchange(&self, shown: &Exchange) -> Result<Exchanged> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let found = apps::find_code(&mut tx, &sha256_hex(shown.code.as_bytes())).await?;
        let code = found.ok_or(Error::InvalidGrant)?;
        if code.used_at.is_some() {
            let given = match code.token_id {
                Some(id) => tokens::by_id(&mut tx, id).await?,
                None => None,
            };
            if let Some(token) = given {
                tracing::warn!(app = %code.app_id, token = token.id, "a code was shown twice: its token is revoked");
                crate::tokens::revoke(&mut tx, &token, now).await?;
                tx.commit().await?;
            }
            return Err(Error::InvalidGrant);
        }
        let app = apps::by_id(&mut tx, code.app_id).await?.ok_or(Error::InvalidGrant)?;
        // An address that the app gave up meanwhile is not one of its own any more.
        let known = app.redirect_uris.contains(&code.redirect_uri);
        if !fits(&code, shown) || !known || code.expires_at <= now {
            return Err(Error::InvalidGrant);
        }
        let secret = token::secret()?;
        let abilities: Vec<&str> = code.abilities.iter().map(String::as_str).collect();
        let organisation = code.organisation_id;
        let connection = apps::connection_of(&mut tx, organisation, app.id, code.user_id).await?;
        let id = tokens::insert(
            &mut tx,
            &NewToken {
                kind: TokenKind::App,
                app_id: Some(app.id),
                reach: &Reach::default(),
                announce_at: None,
                user_id: code.user_id,
                organisation_id: Some(organisation),
                name: &app.name,
                hash: &sha256_hex(secret.as_bytes()),
                abilities: &abilities,
                expires_at: None,
                created_at: now,
            },
        )
        .await?;
        let is_new = connection.is_none();
        let connection = connection.unwrap_or_else(|| ConnectionId::new(&self.clock));
        apps::connect(&mut tx, id, connection).await?;
        apps::use_code(&mut tx, &code.hash, id, now).await?;
        if is_new {
            tx.record(organisation, now, [super::event("connected_app.created", connection.uuid())]);
        }
        tx.commit().await?;
        Ok(Exchanged { token: token::text(id, &secret), abilities: code.abilities })
    }
}
