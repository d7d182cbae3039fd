//! Files: fetching those people send, and giving WhatsApp those we send.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use kabar_domain::message::ProviderError;
use kabar_domain::outbound::{SendFailure, Verdict};
use serde_json::Value;
use url::Url;

use super::client::{Client, call, repeatable, unsent};
use super::parse::sha256_hex;
use crate::http;

/// The longest a whole file may take.
const TRANSFER: Duration = Duration::from_hours(1);

/// Where Meta keeps files. The access token goes nowhere else.
const HOSTS: &[&str] = &["fbsbx.com", "fbcdn.net", "facebook.com", "whatsapp.net"];

/// What WhatsApp says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaInfo {
    /// Good for five minutes, with the access token.
    pub url: Url,
    pub mime_type: Option<String>,
    /// Lowercase hexadecimal.
    pub sha256: Option<String>,
    pub size: Option<u64>,
}

impl Client {
    /// Asks where a file is.
    pub async fn media(
        &self,
        phone_number_id: &str,
        access_token: &str,
        media_id: &str,
    ) -> Result<MediaInfo, SendFailure> {
        let mut url = self.url(&[media_id]);
        url.query_pairs_mut().append_pair("phone_number_id", phone_number_id);
        let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        let size = answer
            .get("file_size")
            .and_then(|size| size.as_u64().or_else(|| size.as_str().and_then(|text| text.parse().ok())));
        let url = text("url").and_then(|url| Url::parse(&url).ok()).ok_or_else(|| {
            unfetched("WhatsApp says no address for the file", Verdict::Retry { after: None })
        })?;
        let sha256 = text("sha256").and_then(sha256_hex);
        Ok(MediaInfo { url, mime_type: text("mime_type"), sha256, size })
    }

    /// The bytes at an address that [`Client::media`] gave.
    pub async fn download(
        &self,
        access_token: &str,
        url: &Url,
    ) -> Result<BoxStream<'static, Result<Bytes, String>>, SendFailure> {
        if !self.is_metas(url) {
            return Err(unfetched("The file's address is not Meta's", Verdict::Fail));
        }
        let request = self.http.get(url.clone()).timeout(TRANSFER).bearer_auth(access_token);
        let response = request.send().await.map_err(unsent).map_err(repeatable)?;
        match response.status().as_u16() {
            200 => Ok(http::body(response)),
            401 => Err(unfetched("WhatsApp refused the access token for the file", Verdict::PauseAccount)),
            // An address that is too old; the next attempt asks for a new one.
            status => {
                let title = format!("WhatsApp answered with HTTP status {status} for the file");
                Err(unfetched(&title, Verdict::Retry { after: None }))
            }
        }
    }

    /// Gives WhatsApp a file; its id there, good for 30 days. May be repeated: an id that nobody heard of is harmless.
    pub async fn upload(
        &self,
        phone_number_id: &str,
        access_token: &str,
        file: http::Upload,
    ) -> Result<String, SendFailure> {
        let (mime_type, time) = (file.mime_type.clone(), file.time());
        let unusable = || unfetched("The file's type cannot be given to WhatsApp", Verdict::Fail);
        let form = reqwest::multipart::Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", mime_type)
            .part("file", file.part().map_err(|_| unusable())?);
        let request = self.http.post(self.url(&[phone_number_id, "media"])).timeout(time).multipart(form);
        let answer = call(request, access_token).await.map_err(repeatable)?;
        let id = answer.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let missing = || unfetched("WhatsApp gave the file no id", Verdict::Retry { after: None });
        id.map(str::to_owned).ok_or_else(missing)
    }

    fn is_metas(&self, url: &Url) -> bool {
        let own = url.origin() == self.base.origin();
        let meta = url.scheme() == "https"
            && url.host_str().is_some_and(|host| {
                HOSTS.iter().any(|known| {
                    host.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                })
            });
        own || meta
    }
}

fn unfetched(title: &str, verdict: Verdict) -> SendFailure {
    SendFailure { error: ProviderError { title: title.to_owned(), ..ProviderError::default() }, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_token_goes_to_meta_alone() {
        let http = http::client(Duration::from_secs(1)).unwrap();
        let client = Client::new(http, Url::parse("https://graph.facebook.com").unwrap());
        for (url, is_metas) in [
            ("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1", true),
            ("https://graph.facebook.com/x", true),
            ("http://lookaside.fbsbx.com/x", false),
            ("https://fbsbx.com.evil.example/x", false),
            ("https://evilfbsbx.com/x", false),
            ("https://169.254.169.254/x", false),
        ] {
            assert_eq!(client.is_metas(&Url::parse(url).unwrap()), is_metas, "{url}");
        }
    }
}
