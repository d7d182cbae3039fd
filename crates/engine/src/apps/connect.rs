//! What an app asks for on the consent page, and the code it gets when a person allows it.

use std::time::Duration;

use kabar_domain::{Abilities, Ability, AppId, OrganisationId, Role};
use kabar_store::apps::{self, App, Code};
use kabar_store::organisations;
use kabar_store::users::{self, Membership};
use url::Url;

use crate::Engine;
use crate::auth::Principal;
use crate::crypto::{random_text, sha256_hex};
use crate::error::{Error, Result};

/// How long a code can be exchanged.
const LIFETIME: Duration = Duration::from_mins(5);
/// Characters of `state` that are given back.
const LONGEST_STATE: usize = 2_048;

/// What the link to the consent page says.
#[derive(Clone, Debug, Default)]
pub struct ConnectQuery<'a> {
    /// Slug or id.
    pub app: Option<&'a str>,
    pub redirect_uri: Option<&'a str>,
    /// Names between commas or spaces; `read` when there are none.
    pub abilities: Option<&'a str>,
    pub state: Option<&'a str>,
    pub code_challenge: Option<&'a str>,
    pub code_challenge_method: Option<&'a str>,
}

/// What an app asks a person for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub app: App,
    /// The organisation that registered the app.
    pub publisher: String,
    pub abilities: Abilities,
    redirect_uri: Url,
    /// As it was registered, character by character.
    registered: String,
    state: Option<String>,
    challenge: Option<String>,
}

/// What becomes of a link to the consent page.
#[derive(Clone, Debug)]
pub enum Request {
    Ask(Box<Asked>),
    /// No such app, or not an address of it: nobody is sent anywhere.
    Unknown,
    /// The app asks for what it cannot have; it is told so.
    SendBack(String),
}

impl Asked {
    /// The host that a person is sent to.
    pub fn host(&self) -> String {
        let host = self.redirect_uri.host_str().unwrap_or_default();
        self.redirect_uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Where the consent page's form leads, as a source of a content security policy. That has no way to write an
    /// IPv6 address.
    pub fn form_action(&self) -> String {
        match self.redirect_uri.host() {
            Some(url::Host::Ipv6(_)) => format!("{}:", self.redirect_uri.scheme()),
            _ => self.redirect_uri.origin().ascii_serialization(),
        }
    }

    /// What the app gets of somebody with this role.
    pub fn granted(&self, role: Role) -> Abilities {
        self.abilities.meet(role.abilities())
    }

    fn back(&self, name: &str, value: &str) -> String {
        let mut url = self.redirect_uri.clone();
        url.query_pairs_mut().append_pair(name, value);
        if let Some(state) = &self.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        url.into()
    }

    /// Where a person is sent who refuses.
    pub fn refused(&self) -> String {
        self.back("error", "access_denied")
    }
}

/// The base64url form of 32 bytes, as `S256` makes it.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn abilities(text: &str) -> Option<Abilities> {
    let names = text.split([',', ' ', '+']).filter(|name| !name.is_empty());
    let parsed: Option<Vec<Ability>> = names.map(|name| name.parse().ok()).collect();
    parsed
        .map(|parsed| if parsed.is_empty() { vec![Ability::Read] } else { parsed })
        .map(|all| Abilities::of(&all))
}

impl Engine {
    pub async fn connect_request(&self, query: ConnectQuery<'_>) -> Result<Request> {
        let (Some(name), Some(given)) = (query.app, query.redirect_uri) else { return Ok(Request::Unknown) };
        let mut db = self.store.reader().await?;
        let app = match name.parse::<AppId>() {
            Ok(id) => apps::by_id(&mut db, id).await?,
            Err(_) => apps::by_slug(&mut db, name).await?,
        };
        let Some(app) = app.filter(|app| app.redirect_uris.iter().any(|uri| uri == given)) else {
            return Ok(Request::Unknown);
        };
        let Ok(redirect_uri) = Url::parse(given) else { return Ok(Request::Unknown) };
        let publisher = organisations::by_id(&mut db, app.organisation_id).await?;
        let asked = Asked {
            publisher: publisher.map(|organisation| organisation.name).unwrap_or_default(),
            app,
            abilities: abilities(query.abilities.unwrap_or_default()).unwrap_or_default(),
            redirect_uri,
            registered: given.to_owned(),
            state: query.state.map(|state| state.chars().take(LONGEST_STATE).collect()),
            challenge: query.code_challenge.map(str::to_owned),
        };
        if asked.abilities == Abilities::default() {
            return Ok(Request::SendBack(asked.back("error", "invalid_scope")));
        }
        let sound = match (query.code_challenge, query.code_challenge_method) {
            (None, None) => true,
            (Some(challenge), Some("S256")) => is_challenge(challenge),
            _ => false,
        };
        if !sound {
            return Ok(Request::SendBack(asked.back("error", "invalid_request")));
        }
        Ok(Request::Ask(Box::new(asked)))
    }

    /// The organisations that the person can connect an app to.
    pub async fn places_of(&self, person: &Principal) -> Result<Vec<Membership>> {
        Ok(users::memberships(&mut self.store.reader().await?, person.user_id, person.only()).await?)
    }

    /// Where the person is sent who allows the app what it asked for, in one organisation and no more than their role
    /// there has.
    pub async fn allow_connect(
        &self,
        person: &Principal,
        asked: &Asked,
        organisation: OrganisationId,
    ) -> Result<String> {
        let mut tx = self.store.begin().await?;
        let place = users::memberships(&mut tx, person.user_id, Some(organisation)).await?.pop();
        let granted = asked.granted(place.ok_or(Error::NotFound("Organisation"))?.role);
        if granted == Abilities::default() {
            return Err(Error::Forbidden("Your role allows nothing of what the app asks for.".into()));
        }
        let code = random_text(48)?;
        let now = self.clock.now();
        apps::insert_code(
            &mut tx,
            &Code {
                hash: sha256_hex(code.as_bytes()),
                app_id: asked.app.id,
                organisation_id: organisation,
                user_id: person.user_id,
                redirect_uri: asked.registered.clone(),
                abilities: granted.names().into_iter().map(str::to_owned).collect(),
                challenge: asked.challenge.clone(),
                created_at: now,
                expires_at: now.plus(LIFETIME),
                used_at: None,
                token_id: None,
            },
        )
        .await?;
        tx.commit().await?;
        Ok(asked.back("code", &code))
    }
}
