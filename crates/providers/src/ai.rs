//! A model service that speaks as OpenAI's chat completions do: one question, one JSON object that fits a schema.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::http::{Guard, Guarded, Refused};

/// Bytes of an answer that are read.
const ANSWER_LIMIT: usize = 256 * 1024;

/// Where a service is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    /// With its version, as `https://api.openai.com/v1`.
    pub base: Url,
    pub key: Option<String>,
    pub model: String,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Whose choice an address was: what a user gave may lead to public networks and allowed ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Operator,
    User,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub system: &'a str,
    pub user: &'a str,
    /// The schema's name, letters and `_`.
    pub name: &'a str,
    pub schema: &'a Value,
}

/// The object, and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub object: Value,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Why there is no answer. Nothing here tells what an address in a private network answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("It took too long.")]
    Slow,
    #[error("The service cannot be reached.")]
    Unreachable,
    #[error("The service answered with status {0}.")]
    Status(u16),
    #[error("The service's answer is not what was asked for.")]
    Wrong,
}

impl Failure {
    /// Asking again later may help.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Slow | Self::Unreachable | Self::Status(408 | 429 | 500..=599))
    }

    /// One word, for figures.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Slow => "slow",
            Self::Unreachable => "unreachable",
            Self::Status(_) => "status",
            Self::Wrong => "wrong",
        }
    }
}

/// Calls services. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    operators: reqwest::Client,
    users: Guarded,
    timeout: Duration,
}

impl Client {
    /// `timeout` bounds a whole call.
    pub fn new(guard: &Guard, timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self { operators: crate::http::client(timeout)?, users: Guarded::new(guard, timeout)?, timeout })
    }

    pub async fn ask(
        &self,
        service: &Service,
        trust: Trust,
        question: &Question<'_>,
    ) -> Result<Answer, Failure> {
        let asked = tokio::time::timeout(self.timeout, self.call(service, trust, question)).await;
        asked.unwrap_or(Err(Failure::Slow))
    }

    async fn call(
        &self,
        service: &Service,
        trust: Trust,
        question: &Question<'_>,
    ) -> Result<Answer, Failure> {
        let mut url = service.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["chat", "completions"]);
        }
        let http = match trust {
            Trust::Operator => &self.operators,
            Trust::User => self.users.client(&url)?,
        };
        let body = json!({
            "model": service.model,
            "temperature": 0,
            "messages": [
                { "role": "system", "content": question.system },
                { "role": "user", "content": question.user },
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": question.name, "strict": true, "schema": question.schema },
            },
        });
        let mut request = http.post(url).header("content-type", "application/json").body(body.to_string());
        if let Some(key) = &service.key {
            request = request.bearer_auth(key);
        }
        let mut response = request.send().await.map_err(|error| broken(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::Status(status.as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                return Err(Failure::Wrong);
            }
            bytes.extend_from_slice(&chunk);
        }
        answer(&bytes).ok_or(Failure::Wrong)
    }
}

fn broken(error: &reqwest::Error) -> Failure {
    if error.is_timeout() { Failure::Slow } else { Failure::Unreachable }
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    let content = whole.pointer("/choices/0/message/content")?.as_str()?;
    // Some services wrap it into a block of code.
    let content = content.trim().trim_start_matches("```json").trim_matches('`').trim();
    let object: Value = serde_json::from_str(content).ok().filter(Value::is_object)?;
    let tokens = |field| whole.pointer(field).and_then(Value::as_u64).unwrap_or(0);
    Some(Answer {
        object,
        input_tokens: tokens("/usage/prompt_tokens"),
        output_tokens: tokens("/usage/completion_tokens"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content: &str) -> Option<Answer> {
        let body = json!({"choices": [{"message": {"content": content}}], "usage": {"prompt_tokens": 7}});
        answer(body.to_string().as_bytes())
    }

    #[test]
    fn an_answer_is_an_object() {
        let found = said(r#"{"class": "problem"}"#).unwrap();
        assert_eq!((found.object, found.input_tokens), (json!({"class": "problem"}), 7));
        assert_eq!(said("```json\n{\"a\": 1}\n```").unwrap().object, json!({"a": 1}));
        for wrong in ["", "I think it is a problem.", "[1]", "{\"class\": "] {
            assert_eq!(said(wrong), None, "{wrong}");
        }
        assert_eq!(answer(b"<html>"), None);
    }
}
