//! People and their tokens, as the command line manages them. Callers are trusted: no principal, no abilities.

use std::time::Duration;

use kabar_domain::{Ability, OrganisationId, Reach, Role, TokenKind, UserId};
use kabar_store::events::NewEvent;
use kabar_store::tokens::NewToken;
use kabar_store::{organisations, tokens, users};
use serde_json::json;

pub use kabar_store::tokens::Token;
pub use kabar_store::users::{Membership, User};

use crate::Engine;
use crate::auth::{password, token};
use crate::crypto::{random_text, sha256_hex};
use crate::error::{Error, Invalid, Result};
use crate::tokens::announce_at;

/// A person to create.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    /// Slug.
    pub organisation: &'a str,
    pub role: Role,
}

/// A token to create.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    pub email: &'a str,
    /// Slug; the token is then good for this organisation only.
    pub organisation: Option<&'a str>,
    pub name: &'a str,
    pub abilities: &'a [Ability],
    pub expires_in: Option<Duration>,
}

/// What is shown once and never again.
#[derive(Clone)]
pub struct CreatedToken {
    pub id: i64,
    /// `<id>|<secret>`.
    pub token: String,
}

/// The first administrator's password, when Kabar chose it.
#[derive(Clone)]
pub struct OneTime {
    pub email: String,
    pub password: String,
}

const OWNER_EMAIL: &str = "admin@localhost";

fn normal_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let parts = email.split_once('@');
    let sound = parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if sound {
        Ok(email)
    } else {
        Err(Invalid::one("email", "The email field must be a valid email address."))
    }
}

fn no_user(email: &str) -> Error {
    Invalid::one("email", format!("There is no user `{email}`."))
}

fn no_organisation(slug: &str) -> Error {
    Invalid::one("organisation", format!("There is no organisation `{slug}`."))
}

fn taken(error: kabar_store::Error) -> Error {
    if error.is_conflict_on("users_email_key", "users.email") {
        Invalid::one("email", "The email has already been taken.")
    } else {
        error.into()
    }
}

fn member_added(user: UserId, role: Role) -> NewEvent {
    NewEvent {
        kind: "member.added",
        subject_id: Some(user.uuid()),
        data: Some(json!({ "user_id": user, "role": role }).to_string()),
    }
}

impl Engine {
    /// Creates a person with a place in an existing organisation.
    pub async fn create_user(&self, new: NewUser<'_>) -> Result<User> {
        let email = normal_email(new.email)?;
        let name = new.name.trim();
        let mut invalid = Invalid::default();
        invalid.require("name", !name.is_empty());
        password::check(&mut invalid, new.password);
        invalid.check()?;
        let password_hash = password::hash(new.password).await?;

        let mut tx = self.store.begin().await?;
        let organisation = organisations::by_slug(&mut tx, new.organisation)
            .await?
            .ok_or_else(|| no_organisation(new.organisation))?;
        let now = self.clock.now();
        let user = User {
            id: UserId::new(&self.clock),
            email,
            name: name.to_owned(),
            password_hash,
            default_organisation_id: Some(organisation.id),
            disabled_at: None,
            created_at: now,
        };
        users::insert(&mut tx, &user).await.map_err(taken)?;
        users::set_membership(&mut tx, organisation.id, user.id, new.role, now).await?;
        tx.record(organisation.id, now, vec![member_added(user.id, new.role)]);
        tx.commit().await?;
        Ok(user)
    }

    /// Gives an existing person a place in another organisation, or another role in one.
    pub async fn set_membership(&self, email: &str, organisation: &str, role: Role) -> Result<()> {
        let email = normal_email(email)?;
        let mut tx = self.store.begin().await?;
        let user = users::by_email(&mut tx, &email).await?.ok_or_else(|| no_user(&email))?;
        let organisation = organisations::by_slug(&mut tx, organisation)
            .await?
            .ok_or_else(|| no_organisation(organisation))?;
        let now = self.clock.now();
        users::set_membership(&mut tx, organisation.id, user.id, role, now).await?;
        tx.record(organisation.id, now, vec![member_added(user.id, role)]);
        Ok(tx.commit().await?)
    }

    /// Everybody, by e-mail, with their places.
    pub async fn list_users(&self) -> Result<Vec<(User, Vec<Membership>)>> {
        let mut reader = self.store.reader().await?;
        let mut listed = Vec::new();
        for user in users::list(&mut reader).await? {
            let memberships = users::memberships(&mut reader, user.id, None).await?;
            listed.push((user, memberships));
        }
        Ok(listed)
    }

