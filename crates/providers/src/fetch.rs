//! Files at addresses that users give.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use percent_encoding::percent_decode_str;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tokio::time::Instant;
use url::Url;

use crate::http::{Guard, Guarded, Refused, body};

/// For a whole file. Whoever asked for it waits, and has a minute.
pub const TIMEOUT: Duration = Duration::from_secs(45);
/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Why there is no file. Nothing here tells what an address in a private network answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("Without https only networks that the operator allows are called.")]
    Plain,
    #[error("The address leads on through more than {REDIRECTS} redirects.")]
    Redirects,
    #[error("The address leads on to one that cannot be read.")]
    Nowhere,
    #[error("The server answered with status {0}.")]
    Status(u16),
    #[error("No connection to the server could be made.")]
    Unreachable,
    #[error("The server broke the connection without an answer.")]
    Broken,
    #[error("It took longer than {} seconds.", TIMEOUT.as_secs())]
    Slow,
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Slow;
        }
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        match cause.downcast_ref::<Refused>() {
            Some(refused) => Self::Refused(refused.clone()),
            None if error.is_connect() => Self::Unreachable,
            None => Self::Broken,
        }
    }
}

/// A file that begins to come.
pub struct Found {
    pub bytes: BoxStream<'static, Result<Bytes, String>>,
    pub mime_type: Option<String>,
    /// The last part of the address.
    pub filename: Option<String>,
}

/// Fetches files. Each redirect is checked as the first address is.
#[derive(Clone, Debug)]
pub struct Client(Guarded);

impl Client {
    pub fn new(guard: &Guard) -> Result<Self, reqwest::Error> {
        Ok(Self(Guarded::new(guard, TIMEOUT)?))
    }

    /// Asks for a file. Its bytes stop coming at `until`.
    pub async fn get(&self, url: &Url, until: Instant) -> Result<Found, Error> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.client(&url)?.get(url.clone()).timeout(left).send().await;
            let answer = answer.map_err(|error| plain(&url, error.into()))?;
            let status = answer.status();
            if let Some(next) = leads_to(&url, &answer) {
                url = next?;
            } else if status.is_success() {
                let mime_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let mime_type = mime_type.map(str::to_owned);
                return Ok(Found { bytes: body(answer), mime_type, filename: last_part(&url) });
            } else {
                return Err(Error::Status(status.as_u16()));
            }
        }
        Err(Error::Redirects)
    }

    fn client(&self, url: &Url) -> Result<&reqwest::Client, Error> {
        self.0.client(url).map_err(|refused| plain(url, refused.into()))
    }
}

/// What is refused for want of encryption is refused for that.
fn plain(url: &Url, error: Error) -> Error {
    match error {
        Error::Refused(Refused::Private) if url.scheme() == "http" => Error::Plain,
        other => other,
    }
}

fn leads_to(url: &Url, answer: &reqwest::Response) -> Option<Result<Url, Error>> {
    let is_redirect = matches!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let to = answer.headers().get(LOCATION).filter(|_| is_redirect)?;
    Some(to.to_str().ok().and_then(|to| url.join(to).ok()).ok_or(Error::Nowhere))
}

fn last_part(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    Some(percent_decode_str(last).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_refused_when_it_is_looked_up() {
        let until = Instant::now() + TIMEOUT;
        let get = async |guard: &Guard, url: &str| {
            let found = Client::new(guard).unwrap().get(&Url::parse(url).unwrap(), until).await;
            found.err().unwrap()
        };
        let open = Guard::default();
        assert_eq!(get(&open, "https://localhost:9/").await, Error::Refused(Refused::Private));
        assert_eq!(get(&open, "https://[::1]:9/").await, Error::Refused(Refused::Private));
        assert_eq!(get(&open, "http://example.com/").await, Error::Plain);
        let own = Guard::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(get(&own, "http://localhost:9/").await, Error::Plain);
        assert_eq!(get(&own, "http://8.8.8.8/").await, Error::Plain);
        assert_eq!(get(&own, "https://localhost:9/").await, Error::Refused(Refused::Private));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left_in_time() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/", silent.local_addr().unwrap())).unwrap();
        let client = Client::new(&Guard::new(vec!["127.0.0.0/8".parse().unwrap()])).unwrap();
        let found = client.get(&url, Instant::now() + Duration::from_millis(50)).await;
        assert_eq!(found.err(), Some(Error::Slow));
    }
}
