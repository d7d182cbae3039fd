//! The cookie of a browser's session, and what keeps other sites from using it.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kabar_engine::{Engine, Principal};

use crate::error::{Error, Result};

/// The header that scripts of ours send the CSRF token in.
const X_CSRF_TOKEN: &str = "x-csrf-token";
/// As long as browsers keep any cookie: the server knows when a session is over.
const MAX_AGE: u32 = 400 * 24 * 3600;

/// Browsers take a `__Host-` cookie over https only, and from no other host.
fn name(engine: &Engine) -> &'static str {
    if is_secure(engine) { "__Host-kabar_session" } else { "kabar_session" }
}

fn is_secure(engine: &Engine) -> bool {
    engine.public_url().scheme() == "https"
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// The session's secret, as the browser sent it.
pub(crate) fn presented<'a>(headers: &'a HeaderMap, engine: &Engine) -> Option<&'a str> {
    cookie(headers, name(engine))
}

/// `Set-Cookie` for a cookie of the whole site.
pub(crate) fn set_cookie(engine: &Engine, name: &str, value: &str, max_age: u32) -> HeaderValue {
    let mut text = format!("{name}={value}; Path=/; SameSite=Lax; Max-Age={max_age}");
    if is_secure(engine) {
        text.push_str("; Secure");
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn http_only(cookie: &HeaderValue) -> HeaderValue {
    let mut text = cookie.to_str().unwrap_or_default().to_owned();
    write!(text, "; HttpOnly").unwrap_or_default();
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Begins a session in the browser.
pub(crate) fn begin(engine: &Engine, session: &str) -> HeaderValue {
    http_only(&set_cookie(engine, name(engine), session, MAX_AGE))
}

/// Makes the browser forget its session.
pub(crate) fn end(engine: &Engine) -> HeaderValue {
    http_only(&set_cookie(engine, name(engine), "", 0))
}

/// Whether a browser says that a page of another site sent the request. Browsers always say; programs, which no site
/// leads, need not.
pub(crate) fn is_from_elsewhere(headers: &HeaderMap, engine: &Engine) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin";
    }
    if !headers.contains_key(header::ORIGIN) {
        return false;
    }
    let origin = text(header::ORIGIN).unwrap_or_default();
    let host = origin.split_once("://").map(|(_, host)| host);
    origin != engine.public_url().origin().ascii_serialization()
        && (host.is_none() || host != text(header::HOST))
}

/// Refuses what another site may have made a browser send.
pub(crate) fn check(method: &Method, headers: &HeaderMap, engine: &Engine, caller: &Principal) -> Result<()> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let token = headers.get(X_CSRF_TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_ours = !is_from_elsewhere(headers, engine) && engine.is_csrf_token(caller, token);
    if is_ours { Ok(()) } else { Err(mismatch()) }
}

/// As Laravel names it.
fn mismatch() -> Error {
    Error::new(status_of_mismatch(), "CSRF token mismatch.")
}

pub(crate) fn status_of_mismatch() -> StatusCode {
    StatusCode::from_u16(419).unwrap_or(StatusCode::FORBIDDEN)
}
