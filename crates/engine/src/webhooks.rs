//! Webhook endpoints: apps that are told of events.

mod attempt;
mod deliveries;
mod dispatch;
mod secrets;
mod turn;
mod write;

use kabar_domain::{Ability, WebhookEndpointId};
use kabar_store::events::{self, NewEvent};
use kabar_store::{Tx, Window, webhooks};
use serde_json::{Value as Json, json};
use url::Url;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::events::parse_filter;
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

pub use attempt::{Attempt, Tested};
pub use deliveries::{Delivery, DeliveryPage};
pub use kabar_store::webhooks::Endpoint;
pub use secrets::Rotated;

const LONGEST_URL: usize = 2_048;
const LARGEST_METADATA: usize = 16 * 1024;

/// A new endpoint, as a client gives it.
#[derive(Clone, Debug, Default)]
pub struct NewEndpoint {
    pub url: Option<String>,
    pub description: Option<String>,
    /// Patterns of event types; every event when there are none.
    pub events: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub metadata: Option<Json>,
}

/// What to change about an endpoint. What is left out stays.
#[derive(Clone, Debug, Default)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub description: Patch<String>,
    pub events: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub metadata: Option<Json>,
}

fn not_found() -> Error {
    Error::NotFound("WebhookEndpoint")
}

fn event(kind: &'static str, id: WebhookEndpointId, data: Option<Json>) -> NewEvent {
    NewEvent { kind, subject_id: Some(id.uuid()), data: data.map(|data| data.to_string()) }
}

fn patterns(invalid: &mut Invalid, events: Option<Vec<String>>) -> Vec<String> {
    let mut events: Vec<_> =
        events.unwrap_or_default().iter().map(|pattern| pattern.trim().to_owned()).collect();
    events.dedup();
    if events.is_empty() {
        events.push("*".into());
    }
    if events.iter().any(String::is_empty) {
        invalid.add("events", "The events field must not have empty items.");
    } else if let Err(Error::Invalid(wrong)) = parse_filter("events", events.iter().map(String::as_str)) {
        invalid.add("events", wrong.to_string());
    }
    events
}

impl Engine {
    fn endpoint_url(&self, invalid: &mut Invalid, url: Option<String>) -> String {
        let text = rules::required(invalid, "url", url, LONGEST_URL);
        if text.is_empty() {
            return text;
        }
        let checked = match Url::parse(&text) {
            Err(_) => Err("The url field must be a valid URL.".into()),
            Ok(url) => self.webhooks.check(&url).map_err(|refused| match url.scheme() {
                "http" => "The url field must be an https URL: http goes only to networks that the server's operator allows.".into(),
                _ => refused.to_string(),
            }),
        };
        if let Err(why) = checked {
            invalid.add("url", why);
        }
        text
    }

    /// An endpoint that is told of what happens from now on; and its secret.
    pub async fn create_webhook_endpoint(
        &self,
        principal: &Principal,
        new: NewEndpoint,
    ) -> Result<(Endpoint, String)> {
        principal.require(Ability::Admin)?;
        let mut invalid = Invalid::default();
        let url = self.endpoint_url(&mut invalid, new.url);
        let description = rules::optional(&mut invalid, "description", new.description, 1_000);
        let events = patterns(&mut invalid, new.events);
        let metadata = new.metadata.unwrap_or_else(|| json!({}));
        let metadata = rules::object(&mut invalid, "metadata", metadata, LARGEST_METADATA);
        invalid.check()?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let id = WebhookEndpointId::new(&self.clock);
        let secrets = secrets::Secrets::generate()?;
        let secret = secrets.current.clone();
        let mut tx = self.store.begin().await?;
        let endpoint = Endpoint {
            organisation_id: organisation,
            id,
            url,
            description,
            events,
            metadata,
            secrets: self.seal_webhook_secrets(organisation, id, &secrets)?,
            enabled: new.enabled.unwrap_or(true),
            disabled_reason: None,
            disabled_at: None,
            next_seq: events::last_seq(&mut tx, organisation).await? + 1,
            version: 1,
            failures: 0,
            failing_since: None,
            hold_until: None,
            last_success_at: None,
            created_at: now,
            updated_at: now,
        };
        webhooks::insert(&mut tx, &endpoint).await?;
        tx.record(organisation, now, [event("webhook_endpoint.created", id, None)]);
        tx.commit().await?;
        Ok((endpoint, secret))
    }

