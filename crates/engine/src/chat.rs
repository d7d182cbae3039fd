//! What Kabar itself says in chats: case numbers, questions, answers to commands, closing notes. Each of it is off until
//! an organisation wants it, and none of it ever stands in the way of what it is about.

mod commands;
mod greeting;
mod notes;
mod questions;
mod words;

use kabar_domain::content::{Button, Interactive, InteractiveKind};
use kabar_domain::{ConversationId, MessageId, OrganisationId};
use kabar_store::Tx;
use kabar_store::understanding::Unread;
use serde_json::json;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::messages::SendMessage;
use crate::operations::OperationsSettings;
use crate::templates::{TemplateMessage, Values};
use crate::understanding::{Desk, Reading};

/// Characters of what a template is filled with: a body has 1024 altogether.
const LONGEST_LINE: usize = 700;

/// Something to say in a conversation.
#[derive(Clone, Debug, Default)]
struct Saying {
    text: String,
    buttons: Vec<Button>,
    /// The message it answers.
    reply_to: Option<MessageId>,
}

impl Saying {
    fn new(text: String, reply_to: Option<MessageId>) -> Self {
        Self { text, buttons: Vec::new(), reply_to }
    }
}

/// What became of something to say.
#[derive(Debug)]
enum Said {
    Queued(MessageId),
    /// It cannot be said there, for this reason.
    Not(Error),
}

/// WhatsApp takes no line breaks in a template's value, nor one of any length.
fn in_one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whether a text is meant for Kabar itself, whether or not the organisation wants an answer.
pub(crate) fn is_command(text: &str) -> bool {
    commands::read(text).is_some()
}

impl Engine {
    /// Queues what is to be said; outside the 24-hour window it is the organisation's template that says it.
    async fn say(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        settings: &OperationsSettings,
        conversation: ConversationId,
        saying: Saying,
    ) -> Result<Said> {
        let template = settings.template.as_ref().map(|name| TemplateMessage {
            name: Some(name.clone()),
            language: None,
            values: Values { variables: Some(json!([in_one_line(&saying.text)])), ..Values::default() },
        });
        let interactive = (!saying.buttons.is_empty()).then(|| Interactive {
            kind: InteractiveKind::Buttons,
            header: None,
            body: Some(saying.text.clone()),
            footer: None,
            buttons: saying.buttons,
            button: None,
            sections: Vec::new(),
            url: None,
        });
        let request = SendMessage {
            conversation_id: Some(conversation.to_string()),
            kind: interactive.as_ref().map(|_| "interactive".to_owned()),
            body: Some(saying.text).filter(|_| interactive.is_none()),
            interactive,
            reply_to: saying.reply_to.map(|id| id.to_string()),
            fallback_template: template,
            ..SendMessage::default()
        };
        match Box::pin(self.queue_message(tx, organisation, None, request)).await {
            Ok(id) => Ok(Said::Queued(id)),
            Err(Error::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(%error, %conversation, "something could not be said in a chat");
                Ok(Said::Not(error))
            }
        }
    }

    /// Whether an item was meant for Kabar itself, a command or the answer to a question, and was answered.
    pub(crate) async fn answer(
        &self,
        tx: &mut Tx,
        item: &Unread,
        reading: &Reading,
        desk: &Desk,
    ) -> Result<bool> {
        let Some(conversation) = item.conversation_id else { return Ok(false) };
        if desk.settings.confirm && self.take_answer(tx, item, conversation, desk).await? {
            return Ok(true);
        }
        let Some(command) = item.text.as_deref().filter(|_| desk.settings.commands).and_then(commands::read)
        else {
            return Ok(false);
        };
        self.obey(tx, item, conversation, reading, desk, &command).await?;
        Ok(true)
    }
}