    /// Sets a password, or makes one up and answers it. Signs the person out everywhere; tokens bound to an
    /// organisation stay good.
    pub async fn reset_password(&self, email: &str, new: Option<&str>) -> Result<Option<String>> {
        let email = normal_email(email)?;
        let made = if new.is_none() { Some(random_text(20)?) } else { None };
        let chosen = new.or(made.as_deref()).unwrap_or_default();
        let mut invalid = Invalid::default();
        password::check(&mut invalid, chosen);
        invalid.check()?;
        let hash = password::hash(chosen).await?;
        let mut tx = self.store.begin().await?;
        let user = users::by_email(&mut tx, &email).await?.ok_or_else(|| no_user(&email))?;
        users::set_password(&mut tx, user.id, &hash, self.clock.now()).await?;
        tokens::delete_unbound(&mut tx, user.id).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Creates a token for a program.
    pub async fn create_token(&self, request: TokenRequest<'_>) -> Result<CreatedToken> {
        let email = normal_email(request.email)?;
        let name = request.name.trim();
        let mut invalid = Invalid::default();
        invalid.require("name", !name.is_empty());
        invalid.require("abilities", !request.abilities.is_empty());
        invalid.check()?;
        let secret = token::secret()?;
        let abilities: Vec<_> = request.abilities.iter().map(|ability| ability.as_str()).collect();

        let mut tx = self.store.begin().await?;
        let user = users::by_email(&mut tx, &email).await?.ok_or_else(|| no_user(&email))?;
        let organisation_id = match request.organisation {
            None => None,
            Some(slug) => {
                let id =
                    organisations::by_slug(&mut tx, slug).await?.ok_or_else(|| no_organisation(slug))?.id;
                if users::memberships(&mut tx, user.id, Some(id)).await?.is_empty() {
                    let message = format!("`{email}` does not belong to `{slug}`.");
                    return Err(Invalid::one("organisation", message));
                }
                Some(id)
            }
        };
        let now = self.clock.now();
        let expires_at = request.expires_in.map(|lifetime| now.plus(lifetime));
        let new = NewToken {
            kind: TokenKind::Token,
            app_id: None,
            reach: &Reach::default(),
            announce_at: organisation_id.and_then(|_| announce_at(now, expires_at)),
            user_id: user.id,
            organisation_id,
            name,
            hash: &sha256_hex(secret.as_bytes()),
            abilities: &abilities,
            expires_at,
            created_at: now,
        };
        let id = tokens::insert(&mut tx, &new).await?;
        // One that is good in all of a person's organisations is nobody's program, and told to none of them.
        if let Some(organisation) = organisation_id
            && let Some(made) = tokens::find_bound(&mut tx, organisation, TokenKind::Token, id).await?
        {
            tx.record(organisation, now, [crate::tokens::event("token.created", &made)]);
        }
        tx.commit().await?;
        Ok(CreatedToken { id, token: token::text(id, &secret) })
    }

    /// A person's tokens, or everybody's.
    pub async fn list_tokens(&self, email: Option<&str>) -> Result<Vec<Token>> {
        let mut reader = self.store.reader().await?;
        let user = match email {
            None => None,
            Some(email) => {
                let email = normal_email(email)?;
                let user = users::by_email(&mut reader, &email).await?;
                Some(user.ok_or_else(|| no_user(&email))?.id)
            }
        };
        Ok(tokens::list(&mut reader, user).await?)
    }

    pub async fn revoke_token(&self, id: i64) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let found = tokens::find_any(&mut tx, id).await?.ok_or(Error::NotFound("Token"))?;
        crate::tokens::revoke(&mut tx, &found, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// On an empty database: an organisation (slug `default`) and its owner. Answers the password if Kabar had to
    /// choose one. When several processes start at once, one of them does it.
    pub async fn bootstrap(
        &self,
        admin_email: Option<&str>,
        admin_password: Option<&str>,
    ) -> Result<Option<OneTime>> {
        if users::any(&mut self.store.reader().await?).await? {
            return Ok(None);
        }
        let email = normal_email(admin_email.unwrap_or(OWNER_EMAIL))?;
        let made = if admin_password.is_none() { Some(random_text(20)?) } else { None };
        let chosen = admin_password.or(made.as_deref()).unwrap_or_default();
        let mut invalid = Invalid::default();
        password::check(&mut invalid, chosen);
        invalid.check()?;
        let password_hash = password::hash(chosen).await?;
        match self.create_owner(&email, password_hash).await {
            Ok(()) => Ok(made.map(|password| OneTime { email, password })),
            // Another process was first.
            Err(Error::Store(kabar_store::Error::Conflict(_)))
                if users::any(&mut self.store.reader().await?).await? =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn create_owner(&self, email: &str, password_hash: String) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let now = self.clock.now();
        let id = OrganisationId::new(&self.clock);
        organisations::insert(
            &mut tx,
            &organisations::Organisation {
                id,
                slug: "default".into(),
                name: "Kabar".into(),
                timezone: "UTC".into(),
                operating_hours: None,
                settings: json!({}),
                default_account_id: None,
                created_at: now,
                updated_at: now,
            },
        )
        .await?;
        let user = User {
            id: UserId::new(&self.clock),
            email: email.to_owned(),
            name: "Admin".into(),
            password_hash,
            default_organisation_id: Some(id),
            disabled_at: None,
            created_at: now,
        };
        users::insert(&mut tx, &user).await?;
        users::set_membership(&mut tx, id, user.id, Role::Owner, now).await?;
        crate::places::seed(&mut tx, &self.clock, id).await?;
        tx.record(id, now, vec![member_added(user.id, Role::Owner)]);
        Ok(tx.commit().await?)
    }
}