    pub async fn list_webhook_endpoints(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<Endpoint>> {
        principal.require(Ability::Read)?;
        let window = Window {
            after: page.after()?.map(|place| WebhookEndpointId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let mut db = self.store.reader().await?;
        let total = webhooks::count(&mut db, principal.organisation_id).await?;
        let rows = webhooks::list(&mut db, principal.organisation_id, window).await?;
        Ok(page.page_of(rows, total, |endpoint| endpoint.id.uuid().into()))
    }

    pub async fn get_webhook_endpoint(
        &self,
        principal: &Principal,
        id: WebhookEndpointId,
    ) -> Result<Endpoint> {
        principal.require(Ability::Read)?;
        self.webhook_endpoint(principal, id).await
    }

    pub(crate) async fn webhook_endpoint(
        &self,
        principal: &Principal,
        id: WebhookEndpointId,
    ) -> Result<Endpoint> {
        let mut db = self.store.reader().await?;
        webhooks::find(&mut db, principal.organisation_id, id).await?.ok_or_else(not_found)
    }

    /// Another address, and switching on, begin with a clean slate: what waits is attempted at once.
    pub async fn update_webhook_endpoint(
        &self,
        principal: &Principal,
        id: WebhookEndpointId,
        change: EndpointChange,
    ) -> Result<Endpoint> {
        principal.require(Ability::Admin)?;
        let mut tx = self.store.begin().await?;
        let mut endpoint = to_change(&mut tx, principal, id).await?;
        let before = endpoint.clone();
        let mut invalid = Invalid::default();
        if change.url.is_some() {
            endpoint.url = self.endpoint_url(&mut invalid, change.url);
        }
        if let Patch::Set(text) = change.description {
            endpoint.description = rules::optional(&mut invalid, "description", text, 1_000);
        }
        if change.events.is_some() {
            endpoint.events = patterns(&mut invalid, change.events);
        }
        if let Some(metadata) = change.metadata {
            endpoint.metadata = rules::object(&mut invalid, "metadata", metadata, LARGEST_METADATA);
        }
        invalid.check()?;
        endpoint.enabled = change.enabled.unwrap_or(endpoint.enabled);
        if (endpoint.enabled && !before.enabled) || endpoint.url != before.url {
            (endpoint.failures, endpoint.failing_since, endpoint.hold_until) = (0, None, None);
        }
        if endpoint.enabled {
            (endpoint.disabled_reason, endpoint.disabled_at) = (None, None);
        } else if before.enabled {
            endpoint.disabled_at = Some(self.clock.now());
        }
        if endpoint != before {
            self.change(&mut tx, &mut endpoint).await?;
            tx.record(
                endpoint.organisation_id,
                endpoint.updated_at,
                [event("webhook_endpoint.updated", id, None)],
            );
        }
        tx.commit().await?;
        self.webhooks_ready.notify_one();
        Ok(endpoint)
    }

    /// Writes a change that whoever delivers now must not undo.
    async fn change(&self, tx: &mut Tx, endpoint: &mut Endpoint) -> Result<()> {
        endpoint.version += 1;
        endpoint.updated_at = self.clock.now();
        Ok(webhooks::update(tx, endpoint).await?)
    }

    pub async fn delete_webhook_endpoint(&self, principal: &Principal, id: WebhookEndpointId) -> Result<()> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        if !webhooks::delete(&mut tx, organisation, id).await? {
            return Err(not_found());
        }
        tx.record(organisation, self.clock.now(), [event("webhook_endpoint.deleted", id, None)]);
        Ok(tx.commit().await?)
    }
}

async fn to_change(tx: &mut Tx, principal: &Principal, id: WebhookEndpointId) -> Result<Endpoint> {
    webhooks::find_to_change(tx, principal.organisation_id, id).await?.ok_or_else(not_found)
}
