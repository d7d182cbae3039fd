//! What a visitor's page is told when it begins, and what was said before.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use kabar_domain::hours::OperatingHours;
use kabar_domain::message::{Direction, Media, MessageKind, MessageStatus};
use kabar_domain::widget::{Appearance, in_language, is_rtl};
use kabar_domain::{ConversationId, MessageId, Timestamp};
use kabar_store::events;
use kabar_store::messages::{self, Message};
use kabar_store::widgets::{self, Thread, Widget};
use kabar_store::{Db, Window, channels, organisations};

use super::{Visitor, inbound, strings};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::page::{Page, PageRequest, Place};

/// A badge shows no more than that.
const UNREAD: i64 = 100;
/// Reading marks so many at once.
const READ: i64 = 1_000;

/// A page that begins.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// What the visitor reads, the best first; BCP 47.
    pub languages: Vec<String>,
}

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Session {
    pub slug: String,
    pub appearance: Appearance,
    pub language: String,
    pub is_rtl: bool,
    /// Everything the page says, by name.
    pub strings: BTreeMap<&'static str, String>,
    /// Somebody is there now.
    pub is_open: bool,
    /// When somebody is next, if that is known.
    pub opens_at: Option<Timestamp>,
    /// What is not known of the visitor yet.
    pub ask: Vec<Asked>,
    pub whatsapp_url: Option<String>,
    pub conversation_id: Option<ConversationId>,
    pub unread: i64,
    /// Where the stream of events goes on after what this says.
    pub position: i64,
    pub expires_in: Duration,
    pub largest_attachment: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub key: String,
    pub label: String,
    pub required: bool,
}

/// A message as its visitor sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: MessageId,
    /// Of the visitor's own: what the page called it.
    pub client_id: Option<String>,
    /// `Inbound`: the visitor's own.
    pub direction: Direction,
    /// Who wrote it on the other side.
    pub author: Option<String>,
    pub body: Option<String>,
    pub media: Vec<Media>,
    pub at: Timestamp,
    pub is_read: bool,
    pub is_edited: bool,
    /// Its content is not shown any more.
    pub is_deleted: bool,
}

pub type History = Page<Seen>;

/// `None` for what visitors do not see: what has not been sent, and what is no content.
fn seen(message: Message) -> Option<Seen> {
    let is_own = message.direction == Direction::Inbound;
    let is_sent = matches!(
        message.status,
        MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played
    );
    if !(is_own || is_sent) || message.kind == MessageKind::Reaction {
        return None;
    }
    let is_deleted = message.revoked_at.is_some();
    let name = message.provider_message_id.as_deref().filter(|_| is_own);
    Some(Seen {
        id: message.id,
        client_id: name.and_then(inbound::client_id).map(str::to_owned),
        direction: message.direction,
        author: message.user_name.filter(|_| !is_own),
        body: message.body.filter(|_| !is_deleted),
        media: if is_deleted { Vec::new() } else { message.media },
        at: message.occurred_at,
        is_read: message.read_at.is_some(),
        is_edited: message.edited_at.is_some(),
        is_deleted,
    })
}

impl Engine {
    pub(super) async fn thread_of(&self, db: &mut impl Db, visitor: &Visitor) -> Result<Option<Thread>> {
        let channel = visitor.widget.channel_id;
        Ok(widgets::thread(db, visitor.organisation_id, channel, &visitor.subject).await?)
    }

    pub async fn begin_visit(&self, visitor: &Visitor, begin: Begin) -> Result<Session> {
        let Visitor { organisation_id: organisation, widget, .. } = visitor;
        let now = self.clock.now();
        let mut db = self.store.reader().await?;
        // What happens from here on is told by the stream.
        let position = events::last_seq(&mut db, *organisation).await?;
        let thread = self.thread_of(&mut db, visitor).await?;
        let unread = match &thread {
            Some(thread) => {
                let (id, status) = (thread.conversation_id, MessageStatus::Delivered);
                widgets::unread(&mut db, *organisation, id, status, None, UNREAD).await?.len() as i64
            }
            None => 0,
        };
        let language = strings::choose(&begin.languages, widget);
        let (is_open, opens_at) = self.opening(&mut db, widget, now).await?;
        Ok(Session {
            slug: widget.slug.clone(),
            appearance: widget.appearance.clone(),
            is_rtl: is_rtl(&language),
            strings: strings::strings(&language, widget),
            is_open,
            opens_at,
            ask: self.open_questions(&mut db, visitor, &language).await?,
            whatsapp_url: self.whatsapp_url(&mut db, widget).await?,
            conversation_id: thread.map(|thread| thread.conversation_id),
            unread,
            position,
            expires_in: visitor.expires_at.since(now),
            largest_attachment: self.largest_attachment(),
            language,
        })
    }

