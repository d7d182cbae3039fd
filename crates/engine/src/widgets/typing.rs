//! Somebody is writing to a visitor. Told to the pages that listen now, and to nobody later.

use kabar_domain::ConversationId;
use tokio::sync::broadcast;

/// Heard by every open stream of this process.
#[derive(Debug)]
pub(crate) struct Typing(broadcast::Sender<ConversationId>);

impl Default for Typing {
    fn default() -> Self {
        Self(broadcast::Sender::new(64))
    }
}

impl Typing {
    pub fn show(&self, conversation: ConversationId) {
        // Nobody may be listening.
        self.0.send(conversation).unwrap_or_default();
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<ConversationId> {
        self.0.subscribe()
    }
}
