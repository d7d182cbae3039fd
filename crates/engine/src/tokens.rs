//! Tokens of an organisation's programs.

use std::time::Duration;

use kabar_domain::{Ability, OrganisationId, Reach, Timestamp, TokenKind};
use kabar_store::events::NewEvent;
use kabar_store::tokens::{self, NewToken};
use kabar_store::{Db, Tx, Window, channels, sites};
use serde_json::json;

use crate::Engine;
use crate::auth::{Principal, token};
use crate::crypto::sha256_hex;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest, Place};
use crate::rules;

pub use kabar_store::tokens::Token;

/// How long before its end a token is told to expire.
const NOTICE: Duration = Duration::from_hours(7 * 24);
/// Channels, or sites, that one token is bound to at most.
const MOST_BOUND: usize = 100;
/// Tokens told of at a time.
const AT_A_TIME: i64 = 100;

/// When a token that is made now is to be told to expire: at once, when its end is near.
pub(crate) fn announce_at(now: Timestamp, expires_at: Option<Timestamp>) -> Option<Timestamp> {
    expires_at.map(|at| at.minus(NOTICE).max(now))
}

pub(crate) fn event(kind: &'static str, token: &Token) -> NewEvent {
    let data = json!({ "token_id": token.id, "name": token.name, "kind": token.kind, "user_id": token.user_id,
        "expires_at": token.expires_at });
    NewEvent { kind, subject_id: None, data: Some(data.to_string()) }
}

/// A token to make for a program.
#[derive(Clone, Debug, Default)]
pub struct NewApiToken {
    pub name: Option<String>,
    pub abilities: Option<Vec<String>>,
    /// RFC 3339; it never expires without.
    pub expires_at: Option<String>,
    /// It reaches nothing but these, when they are given.
    pub channel_ids: Option<Vec<String>>,
    pub site_ids: Option<Vec<String>>,
}

const fn not_found() -> Error {
    Error::NotFound("Token")
}

/// Ends a token and tells of it.
pub(crate) async fn revoke(tx: &mut Tx, token: &Token, now: Timestamp) -> Result<()> {
    let ended = tokens::delete(tx, token.id).await?;
    if let Some(organisation) = token.organisation_id.filter(|_| ended) {
        tx.record(organisation, now, [event("token.revoked", token)]);
    }
    Ok(())
}

fn abilities(invalid: &mut Invalid, given: Option<Vec<String>>) -> Vec<&'static str> {
    let given = given.unwrap_or_default();
    invalid.require("abilities", !given.is_empty());
    let mut chosen = Vec::new();
    for (index, name) in given.iter().enumerate() {
        match name.parse::<Ability>() {
            Ok(ability) if chosen.contains(&ability.as_str()) => {}
            Ok(ability) => chosen.push(ability.as_str()),
            Err(_) => rules::selected(invalid, &format!("abilities.{index}")),
        }
    }
    chosen
}

fn expiry(invalid: &mut Invalid, given: Option<&str>, now: Timestamp) -> Option<Timestamp> {
    let at = Timestamp::parse(given?.trim());
    match at {
        None => invalid.add("expires_at", "The expires at field must be a valid date."),
        Some(at) if at <= now => invalid.add("expires_at", "The expires at field must be a date after now."),
        Some(_) => {}
    }
    at
}

/// The ids that a token is bound to, each once; `None` when it is not bound to any of their kind.
fn bound<T: std::str::FromStr + PartialEq>(
    invalid: &mut Invalid,
    field: &str,
    given: Option<Vec<String>>,
) -> Option<Vec<T>> {
    let given = given?;
    if given.is_empty() || given.len() > MOST_BOUND {
        let name = field.replace('_', " ");
        invalid.add(
            field,
            format!("The {name} field must have between 1 and {MOST_BOUND} items, or be left out."),
        );
    }
    let mut ids = Vec::new();
    for (index, id) in given.iter().enumerate() {
        match id.parse::<T>() {
            Ok(id) if ids.contains(&id) => {}
            Ok(id) => ids.push(id),
            Err(_) => rules::selected(invalid, &format!("{field}.{index}")),
        }
    }
    Some(ids)
}