    /// Whether somebody is there, and else from when on.
    async fn opening(
        &self,
        db: &mut (impl Db + Send),
        widget: &Widget,
        now: Timestamp,
    ) -> Result<(bool, Option<Timestamp>)> {
        let organisation = organisations::by_id(db, widget.organisation_id).await?;
        let organisation = organisation.ok_or(Error::NotFound("Organisation"))?;
        let given = widget.operating_hours.as_ref().or(organisation.operating_hours.as_ref());
        let Some(hours) = given.and_then(OperatingHours::parse) else { return Ok((true, None)) };
        let zone = TimeZone::get(&organisation.timezone).unwrap_or(TimeZone::UTC);
        // The first moment of which a part is within the hours.
        let instant = Duration::from_micros(1);
        let opens = hours.after(now, instant, &zone).minus(instant);
        Ok((opens == now, (opens != now).then_some(opens)))
    }

    async fn whatsapp_url(&self, db: &mut impl Db, widget: &Widget) -> Result<Option<String>> {
        let Some(id) = widget.whatsapp_channel_id else { return Ok(None) };
        let channel = channels::find(db, widget.organisation_id, id).await?;
        let number = channel
            .filter(|channel| !channel.account.retired)
            .and_then(|channel| channel.account.phone_number)
            .and_then(|number| crate::rules::phone_digits(&number));
        Ok(number.map(|digits| format!("https://wa.me/{digits}")))
    }

    /// What was said, newest first. What was on its way to the visitor has arrived.
    pub async fn visit_history(&self, visitor: &Visitor, page: &PageRequest) -> Result<History> {
        let organisation = visitor.organisation_id;
        let after = page.after()?;
        let mut db = self.store.reader().await?;
        let Some(thread) = self.thread_of(&mut db, visitor).await? else {
            return Ok(page.page_of(Vec::new(), 0, |_: &Seen| Place { at: 0, id: uuid::Uuid::nil() }));
        };
        let window = Window {
            after: after.map(|place| (Timestamp::from_micros(place.at), MessageId::from_uuid(place.id))),
            offset: page.offset(),
            limit: page.fetch(),
        };
        let id = thread.conversation_id;
        let mut rows = messages::list(&mut db, organisation, id, window).await?;
        self.show_media(&mut db, organisation, rows.iter_mut().flat_map(|row| &mut row.media)).await?;
        drop(db);
        let arrived = rows
            .iter()
            .filter(|row| row.direction == Direction::Outbound && row.status == MessageStatus::Sent);
        let arrived: Vec<_> = arrived.map(|row| row.id).collect();
        self.report_visit(organisation, arrived, MessageStatus::Delivered).await?;
        let place = |row: &Message| Place { at: row.sort_at.as_micros(), id: row.id.uuid() };
        let rows = page.page_of(rows, 0, place);
        Ok(Page {
            items: rows.items.into_iter().filter_map(seen).collect(),
            page: rows.page,
            per_page: rows.per_page,
            total: rows.total,
            next_cursor: rows.next_cursor,
        })
    }

    /// A message as the visitor of its conversation sees it.
    pub(super) async fn seen_message(
        &self,
        visitor: &Visitor,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<Option<Seen>> {
        let organisation = visitor.organisation_id;
        let mut db = self.store.reader().await?;
        let found = messages::find_message(&mut db, organisation, id).await?;
        let Some(mut message) = found.filter(|message| message.conversation_id == conversation) else {
            return Ok(None);
        };
        self.show_media(&mut db, organisation, &mut message.media).await?;
        Ok(seen(message))
    }

    /// The visitor has read a message, and what came before it.
    pub async fn read_visit(&self, visitor: &Visitor, id: &str) -> Result<()> {
        let unknown = || Error::NotFound("Message");
        let id: MessageId = id.parse().map_err(|_| unknown())?;
        let organisation = visitor.organisation_id;
        let mut db = self.store.reader().await?;
        let thread = self.thread_of(&mut db, visitor).await?.ok_or_else(unknown)?;
        let message = messages::find_message(&mut db, organisation, id).await?;
        let message = message
            .filter(|message| message.conversation_id == thread.conversation_id)
            .ok_or_else(unknown)?;
        let upto = Some((message.sort_at, message.id));
        let (conversation, status) = (thread.conversation_id, MessageStatus::Delivered);
        let read = widgets::unread(&mut db, organisation, conversation, status, upto, READ).await?;
        drop(db);
        self.report_visit(organisation, read, MessageStatus::Read).await
    }
}

/// What a widget asks for a field in this language.
pub(super) fn label(widget: &Widget, field: &kabar_domain::widget::Field, language: &str) -> String {
    let given = in_language(&field.label, language, &widget.default_language);
    let given = given.or_else(|| field.label.values().next()).cloned();
    given.unwrap_or_else(|| strings::word(language, &field.key).unwrap_or(&field.key).to_owned())
}
