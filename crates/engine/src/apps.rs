//! Apps of others that people may connect, and what is connected.

mod connect;
mod exchange;

use std::net::IpAddr;

use kabar_domain::file::FileStatus;
use kabar_domain::{Ability, AppId, ConnectionId, FileId, UserId};
use kabar_store::events::NewEvent;
use kabar_store::{Db, apps, files};
use url::{Host, Url};
use uuid::Uuid;

use crate::Engine;
use crate::auth::Principal;
use crate::error::{Error, Invalid, Result};
use crate::organisations::validate;
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

pub use connect::{Asked, ConnectQuery, Request};
pub use exchange::{Exchange, Exchanged};
pub use kabar_store::apps::{App, Connection};

const LONGEST_URL: usize = 2_048;
const MOST_REDIRECTS: usize = 20;

/// An app to register, or what changes in one; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct AppFields {
    pub name: Patch<String>,
    pub slug: Patch<String>,
    pub redirect_uris: Patch<Vec<String>>,
    pub homepage: Patch<String>,
    pub logo_media_id: Patch<String>,
}

const fn not_found() -> Error {
    Error::NotFound("App")
}

fn event(kind: &'static str, id: Uuid) -> NewEvent {
    NewEvent { kind, subject_id: Some(id), data: None }
}

fn taken(error: kabar_store::Error) -> Error {
    if error.is_conflict_on("apps_slug", "apps.slug") {
        Invalid::one("slug", "The slug has already been taken.")
    } else {
        error.into()
    }
}

/// Whether an app may be sent back to: https anywhere, http on the developer's own machine.
fn is_redirect(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    text.len() <= LONGEST_URL
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

fn redirect_uris(invalid: &mut Invalid, given: Option<Vec<String>>) -> Vec<String> {
    let mut uris: Vec<String> = Vec::new();
    for (index, uri) in given.unwrap_or_default().into_iter().enumerate() {
        if !is_redirect(&uri) {
            invalid.add(
                &format!("redirect_uris.{index}"),
                "The redirect URI must be an https URL, or an http URL of this machine (localhost, 127.0.0.1), \
                 without fragment or password.",
            );
        } else if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    if uris.len() > MOST_REDIRECTS {
        invalid.add(
            "redirect_uris",
            format!("The redirect uris field must not have more than {MOST_REDIRECTS} items."),
        );
    }
    uris
}

fn homepage(invalid: &mut Invalid, given: Option<String>) -> Option<String> {
    let text = rules::optional(invalid, "homepage", given, LONGEST_URL)?;
    if !Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "https" | "http")) {
        invalid.add("homepage", "The homepage field must be a valid URL.");
    }
    Some(text)
}

impl AppFields {
    async fn apply(self, db: &mut impl Db, invalid: &mut Invalid, app: &mut App) -> Result<()> {
        if let Patch::Set(name) = self.name {
            app.name = rules::required(invalid, "name", name, 255);
        }
        if let Patch::Set(slug) = self.slug {
            app.slug = validate::slug(invalid, slug);
        }
        if let Patch::Set(given) = self.redirect_uris {
            app.redirect_uris = redirect_uris(invalid, given);
            if app.redirect_uris.is_empty()
                && !invalid.errors.keys().any(|key| key.starts_with("redirect_uris"))
            {
                invalid.require("redirect_uris", false);
            }
        }
        if let Patch::Set(given) = self.homepage {
            app.homepage = homepage(invalid, given);
        }
        if let Patch::Set(given) = self.logo_media_id {
            app.logo_file_id = None;
            if let Some(id) = given.filter(|id| !id.is_empty()) {
                let file = match id.parse::<FileId>() {
                    Ok(id) => files::find(db, app.organisation_id, id).await?,
                    Err(_) => None,
                };
                let is_image = |file: &files::File| {
                    file.status == FileStatus::Stored
                        && file
                            .mime_type
                            .as_deref()
                            .is_some_and(|kind| matches!(kind, "image/png" | "image/jpeg" | "image/webp"))
                };
                match file.filter(is_image) {
                    Some(file) => app.logo_file_id = Some(file.id),
                    None => rules::selected(invalid, "logo_media_id"),
                }
            }
        }
        Ok(())
    }
}

