//! Messages: what was said in a conversation.

use aws_lc_rs::digest;
use kabar_domain::AccountId;
use uuid::Uuid;

/// The name under which a provider's message is found: the same for every delivery of it, and of fixed size
/// whatever the provider's ids look like.
pub fn provider_key(account: AccountId, provider_message_id: &str) -> Uuid {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(account.uuid().as_bytes());
    context.update(provider_message_id.as_bytes());
    let hash = context.finish();
    let mut head = [0; 16];
    head.copy_from_slice(&hash.as_ref()[..16]);
    Uuid::from_bytes(head)
}
