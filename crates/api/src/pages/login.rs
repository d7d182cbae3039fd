//! Signing in and out in a browser.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kabar_engine::auth::Login;
use kabar_engine::{Error as EngineError, Principal};
use url::form_urlencoded;

use super::local_path;
use super::look::{Form, Page};
use super::words::Language;
use crate::error::Error;
use crate::extract::ClientAddress;
use crate::html::text;
use crate::session;
use crate::state::ApiState;

/// Who is signed in in this browser, if anybody is.
pub(super) async fn signed_in(state: &ApiState, headers: &HeaderMap) -> Option<Principal> {
    let session = session::presented(headers, &state.engine)?;
    state.engine.authenticate_session(session, None).await.ok()
}

/// `/login?next=…`, to come back to where one is.
pub(super) fn login_first(next: &str) -> Redirect {
    let next = form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
    Redirect::to(&format!("/login?next={next}"))
}

fn page(language: Language, next: &str, email: &str, problem: Option<&str>) -> Page<'static> {
    let words = language.words();
    let wrong = if problem.is_some() { " aria-invalid=\"true\" aria-describedby=\"problem\"" } else { "" };
    // The field that is to be filled in next.
    let (first, second) = if email.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
    let problem = problem
        .map(|problem| format!("<p class=\"bad\" id=\"problem\" role=\"alert\">{}</p>\n", text(problem)))
        .unwrap_or_default();
    let body = format!(
        "<h1>{}</h1>\n{problem}<form method=\"post\" action=\"/login\">\n\
         <input type=\"hidden\" name=\"next\" value=\"{}\">\n\
         <div class=\"field\"><label for=\"email\">{}</label>\n\
         <input type=\"email\" id=\"email\" name=\"email\" value=\"{}\" required maxlength=\"254\" dir=\"ltr\" \
         autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\"{wrong}{first}></div>\n\
         <div class=\"field\"><label for=\"password\">{}</label>\n\
         <input type=\"password\" id=\"password\" name=\"password\" required dir=\"ltr\" \
         autocomplete=\"current-password\"{wrong}{second}></div>\n\
         <button>{}</button>\n</form>\n<p class=\"faint\">{}</p>",
        words.sign_in,
        text(next),
        words.email,
        text(email),
        words.password,
        words.sign_in,
        words.forgotten
    );
    Page { language, title: words.sign_in, body, form_action: None, path: "/login", query: "" }
}

fn with_next(next: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish()
}

/// The form; who is signed in already goes on.
pub(super) async fn show(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let next = local_path(query.get("next"));
    if signed_in(&state, &headers).await.is_some() {
        return Redirect::to(next).into_response();
    }
    let (language, chosen) = Language::of(&query, &headers);
    let shown = page(language, next, "", None);
    let response = Page { query: &with_next(next), ..shown }.into_response(StatusCode::OK);
    remember(&state, response, chosen)
}

/// Keeps a language that was chosen by a link.
pub(super) fn remember(state: &ApiState, mut response: Response, chosen: Option<Language>) -> Response {
    if let Some(language) = chosen {
        let cookie = session::set_cookie(&state.engine, "lang", language.code(), 365 * 24 * 3600);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Takes the form.
pub(super) async fn sign_in(
    State(state): State<ApiState>,
    ClientAddress(client_address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::parse(&body);
    let next = local_path(form.get("next"));
    let email = form.get("email").unwrap_or_default();
    let (language, _) = Language::of(&form, &headers);
    let words = language.words();
    let mut retry_after = None;
    let (status, problem) = if session::is_from_elsewhere(&headers, &state.engine) {
        (session::status_of_mismatch(), words.stale)
    } else {
        let login = Login {
            email: email.to_owned(),
            password: form.get("password").unwrap_or_default().to_owned(),
            device_name: None,
            client_address,
        };
        match state.engine.open_session(login).await {
            Ok(session) => {
                let mut response = Redirect::to(next).into_response();
                response.headers_mut().insert(header::SET_COOKIE, session::begin(&state.engine, &session));
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                return response;
            }
            Err(error) => {
                let problem = match &error {
                    EngineError::Credentials => words.wrong,
                    EngineError::Invalid(_) => words.missing,
                    EngineError::TooManyAttempts { .. } => words.too_many,
                    EngineError::Forbidden(_) => words.no_organisation,
                    _ => words.trouble,
                };
                // The same status, waiting time and line in the log as over the API.
                let answer = Error::from(error).into_response();
                retry_after = answer.headers().get(header::RETRY_AFTER).cloned();
                (answer.status(), problem)
            }
        }
    };
    let shown = page(language, next, email, Some(problem));
    let mut response = Page { query: &with_next(next), ..shown }.into_response(status);
    if let Some(wait) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// Ends the session, if the form is one of ours, and shows the form for the next.
pub(super) async fn sign_out(State(state): State<ApiState>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let next = form.get("next").map(|next| local_path(Some(next)));
    if let Some(caller) = signed_in(&state, &headers).await {
        let given = headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
        let token = form.get("_token").or(given).unwrap_or_default();
        if session::is_from_elsewhere(&headers, &state.engine) || !state.engine.is_csrf_token(&caller, token)
        {
            return stale(&form, &headers);
        }
        if let Err(error) = state.engine.logout(&caller).await {
            return Error::from(error).into_response();
        }
    }
    let to = next.map_or_else(|| Redirect::to("/login"), login_first);
    ([(header::SET_COOKIE, session::end(&state.engine))], to).into_response()
}

/// The form was not sent by a page of ours, or by one of an earlier session.
pub(super) fn stale(form: &Form, headers: &HeaderMap) -> Response {
    let (language, _) = Language::of(form, headers);
    let words = language.words();
    let body = format!("<h1>{}</h1>\n<p>{}</p>", words.not_done, words.stale);
    let page = Page { language, title: words.not_done, body, form_action: None, path: "/login", query: "" };
    page.into_response(session::status_of_mismatch())
}
