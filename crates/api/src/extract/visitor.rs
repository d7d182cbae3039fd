//! Which visitor of a widget is calling, and from which page.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, header};
use kabar_engine::widgets::{self, Knock};

use super::auth::bearer;
use crate::error::{Error, Result};
use crate::state::ApiState;

/// A visitor: `Authorization: Bearer <embed token>`, on a page that the widget allows.
#[derive(Debug)]
pub(crate) struct Visitor(pub widgets::Visitor);

/// Whose request it is. A proxy on this machine or in its network says for whom it asks, last in `X-Forwarded-For`.
fn address(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let is_near = match peer {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    };
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.filter(|_| is_near).unwrap_or(peer)
}

impl FromRequestParts<ApiState> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self> {
        let text =
            |name| parts.headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let knock = Knock {
            token: bearer(&parts.headers),
            origin: text(header::ORIGIN),
            is_same_origin: text(header::HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
            address: peer.map(|peer| address(peer, &parts.headers)),
        };
        Ok(Self(state.engine.admit_visitor(knock).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_proxy_says_for_whom_it_asks() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "203.0.113.9, 198.51.100.7".parse().unwrap());
        assert_eq!(address(ip("127.0.0.1"), &headers), ip("198.51.100.7"));
        assert_eq!(address(ip("::ffff:10.0.0.5"), &headers), ip("198.51.100.7"));
        assert_eq!(address(ip("192.0.2.1"), &headers), ip("192.0.2.1"));
        assert_eq!(address(ip("127.0.0.1"), &HeaderMap::new()), ip("127.0.0.1"));
        headers.insert("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(address(ip("127.0.0.1"), &headers), ip("127.0.0.1"));
    }
}
