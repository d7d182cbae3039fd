//! Read receipts, and that somebody is typing.

use kabar_domain::outbound::SendFailure;
use serde_json::json;

use super::client::{Client, call, repeatable};

impl Client {
    /// Shows a message that came in, and those before it, as read. `typing` also shows that an answer is being
    /// written, for 25 seconds or until it comes.
    pub async fn mark_read(
        &self,
        phone_number_id: &str,
        access_token: &str,
        message_id: &str,
        typing: bool,
    ) -> Result<(), SendFailure> {
        let mut body = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": message_id });
        if typing {
            body["typing_indicator"] = json!({ "type": "text" });
        }
        let request = self.http.post(self.url(&[phone_number_id, "messages"])).json(&body);
        call(request, access_token).await.map(drop).map_err(repeatable)
    }
}
