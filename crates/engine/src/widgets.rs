//! Chat widgets: their configuration, the tokens that let a visitor in, and what visitors do.
//!
//! A widget is a channel like any other. What a visitor writes is appended to the inbound log and applied like a
//! provider's webhook; what is written to a visitor goes through the outbound queue and is sent by being stored.

mod fields;
mod files;
mod inbound;
mod keys;
mod limits;
mod origins;
mod profile;
mod reports;
mod session;
mod stream;
mod strings;
mod token;
mod tokens;
mod visitor;

use kabar_domain::channel::{ChannelKind, ChannelStatus};
use kabar_domain::message::Platform;
use kabar_domain::{Ability, AccountId, ChannelId, OrganisationId, WidgetId};
use kabar_store::accounts::{self, Account};
use kabar_store::channels::{self, AccountFacts, Channel};
use kabar_store::events::NewEvent;
use kabar_store::{Db, widgets};
use serde_json::json;
use uuid::Uuid;

use crate::auth::Principal;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::patch::Patch;
use crate::rules;

pub use fields::WidgetFields;
pub use files::Attachment;
pub use inbound::{Accepted, Written};
pub(crate) use inbound::{check_sendable, parse};
pub use kabar_store::widgets::Widget;
pub use kabar_store::widgets::keys::Key;
pub(crate) use limits::Limits;
pub use session::{Asked, Begin, History, Seen, Session};
pub use stream::{Told, VisitorStream};
pub use tokens::{EmbedToken, NewEmbedToken};
pub use visitor::{Knock, Visitor};

/// Characters of a visitor's reference.
pub(crate) const LONGEST_SUBJECT: usize = 255;

const fn not_found() -> Error {
    Error::NotFound("Widget")
}

fn event(kind: &'static str, id: Uuid, slug: &str) -> NewEvent {
    let data = (!slug.is_empty()).then(|| json!({ "slug": slug }).to_string());
    NewEvent { kind, subject_id: Some(id), data }
}

fn conflict(error: kabar_store::Error) -> Error {
    if error.is_conflict_on("widgets_slug", "widgets.slug") {
        let mut invalid = Invalid::default();
        rules::taken(&mut invalid, "slug");
        return Error::Invalid(invalid);
    }
    error.into()
}

/// The WhatsApp number that visitors may go on with.
async fn check_whatsapp(
    db: &mut impl Db,
    organisation: OrganisationId,
    invalid: &mut Invalid,
    channel: Option<ChannelId>,
) -> Result<()> {
    let Some(id) = channel else { return Ok(()) };
    let found = channels::find(db, organisation, id).await?;
    let fits = found.is_some_and(|channel| {
        channel.platform == Platform::Whatsapp
            && channel.kind == ChannelKind::Direct
            && channel.account.phone_number.is_some()
    });
    if !fits {
        invalid.add(
            "whatsapp_channel_id",
            "The whatsapp channel id field must be the direct channel of a WhatsApp number.",
        );
    }
    Ok(())
}

impl Engine {
    /// Where the script of all widgets is.
    pub fn widget_script_url(&self) -> String {
        format!("{}/embed/v1/widget.js", self.config.public_url.as_str().trim_end_matches('/'))
    }

