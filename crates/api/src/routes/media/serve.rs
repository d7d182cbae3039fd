//! Files' bytes, for whoever has a signed link.
//!
//! Nothing a file says of itself is believed: only types that cannot run anything are shown in place, the rest is
//! offered for saving, and none is guessed at.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kabar_domain::FileId;
use kabar_engine::Error as EngineError;
use kabar_engine::media::{Link, Linked};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Error, Result};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_file))
}

/// Types that browsers show and that hold no program.
const SHOWN: &[&str] = &[
    "audio/aac",
    "audio/amr",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "audio/x-wav",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "video/3gpp",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// Types that are named when they are offered for saving. Others are only bytes.
const NAMED: &[&str] =
    &["application/pdf", "application/zip", "application/msword", "text/csv", "text/plain"];
const NAMED_FAMILY: &str = "application/vnd.";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReadFileQuery {
    /// Seconds since 1970.
    expires: Option<String>,
    signature: Option<String>,
}

/// A file's bytes, by the signed link that its resource shows.
///
/// Takes one range of bytes (`Range`, `If-Range`), and `HEAD`. A wrong link, and one that has expired, is a 404.
#[utoipa::path(get, path = "/media/{id}/{name}", tag = "Media", security(()),
    params(("id" = String, Path), ("name" = String, Path, description = "Shown to people; it decides nothing."), ReadFileQuery),
    responses(
        (status = 200, description = "All of it.", content_type = "application/octet-stream"),
        (status = 206, description = "The range.", content_type = "application/octet-stream"),
        (status = 304, description = "It is as `If-None-Match` says."),
        (status = 404, description = "No such link.", body = ref("#/components/schemas/Error")),
        (status = 416, description = "The range is not in it.", body = ref("#/components/schemas/Error")),
    ))]
async fn read_file(
    State(state): State<ApiState>,
    method: Method,
    Path((id, _)): Path<(String, String)>,
    Query(query): Query<ReadFileQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let link = link(&id, query).ok_or(EngineError::NotFound("File"))?;
    let linked = state.engine.open_link(&link).await?;
    let tag = format!("\"{}\"", linked.sha256);
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|known| names(known, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    // A range of what the client has another part of counts only while it is the same.
    let current = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let asked = text(header::RANGE).filter(|_| current).map_or(Asked::All, |range| asked(range, linked.size));
    let (status, range) = match asked {
        Asked::All => (StatusCode::OK, 0..linked.size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Outside => {
            let error = Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "Range Not Satisfiable");
            let mut response = error.into_response();
            let whole = value(format!("bytes */{}", linked.size));
            response.headers_mut().insert(header::CONTENT_RANGE, whole);
            return Ok(response);
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(state.engine.read_linked(&linked, range.clone()).await?)
    };
    let mut response = (status, body).into_response();
    let out = response.headers_mut();
    describe(out, &linked);
    out.insert(header::ETAG, value(tag));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, linked.size);
        out.insert(header::CONTENT_RANGE, value(shown));
    }
    Ok(response)
}

fn link(id: &str, query: ReadFileQuery) -> Option<Link> {
    Some(Link {
        id: id.parse::<FileId>().ok()?,
        expires: query.expires?.parse().ok()?,
        signature: query.signature?,
    })
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether a list of entity tags names this one.
fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// What part of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    /// A part that is not in it.
    Outside,
}

/// What is no range, and several, count as not asked (RFC 9110, 14.2).
fn asked(text: &str, size: u64) -> Asked {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Asked::All;
    };
    let (first, last) = (first.trim(), last.trim());
    // More digits than fit are beyond any end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let range = match (first.is_empty(), last.is_empty()) {
        _ if !digits(first) || !digits(last) => return Asked::All,
        (true, true) => return Asked::All,
        (true, false) => size.saturating_sub(number(last))..size,
        (false, true) => number(first)..size,
        (false, false) if number(first) > number(last) => return Asked::All,
        (false, false) => number(first)..number(last).saturating_add(1).min(size),
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Outside }
}

/// What the file is, and how a browser must treat it.
fn describe(headers: &mut HeaderMap, linked: &Linked) {
    let given = linked.mime_type.as_deref().unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    let shown = SHOWN.contains(&given);
    let named = shown || NAMED.contains(&given) || given.starts_with(NAMED_FAMILY);
    let kind = if named { given } else { "application/octet-stream" };
    headers.insert(header::CONTENT_TYPE, value(kind.to_owned()));
    headers.insert(header::CONTENT_DISPOSITION, value(disposition(shown, linked.filename.as_deref())));
    for (name, text) in [
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "private, max-age=86400, immutable"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(text));
    }
}

/// RFC 6266: a plain name for old clients, and the whole one as RFC 8187 writes it.
fn disposition(shown: bool, filename: Option<&str>) -> String {
    use std::fmt::Write;
    let kind = if shown { "inline" } else { "attachment" };
    let Some(name) = filename else { return kind.to_owned() };
    let plain: String = name
        .chars()
        .map(|c| if (' '..='~').contains(&c) && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    let mut text = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        text.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                write!(text, "%{byte:02X}").unwrap_or_default();
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_and_its_edges() {
        let cases = [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=10-19", Asked::Part(10..20)),
            ("bytes=90-", Asked::Part(90..100)),
            ("bytes=90-1000", Asked::Part(90..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=99999999999999999999-", Asked::Outside),
            ("bytes=100-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=20-10", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("bytes=a-b", Asked::All),
            ("items=0-1", Asked::All),
        ];
        for (text, expected) in cases {
            assert_eq!(asked(text, 100), expected, "{text}");
        }
        assert_eq!(asked("bytes=0-", 0), Asked::Outside);
    }

    #[test]
    fn a_name_is_written_for_old_and_new_clients() {
        assert_eq!(disposition(true, None), "inline");
        assert_eq!(disposition(true, Some("foto 1.jpg")), "inline; filename=\"foto 1.jpg\"");
        assert_eq!(
            disposition(false, Some("تقرير \"x\".pdf")),
            "attachment; filename=\"_____ _x_.pdf\"; filename*=UTF-8''%D8%AA%D9%82%D8%B1%D9%8A%D8%B1%20%22x%22.pdf"
        );
        assert!(HeaderValue::try_from(disposition(false, Some("a\r\nSet-Cookie: x"))).is_ok());
    }
}
