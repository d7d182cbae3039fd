//! Templates of a business account: read, made, changed, taken away.

use kabar_domain::outbound::SendFailure;
use reqwest::header::CONTENT_LENGTH;
use serde_json::{Map, Value, json};
use url::Url;

use super::client::{Client, call, call_as, lost, repeatable};
use super::parse::language;
use crate::http::Upload;

/// Templates on a page: a page with ten-card carousels still fits an answer.
const PAGE: &str = "50";

const FIELDS: &str = "id,name,language,status,category,previous_category,quality_score,rejected_reason,\
                      parameter_format,components,message_send_ttl_seconds";

/// A template as WhatsApp has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteTemplate {
    pub id: String,
    pub name: String,
    /// With `_`, as `en_US`.
    pub language: String,
    /// `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, …
    pub status: String,
    pub category: Option<String>,
    pub previous_category: Option<String>,
    /// GREEN, YELLOW, RED or UNKNOWN.
    pub quality: Option<String>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: Option<String>,
    pub components: Value,
    pub ttl_seconds: Option<i64>,
}

/// What a new template came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTemplate {
    pub id: String,
    pub status: String,
    /// May differ from the one asked for.
    pub category: Option<String>,
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) if !text.is_empty() && text != "NONE" => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `None` for what has not even a name.
fn template(object: &Map<String, Value>) -> Option<RemoteTemplate> {
    let components = object.get("components").filter(|value| value.is_array()).cloned();
    Some(RemoteTemplate {
        id: text(object, "id")?,
        name: text(object, "name")?,
        language: language(text(object, "language")?),
        status: text(object, "status")?,
        category: text(object, "category"),
        previous_category: text(object, "previous_category"),
        quality: object
            .get("quality_score")
            .and_then(Value::as_object)
            .and_then(|score| text(score, "score")),
        reason: text(object, "rejected_reason"),
        parameter_format: text(object, "parameter_format"),
        components: components.unwrap_or_else(|| json!([])),
        ttl_seconds: object.get("message_send_ttl_seconds").and_then(Value::as_i64),
    })
}

impl Client {
    /// A page of a business account's templates, and the cursor of the next one. Paging goes by the cursor alone:
    /// the token is not taken to an address out of an answer.
    pub async fn templates(
        &self,
        waba_id: &str,
        access_token: &str,
        after: Option<&str>,
    ) -> Result<(Vec<RemoteTemplate>, Option<String>), SendFailure> {
        let mut url = self.url(&[waba_id, "message_templates"]);
        url.query_pairs_mut().append_pair("fields", FIELDS).append_pair("limit", PAGE);
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
        let Some(data) = answer.get("data").and_then(Value::as_array) else {
            let reason = "WhatsApp answered, but without a list of templates.".to_owned();
            return Err(repeatable(lost("The answer names no templates", reason)));
        };
        let templates = data.iter().filter_map(Value::as_object).filter_map(template).collect();
        let paging = answer.get("paging").filter(|paging| paging.get("next").is_some());
        let next = paging.and_then(|paging| paging.pointer("/cursors/after")?.as_str()).map(str::to_owned);
        Ok((templates, next))
    }

    /// One template by WhatsApp's id.
    pub async fn template(&self, id: &str, access_token: &str) -> Result<RemoteTemplate, SendFailure> {
        let mut url = self.url(&[id]);
        url.query_pairs_mut().append_pair("fields", FIELDS);
        let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
        template(&answer).ok_or_else(|| {
            let reason = "WhatsApp answered, but without a template.".to_owned();
            repeatable(lost("The answer names no template", reason))
        })
    }

    /// Hands a new template in for review. [`kabar_domain::outbound::Verdict::Uncertain`]: it may be there.
    pub async fn create_template(
        &self,
        waba_id: &str,
        access_token: &str,
        template: &Value,
    ) -> Result<CreatedTemplate, SendFailure> {
        let request = self.http.post(self.url(&[waba_id, "message_templates"])).json(template);
        let answer = call(request, access_token).await?;
        let id = text(&answer, "id").ok_or_else(|| {
            lost("The answer names no template", "WhatsApp answered, but without a template id.".to_owned())
        })?;
        let status = text(&answer, "status").unwrap_or_else(|| "PENDING".to_owned());
        Ok(CreatedTemplate { id, status, category: text(&answer, "category") })
    }

    /// Changes a template's fields, each as a whole.
    pub async fn edit_template(
        &self,
        id: &str,
        access_token: &str,
        change: &Value,
    ) -> Result<(), SendFailure> {
        call(self.http.post(self.url(&[id])).json(change), access_token).await.map(drop).map_err(repeatable)
    }

    /// Takes away a template in one language.
    pub async fn delete_template(
        &self,
        waba_id: &str,
        access_token: &str,
        name: &str,
        id: &str,
    ) -> Result<(), SendFailure> {
        let mut url = self.url(&[waba_id, "message_templates"]);
        url.query_pairs_mut().append_pair("name", name).append_pair("hsm_id", id);
        call(self.http.delete(url), access_token).await.map(drop).map_err(repeatable)
    }

    /// Uploads a sample of a header's media for review; its handle goes into `example.header_handle`. May be repeated.
    pub async fn upload_sample(
        &self,
        app_id: &str,
        access_token: &str,
        file: Upload,
    ) -> Result<String, SendFailure> {
        let mut url = self.url(&[app_id, "uploads"]);
        url.query_pairs_mut()
            .append_pair("file_name", &file.filename)
            .append_pair("file_length", &file.size.to_string())
            .append_pair("file_type", &file.mime_type);
        let answer = call(self.http.post(url), access_token).await.map_err(repeatable)?;
        let missing = |what: &str| {
            let reason = format!("WhatsApp answered, but without {what}.");
            repeatable(lost("The sample could not be uploaded", reason))
        };
        let session = text(&answer, "id").ok_or_else(|| missing("an upload session"))?;
        // A session's id holds a signature after `?`, which belongs to the address as it is.
        let url = Url::parse(&format!("{}/{session}", self.url(&[])))
            .ok()
            .filter(|url| url.origin() == self.base.origin())
            .ok_or_else(|| missing("a usable session"))?;
        let request = self
            .http
            .post(url)
            .timeout(file.time())
            .header("file_offset", "0")
            .header(CONTENT_LENGTH, file.size)
            .body(reqwest::Body::wrap_stream(file.bytes));
        let answer = call_as("OAuth", request, access_token).await.map_err(repeatable)?;
        text(&answer, "h").ok_or_else(|| missing("a handle"))
    }
}
