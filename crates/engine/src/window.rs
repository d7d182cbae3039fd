//! WhatsApp's customer service window: for 24 hours after a person wrote, anything may be sent to them; after that only
//! approved templates (Meta's error 131047).

use std::time::Duration;

use kabar_domain::Timestamp;
use kabar_domain::channel::ChannelKind;
use kabar_domain::message::{Platform, ProviderError};
use kabar_store::conversations::Conversation;

/// What WhatsApp's error says when the window is closed.
pub(crate) const REFUSED: i64 = 131_047;

const LENGTH: Duration = Duration::from_hours(24);

/// Whether a conversation's window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub open: bool,
    /// `None`: the person never wrote while Kabar listened.
    pub expires_at: Option<Timestamp>,
}

impl Window {
    /// The person may have written before Kabar listened: WhatsApp decides.
    pub(crate) const fn is_unknown(&self) -> bool {
        self.open && self.expires_at.is_none()
    }
}

/// The window after a person wrote at `last_inbound_at`. A person who has not been heard yet may have written before
/// Kabar listened (`since`): for the first 24 hours that cannot be told, and WhatsApp itself decides. What it said at
/// `refused_at` holds until the person writes.
pub(crate) fn window(
    last_inbound_at: Option<Timestamp>,
    since: Option<Timestamp>,
    refused_at: Option<Timestamp>,
    now: Timestamp,
) -> Window {
    let last = last_inbound_at.or(since);
    let refused_at = refused_at.filter(|at| last_inbound_at.is_none_or(|last| last < *at));
    let expires_at = last_inbound_at.map(|last| last.plus(LENGTH));
    Window {
        open: refused_at.is_none() && last.is_none_or(|last| now < last.plus(LENGTH)),
        expires_at: expires_at.map(|at| refused_at.map_or(at, |refused| at.min(refused))),
    }
}

/// Whether a message's stored error says that its window was closed.
pub(crate) fn is_refusal(error: Option<&str>) -> bool {
    let error = error.and_then(|text| serde_json::from_str::<ProviderError>(text).ok());
    error.is_some_and(|error| error.code == REFUSED)
}

/// The window of a conversation; `None` where there is no such rule.
pub(crate) fn of_conversation(conversation: &Conversation, now: Timestamp) -> Option<Window> {
    let has_window = conversation.platform == Some(Platform::Whatsapp)
        && conversation.channel_kind == Some(ChannelKind::Direct);
    has_window.then(|| {
        let Conversation { last_inbound_at, connected_at, window_refused_at, .. } = *conversation;
        window(last_inbound_at, connected_at, window_refused_at, now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_for_24_hours_after_the_person_wrote() {
        let wrote = Timestamp::from_unix(1_700_000_000);
        let at = |hours| wrote.plus(Duration::from_hours(hours));
        assert_eq!(window(Some(wrote), None, None, at(23)), Window { open: true, expires_at: Some(at(24)) });
        assert_eq!(
            window(Some(wrote), Some(at(24)), None, at(24)),
            Window { open: false, expires_at: Some(at(24)) }
        );
    }

    #[test]
    fn who_was_not_heard_yet_may_have_written_before_kabar_listened() {
        let connected = Timestamp::from_unix(1_700_000_000);
        let at = |hours| connected.plus(Duration::from_hours(hours));
        assert!(window(None, Some(connected), None, at(23)).open);
        assert!(!window(None, Some(connected), None, at(24)).open);
        assert!(window(None, None, None, at(24)).open);
    }

    #[test]
    fn what_whatsapp_said_holds_until_the_person_writes() {
        let wrote = Timestamp::from_unix(1_700_000_000);
        let at = |hours| wrote.plus(Duration::from_hours(hours));
        let closed = |expires_at| Window { open: false, expires_at };
        assert_eq!(window(Some(wrote), None, Some(at(1)), at(2)), closed(Some(at(1))));
        assert_eq!(window(None, Some(wrote), Some(at(1)), at(2)), closed(None));
        assert!(window(Some(at(1)), None, Some(wrote), at(2)).open);
    }
}
