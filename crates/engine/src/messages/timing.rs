//! When a message may go out: how urgent it is, when it is wanted, and whether WhatsApp's window is open then.

use kabar_domain::Timestamp;
use kabar_domain::message::MessageKind;
use kabar_domain::outbound::SendPriority;
use kabar_store::conversations::Conversation;
use kabar_store::{Tx, conversations};

use super::SendMessage;
use super::target::Target;
use crate::error::{Error, Invalid, Result};
use crate::window::{self, Window};

/// A message is planned so far ahead at most.
const FURTHEST: std::time::Duration = std::time::Duration::from_hours(24 * 366);

/// What a client said of it, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    priority: Option<SendPriority>,
    pub send_at: Option<Timestamp>,
}

pub(super) fn wish(request: &SendMessage, now: Timestamp) -> Result<Wish> {
    let mut invalid = Invalid::default();
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let priority = filled(&request.priority).and_then(|name| {
        let priority = SendPriority::from_name(&name);
        if priority.is_none() {
            crate::rules::selected(&mut invalid, "priority");
        }
        priority
    });
    let send_at = filled(&request.send_at).and_then(|text| {
        let at = Timestamp::parse(&text);
        let problem = match at {
            None => Some("must be a time with an offset, as 2026-05-06T10:21:00+00:00"),
            Some(at) if at <= now => Some("must be a time in the future"),
            Some(at) if at > now.plus(FURTHEST) => Some("must be within a year"),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            invalid.add("send_at", format!("The send at field {problem}."));
        }
        at
    });
    invalid.check()?;
    Ok(Wish { priority, send_at })
}

/// The conversation a message goes into, as it stands now.
pub(super) async fn conversation(tx: &mut Tx, target: &Target) -> Result<Conversation> {
    let found = conversations::find(tx, target.channel.organisation_id, target.conversation).await?;
    found.ok_or_else(|| Error::Internal("a conversation just found is not there".into()))
}

impl Wish {
    /// What the client said, or: somebody who just wrote waits for an answer.
    pub fn priority(&self, conversation: &Conversation, kind: MessageKind, now: Timestamp) -> SendPriority {
        let is_reply = kind != MessageKind::Template
            && window::window(conversation.last_inbound_at, None, None, now)
                .expires_at
                .is_some_and(|until| now < until);
        self.priority.unwrap_or(if is_reply { SendPriority::High } else { SendPriority::Normal })
    }

    /// The conversation's window when the message is to go out.
    pub fn window(&self, conversation: &Conversation, now: Timestamp) -> Option<Window> {
        window::of_conversation(conversation, self.send_at.unwrap_or(now))
    }
}
