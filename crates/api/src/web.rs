//! The web app under `/app`, from files that `build.rs` put into the program. It is a page of one piece: every path that
//! is not a file gets the same document, and the script in it looks at the path.

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::request_id::KeepBody;
use crate::state::ApiState;

/// One file of what `scripts/web-build` made.
pub(crate) struct File {
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
    etag: &'static str,
}

/// By name, sorted.
static FILES: &[(&str, File)] = include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// What the app's documents may load: only what this server has. The app's popup for Meta's sign-in keeps its opener.
const POLICY: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin-allow-popups"),
];

/// Shown in place of an app that was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Kabar</title>\
    <h1>The web app is not in this build</h1>\
    <p>Run <code>scripts/web-build</code> (it needs Node 20.19 or newer with npm), then build Kabar again. \
    The API works without it: <a href=/docs>its description</a>.";

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/app") }))
        // What browsers ask for on pages that name no icon.
        .route("/favicon.ico", get(async |headers: HeaderMap| icon(&headers)))
        .route("/app", get(async |headers: HeaderMap| app(&headers, "")))
        .route("/app/", get(async |headers: HeaderMap| app(&headers, "")))
        .route("/app/{*path}", get(async |headers: HeaderMap, Path(path): Path<String>| app(&headers, &path)))
}

fn app(headers: &HeaderMap, path: &str) -> Response {
    let name = format!("app/{path}");
    if let Some(file) = find(&name).filter(|_| !path.is_empty()) {
        return (POLICY, serve(file, &name, headers)).into_response();
    }
    // A file of an earlier build, asked for by a page that has been open since: not a page.
    if path.starts_with("assets/") {
        return (StatusCode::NOT_FOUND, axum::Extension(KeepBody), "Not Found").into_response();
    }
    match find("app/index.html") {
        Some(page) => (POLICY, serve(page, "index.html", headers)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, POLICY, axum::Extension(KeepBody), Html(NOT_BUILT))
            .into_response(),
    }
}

fn icon(headers: &HeaderMap) -> Response {
    let name = "app/favicon.svg";
    find(name).map_or_else(|| StatusCode::NO_CONTENT.into_response(), |file| serve(file, name, headers))
}

/// A file by its name below `web/dist`; `None` when it was not built.
pub(crate) fn find(name: &str) -> Option<&'static File> {
    let place = FILES.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
    FILES.get(place).map(|(_, file)| file)
}

/// The file in the best encoding that the client takes. Names with a hash in them never change their content.
pub(crate) fn serve(file: &'static File, name: &str, headers: &HeaderMap) -> Response {
    let caching =
        if name.starts_with("app/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::ETAG, HeaderValue::from_static(file.etag)),
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
    ];
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|seen| seen.to_str().ok());
    if seen.is_some_and(|seen| seen.split(',').any(|one| one.trim().trim_start_matches("W/") == file.etag)) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)))];
    for (encoding, packed) in [("br", file.brotli), ("gzip", file.gzip)] {
        if let Some(packed) = packed.filter(|_| takes(headers, encoding)) {
            let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static(encoding))];
            return (common, kind, encoding, packed).into_response();
        }
    }
    (common, kind, file.plain).into_response()
}

fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILE: File = File { plain: b"plain", brotli: Some(b"br"), gzip: Some(b"gz"), etag: "\"1\"" };

    fn answer(name: &str, headers: &[(header::HeaderName, &'static str)]) -> Response {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        serve(&FILE, name, &headers)
    }

    #[test]
    fn gives_the_encoding_that_the_client_takes() {
        let encoding = |accepted| {
            let answer = answer("app/assets/a.js", &[(header::ACCEPT_ENCODING, accepted)]);
            answer
                .headers()
                .get(header::CONTENT_ENCODING)
                .map(|it| it.to_str().unwrap_or_default().to_owned())
        };
        assert_eq!(encoding("gzip, deflate, br").as_deref(), Some("br"));
        assert_eq!(encoding("GZIP;q=0.5, br;q=0").as_deref(), Some("gzip"));
        assert_eq!(encoding("zstd"), None);
    }

    #[test]
    fn only_hashed_names_are_kept_for_good() {
        let caching = |name| answer(name, &[]).headers()[header::CACHE_CONTROL].clone();
        assert!(caching("app/assets/a.js").as_bytes().ends_with(b"immutable"));
        assert_eq!(caching("index.html"), "no-cache");
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let again = answer("index.html", &[(header::IF_NONE_MATCH, "\"0\", W/\"1\"")]);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("index.html", &[(header::IF_NONE_MATCH, "\"2\"")]).status(), StatusCode::OK);
    }
}
