//! Shorter ways to send over WhatsApp: without a channel, and with a template that the organisation has chosen.

use kabar_domain::message::Platform;
use kabar_domain::operations::RecordKind;
use kabar_domain::{Ability, OrganisationId};
use kabar_store::messages::Message;
use kabar_store::records::{self, Named};
use kabar_store::{Window, accounts, organisations};
use serde_json::Value;

use super::SendMessage;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::templates::{TemplateMessage, Values, body_variables};

/// The guide that is sent unless another is named.
const GUIDE: &str = "user_guide";

/// To say that something was taken up.
#[derive(Clone, Debug, Default)]
pub struct Acknowledge {
    pub wa_id: Option<String>,
    pub channel_id: Option<String>,
    /// What is acknowledged.
    pub record_id: Option<String>,
    /// `acknowledgement_template` of the organisation's settings unless given.
    pub template_name: Option<String>,
    pub language: Option<String>,
    /// Of the template's body; when left out, as many as it takes of the record's number, title and site.
    pub variables: Option<Value>,
}

/// To send instructions.
#[derive(Clone, Debug, Default)]
pub struct SendGuide {
    pub wa_id: Option<String>,
    pub channel_id: Option<String>,
    /// A name in `guides` of the organisation's settings, or a template's.
    pub guide: Option<String>,
    pub language: Option<String>,
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Engine {
    /// Queues a message over WhatsApp: over the organisation's own number when no channel is named.
    pub async fn send_whatsapp_message(
        &self,
        principal: &Principal,
        mut request: SendMessage,
    ) -> Result<Message> {
        principal.require_in_channels(Ability::Send)?;
        let is_addressed = filled(request.channel_id.clone()).is_some()
            || filled(request.conversation_id.clone()).is_some()
            || filled(request.reply_to.clone()).is_some_and(|_| request.kind.as_deref() == Some("reaction"));
        if !is_addressed {
            request.channel_id = Some(match principal.reach.channels.as_deref() {
                Some([only]) => only.to_string(),
                _ => self.own_whatsapp_channel(principal.organisation_id).await?,
            });
        }
        Box::pin(self.send_message(principal, request)).await
    }

    /// Queues the template that says that something was taken up.
    pub async fn acknowledge(&self, principal: &Principal, request: Acknowledge) -> Result<Message> {
        principal.require_in_channels(Ability::Send)?;
        let mut invalid = Invalid::default();
        let (record, named) = (filled(request.record_id), filled(request.template_name));
        if record.is_some() {
            // Its number and title are told.
            principal.require(Ability::Send)?;
        }
        if record.is_none() && named.is_none() {
            invalid
                .add("template_name", "The template name field is required when record id is not present.");
        }
        let organisation = principal.organisation_id;
        let record = match record {
            None => None,
            Some(id) => {
                let found = self.named_record(organisation, &id).await?;
                if found.is_none() {
                    invalid.add("record_id", "The selected record id is invalid.");
                }
                found
            }
        };
        invalid.check()?;
        let name = if let Some(name) = named {
            name
        } else {
            let settings = self.settings_of(organisation).await?;
            let chosen = settings["acknowledgement_template"].as_str().map(str::to_owned);
            filled(chosen).ok_or_else(|| {
                let reason =
                    "Name a template, or set acknowledgement_template in the organisation's settings.";
                Invalid::one("template_name", reason)
            })?
        };
        let mut values = Values { variables: request.variables, ..Values::default() };
        if let (Some(record), None) = (record, &values.variables) {
            let mut db = self.store.reader().await?;
            let wanted = body_variables(&mut db, organisation, &name).await?;
            let said = [record.record.number, record.record.title, record.site_name.unwrap_or_default()];
            let said: Vec<_> = said.into_iter().take(wanted).filter(|text| !text.is_empty()).collect();
            values.variables = (!said.is_empty()).then(|| said.into());
        }
        let template = TemplateMessage { name: Some(name), language: request.language, values };
        self.send_whatsapp_message(principal, templated(request.wa_id, request.channel_id, template)).await
    }

    /// Queues the template that holds a guide.
    pub async fn send_guide(&self, principal: &Principal, request: SendGuide) -> Result<Message> {
        principal.require_in_channels(Ability::Send)?;
        let guide = filled(request.guide).unwrap_or_else(|| GUIDE.to_owned());
        let settings = self.settings_of(principal.organisation_id).await?;
        let name = settings["guides"][&guide].as_str().map_or_else(|| guide.clone(), str::to_owned);
        let template =
            TemplateMessage { name: Some(name), language: request.language, values: Values::default() };
        let sent = self
            .send_whatsapp_message(principal, templated(request.wa_id, request.channel_id, template))
            .await;
        sent.map_err(|error| match error {
            Error::TemplateMissing(advice) => Error::TemplateMissing(format!(
                "{advice} Another template can be named as the guide, or set for `{guide}` in `guides` of the \
                 organisation's settings."
            )),
            error => error,
        })
    }

    async fn named_record(&self, organisation: OrganisationId, id: &str) -> Result<Option<Named>> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let mut db = self.store.reader().await?;
        for kind in [RecordKind::Problem, RecordKind::WorkUpdate] {
            if let Some(found) = records::find(&mut db, organisation, kind, id).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn settings_of(&self, organisation: OrganisationId) -> Result<Value> {
        let mut db = self.store.reader().await?;
        let found = organisations::by_id(&mut db, organisation).await?;
        Ok(found.map(|found| found.settings).unwrap_or_default())
    }

    /// The direct line of the default account, or of the first WhatsApp number where the default is none.
    async fn own_whatsapp_channel(&self, organisation: OrganisationId) -> Result<String> {
        let mut db = self.store.reader().await?;
        let default = accounts::find_default(&mut db, organisation).await?;
        let mut account = default.filter(|account| account.platform == Platform::Whatsapp);
        if account.is_none() {
            let filter =
                accounts::Filter { platform: Some(Platform::Whatsapp), ..accounts::Filter::default() };
            let window = Window { after: None, offset: 0, limit: 1 };
            account = accounts::list(&mut db, organisation, filter, window).await?.pop();
        }
        let channel = account.and_then(|account| account.channel_id);
        channel.map(|channel| channel.to_string()).ok_or_else(|| {
            Invalid::one(
                "channel_id",
                "No WhatsApp number is connected: name a channel, or connect a number.",
            )
        })
    }
}

fn templated(wa_id: Option<String>, channel_id: Option<String>, template: TemplateMessage) -> SendMessage {
    SendMessage {
        wa_id,
        channel_id,
        kind: Some("template".to_owned()),
        template: Some(template),
        ..SendMessage::default()
    }
}
