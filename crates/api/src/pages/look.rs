//! How the server's own pages look, and what browsers may do with them.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use kabar_engine::crypto::sha256;
use url::form_urlencoded;

use super::words::Language;
use crate::html::text;
use crate::request_id::KeepBody;

const STYLE: &str = include_str!("look.css");

/// Names the one style sheet that these pages may have.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(sha256(STYLE.as_bytes())));

/// A page of one card.
pub(crate) struct Page<'a> {
    pub language: Language,
    pub title: &'a str,
    /// HTML.
    pub body: String,
    /// Where forms may lead beside this server: browsers follow the policy into redirects too.
    pub form_action: Option<&'a str>,
    /// The page's own path and its query, for the links to other languages.
    pub path: &'a str,
    pub query: &'a str,
}

impl Page<'_> {
    pub fn into_response(self, status: StatusCode) -> Response {
        let Self { language, title, body, form_action, path, query } = self;
        let mut others = String::new();
        for other in Language::ALL {
            let (code, name) = (other.code(), other.name());
            if other == language {
                write!(others, "<li><span lang=\"{code}\" aria-current=\"true\">{name}</span></li>")
            } else {
                let mut pairs = form_urlencoded::Serializer::new(String::new());
                pairs.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != "lang"));
                let link = pairs.append_pair("lang", code).finish();
                write!(
                    others,
                    "<li><a href=\"{path}?{}\" lang=\"{code}\" hreflang=\"{code}\">{name}</a></li>",
                    text(&link)
                )
            }
            .unwrap_or_default();
        }
        let (code, direction) = (language.code(), language.direction());
        let (title, choose) = (text(title), language.words().language);
        let html = format!(
            "<!doctype html>\n<html lang=\"{code}\" dir=\"{direction}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Kabar</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<header class=\"brand\" translate=\"no\">Kabar</header>\n\
             <main>\n{body}\n</main>\n<footer><nav aria-label=\"{choose}\"><ul>{others}</ul></nav></footer>\n\
             </body>\n</html>\n"
        );
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; img-src 'self'; form-action 'self'{}{}; base-uri 'none'; \
             frame-ancestors 'none'",
            *STYLE_HASH,
            if form_action.is_some() { " " } else { "" },
            form_action.unwrap_or_default(),
        );
        let policy = HeaderValue::try_from(policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        let fixed = HeaderValue::from_static;
        let mut response = (status, Html(html)).into_response();
        response.extensions_mut().insert(KeepBody);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::X_FRAME_OPTIONS, fixed("DENY"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(header::CACHE_CONTROL, fixed("no-store"));
        // Browsers leave `Origin` out of forms on pages that never say where one comes from.
        headers.insert(header::REFERRER_POLICY, fixed("same-origin"));
        headers.insert(header::CONTENT_LANGUAGE, fixed(code));
        headers.insert(header::VARY, fixed("Accept-Language, Cookie"));
        response
    }
}

/// The fields of a form or of a query; of those given several times the first.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}
