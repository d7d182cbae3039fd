//! The HTTP clients: one for the providers that the operator configured, one for addresses that users give.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, try_unfold};
pub use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How long the next bytes of a body may let us wait.
const STALL: Duration = Duration::from_secs(30);

fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("kabar/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .timeout(timeout)
        .pool_idle_timeout(Duration::from_mins(1))
        // One call a connection at a time: one that breaks takes no other call's answer with it.
        .http1_only()
}

/// A client for provider endpoints the operator configured: pooled, with timeouts, no redirects followed.
/// `timeout` bounds a whole call; connecting alone is bounded by ten seconds.
pub fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    builder(timeout).redirect(reqwest::redirect::Policy::none()).build()
}

/// An answer's body as it comes. An error is a sentence without the address.
pub fn body(response: reqwest::Response) -> BoxStream<'static, Result<Bytes, String>> {
    try_unfold(response, |mut response| async {
        match tokio::time::timeout(STALL, response.chunk()).await {
            Ok(Ok(part)) => Ok(part.map(|part| (part, response))),
            Ok(Err(error)) => Err(format!("The connection broke: {}.", error.without_url())),
            Err(_) => Err("The bytes stopped coming.".to_owned()),
        }
    })
    .boxed()
}

/// A file on its way to a provider.
pub struct Upload {
    pub bytes: BoxStream<'static, Result<Bytes, crate::storage::Error>>,
    pub size: u64,
    pub filename: String,
    pub mime_type: String,
}

impl Upload {
    /// The longest that giving it may take: a minute, and a second for each 256 KiB; a quarter of an hour at most.
    pub fn time(&self) -> Duration {
        (Duration::from_mins(1) + Duration::from_secs(self.size >> 18)).min(Duration::from_mins(15))
    }

    /// The part of a form that carries it, as it comes.
    pub(crate) fn part(self) -> Result<reqwest::multipart::Part, reqwest::Error> {
        let body = reqwest::Body::wrap_stream(self.bytes);
        let part = reqwest::multipart::Part::stream_with_length(body, self.size);
        part.file_name(self.filename).mime_str(&self.mime_type)
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({} bytes)", self.size)
    }
}

/// Why an address that a user gave is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("The address must be an http or https URL with a host and without a user name.")]
    Form,
    #[error(
        "The address leads to a private, loopback, link-local or reserved network, which is not allowed."
    )]
    Private,
    #[error("The host has no address.")]
    Unknown,
}

/// Decides which network addresses users may have the server call: the public ones, and those the operator
/// allows by name.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<[IpNet]>,
    /// Public addresses are not permitted either.
    only_allowed: bool,
}

impl Guard {
    /// `allowed`: networks that are reachable although they are private.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed: allowed.into(), only_allowed: false }
    }

    /// One that permits nothing but the networks allowed by name, when there are any.
    pub fn only_allowed(&self) -> Option<Self> {
        let allowed = Arc::clone(&self.allowed);
        (!allowed.is_empty()).then_some(Self { allowed, only_allowed: true })
    }

    /// Whether a connection to this address may be made.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&address))
            || (!self.only_allowed && is_public(address))
    }

    /// Checks what can be told without looking a name up: the form, and an address written as a number. A name is
    /// checked whenever a connection is made.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_user {
            return Err(Refused::Form);
        }
        let address = match url.host() {
            None => return Err(Refused::Form),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
        };
        if self.permits(address) { Ok(()) } else { Err(Refused::Private) }
    }

    /// A client that resolves names and checks them at connect time; it follows no redirect and uses no proxy of the
    /// environment. Call [`Guard::check`] before each request: the resolver never sees an address written as a
    /// number.
    fn client(&self, timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
        let redirects = reqwest::redirect::Policy::none();
        builder(timeout).redirect(redirects).no_proxy().dns_resolver(Arc::new(self.clone())).build()
    }
}

/// The clients for addresses that users give. Without encryption only networks that the operator allows are called.
#[derive(Clone, Debug)]
pub struct Guarded {
    https: (Guard, reqwest::Client),
    http: Option<(Guard, reqwest::Client)>,
}

impl Guarded {
    /// `timeout` bounds a whole call.
    pub fn new(guard: &Guard, timeout: Duration) -> Result<Self, reqwest::Error> {
        let with_client = |guard: Guard| {
            let client = guard.client(timeout)?;
            Ok::<_, reqwest::Error>((guard, client))
        };
        Ok(Self {
            https: with_client(guard.clone())?,
            http: guard.only_allowed().map(with_client).transpose()?,
        })
    }

    /// The client for this address, which is checked as far as it can be without looking its name up. The client
    /// checks the rest; it follows no redirect.
    pub fn client(&self, url: &Url) -> Result<&reqwest::Client, Refused> {
        let (guard, client) = match url.scheme() {
            "https" => &self.https,
            "http" => self.http.as_ref().ok_or(Refused::Private)?,
            _ => return Err(Refused::Form),
        };
        guard.check(url)?;
        Ok(client)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let permitted: Vec<_> =
                found.iter().copied().filter(|address| guard.permits(address.ip())).collect();
            match (found.is_empty(), permitted.is_empty()) {
                (true, _) => Err(Refused::Unknown.into()),
                (false, true) => Err(Refused::Private.into()),
                (false, false) => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether an address is of the public internet (RFC 6890 and its successors).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Shared by carriers, protocol assignments, benchmarking.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Addresses that carry an IPv4 address inside go where that one goes.
    if segments[0] == 0x2002 {
        let [a, b] = segments[1].to_be_bytes();
        let [c, d] = segments[2].to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [a, b] = segments[6].to_be_bytes();
        let [c, d] = segments[7].to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only 2000::/3 is given out; of it not documentation, Teredo, ORCHID and benchmarking.
    (segments[0] & 0xe000) == 0x2000
        && !(segments[0] == 0x2001 && segments[1] == 0x0db8)
        && !(segments[0] == 0x2001 && segments[1] < 0x0200)
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> Option<Refused> {
        Guard::default().check(&Url::parse(url).unwrap()).err()
    }

    #[test]
    fn private_networks_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fc00::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a00:1]",
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "240.0.0.1",
            "[ff02::1]",
            "[fd00:ec2::254]",
        ] {
            assert_eq!(refused(&format!("http://{host}/")), Some(Refused::Private), "{host}");
        }
        for host in ["8.8.8.8", "[2606:4700::1111]", "example.com"] {
            assert_eq!(refused(&format!("https://{host}/")), None, "{host}");
        }
        assert_eq!(refused("ftp://example.com/"), Some(Refused::Form));
        assert_eq!(refused("https://user:secret@example.com/"), Some(Refused::Form));
    }

    #[test]
    fn the_operator_may_allow_a_network() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        assert!(guard.permits([127, 0, 0, 1].into()));
        assert!(guard.permits("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!guard.permits([10, 0, 0, 1].into()));
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
        let client = Guard::default().client(Duration::from_secs(5)).unwrap();
        let error = client.get("http://localhost:9/").send().await.unwrap_err();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        assert_eq!(cause.to_string(), Refused::Private.to_string());
    }
}