async fn check_reach(
    db: &mut impl Db,
    invalid: &mut Invalid,
    organisation: OrganisationId,
    reach: &Reach,
) -> Result<()> {
    for (index, id) in reach.channels.iter().flatten().enumerate() {
        if channels::find(db, organisation, *id).await?.is_none() {
            rules::selected(invalid, &format!("channel_ids.{index}"));
        }
    }
    for (index, id) in reach.sites.iter().flatten().enumerate() {
        if sites::find(db, organisation, *id).await?.is_none() {
            rules::selected(invalid, &format!("site_ids.{index}"));
        }
    }
    Ok(())
}

impl Engine {
    /// A token for a program, in the name of the caller; and its secret.
    pub async fn create_api_token(&self, principal: &Principal, new: NewApiToken) -> Result<(Token, String)> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        let name = rules::required(&mut invalid, "name", new.name, 255);
        let abilities = abilities(&mut invalid, new.abilities);
        let expires_at = expiry(&mut invalid, new.expires_at.as_deref(), now);
        let reach = Reach {
            channels: bound(&mut invalid, "channel_ids", new.channel_ids),
            sites: bound(&mut invalid, "site_ids", new.site_ids),
        };
        invalid.check()?;
        let mut invalid = Invalid::default();
        let secret = token::secret()?;
        let mut tx = self.store.begin().await?;
        check_reach(&mut tx, &mut invalid, organisation, &reach).await?;
        invalid.check()?;
        let id = tokens::insert(
            &mut tx,
            &NewToken {
                kind: TokenKind::Token,
                app_id: None,
                reach: &reach,
                announce_at: announce_at(now, expires_at),
                user_id: principal.user_id,
                organisation_id: Some(organisation),
                name: &name,
                hash: &sha256_hex(secret.as_bytes()),
                abilities: &abilities,
                expires_at,
                created_at: now,
            },
        )
        .await?;
        let made =
            tokens::find_bound(&mut tx, organisation, TokenKind::Token, id).await?.ok_or_else(not_found)?;
        tx.record(organisation, now, [event("token.created", &made)]);
        tx.commit().await?;
        Ok((made, token::text(id, &secret)))
    }

    /// Those of the organisation's programs, the newest first.
    pub async fn list_api_tokens(&self, principal: &Principal, page: &PageRequest) -> Result<Page<Token>> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let window =
            Window { after: page.after()?.map(|place| place.at), offset: page.offset(), limit: page.fetch() };
        let mut db = self.store.reader().await?;
        let total = tokens::count_bound(&mut db, organisation, TokenKind::Token).await?;
        let rows = tokens::list_bound(&mut db, organisation, TokenKind::Token, window).await?;
        Ok(page.page_of(rows, total, |token| Place { at: token.id, id: uuid::Uuid::nil() }))
    }

    pub async fn get_api_token(&self, principal: &Principal, id: i64) -> Result<Token> {
        principal.require(Ability::Admin)?;
        let mut db = self.store.reader().await?;
        let found = tokens::find_bound(&mut db, principal.organisation_id, TokenKind::Token, id).await?;
        found.ok_or_else(not_found)
    }

    pub async fn revoke_api_token(&self, principal: &Principal, id: i64) -> Result<()> {
        principal.require(Ability::Admin)?;
        let mut tx = self.store.begin().await?;
        let found = tokens::find_bound(&mut tx, principal.organisation_id, TokenKind::Token, id).await?;
        revoke(&mut tx, &found.ok_or_else(not_found)?, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Tells of tokens that are about to expire, of each once.
    pub(crate) async fn announce_expiring_tokens(&self) -> Result<()> {
        let now = self.clock.now();
        if tokens::expiring(&mut self.store.reader().await?, now, 1).await?.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        for token in tokens::expiring(&mut tx, now, AT_A_TIME).await? {
            let first = tokens::announced(&mut tx, token.id).await?;
            let lives = token.expires_at.is_some_and(|at| at > now);
            if let Some(organisation) = token.organisation_id.filter(|_| first && lives) {
                tx.record(organisation, now, [event("token.expiring", &token)]);
            }
        }
        Ok(tx.commit().await?)
    }
}
