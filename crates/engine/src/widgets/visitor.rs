//! Who knocks, and whether they are let in.

use std::net::IpAddr;
use std::time::Duration;

use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::{OrganisationId, Timestamp, WidgetKeyId};
use kabar_store::widgets::{self, Widget, keys};
use serde_json::Value as Json;

use super::origins;
use super::token::{Claims, Presented};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Servers' clocks differ by so much.
const SKEW: Duration = Duration::from_mins(1);

/// A visitor's request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knock<'a> {
    pub token: Option<&'a str>,
    /// The page's origin, as its browser says.
    pub origin: Option<&'a str>,
    /// The browser says that the page is the server's own.
    pub is_same_origin: bool,
    pub address: Option<IpAddr>,
}

/// A visitor who was let in.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub organisation_id: OrganisationId,
    pub widget: Widget,
    /// The organisation's reference for the visitor.
    pub subject: String,
    /// What the organisation's server said of the visitor; an object.
    pub context: Json,
    pub expires_at: Timestamp,
    pub(super) key: WidgetKeyId,
}

impl Visitor {
    pub(super) fn identity(&self) -> Identity {
        Identity::new(IdentityKind::Widget, &self.subject)
    }
}

const INVALID: Error = Error::EmbedToken("The embed token is not valid.");
const EXPIRED: Error = Error::EmbedToken("The embed token has expired.");

impl Engine {
    /// Lets a visitor in whose token and page are good.
    pub async fn admit_visitor(&self, knock: Knock<'_>) -> Result<Visitor> {
        let now = self.clock.now();
        self.visits.check_address(knock.address, now)?;
        let visitor = match self.visitor_of(knock.token, now).await {
            Err(error @ Error::EmbedToken(_)) => {
                self.visits.refused(knock.address, now);
                return Err(error);
            }
            other => other?,
        };
        self.check_page(&visitor.widget, knock)?;
        if !visitor.widget.is_live() {
            return Err(Error::Forbidden("This widget is switched off.".into()));
        }
        self.visits.came(&visitor, now)?;
        Ok(visitor)
    }

    async fn visitor_of(&self, token: Option<&str>, now: Timestamp) -> Result<Visitor> {
        let presented = Presented::parse(token.unwrap_or_default()).ok_or(INVALID)?;
        let mut db = self.store.reader().await?;
        let key = keys::named(&mut db, presented.kid).await?.ok_or(INVALID)?;
        let claims = presented.claims(&self.open_widget_key(&key)?).ok_or(INVALID)?;
        let Claims { iss, sub, aud, iat, exp, org, context, .. } = claims;
        let early = Timestamp::from_unix(iat) > now.plus(SKEW);
        if org != key.organisation_id || iss != self.issuer() || sub.is_empty() || early {
            return Err(INVALID);
        }
        let expires_at = Timestamp::from_unix(exp);
        if expires_at <= now || !key.is_good(now) {
            return Err(EXPIRED);
        }
        let widget = widgets::find_slug(&mut db, org, &aud).await?.ok_or(INVALID)?;
        Ok(Visitor { organisation_id: org, widget, subject: sub, context, expires_at, key: key.id })
    }

    /// Browsers say truly whose page asks; whoever has no browser needs more than a page to get at a token.
    fn check_page(&self, widget: &Widget, knock: Knock<'_>) -> Result<()> {
        let own = self.config.public_url.origin().ascii_serialization();
        let refused = |page: &str| {
            let page: String = page.chars().filter(|letter| !letter.is_control()).take(200).collect();
            Error::Forbidden(format!("Pages of {page} are not among the widget's allowed origins."))
        };
        match knock.origin {
            Some(page) if page == own || origins::allows(&widget.allowed_origins, page) => Ok(()),
            Some(page) => Err(refused(page)),
            None if knock.is_same_origin => Ok(()),
            None => Err(refused("no origin")),
        }
    }

    /// Whether a visitor who was let in would be let in now.
    pub(super) async fn is_still_welcome(&self, visitor: &Visitor) -> Result<bool> {
        let now = self.clock.now();
        if visitor.expires_at <= now {
            return Ok(false);
        }
        let mut db = self.store.reader().await?;
        let key = keys::find(&mut db, visitor.organisation_id, visitor.key).await?;
        let widget = widgets::find(&mut db, visitor.organisation_id, visitor.widget.id).await?;
        Ok(key.is_some_and(|key| key.is_good(now)) && widget.is_some_and(|widget| widget.is_live()))
    }
}
