//! Signing in with e-mail and password.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kabar_domain::{Abilities, Reach, TokenKind};
use kabar_store::tokens::{self, NewToken};
use kabar_store::users::{self, Membership, User};

use super::{password, token};
use crate::Engine;
use crate::crypto::sha256_hex;
use crate::error::{Error, Invalid, Result};

/// How long a sign-in lasts.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// What a person types.
#[derive(Clone, Default)]
pub struct Login {
    pub email: String,
    pub password: String,
    /// Names the token in lists.
    pub device_name: Option<String>,
    pub client_address: Option<IpAddr>,
}

#[derive(Clone)]
pub struct LoginOutcome {
    /// Shown once.
    pub token: String,
    pub user: User,
    pub organisations: Vec<Membership>,
}

impl Engine {
    /// The person with this password. An unknown address, a wrong password and a disabled person get the same answer
    /// after the same time.
    pub(super) async fn check_password(&self, login: &Login) -> Result<User> {
        let email = login.email.trim().to_lowercase();
        let mut invalid = Invalid::default();
        invalid.require("email", !email.is_empty());
        invalid.require("password", !login.password.is_empty());
        invalid.check()?;

        let limiter = &self.login_limiter;
        limiter.check(&email, login.client_address, self.clock.now())?;
        let permit = Arc::clone(&limiter.hashing)
            .acquire_owned()
            .await
            .map_err(|error| Error::Internal(error.to_string()))?;
        // Others may have failed while this one waited: a burst gets no more guesses than a row.
        limiter.check(&email, login.client_address, self.clock.now())?;
        let user = users::by_email(&mut self.store.reader().await?, &email).await?;
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let right = password::verify(&login.password, hash).await?;
        let user = user.filter(|user| right && user.disabled_at.is_none());
        let Some(user) = user else {
            limiter.failed(&email, login.client_address, self.clock.now());
            return Err(Error::Credentials);
        };
        limiter.succeeded(&email);
        drop(permit);
        Ok(user)
    }

    /// A new token for a person.
    pub async fn login(&self, login: Login) -> Result<LoginOutcome> {
        let user = self.check_password(&login).await?;
        let mut tx = self.store.begin().await?;
        let organisations = users::memberships(&mut tx, user.id, None).await?;
        let abilities = organisations.iter().fold(Abilities::default(), |all, membership| {
            Abilities::from_names(all.names().into_iter().chain(membership.role.abilities().names()))
        });
        let secret = token::secret()?;
        let now = self.clock.now();
        let device = login.device_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let name: String = device.unwrap_or("login").chars().take(255).collect();
        let id = tokens::insert(
            &mut tx,
            &NewToken {
                kind: TokenKind::Token,
                app_id: None,
                reach: &Reach::default(),
                announce_at: None,
                user_id: user.id,
                organisation_id: None,
                name: &name,
                hash: &sha256_hex(secret.as_bytes()),
                abilities: &abilities.names(),
                expires_at: Some(now.plus(LIFETIME)),
                created_at: now,
            },
        )
        .await?;
        tx.commit().await?;
        Ok(LoginOutcome { token: token::text(id, &secret), user, organisations })
    }
}
