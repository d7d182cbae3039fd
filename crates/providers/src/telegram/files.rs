//! Files that people send to a bot.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use kabar_domain::outbound::{SendFailure, Verdict};
use serde_json::{Value, json};

use super::client::{Client, unanswered, unreadable, without_token};
use super::errors::failure;
use crate::http;

/// The longest a whole file may take.
const TRANSFER: Duration = Duration::from_hours(1);

impl Client {
    /// The bytes of a file.
    pub async fn download(
        &self,
        bot_token: &str,
        file_id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, String>>, SendFailure> {
        let found: Value =
            self.call(bot_token, "getFile", &json!({ "file_id": file_id })).await.map_err(described)?;
        let path = found["file_path"].as_str().ok_or_else(unreadable)?;
        let mut address = self.base.clone();
        address
            .path_segments_mut()
            .map_err(|()| unreadable())?
            .pop_if_empty()
            .extend(["file", &format!("bot{bot_token}")])
            .extend(path.split('/'));
        let request = self.http.get(address).timeout(TRANSFER);
        let response = request
            .send()
            .await
            .map_err(|error| without_token(unanswered(error), bot_token))
            .map_err(again)?;
        let status = response.status().as_u16();
        if status != 200 {
            let title = format!("Telegram answered with HTTP status {status} for the file.");
            return Err(failure(status.into(), &title, None, None, Verdict::Retry { after: None }));
        }
        let secret = bot_token.to_owned();
        let bytes = http::body(response);
        Ok(bytes.map(move |part| part.map_err(|reason| reason.replace(&secret, "…"))).boxed())
    }
}

/// Asking is harmless: what got no answer is asked again.
fn again(mut failure: SendFailure) -> SendFailure {
    if failure.verdict == Verdict::Uncertain {
        failure.verdict = Verdict::Retry { after: None };
    }
    failure
}

fn described(failure: SendFailure) -> SendFailure {
    let mut failure = again(failure);
    let title = failure.error.title.to_ascii_lowercase();
    if title.contains("too big") {
        "Telegram hands out files of 20 MB at most; this one is larger.".clone_into(&mut failure.error.title);
        failure.error.action =
            Some("Ask for the file another way, or run a Bot API server of your own.".to_owned());
    } else if title.contains("temporarily unavailable") {
        failure.verdict = Verdict::Retry { after: None };
    }
    failure
}
