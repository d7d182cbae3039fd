//! What happens in a visitor's conversation, as it happens.

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::message::MessageStatus;
use kabar_domain::{ChannelId, ConversationId, MessageId};
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::limits::Listening;
use super::{Seen, Visitor};
use crate::engine::Engine;
use crate::error::Result;
use crate::events::Event;

/// How often the token is looked at, and the longest silence.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Reads on by its own number in the organisation's events: it misses nothing, and nobody waits for it.
#[derive(Debug)]
pub struct VisitorStream {
    engine: Arc<Engine>,
    visitor: Visitor,
    /// `None` until something was said.
    conversation: Option<ConversationId>,
    after: i64,
    last: watch::Receiver<i64>,
    typing: broadcast::Receiver<ConversationId>,
    checked: Instant,
    /// What was just told: with the next question it has arrived.
    told: Vec<MessageId>,
    _listening: Listening,
}

/// What a visitor's page hears.
#[derive(Clone, Debug)]
pub enum Told {
    /// A message that is new, or is not what it was.
    Message(Box<Seen>),
    /// Another page of the visitor showed this message.
    Read(MessageId),
    /// Somebody is writing an answer.
    Typing,
    /// Nothing for a while.
    Silence,
    /// The token is not good any more.
    Over,
}

/// What an event says of its message. Its `data` are those of the change, with the message in it, if that is known.
#[derive(Deserialize)]
struct About {
    status: Option<String>,
    conversation_id: Option<ConversationId>,
    message: Option<Whereabouts>,
}

#[derive(Deserialize)]
struct Whereabouts {
    conversation_id: ConversationId,
    channel_id: ChannelId,
}

impl Engine {
    /// Follows a visitor's conversation from the event after `after`, else from now.
    pub async fn stream_visit(
        self: &Arc<Self>,
        visitor: Visitor,
        after: Option<i64>,
    ) -> Result<VisitorStream> {
        let listening = self.visits.listens(&visitor)?;
        let typing = self.store.watch_typing();
        let last = self.store.watch_events(visitor.organisation_id).await?;
        let known = *last.borrow();
        let thread = self.thread_of(&mut self.store.reader().await?, &visitor).await?;
        Ok(VisitorStream {
            engine: Arc::clone(self),
            visitor,
            conversation: thread.map(|thread| thread.conversation_id),
            // A number beyond the last is of another database.
            after: after.map_or(known, |after| after.min(known)),
            last,
            typing,
            checked: Instant::now(),
            told: Vec::new(),
            _listening: listening,
        })
    }
}

impl VisitorStream {
    /// The number up to which everything was told: where another stream goes on from.
    pub const fn position(&self) -> i64 {
        self.after
    }

    /// Waits for what comes next; at least one. An error ends the stream.
    pub async fn next(&mut self) -> Result<Vec<Told>> {
        let arrived = std::mem::take(&mut self.told);
        let organisation = self.visitor.organisation_id;
        self.engine.report_visit(organisation, arrived, MessageStatus::Delivered).await?;
        loop {
            if self.checked.elapsed() >= HEARTBEAT {
                if !self.engine.is_still_welcome(&self.visitor).await? {
                    return Ok(vec![Told::Over]);
                }
                self.checked = Instant::now();
            }
            let last = *self.last.borrow_and_update();
            if last > self.after {
                let (events, upto) = self.engine.feed(organisation, self.after, last).await?;
                let mut told = Vec::new();
                for event in &events {
                    told.extend(self.tell(event).await?);
                }
                self.after = upto;
                if !told.is_empty() {
                    return Ok(told);
                }
                continue;
            }
            // The token may end sooner.
            let left = self.visitor.expires_at.since(self.engine.clock.now());
            tokio::select! {
                changed = self.last.changed() => if changed.is_err() { return Ok(vec![Told::Over]) },
                typing = self.typing.recv() => match typing {
                    Ok(conversation) if Some(conversation) == self.conversation => {
                        return Ok(vec![Told::Typing]);
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(vec![Told::Over]),
                },
                () = tokio::time::sleep(left) => return Ok(vec![Told::Over]),
                () = tokio::time::sleep(HEARTBEAT) => return Ok(vec![Told::Silence]),
            }
        }
    }

    /// What an event of the organisation is to this visitor.
    async fn tell(&mut self, event: &Event) -> Result<Option<Told>> {
        let is_told = matches!(
            event.kind.as_str(),
            "message.received" | "message.status" | "message.edited" | "message.revoked"
        );
        let Some(subject) = event.subject_id.filter(|_| is_told) else { return Ok(None) };
        let Ok(about) = serde_json::from_str::<About>(event.data.get()) else { return Ok(None) };
        let channel = about.message.as_ref().map(|message| message.channel_id);
        if self.conversation.is_none() && channel == Some(self.visitor.widget.channel_id) {
            let mut db = self.engine.store.reader().await?;
            let thread = self.engine.thread_of(&mut db, &self.visitor).await?;
            self.conversation = thread.map(|thread| thread.conversation_id);
        }
        let place = about.message.map(|message| message.conversation_id).or(about.conversation_id);
        let Some(conversation) = self.conversation.filter(|own| place == Some(*own)) else { return Ok(None) };
        let id = MessageId::from_uuid(subject.uuid());
        if event.kind == "message.status" {
            match about.status.as_deref() {
                Some("sent") => self.told.push(id),
                Some("read") => return Ok(Some(Told::Read(id))),
                _ => return Ok(None),
            }
        }
        let seen = self.engine.seen_message(&self.visitor, conversation, id).await?;
        Ok(seen.map(|seen| Told::Message(Box::new(seen))))
    }
}
