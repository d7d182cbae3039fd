//! Templates: the messages that WhatsApp lets a business send first.

mod check;
mod compose;
mod create;
mod delete;
mod fill;
mod form;
mod preview;
mod samples;
mod submit;
mod sync;
mod text;
mod update;

use kabar_domain::{Ability, ChannelId, OrganisationId, TemplateId};
use kabar_store::{Window, channels, templates};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::page::{Page, PageRequest};
use crate::rules;

pub(crate) use compose::compose;
pub use compose::{Fitting, TemplateMessage, fitting_templates};
pub use create::{NewTemplate, TemplateFields};
pub use fill::{Rendered, RenderedButton};
pub use kabar_store::templates::{Sync, Template};
pub use sync::SyncRequest;
pub(crate) use sync::ask_sync;

use form::{Form, Header};

/// What a sender fills in. Lists go by the order of the variables, objects by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Values {
    /// Of the body.
    pub variables: Option<Json>,
    /// A text's variable, a file (`link`, `id` or `media_id`), or a place.
    pub header: Option<Json>,
    /// One for each button, or entries with an `index`.
    pub buttons: Option<Json>,
    /// One object of the above for each card of a carousel.
    pub cards: Option<Json>,
    /// When an offer ends: `expires_at`.
    pub limited_time_offer: Option<Json>,
}

/// What a sender must fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `text`, `image`, `video`, `document`, `location`, …; `None` when the header takes nothing.
    pub header: Option<String>,
    pub header_variables: Vec<String>,
    pub body: Vec<String>,
    pub buttons: Vec<ButtonVariable>,
    pub cards: Vec<Self>,
    /// An offer whose end must be given.
    pub limited_time_offer: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonVariable {
    pub index: usize,
    /// As WhatsApp names it, `URL`.
    pub kind: String,
    pub text: String,
    /// What to give: `payload`, `url_suffix`, `code`, `flow` or `action`.
    pub wants: &'static str,
    pub required: bool,
}

/// A template with what it takes and where it can be sent from.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub row: Template,
    pub variables: Variables,
    /// The direct lines of its business account's numbers, the connected ones first.
    pub channel_ids: Vec<ChannelId>,
}

/// Which templates to list, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct TemplateQuery {
    pub status: Option<String>,
    pub language: Option<String>,
    pub category: Option<String>,
    pub name: Option<String>,
    pub search: Option<String>,
    pub channel_id: Option<String>,
}

pub(crate) const fn not_found() -> Error {
    Error::NotFoundText("Template not found.")
}

fn no_waba() -> Error {
    Invalid::one("channel_id", "The channel's account has no WhatsApp business account: set its waba_id.")
}

/// A template of which only the business account is known.
fn blank(engine: &Engine, organisation_id: OrganisationId, waba_id: &str) -> Template {
    let now = engine.clock.now();
    Template {
        organisation_id,
        id: TemplateId::new(&engine.clock),
        waba_id: waba_id.to_owned(),
        provider_id: None,
        name: String::new(),
        language: String::new(),
        status: String::new(),
        category: None,
        previous_category: None,
        quality: None,
        reason: None,
        parameter_format: None,
        components: None,
        ttl_seconds: None,
        submitted_at: None,
        deleted_at: None,
        created_at: now,
        updated_at: now,
        synced_at: None,
    }
}

/// A language code in WhatsApp's spelling, `en_US`.
fn plain_language(code: &str) -> String {
    code.trim().replace('-', "_")
}

/// Whether its variables have names.
fn is_named(template: &Template) -> bool {
    template.parameter_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("NAMED"))
}

fn variables_of(form: &Form) -> Variables {
    let (header, header_variables) = match &form.header {
        None => (None, Vec::new()),
        Some(Header::Text(text)) => {
            let names = text::variables(&text.text);
            ((!names.is_empty()).then(|| "text".to_owned()), names)
        }
        Some(Header::Media(kind)) => (Some(kind.as_str().to_owned()), Vec::new()),
        Some(Header::Location) => (Some("location".to_owned()), Vec::new()),
        Some(Header::Product) => (Some("product".to_owned()), Vec::new()),
        Some(Header::Other(kind)) => (Some(kind.clone()), Vec::new()),
    };
    let buttons = form.buttons.iter().enumerate().filter_map(|(index, button)| {
        Some(ButtonVariable {
            index,
            kind: button.kind.clone(),
            text: button.text.clone(),
            wants: button.wants.word()?,
            required: button.wants.is_required(),
        })
    });
    Variables {
        header,
        header_variables,
        body: form.body_variables(),
        buttons: buttons.collect(),
        cards: form.cards.iter().map(variables_of).collect(),
        limited_time_offer: form.offer.as_ref().is_some_and(|offer| offer.expires),
    }
}

