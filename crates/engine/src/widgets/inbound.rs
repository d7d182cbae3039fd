//! What visitors write: into the inbound log, and out of it again when it is applied.

use kabar_domain::inbound::{
    AccountKey, Chat, Event, Identity, IdentityKind, InboundMessage, Origin, Party, Update,
};
use kabar_domain::message::{Media, MessageKind, Platform};
use kabar_domain::outbound::{OutboundMessage, Unsendable};
use kabar_domain::{FileId, Timestamp};
use kabar_store::files::drafts;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use url::Url;

use super::Visitor;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// Characters of a text, either way.
const BODY: usize = 4_096;
const CLIENT_ID: usize = 64;
const ATTACHMENTS: usize = 5;

/// A message as a visitor's page gives it.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The page's own name for it: the same message twice is one.
    pub client_id: Option<String>,
    pub body: Option<String>,
    /// What uploads were answered with.
    pub attachments: Vec<String>,
    /// The address of the page.
    pub page: Option<String>,
    pub language: Option<String>,
}

/// A message that is on disk. It is shown in the history in a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub client_id: String,
    pub at: Timestamp,
}

/// A visitor's message as the log keeps it.
#[derive(Serialize, Deserialize)]
struct Logged {
    subject: String,
    client_id: String,
    body: Option<String>,
    #[serde(default)]
    media: Vec<Media>,
    name: Option<String>,
    language: Option<String>,
    /// What agents see beside it.
    payload: Json,
    at: Timestamp,
}

/// What the message is called. There is no slash in a page's own name, so no two visitors' are the same.
fn name_of(subject: &str, client_id: &str) -> String {
    format!("{subject}/{client_id}")
}

/// The page's own name of a visitor's message.
pub(super) fn client_id(provider_message_id: &str) -> Option<&str> {
    provider_message_id.rsplit_once('/').map(|(_, client_id)| client_id)
}

/// Reads what [`Engine::write_message`] logged.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<Update>, String> {
    let logged: Logged = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let message = InboundMessage {
        provider_message_id: name_of(&logged.subject, &logged.client_id),
        origin: Origin::Live,
        chat: Chat::Direct,
        party: Party {
            identities: vec![Identity::new(IdentityKind::Widget, logged.subject)],
            name: logged.name,
            username: None,
            language: logged.language,
        },
        kind: kind_of(&logged.media),
        body: logged.body,
        media: logged.media,
        payload: logged.payload,
        reply_to: None,
        occurred_at: logged.at,
        status: None,
    };
    let event = Ok(Event::Message(Box::new(message)));
    Ok(vec![Update { pointer: String::new(), account: AccountKey::Address, event }])
}

/// By the first file: a message of several is one in their list.
fn kind_of(media: &[Media]) -> MessageKind {
    let Some(first) = media.first() else { return MessageKind::Text };
    let kind = first.mime_type.as_deref().and_then(|kind| kind.split('/').next());
    match kind.unwrap_or_default() {
        "image" => MessageKind::Image,
        "video" => MessageKind::Video,
        "audio" => MessageKind::Audio,
        _ => MessageKind::Document,
    }
}

/// What a widget can show: text, and files.
pub(crate) fn check_sendable(message: &OutboundMessage) -> Result<(), Unsendable> {
    let shown = matches!(
        message.kind,
        MessageKind::Text
            | MessageKind::Image
            | MessageKind::Video
            | MessageKind::Audio
            | MessageKind::Voice
            | MessageKind::Document
    );
    if !shown {
        return Err(Unsendable::capability("type", "Chat widgets show text and files only."));
    }
    if message.body.as_ref().is_some_and(|body| body.chars().nth(BODY).is_some()) {
        let reason = format!("The body field must not be greater than {BODY} characters.");
        return Err(Unsendable::new("body", reason));
    }
    if message.media.as_ref().is_some_and(|media| media.id.is_some()) {
        let reason = "Chat widgets show files of the media library, or at a media url.";
        return Err(Unsendable::new("provider_media_id", reason));
    }
    if message.payload.get("format").is_some() {
        return Err(Unsendable::capability("format", "Chat widgets show plain text only."));
    }
    Ok(())
}

/// What the organisation's server said of the visitor, as text.
pub(super) fn said<'a>(context: &'a Json, field: &str) -> Option<&'a str> {
    context[field].as_str().map(str::trim).filter(|text| !text.is_empty())
}

impl Engine {
    /// Takes a visitor's message. Returns once it is on disk.
    pub async fn write_message(&self, visitor: &Visitor, written: Written) -> Result<Accepted> {
        let now = self.clock.now();
        self.visits.writes(visitor, now)?;
        let mut invalid = Invalid::default();
        let client_id = rules::required(&mut invalid, "client_id", written.client_id, CLIENT_ID);
        if !client_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            rules::selected(&mut invalid, "client_id");
        }
        let body = written.body.filter(|body| !body.trim().is_empty());
        rules::text(&mut invalid, "body", body.as_deref().unwrap_or_default(), BODY);
        if body.is_none() && written.attachments.is_empty() {
            invalid.require("body", false);
        }
        if written.attachments.len() > ATTACHMENTS {
            let message = format!("The attachments field must not have more than {ATTACHMENTS} items.");
            invalid.add("attachments", message);
        }
        let media = self.attached(visitor, &written.attachments, &mut invalid).await?;
        let language = written.language.filter(|tag| super::fields::is_language(tag));
        invalid.check()?;
        if !media.is_empty() {
            let files = media.iter().filter_map(|media| media.file_id).collect();
            self.keep_drafts(visitor.organisation_id, files).await?;
        }
        self.know_visitor(visitor).await?;
        let mut payload = serde_json::Map::new();
        let page = written.page.and_then(|page| Url::parse(&page).ok());
        if let Some(page) = page.filter(|page| page.as_str().len() <= 2_000) {
            payload.insert("page".into(), json!(page.as_str()));
        }
        if visitor.context.as_object().is_some_and(|context| !context.is_empty()) {
            payload.insert("context".into(), visitor.context.clone());
        }
        let logged = Logged {
            subject: visitor.subject.clone(),
            client_id: client_id.clone(),
            body,
            media,
            name: said(&visitor.context, "name").map(|name| name.chars().take(255).collect()),
            language,
            payload: Json::Object(payload),
            at: now,
        };
        let body = serde_json::to_vec(&logged).map_err(|error| Error::Internal(error.to_string()))?;
        self.accept(Platform::Widget, Some(visitor.widget.account_id), None, body).await?;
        Ok(Accepted { client_id, at: now })
    }

    /// The files that a visitor uploaded before.
    async fn attached(
        &self,
        visitor: &Visitor,
        handles: &[String],
        invalid: &mut Invalid,
    ) -> Result<Vec<Media>> {
        let ids: Vec<Option<FileId>> =
            handles.iter().take(ATTACHMENTS).map(|handle| self.opened(visitor, handle)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let known = ids.iter().copied().flatten().collect();
        let found = drafts::find(&mut self.store.reader().await?, visitor.organisation_id, known).await?;
        let mut media = Vec::new();
        for (index, id) in ids.into_iter().enumerate() {
            let Some(file) = id.and_then(|id| found.get(&id)) else {
                rules::selected(invalid, &format!("attachments.{index}"));
                continue;
            };
            media.push(Media {
                file_id: Some(file.id),
                mime_type: file.mime_type.clone(),
                filename: file.filename.clone(),
                sha256: file.sha256.clone(),
                size: file.size.map(|size| size as u64),
                ..Media::default()
            });
        }
        Ok(media)
    }
}
