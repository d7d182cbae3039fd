//! WhatsApp's customer service window: for 24 hours after a person wrote, anything may be sent to them; after that only
//! approved templates (Meta's error 131047).

use std::time::Duration;

use kabar_domain::Timestamp;
use kabar_domain::channel::ChannelKind;
use kabar_domain::message::Platform;
use kabar_store::conversations::Conversation;

const LENGTH: Duration = Duration::from_hours(24);

/// Whether a conversation's window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub open: bool,
    /// `None`: the person never wrote while Kabar listened.
    pub expires_at: Option<Timestamp>,
}

/// The window after a person wrote at `last_inbound_at`. A person who has not been heard yet may have written before
/// Kabar listened (`since`): for the first 24 hours that cannot be told, and WhatsApp itself decides.
pub(crate) fn window(last_inbound_at: Option<Timestamp>, since: Option<Timestamp>, now: Timestamp) -> Window {
    let last = last_inbound_at.or(since);
    Window {
        open: last.is_none_or(|last| now < last.plus(LENGTH)),
        expires_at: last_inbound_at.map(|last| last.plus(LENGTH)),
    }
}

/// The window of a conversation; `None` where there is no such rule.
pub(crate) fn of_conversation(conversation: &Conversation, now: Timestamp) -> Option<Window> {
    let has_window = conversation.platform == Some(Platform::Whatsapp)
        && conversation.channel_kind == Some(ChannelKind::Direct);
    has_window.then(|| window(conversation.last_inbound_at, conversation.connected_at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_for_24_hours_after_the_person_wrote() {
        let wrote = Timestamp::from_unix(1_700_000_000);
        let at = |hours| wrote.plus(Duration::from_hours(hours));
        assert_eq!(window(Some(wrote), None, at(23)), Window { open: true, expires_at: Some(at(24)) });
        assert_eq!(
            window(Some(wrote), Some(at(24)), at(24)),
            Window { open: false, expires_at: Some(at(24)) }
        );
    }

    #[test]
    fn who_was_not_heard_yet_may_have_written_before_kabar_listened() {
        let connected = Timestamp::from_unix(1_700_000_000);
        let at = |hours| connected.plus(Duration::from_hours(hours));
        assert!(window(None, Some(connected), at(23)).open);
        assert!(!window(None, Some(connected), at(24)).open);
        assert!(window(None, None, at(24)).open);
    }
}
