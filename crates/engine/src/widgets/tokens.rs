//! Embed tokens, as an organisation's own server asks for them.

use std::time::Duration;

use kabar_domain::Ability;
use kabar_store::widgets;
use serde_json::{Value as Json, json};

use super::token::{self, Claims};
use super::{LONGEST_SUBJECT, Widget};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// Seconds that a token is good.
const TTL: i64 = 900;
const SHORTEST_TTL: i64 = 60;
const LONGEST_TTL: i64 = 86_400;
const CONTEXT: usize = 4 * 1024;

/// A visitor to let in, as a client gives it.
#[derive(Clone, Debug, Default)]
pub struct NewEmbedToken {
    pub slug: Option<String>,
    pub subject: Option<String>,
    pub context: Option<Json>,
    pub ttl_seconds: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedToken {
    pub token: String,
    /// Seconds.
    pub expires_in: i64,
    pub slug: String,
}

impl Engine {
    pub(super) fn issuer(&self) -> &str {
        self.config.public_url.as_str().trim_end_matches('/')
    }

    /// A token for the visitor's browser. Whoever may make one reads and writes as that visitor.
    pub async fn create_embed_token(&self, principal: &Principal, new: NewEmbedToken) -> Result<EmbedToken> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut invalid = Invalid::default();
        let slug = rules::required(&mut invalid, "slug", new.slug, 255);
        let subject = rules::required(&mut invalid, "subject", new.subject, LONGEST_SUBJECT);
        let context =
            rules::object(&mut invalid, "context", new.context.unwrap_or_else(|| json!({})), CONTEXT);
        let ttl = new.ttl_seconds.unwrap_or(TTL);
        if !(SHORTEST_TTL..=LONGEST_TTL).contains(&ttl) {
            let message = format!("The ttl seconds field must be between {SHORTEST_TTL} and {LONGEST_TTL}.");
            invalid.add("ttl_seconds", message);
        }
        let found = if slug.is_empty() {
            None
        } else {
            let found = widgets::find_slug(&mut self.store.reader().await?, organisation, &slug).await?;
            if !found.as_ref().is_some_and(Widget::is_live) {
                rules::selected(&mut invalid, "slug");
            }
            found
        };
        invalid.check()?;
        let widget = found.ok_or_else(|| Error::Internal("an unchecked slug".into()))?;
        let key = self.widget_key(organisation).await?;
        let now = self.clock.now();
        let claims = Claims {
            iss: self.issuer().to_owned(),
            sub: subject,
            aud: widget.slug,
            iat: now.as_unix(),
            exp: now.plus(Duration::from_secs(ttl.unsigned_abs())).as_unix(),
            jti: kabar_domain::JobId::from_uuid(self.clock.uuid()).to_string(),
            org: organisation,
            context,
        };
        let token = token::sign(&claims, key.id, &self.open_widget_key(&key)?);
        Ok(EmbedToken { token, expires_in: ttl, slug: claims.aud })
    }
}