    /// In the order they were made.
    pub async fn list_widgets(
        &self,
        principal: &Principal,
        status: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Widget>> {
        principal.require_in_channels(Ability::Read)?;
        let archived = match status {
            None | Some("active") => Some(false),
            Some("archived") => Some(true),
            Some("all") => None,
            Some(_) => return Err(Invalid::one("status", "The selected status is invalid.")),
        };
        let organisation = principal.organisation_id;
        let window = page.window(WidgetId::from_uuid)?;
        let mut db = self.store.reader().await?;
        let filter = widgets::Filter { within: principal.reach.channels.as_deref(), archived };
        let total = widgets::count(&mut db, organisation, filter).await?;
        let rows = widgets::list(&mut db, organisation, filter, window).await?;
        Ok(page.page_of(rows, total, |widget| widget.id.uuid().into()))
    }

    pub async fn get_widget(&self, principal: &Principal, id: WidgetId) -> Result<Widget> {
        principal.require_in_channels(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let found = widgets::find(&mut db, principal.organisation_id, id).await?;
        found.filter(|widget| principal.reaches_channel(widget.channel_id)).ok_or_else(not_found)
    }

    /// A widget, and its channel.
    pub async fn create_widget(&self, principal: &Principal, given: WidgetFields) -> Result<Widget> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut invalid = Invalid::default();
        for (field, is_there) in [("slug", !given.slug.is_keep()), ("name", !given.name.is_keep())] {
            invalid.require(field, is_there);
        }
        let mut widget = Widget {
            organisation_id: organisation,
            id: WidgetId::new(&self.clock),
            account_id: AccountId::new(&self.clock),
            channel_id: ChannelId::new(&self.clock),
            slug: String::new(),
            name: String::new(),
            enabled: true,
            allowed_origins: Vec::new(),
            appearance: kabar_domain::widget::Appearance::default(),
            texts: kabar_domain::widget::Languages::new(),
            default_language: strings::ENGLISH.into(),
            fields: Vec::new(),
            operating_hours: None,
            whatsapp_channel_id: None,
            archived_at: None,
            created_at: now,
            updated_at: now,
            channel_status: ChannelStatus::Connected,
        };
        given.apply(&mut invalid, &mut widget);
        let mut tx = self.store.begin().await?;
        check_whatsapp(&mut tx, organisation, &mut invalid, widget.whatsapp_channel_id).await?;
        invalid.check()?;
        accounts::insert(&mut tx, &self.account_of(&widget)?).await?;
        channels::insert(&mut tx, &channel_of(&widget)).await?;
        widgets::insert(&mut tx, &widget).await.map_err(conflict)?;
        let data = json!({ "messaging_account_id": null, "widget_id": widget.id }).to_string();
        let channel = NewEvent {
            kind: "channel.created",
            subject_id: Some(widget.channel_id.uuid()),
            data: Some(data),
        };
        tx.record(organisation, now, [channel, event("widget.created", widget.id.uuid(), &widget.slug)]);
        tx.commit().await?;
        Ok(widget)
    }

    /// What is not given stays. `archived` takes a widget and its channel out of use, and back.
    pub async fn update_widget(
        &self,
        principal: &Principal,
        id: WidgetId,
        given: WidgetFields,
    ) -> Result<Widget> {
        principal.require(Ability::Admin)?;
        let organisation = principal.organisation_id;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let mut widget = widgets::find_to_change(&mut tx, organisation, id).await?.ok_or_else(not_found)?;
        let was_archived = widget.archived_at.is_some();
        let mut invalid = Invalid::default();
        let asked_whatsapp = matches!(given.whatsapp_channel_id, Patch::Set(_));
        if let Some(archive) = given.archived
            && archive != was_archived
        {
            widget.archived_at = archive.then_some(now);
            widget.channel_status = if archive { ChannelStatus::Archived } else { ChannelStatus::Connected };
        }
        given.apply(&mut invalid, &mut widget);
        if asked_whatsapp {
            check_whatsapp(&mut tx, organisation, &mut invalid, widget.whatsapp_channel_id).await?;
        }
        invalid.check()?;
        widget.updated_at = now;
        widgets::update(&mut tx, &widget).await.map_err(conflict)?;
        let kind = match (was_archived, widget.archived_at.is_some()) {
            (false, true) => "widget.archived",
            (true, false) => "widget.restored",
            _ => "widget.updated",
        };
        tx.record(organisation, now, [event(kind, id.uuid(), &widget.slug)]);
        tx.commit().await?;
        Ok(widget)
    }

    /// What the log and the queue know a widget by. It has no secrets.
    fn account_of(&self, widget: &Widget) -> Result<Account> {
        let (organisation, id, now) = (widget.organisation_id, widget.account_id, widget.created_at);
        Ok(Account {
            organisation_id: organisation,
            id,
            platform: Platform::Widget,
            status: ChannelStatus::Connected,
            external_id: widget.id.to_string(),
            display_name: widget.name.clone(),
            phone_number: None,
            phone_digits: None,
            waba_id: None,
            username: None,
            is_default: false,
            credentials: self.seal_credentials(organisation, id, &Credentials::default())?,
            settings: json!({}),
            metadata: json!({}),
            signed_by: None,
            verified_name: None,
            quality: None,
            messaging_limit: None,
            messages_per_second: None,
            last_error: None,
            connected_at: Some(now),
            checked_at: None,
            webhook_verified_at: None,
            last_event_at: None,
            created_at: now,
            updated_at: now,
            channel_id: Some(widget.channel_id),
        })
    }
}

fn channel_of(widget: &Widget) -> Channel {
    Channel {
        organisation_id: widget.organisation_id,
        id: widget.channel_id,
        account_id: widget.account_id,
        platform: Platform::Widget,
        kind: ChannelKind::Widget,
        status: ChannelStatus::Connected,
        external_id: String::new(),
        display_name: widget.name.clone(),
        purpose: None,
        allow_routine_logs: true,
        allow_issues: true,
        default_site_id: None,
        connected_at: Some(widget.created_at),
        last_seen_at: None,
        archived_at: None,
        created_at: widget.created_at,
        updated_at: widget.created_at,
        account: AccountFacts::default(),
    }
}