impl Engine {
    pub async fn list_apps(&self, principal: &Principal, page: &PageRequest) -> Result<Page<App>> {
        principal.require(Ability::Read)?;
        let window = page.window(AppId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = apps::count(&mut db, principal.organisation_id).await?;
        let rows = apps::list(&mut db, principal.organisation_id, window).await?;
        Ok(page.page_of(rows, total, |app| app.id.uuid().into()))
    }

    pub async fn get_app(&self, principal: &Principal, id: AppId) -> Result<App> {
        principal.require(Ability::Read)?;
        apps::find(&mut self.store.reader().await?, principal.organisation_id, id)
            .await?
            .ok_or_else(not_found)
    }

    pub async fn create_app(&self, principal: &Principal, fields: AppFields) -> Result<App> {
        principal.require(Ability::Admin)?;
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        invalid.require("name", !fields.name.is_keep());
        invalid.require("slug", !fields.slug.is_keep());
        invalid.require("redirect_uris", !fields.redirect_uris.is_keep());
        let mut app = App {
            organisation_id: principal.organisation_id,
            id: AppId::new(&self.clock),
            slug: String::new(),
            name: String::new(),
            homepage: None,
            logo_file_id: None,
            redirect_uris: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.store.begin().await?;
        fields.apply(&mut tx, &mut invalid, &mut app).await?;
        invalid.check()?;
        apps::insert(&mut tx, &app).await.map_err(taken)?;
        tx.record(app.organisation_id, now, [event("app.created", app.id.uuid())]);
        tx.commit().await?;
        Ok(app)
    }

    pub async fn update_app(&self, principal: &Principal, id: AppId, fields: AppFields) -> Result<App> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let mut invalid = Invalid::default();
        let mut tx = self.store.begin().await?;
        let mut app = apps::find(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let before = app.clone();
        fields.apply(&mut tx, &mut invalid, &mut app).await?;
        invalid.check()?;
        if app != before {
            app.updated_at = self.clock.now();
            apps::update(&mut tx, &app).await.map_err(taken)?;
            tx.record(organisation, app.updated_at, [event("app.updated", id.uuid())]);
        }
        tx.commit().await?;
        Ok(app)
    }

    /// Ends every token that the app was given, in every organisation.
    pub async fn delete_app(&self, principal: &Principal, id: AppId) -> Result<()> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if !apps::delete(&mut tx, organisation, id).await? {
            return Err(not_found());
        }
        for token in apps::tokens_of_app(&mut tx, id).await? {
            crate::tokens::revoke(&mut tx, &token, now).await?;
        }
        tx.record(organisation, now, [event("app.deleted", id.uuid())]);
        Ok(tx.commit().await?)
    }

    /// Where a browser finds the app's logo for a while.
    pub async fn app_logo(&self, app: &App) -> Result<Option<String>> {
        let Some(id) = app.logo_file_id else { return Ok(None) };
        let file = files::find(&mut self.store.reader().await?, app.organisation_id, id).await?;
        Ok(file.and_then(|file| self.file_url(&file)))
    }

    /// All of the organisation's for its administrators, one's own for others.
    pub async fn list_connected_apps(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<Connection>> {
        principal.require(Ability::Read)?;
        let (organisation, user) = (principal.organisation_id, own(principal));
        let window = page.window(ConnectionId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let total = apps::count_connections(&mut db, organisation, user).await?;
        let rows = apps::connections(&mut db, organisation, user, window).await?;
        Ok(page.page_of(rows, total, |connection| connection.id.uuid().into()))
    }

    /// Revokes the connection's tokens. Whoever gave them in the browser can take them back there, whatever their role.
    pub async fn delete_connected_app(&self, principal: &Principal, id: ConnectionId) -> Result<()> {
        principal.require(if principal.session { Ability::Read } else { Ability::Write })?;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let given =
            apps::tokens_of_connection(&mut tx, principal.organisation_id, id, own(principal)).await?;
        if given.is_empty() {
            return Err(Error::NotFound("ConnectedApp"));
        }
        for token in given {
            crate::tokens::revoke(&mut tx, &token, now).await?;
        }
        tx.record(principal.organisation_id, now, [event("connected_app.deleted", id.uuid())]);
        Ok(tx.commit().await?)
    }
}

/// Whose connections one may see, unless it is everybody's.
fn own(principal: &Principal) -> Option<UserId> {
    let all = principal.abilities.allows(Ability::Admin);
    (!all).then_some(principal.user_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_sent_back_to_safe_places_only() {
        for good in [
            "https://crm.example.com/callback?x=1",
            "http://127.0.0.1:3000/cb",
            "http://localhost/cb",
            "http://[::1]:9/",
        ] {
            assert!(is_redirect(good), "{good}");
        }
        for bad in [
            "",
            "http://crm.example.com/",
            "https://crm.example.com/#x",
            "https://u:p@crm.example.com/",
            "javascript:alert(1)",
            "/callback",
            "https://crm.example.com/a b",
            "http://localhost.evil.example/",
            "com.example.app:/cb",
        ] {
            assert!(!is_redirect(bad), "{bad}");
        }
    }
}
