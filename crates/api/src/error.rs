//! Errors as clients see them.
//!
//! An [`Error`] travels as a response whose text is an extension; [`crate::request_id`] writes the body, because
//! every error body names its request.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// How long to wait when the database is away or full.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Why a request was refused or failed.
#[derive(Debug)]
pub struct Error {
    pub(crate) status: StatusCode,
    pub(crate) text: Box<ErrorText>,
    pub(crate) retry_after: Option<Duration>,
}

/// The body of an error, but for the request's id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ErrorText {
    pub message: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "<[TemplateHint]>::is_empty")]
    pub templates: Box<[TemplateHint]>,
}

/// A template that can be sent instead.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TemplateHint {
    pub name: String,
    pub language: String,
    pub category: Option<String>,
    /// Values it takes.
    pub variables: usize,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody<'a> {
    /// A sentence for people.
    #[schema(value_type = String, example = "Unauthenticated.")]
    pub message: &'a str,
    /// Fields and what is wrong with them, when the request's content is at fault.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Vec<String>>, required = false)]
    pub errors: &'a BTreeMap<String, Vec<String>>,
    /// `invalid_grant` for an authorization code that is not good, as OAuth names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub error: Option<&'a str>,
    /// `capability_missing`: the provider has no such thing, whatever is asked of it. `provider_refused`: it would
    /// not do it. `window_closed`: the person has not written for 24 hours, and only templates can be sent.
    /// `payment_required`: the organisation is read-only until it is paid for. `template_missing`: no template has
    /// the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub code: Option<&'a str>,
    /// With `code`: `whatsapp` or `telegram`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub provider: Option<&'a str>,
    /// With `code`: why, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub reason: Option<&'a str>,
    /// With `template_missing`: what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub action: Option<&'a str>,
    /// With `window_closed`: approved templates that can be sent instead.
    #[serde(skip_serializing_if = "<[TemplateHint]>::is_empty")]
    #[schema(value_type = Vec<TemplateHint>, required = false)]
    pub templates: &'a [TemplateHint],
    /// Equal to the header `X-Request-Id`.
    #[schema(value_type = String)]
    pub request_id: &'a str,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let text = ErrorText { message: message.into(), ..ErrorText::default() };
        Self { status, text: Box::new(text), retry_after: None }
    }

    /// 422 that names a field.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        kabar_engine::Invalid::one(field, message).into()
    }

    pub(crate) fn no_route(path: &str) -> Self {
        let path = path.trim_start_matches('/');
        Self::new(StatusCode::NOT_FOUND, format!("The route {path} could not be found."))
    }

    /// `supported` as in `GET, POST`.
    pub(crate) fn method_not_allowed(method: &Method, path: &str, supported: Option<&str>) -> Self {
        let path = path.trim_start_matches('/');
        let mut message = format!("The {method} method is not supported for route {path}.");
        if let Some(supported) = supported {
            message.push_str(" Supported methods: ");
            message.push_str(supported);
            message.push('.');
        }
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<kabar_engine::Error> for Error {
    fn from(error: kabar_engine::Error) -> Self {
        use kabar_engine::Error as Engine;
        let status = match &error {
            Engine::Unauthenticated | Engine::EmbedToken(_) | Engine::Credentials => StatusCode::UNAUTHORIZED,
            Engine::MissingAbility(_) | Engine::OutOfReach | Engine::Forbidden(_) => StatusCode::FORBIDDEN,
            Engine::PaymentRequired(_) => StatusCode::PAYMENT_REQUIRED,
            Engine::NotFound(_) | Engine::NotFoundText(_) | Engine::TemplateMissing(_) => {
                StatusCode::NOT_FOUND
            }
            Engine::Invalid(_)
            | Engine::CapabilityMissing { .. }
            | Engine::WindowClosed(_)
            | Engine::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Engine::Conflict(_) => StatusCode::CONFLICT,
            Engine::Incomplete(_) | Engine::InvalidGrant => StatusCode::BAD_REQUEST,
            Engine::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            Engine::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Engine::Store(store) if store.is_transient() => {
                tracing::error!(error = %store, "the database is not available");
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                    .retry_after(STORE_RETRY);
            }
            Engine::Store(_) | Engine::Internal(_) => {
                let source = error.source().map(ToString::to_string);
                tracing::error!(%error, source, "a request failed");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Server Error");
            }
        };
        let mut made = Self::new(status, error.to_string());
        let text = &mut *made.text;
        match error {
            Engine::Invalid(invalid) => text.errors = invalid.errors,
            Engine::CapabilityMissing { provider, field, reason } => {
                text.errors.insert(field, vec![reason]);
                text.code = Some("capability_missing".into());
                text.provider = Some(provider.as_str().into());
            }
            Engine::WindowClosed(fitting) => {
                text.errors.insert("type".to_owned(), vec![text.message.clone()]);
                text.code = Some("window_closed".into());
                text.provider = Some("whatsapp".into());
                let hints = fitting.into_iter().map(|template| TemplateHint {
                    name: template.name,
                    language: template.language,
                    category: template.category,
                    variables: template.variables,
                });
                text.templates = hints.collect();
            }
            Engine::TemplateMissing(advice) => {
                text.code = Some("template_missing".into());
                text.action = Some(advice.into());
            }
            Engine::PaymentRequired(_) => text.code = Some("payment_required".into()),
            Engine::Refused { provider, .. } => {
                text.code = Some("provider_refused".into());
                text.provider = Some(provider.as_str().into());
            }
            Engine::InvalidGrant => text.error = Some("invalid_grant".into()),
            Engine::TooManyAttempts { retry_after } => made.retry_after = Some(retry_after),
            Engine::Unavailable(_) => made.retry_after = Some(STORE_RETRY),
            _ => {}
        }
        made
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never none.
            let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(*self.text);
        response
    }
}