fn shown(row: Template, lines: &[(String, ChannelId)]) -> Shown {
    let form = row.components.as_ref().map(|components| Form::read(components, row.category.as_deref()));
    let channel_ids =
        lines.iter().filter(|(waba_id, _)| *waba_id == row.waba_id).map(|(_, channel)| *channel);
    Shown {
        variables: form.as_ref().map(variables_of).unwrap_or_default(),
        channel_ids: channel_ids.collect(),
        row,
    }
}

/// How many variables the body of the approved template of this name has; none when there is no such template.
pub(crate) async fn body_variables(
    db: &mut impl kabar_store::Db,
    organisation: OrganisationId,
    name: &str,
) -> Result<usize> {
    let filter = templates::Filter {
        name: Some(name.to_owned()),
        status: Some("APPROVED".to_owned()),
        ..templates::Filter::default()
    };
    let window = Window { after: None, offset: 0, limit: 1 };
    let found = templates::list(db, organisation, &filter, window).await?.pop();
    Ok(found.map_or(0, |template| {
        let components = template.components.unwrap_or_default();
        Form::read(&components, template.category.as_deref()).body_variables().len()
    }))
}

impl Engine {
    /// Newest first. Those that are gone are listed only by their status, `DELETED`.
    pub async fn list_templates(
        &self,
        principal: &Principal,
        query: TemplateQuery,
        page: &PageRequest,
    ) -> Result<Page<Shown>> {
        principal.require(Ability::Read)?;
        let organisation = principal.organisation_id;
        let mut invalid = Invalid::default();
        let mut text = |field: &str, value: Option<String>, max: usize| {
            rules::optional(&mut invalid, field, value.map(|value| value.replace('\0', "")), max)
        };
        let mut filter = templates::Filter {
            status: text("status", query.status, 40).map(|status| status.to_ascii_uppercase()),
            language: text("language", query.language, 35).map(|code| plain_language(&code)),
            category: text("category", query.category, 40).map(|category| category.to_ascii_uppercase()),
            name: text("name", query.name, 512),
            search: text("search", query.search, 255).map(|search| search.to_lowercase()),
            waba_id: None,
        };
        invalid.check()?;
        let mut db = self.store.reader().await?;
        if let Some(channel) = query.channel_id.filter(|channel| !channel.trim().is_empty()) {
            filter.waba_id =
                Some(self.waba_of_channel(&mut db, organisation, &channel).await?.unwrap_or_default());
        }
        let window = Window {
            after: page.after()?.map(|place| TemplateId::from_uuid(place.id)),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let total = templates::count(&mut db, organisation, &filter).await?;
        let rows = templates::list(&mut db, organisation, &filter, window).await?;
        let lines = templates::lines(&mut db, organisation).await?;
        let page = page.page_of(rows, total, |template| template.id.uuid().into());
        Ok(page.map(|row| shown(row, &lines)))
    }

    pub async fn get_template(&self, principal: &Principal, id: TemplateId) -> Result<Shown> {
        principal.require(Ability::Read)?;
        self.show_template(principal.organisation_id, id).await
    }

    async fn show_template(&self, organisation: OrganisationId, id: TemplateId) -> Result<Shown> {
        let mut db = self.store.reader().await?;
        let row = templates::find(&mut db, organisation, id).await?.ok_or_else(not_found)?;
        let lines = templates::lines(&mut db, organisation).await?;
        Ok(shown(row, &lines))
    }

    /// A template that is not gone.
    async fn live_template(&self, organisation: OrganisationId, id: TemplateId) -> Result<Template> {
        let found = templates::find(&mut self.store.reader().await?, organisation, id).await?;
        found.filter(|template| template.deleted_at.is_none()).ok_or_else(not_found)
    }

    /// The business account behind a channel; `None` when it has none.
    async fn waba_of_channel(
        &self,
        db: &mut impl kabar_store::Db,
        organisation: OrganisationId,
        channel: &str,
    ) -> Result<Option<String>> {
        let unknown = || Error::NotFoundText("Channel not found.");
        let id: ChannelId = channel.trim().parse().map_err(|_| unknown())?;
        let channel = channels::find(db, organisation, id).await?.ok_or_else(unknown)?;
        Ok(kabar_store::apply::waba_id(db, organisation, channel.account_id).await?)
    }
}
