//! The address a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, header};
use kabar_engine::config::IpNet;

use crate::state::ApiState;

/// The client's address: the connection's, or what proxies that are trusted say of it. `None` without a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub Option<IpAddr>);

impl FromRequestParts<ApiState> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|ConnectInfo(peer)| client(peer.ip(), &parts.headers, &state.trusted_proxies))))
    }
}

/// The last address that no trusted proxy has. What is left of it anybody may have written.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        let mapped = match address {
            IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
            v6 @ IpAddr::V6(_) => v6,
        };
        trusted.iter().any(|network| network.contains(&address) || network.contains(&mapped))
    };
    let mut client = peer.to_canonical();
    let mut hops = if headers.contains_key(X_FORWARDED_FOR) { listed(headers) } else { described(headers) };
    while is_trusted(client)
        && let Some(Some(before)) = hops.pop()
    {
        client = before;
    }
    client
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// `X-Forwarded-For`, the nearest last.
fn listed(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    lines.flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(address).collect()
}

/// `Forwarded` (RFC 7239), the nearest last. It is split from its end: quotes that a client left open do not reach what
/// proxies added.
fn described(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED).iter().rev() {
        hops.extend(line.to_str().unwrap_or_default().rsplit(outside_quotes(',')).map(|hop| {
            let mut pairs = hop.split(outside_quotes(';')).filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
                .and_then(|(_, node)| address(node))
        }));
    }
    hops.reverse();
    hops
}

fn outside_quotes(separator: char) -> impl FnMut(char) -> bool {
    let mut quoted = false;
    move |letter| {
        quoted ^= letter == '"';
        letter == separator && !quoted
    }
}

/// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, each with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = || text.strip_prefix('[')?.strip_suffix(']');
    let found = text.parse().ok().or_else(|| text.parse().ok().map(|node: SocketAddr| node.ip()));
    found.or_else(|| bare()?.parse().ok()).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, trusted: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> =
            trusted.split_whitespace().map(|network| network.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_peer_says_for_whom_it_asks() {
        let spoofed = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(seen("127.0.0.1", "", &spoofed), "127.0.0.1");
        assert_eq!(seen("192.0.2.1", "10.0.0.0/8", &spoofed), "192.0.2.1");
        assert_eq!(seen("10.1.2.3", "10.0.0.0/8", &spoofed), "203.0.113.9");
        assert_eq!(seen("10.1.2.3", "10.0.0.0/8", &[]), "10.1.2.3");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        let through = |value| seen("127.0.0.1", "127.0.0.0/8 10.0.0.0/8", &[("x-forwarded-for", value)]);
        assert_eq!(through("203.0.113.9, 198.51.100.7"), "198.51.100.7");
        assert_eq!(through("203.0.113.9, 198.51.100.7, 10.0.0.5"), "198.51.100.7");
        // All of them are trusted: the furthest.
        assert_eq!(through("10.0.0.6, 10.0.0.5"), "10.0.0.6");
        // What a proxy said that is no address leaves the proxy's own.
        assert_eq!(through("203.0.113.9, unknown, 10.0.0.5"), "10.0.0.5");
        assert_eq!(through("nonsense"), "127.0.0.1");
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(seen("127.0.0.1", "127.0.0.1/32", &lines), "198.51.100.7");
        // Proxies add to one of the two; the other is what the client sent.
        let both = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(seen("127.0.0.1", "127.0.0.1/32", &both), "198.51.100.7");
    }

    #[test]
    fn addresses_are_read_in_every_spelling() {
        let through = |value| seen("::1", "::1/128", &[("x-forwarded-for", value)]);
        assert_eq!(through("198.51.100.7:4711"), "198.51.100.7");
        assert_eq!(through("::ffff:198.51.100.7"), "198.51.100.7");
        for spelling in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443"] {
            assert_eq!(through(spelling), "2001:db8::7");
        }
        let header = [("x-forwarded-for", "198.51.100.7")];
        assert_eq!(seen("::ffff:10.0.0.5", "10.0.0.0/8", &header), "198.51.100.7");
        assert_eq!(seen("10.0.0.5", "::ffff:10.0.0.0/104", &header), "198.51.100.7");
        assert_eq!(seen("2001:db8:1::5", "2001:db8:1::/48", &header), "198.51.100.7");
    }

    #[test]
    fn the_standard_header_is_read_too() {
        let through = |value| seen("127.0.0.1", "127.0.0.1/32", &[("forwarded", value)]);
        assert_eq!(through("for=203.0.113.9, For=198.51.100.7;proto=https"), "198.51.100.7");
        assert_eq!(through("proto=https;for=\"[2001:db8::7]:4711\""), "2001:db8::7");
        assert_eq!(through("for=_hidden"), "127.0.0.1");
        // A client's open quote, and a host that it chose.
        assert_eq!(through("for=\"203.0.113.9, for=198.51.100.7"), "198.51.100.7");
        assert_eq!(through("for=198.51.100.7;host=\"x,for=203.0.113.9;y\""), "198.51.100.7");
    }
}
