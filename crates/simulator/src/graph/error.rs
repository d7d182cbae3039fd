//! Meta's error codes: their titles, HTTP statuses and bodies.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use crate::ids::Ids;

/// An error of the Graph API, as an answer and as it appears in a webhook.
#[derive(Debug, Clone)]
pub(crate) struct GraphError {
    pub status: u16,
    pub kind: &'static str,
    pub code: i64,
    pub subcode: Option<i64>,
    /// The whole `message`, prefix included.
    pub message: String,
    pub details: Option<String>,
}

/// Code, HTTP status, title: Meta's list of error codes.
const CODES: &[(i64, u16, &str)] = &[
    (0, 401, "AuthException"),
    (1, 400, "API Unknown"),
    (2, 503, "API Service"),
    (3, 500, "API Method"),
    (4, 400, "Application request limit reached"),
    (10, 403, "Application does not have permission for this action"),
    (33, 400, "Parameter value is not valid"),
    (100, 400, "Invalid parameter"),
    (104, 401, "An access token is required to request this resource."),
    (190, 401, "Invalid OAuth access token"),
    (200, 403, "Permissions error"),
    (368, 403, "Temporarily blocked for policies violations"),
    (80_007, 400, "Rate limit issues"),
    (130_403, 400, "Message blocked"),
    (130_429, 400, "Rate limit hit"),
    (130_472, 400, "User's number is part of an experiment"),
    (130_497, 403, "Business account is restricted from messaging users in this country."),
    (131_000, 500, "Something went wrong"),
    (131_005, 403, "Access denied"),
    (131_008, 400, "Required parameter is missing"),
    (131_009, 400, "Parameter value is not valid"),
    (131_016, 500, "Service unavailable"),
    (131_020, 400, "Group has no other participants"),
    (131_021, 400, "Recipient cannot be sender"),
    (131_026, 400, "Message undeliverable"),
    (131_030, 400, "Recipient phone number not in allowed list"),
    (131_031, 403, "Account has been locked"),
    (131_037, 400, "Display name approval needed"),
    (131_041, 400, "Group not found"),
    (131_042, 400, "Business eligibility payment issue"),
    (131_045, 500, "Incorrect certificate"),
    (131_047, 400, "Re-engagement message"),
    (131_048, 400, "Spam rate limit hit"),
    (131_049, 400, "This message was not delivered to maintain healthy ecosystem engagement."),
    (131_050, 400, "User has stopped marketing messages"),
    (131_051, 400, "Unsupported message type"),
    (131_052, 400, "Media download error"),
    (131_053, 400, "Media upload error"),
    (131_055, 400, "Method not allowed"),
    (131_056, 400, "(Business Account, Consumer Account) pair rate limit hit"),
    (131_057, 500, "Business Account is in maintenance mode"),
    (131_062, 400, "Business-scoped user id recipients are not supported for this message"),
    (131_063, 400, "Marketing templates are disabled on Cloud API"),
    (131_204, 400, "Too many participants"),
    (131_207, 403, "Group is suspended"),
    (131_208, 429, "Group operations rate limit hit"),
    (131_211, 400, "Group limit reached"),
    (131_212, 400, "Participant is not in the group"),
    (131_213, 400, "Join request does not exist"),
    (131_214, 400, "Group creation is paused"),
    (131_215, 400, "Phone number is not eligible for groups"),
    (132_000, 400, "Number of parameters does not match the expected number of params"),
    (132_001, 404, "Template name does not exist in the translation"),
    (132_005, 400, "Translated text too long"),
    (132_007, 400, "Template format character policy violated"),
    (132_008, 400, "Parameter value of template is wrong"),
    (132_012, 400, "Parameter format does not match format in the created template"),
    (132_015, 400, "Template is paused"),
    (132_016, 400, "Template is disabled"),
    (132_018, 400, "Template parameters are not valid"),
    (132_068, 400, "Flow is in blocked state"),
    (132_069, 400, "Flow is in throttled state"),
    (133_000, 500, "Incomplete deregistration"),
    (133_004, 503, "Server temporarily unavailable"),
    (133_005, 400, "Two step verification PIN Mismatch"),
    (133_006, 400, "Phone number re-verification needed"),
    (133_008, 400, "Too many two step verification PIN guesses"),
    (133_009, 400, "Two step verification PIN guessed too fast"),
    (133_010, 400, "Phone number not registered"),
    (133_015, 400, "Phone number was recently deleted"),
    (133_016, 400, "Account register/deregister rate limit exceeded"),
    (134_011, 400, "WhatsApp Payments terms of service not accepted"),
    (135_000, 400, "Generic user error"),
    (137_000, 400, "Identity key hash mismatch"),
];

impl GraphError {
    /// The error of a code, worded as Meta words it.
    pub(crate) fn of(code: i64, details: Option<String>) -> Self {
        let (status, title) = CODES
            .iter()
            .find(|known| known.0 == code)
            .map_or((400, "Something went wrong"), |known| (known.1, known.2));
        Self {
            status,
            kind: "OAuthException",
            code,
            subcode: None,
            message: format!("(#{code}) {title}"),
            details,
        }
    }

    pub(crate) fn with(code: i64, details: impl Into<String>) -> Self {
        Self::of(code, Some(details.into()))
    }

    /// An error whose text is all there is: no `error_data`.
    pub(crate) fn text(code: i64, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::of(code, None) }
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::text(100, format!("(#100) The parameter {parameter} is required."))
    }

    pub(crate) fn bad_token() -> Self {
        Self::text(190, "Invalid OAuth access token - Cannot parse access token")
    }

    /// The answer for an object that does not exist, or that the token may not see.
    pub(crate) fn unknown_object(http_method: &str, id: &str) -> Self {
        Self {
            kind: "GraphMethodException",
            subcode: Some(33),
            ..Self::text(
                100,
                format!(
                    "Unsupported {} request. Object with ID '{id}' does not exist, cannot be loaded due to \
                     missing permissions, or does not support this operation. Please read the Graph API \
                     documentation at https://developers.facebook.com/docs/graph-api",
                    http_method.to_ascii_lowercase()
                ),
            )
        }
    }

    pub(crate) fn respond(&self, ids: &Ids) -> Response {
        let mut error = Map::new();
        error.insert("message".into(), json!(self.message));
        error.insert("type".into(), json!(self.kind));
        error.insert("code".into(), json!(self.code));
        if let Some(subcode) = self.subcode {
            error.insert("error_subcode".into(), json!(subcode));
        }
        if let Some(details) = &self.details {
            error.insert("error_data".into(), json!({"messaging_product": "whatsapp", "details": details}));
        }
        error.insert("fbtrace_id".into(), json!(ids.fbtrace()));
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, axum::Json(json!({"error": error}))).into_response()
    }

    /// The object in `errors[]` of a webhook.
    pub(crate) fn webhook_form(&self) -> Value {
        let title = self.message.split_once(") ").map_or(self.message.as_str(), |(_, title)| title);
        json!({
            "code": self.code,
            "title": title,
            "message": title,
            "error_data": {"details": self.details.as_deref().unwrap_or(title)},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        })
    }
}
