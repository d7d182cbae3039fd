//! Exchanging the code of the consent page for a token.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, header};
use kabar_engine::apps::Exchange;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, data};
use crate::error::Result;
use crate::extract::ClientAddress;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(exchange_code_for_token))
}

#[derive(Default, Deserialize, ToSchema)]
struct ExchangeCodeRequest {
    /// The one-time code from the /connect redirect.
    #[serde(default)]
    #[schema(required, example = "4f9e2c...")]
    code: String,
    /// Must match the redirect_uri the user authorized on the consent screen.
    #[serde(default)]
    #[schema(required, example = "https://crm.example.com/oktawa/callback")]
    redirect_uri: String,
    /// PKCE's verifier: required when the consent screen was opened with a `code_challenge`.
    code_verifier: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ExchangedToken {
    #[schema(example = "1|abc...")]
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    #[schema(example = json!(["read", "send"]))]
    abilities: Vec<String>,
}

/// JSON, or a form as OAuth clients send it; whatever else it is holds no code.
fn parse(body: &[u8]) -> ExchangeCodeRequest {
    if let Ok(request) = serde_json::from_slice(body) {
        return request;
    }
    let mut request = ExchangeCodeRequest::default();
    for (name, value) in form_urlencoded::parse(body).into_owned() {
        match name.as_str() {
            "code" => request.code = value,
            "redirect_uri" => request.redirect_uri = value,
            "code_verifier" => request.code_verifier = Some(value),
            _ => {}
        }
    }
    request
}

/// Exchanges a one-time authorization code from the Connect screen for a token.
///
/// Codes are good once and for five minutes, for the `redirect_uri` they were issued for. A code that is shown again
/// revokes the token it gave. Twenty failures in a minute close the address they come from for the rest of it.
#[utoipa::path(post, path = "/api/v1/oauth/token", tag = "OAuth", security(()),
    request_body(content((ExchangeCodeRequest = "application/json"), (ExchangeCodeRequest = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, body = Data<ExchangedToken>),
        (status = 400, description = "The code is invalid, used, or expired, or something is missing: `error` is \
            `invalid_grant`.", body = ref("#/components/schemas/Error")),
        (status = 429, description = "Too many failures.", body = ref("#/components/schemas/Error")),
    ))]
async fn exchange_code_for_token(
    State(state): State<ApiState>,
    ClientAddress(client_address): ClientAddress,
    body: Bytes,
) -> Result<impl IntoResponse> {
    let request = parse(&body);
    let exchanged = state
        .engine
        .exchange_code_for_token(Exchange {
            code: request.code,
            redirect_uri: request.redirect_uri,
            code_verifier: request.code_verifier,
            client_address,
        })
        .await?;
    let token = ExchangedToken {
        access_token: exchanged.token,
        token_type: "Bearer",
        abilities: exchanged.abilities,
    };
    let secret = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((secret, data(token)))
}
