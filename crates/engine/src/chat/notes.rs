//! What reporters are told of their cases.

use std::collections::HashSet;

use kabar_domain::operations::{ProblemStatus, RecordKind};
use kabar_domain::{ContactId, ConversationId, OrganisationId};
use kabar_store::inbox::{self, Item};
use kabar_store::records::{self, Record, Source};
use kabar_store::{Tx, contacts, organisations};
use kabar_understanding::Language;
use serde_json::json;

use super::{Said, Saying, words};
use crate::engine::Engine;
use crate::error::{Error, MAKE_TEMPLATE, Result};
use crate::operations::OperationsSettings;
use crate::records::{Author, Step, event};

/// The language in which the item was written.
pub(super) fn written_in(item: Option<&Item>) -> Language {
    let code = item.and_then(|item| item.understanding.as_ref()?.get("answer_in")?.as_str());
    words::language(code.unwrap_or_default())
}

/// Why somebody could not be told, and what to do so that others can be.
fn untold(reason: &Error, settings: &OperationsSettings) -> String {
    match (reason, &settings.template) {
        (Error::WindowClosed(_), None) => "more than 24 hours have passed since they last wrote, and WhatsApp takes \
             only approved templates then. Have a template with one variable, the text, approved, and name it in \
             settings.operations.template."
            .to_owned(),
        (Error::TemplateMissing(_), Some(template)) => format!(
            "more than 24 hours have passed since they last wrote, and the template {template}, which would say it, \
             is not there: {MAKE_TEMPLATE}."
        ),
        (reason, _) => reason.to_string(),
    }
}

impl Engine {
    async fn chat_settings(&self, tx: &mut Tx, organisation: OrganisationId) -> Result<OperationsSettings> {
        let found = organisations::by_id(tx, organisation).await?;
        Ok(found.map(|found| OperationsSettings::of(&found.settings)).unwrap_or_default())
    }

    /// Tells who reported a problem its number.
    pub(crate) async fn tell_number(&self, tx: &mut Tx, item: &Item, record: &Record) -> Result<()> {
        let (RecordKind::Problem, Some(conversation)) = (record.kind, item.conversation_id) else {
            return Ok(());
        };
        let organisation = item.organisation_id;
        let settings = self.chat_settings(tx, organisation).await?;
        if !settings.acknowledge {
            return Ok(());
        }
        let named = records::find(tx, organisation, record.kind, record.id).await?;
        let site = named.and_then(|named| named.site_name);
        let again = match record.recurrence_of {
            Some(earlier) => records::find(tx, organisation, RecordKind::Problem, earlier).await?,
            None => None,
        };
        let text = words::acknowledged(
            written_in(Some(item)),
            &record.number,
            site.as_deref(),
            record.severity,
            again.as_ref().map(|earlier| earlier.record.number.as_str()),
        );
        let saying = Saying::new(text, item.message_id);
        self.tell(tx, &settings, record, (conversation, item.contact_id), saying).await
    }

    /// Tells somebody something about a record; that it could not be told stands in the record's history.
    async fn tell(
        &self,
        tx: &mut Tx,
        settings: &OperationsSettings,
        record: &Record,
        (conversation, contact): (ConversationId, Option<ContactId>),
        saying: Saying,
    ) -> Result<()> {
        let text = saying.text.clone();
        let said = self.say(tx, record.organisation_id, settings, conversation, saying).await?;
        let Said::Not(reason) = said else { return Ok(()) };
        let reason = untold(&reason, settings);
        let who = match contact {
            Some(contact) => {
                contacts::find(tx, record.organisation_id, contact).await?.and_then(|found| found.name)
            }
            None => None,
        };
        let who = who.map(|name| format!(" ({name})")).unwrap_or_default();
        let data = json!({
            "reason": reason,
            "untold": text,
            "conversation_id": conversation,
            "contact_id": contact,
            "template": settings.template,
        });
        let step = Step {
            text: Some(format!("Reporter not told{who}: {reason}")),
            ..Step::new("not_told", data.clone())
        };
        self.note_step(tx, record, Author::default(), step).await?;
        tx.record(
            record.organisation_id,
            self.clock.now(),
            [event("problem.reporter_not_told", record, data)],
        );
        Ok(())
    }

    /// Tells everybody who reported a problem that it is resolved or closed.
    pub(crate) async fn tell_closing(
        &self,
        tx: &mut Tx,
        record: &Record,
        to: ProblemStatus,
        note: Option<&str>,
    ) -> Result<()> {
        if to.is_open() {
            return Ok(());
        }
        let settings = self.chat_settings(tx, record.organisation_id).await?;
        if !settings.closing_notes {
            return Ok(());
        }
        self.tell_reporters(tx, &settings, record, |language| {
            words::closing(language, &record.number, &record.title, to, note)
        })
        .await
    }

    /// Tells everybody who reported `part` that it is seen to with `whole`. Call it before the part's reports become
    /// the other's.
    pub(crate) async fn tell_merged(&self, tx: &mut Tx, part: &Record, whole: &Record) -> Result<()> {
        let settings = self.chat_settings(tx, part.organisation_id).await?;
        if !settings.acknowledge && !settings.closing_notes {
            return Ok(());
        }
        self.tell_reporters(tx, &settings, part, |language| {
            words::merged(language, &part.number, &whole.number)
        })
        .await
    }

    /// Tells everybody who reported `part` that it is seen to on its own again: what they heard of `whole` does not
    /// hold for it.
    pub(crate) async fn tell_unmerged(&self, tx: &mut Tx, part: &Record, whole: &Record) -> Result<()> {
        let settings = self.chat_settings(tx, part.organisation_id).await?;
        if !settings.acknowledge && !settings.closing_notes {
            return Ok(());
        }
        self.tell_reporters(tx, &settings, part, |language| {
            words::unmerged(language, &part.number, &whole.number, part.status)
        })
        .await
    }

    /// Each person once, where they said it, in the language they said it in.
    async fn tell_reporters(
        &self,
        tx: &mut Tx,
        settings: &OperationsSettings,
        record: &Record,
        text: impl Fn(Language) -> String,
    ) -> Result<()> {
        let organisation = record.organisation_id;
        let mut told = HashSet::new();
        let sources: Vec<Source> = records::sources(tx, organisation, record.id).await?;
        for source in sources {
            let Some(conversation) = source.conversation_id else { continue };
            if !told.insert((conversation, source.contact_id)) {
                continue;
            }
            let item = inbox::find(tx, organisation, source.item_id).await?;
            let saying = Saying::new(text(written_in(item.as_ref())), source.message_id);
            self.tell(tx, settings, record, (conversation, source.contact_id), saying).await?;
        }
        Ok(())
    }
}
