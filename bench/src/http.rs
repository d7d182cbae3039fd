//! A small HTTP/1.1 keep-alive client: the load generator shares the machine with the server it measures, so it does
//! no more than write prepared bytes and find the end of the answer.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// Longer than any answer should take; past it the request counts as lost.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A connection left alone for longer is not used again.
const IDLE: Duration = Duration::from_secs(5);

pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    body_start: usize,
}

/// Of an answer, what the caller acts on. The body stays in the connection until the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The server will take no further request on this connection.
    pub closes: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    answer: Answer,
    length: usize,
    body: BodyLength,
}

#[derive(Debug, PartialEq, Eq)]
enum BodyLength {
    Fixed(usize),
    Chunked,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024), body_start: 0 })
    }

    pub async fn send(&mut self, request: &[u8]) -> io::Result<Answer> {
        tokio::time::timeout(TIMEOUT, self.exchange(request))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    pub fn body(&self) -> &[u8] {
        &self.received[self.body_start..]
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.write(request).await?;
        self.answer().await
    }

    /// Writes a part of a request that is too large to be held.
    pub async fn write(&mut self, part: &[u8]) -> io::Result<()> {
        self.stream.write_all(part).await
    }

    /// The answer to what was written.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head().await?;
        match head.body {
            BodyLength::Fixed(length) => {
                while self.received.len() < head.length + length {
                    self.receive().await?;
                }
            }
            BodyLength::Chunked => loop {
                if let Some(whole) = join_chunks(&self.received[head.length..])? {
                    self.received.truncate(head.length);
                    self.received.extend_from_slice(&whole);
                    break;
                }
                self.receive().await?;
            },
        }
        Ok(head.answer)
    }

    async fn head(&mut self) -> io::Result<Head> {
        self.received.clear();
        loop {
            self.receive().await?;
            if let Some(head) = parse_head(&self.received)? {
                self.body_start = head.length;
                return Ok(head);
            }
        }
    }

    /// Hands the body of the answer to what was written to `take` as it comes. Its length must be in the head.
    pub async fn stream(&mut self, mut take: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<Answer> {
        let head = self.head().await?;
        let BodyLength::Fixed(mut left) = head.body else {
            return Err(bad("the length of the body is not known beforehand").into());
        };
        loop {
            take(self.body())?;
            left = left.checked_sub(self.body().len()).ok_or_else(|| bad("more body than announced"))?;
            if left == 0 {
                return Ok(head.answer);
            }
            self.received.clear();
            self.body_start = 0;
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        self.received.reserve(8 * 1024);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP/1.1 answer: {what}"))
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("headers are no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad("no status line"))?;
    let mut answer = Answer { status, closes: false };
    let mut body = BodyLength::Fixed(0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body = BodyLength::Fixed(value.parse().map_err(|_| bad("content-length"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            body = BodyLength::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            answer.closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(Head { answer, length: end + 4, body }))
}

/// The joined chunks, or none while the last has not come.
fn join_chunks(mut bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut whole = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[..end])
            .ok()
            .and_then(|line| line.split(';').next())
            .and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
            .ok_or_else(|| bad("chunk size"))?;
        let rest = &bytes[end + 2..];
        if rest.len() < size + 2 {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(whole));
        }
        whole.extend_from_slice(&rest[..size]);
        bytes = &rest[size + 2..];
    }
}

/// A client of Kabar's API: one connection, opened again when the server closes it.
pub struct Api {
    address: SocketAddr,
    token: Option<String>,
    connection: Option<Connection>,
    used: Option<Instant>,
}

impl Api {
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token, connection: None, used: None }
    }

    /// Another client with the same token and a connection of its own.
    pub fn another(&self) -> Self {
        Self::new(self.address, self.token.clone())
    }

    pub fn set_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// The bytes of a request, for callers that time only its way.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let content = body.map(Value::to_string).unwrap_or_default();
        let mut request = self.request_head(method, path, "application/json", content.len() as u64);
        request.push_str(&content);
        request.into_bytes()
    }

    /// A request up to its body of `length` bytes.
    pub fn request_head(&self, method: &str, path: &str, content_type: &str, length: u64) -> String {
        let authorization =
            self.token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n{authorization}\
             Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n",
            self.address
        )
    }

    /// Sends prepared bytes and returns the status; the body is at `body`.
    pub async fn send(&mut self, request: &[u8]) -> Outcome<u16> {
        // The server closes what is idle for long; nobody can tell until the next request is lost.
        let fresh = self.used.is_some_and(|used| used.elapsed() < IDLE);
        let mut connection = match self.connection.take() {
            Some(connection) if fresh => connection,
            _ => Connection::open(self.address).await?,
        };
        let answer = connection.send(request).await?;
        self.used = Some(Instant::now());
        if answer.closes {
            let body = connection.body().to_vec();
            connection = Connection::open(self.address).await?;
            connection.received = body;
            connection.body_start = 0;
        }
        self.connection = Some(connection);
        Ok(answer.status)
    }

    pub fn body(&self) -> &[u8] {
        self.connection.as_ref().map_or(&[], Connection::body)
    }

    pub async fn get(&mut self, path: &str) -> Outcome<Value> {
        self.json("GET", path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        self.json("POST", path, Some(body)).await
    }

    async fn json(&mut self, method: &str, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let status = self.send(&self.request(method, path, body)).await?;
        if !(200..300).contains(&status) {
            let body = String::from_utf8_lossy(self.body());
            let excerpt: String = body.chars().take(300).collect();
            return Err(format!("{method} {path} answered {status}: {excerpt}").into());
        }
        Ok(serde_json::from_slice(self.body())?)
    }

    pub async fn text(&mut self, path: &str) -> Outcome<String> {
        let status = self.send(&self.request("GET", path, None)).await?;
        if status != 200 {
            return Err(format!("GET {path} answered {status}").into());
        }
        Ok(String::from_utf8_lossy(self.body()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_complete_only_with_its_blank_line() {
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        let head =
            parse_head(b"HTTP/1.1 503 Busy\r\ncontent-LENGTH: 4\r\nConnection: close\r\n\r\nbusy").unwrap();
        let head = head.unwrap();
        assert_eq!(head.answer, Answer { status: 503, closes: true });
        assert_eq!((head.length, head.body), (59, BodyLength::Fixed(4)));
        assert!(parse_head(b"SMTP\r\n\r\n").is_err());
    }

    #[test]
    fn chunks_are_joined_once_the_last_has_come() {
        assert_eq!(join_chunks(b"4\r\nkaba\r\n1\r\nr\r\n").unwrap(), None);
        assert_eq!(join_chunks(b"4\r\nkaba\r\n1\r\nr\r\n0\r\n\r\n").unwrap().unwrap(), b"kabar");
        assert!(join_chunks(b"zz\r\n").is_err());
    }
}
