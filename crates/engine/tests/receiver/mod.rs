//! An app that takes webhooks, and answers as a test likes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A webhook that came.
#[derive(Clone, Debug)]
pub struct Hook {
    pub path: String,
    headers: HashMap<String, String>,
    raw: String,
}

impl Hook {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub fn body(&self) -> Json {
        serde_json::from_str(&self.raw).unwrap()
    }

    pub fn seq(&self) -> i64 {
        self.body()["seq"].as_i64().unwrap()
    }

    /// How many of its signatures this secret made.
    pub fn signed_by(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let content = format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.raw);
        let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&key, content.as_bytes()).as_ref()));
        self.header("webhook-signature").split(' ').filter(|signature| *signature == expected).count()
    }
}

/// Status line and headers; nothing: it never answers; `gone`: it breaks the connection off.
pub type Answer = &'static str;
pub const OK: Answer = "204 No Content\r\n";
pub const BROKEN: Answer = "500 Internal Server Error\r\n";
pub const SILENT: Answer = "";
pub const GONE: Answer = "gone";

#[derive(Clone)]
pub struct Receiver {
    address: String,
    hooks: Arc<Mutex<Vec<Hook>>>,
    /// By path; `*` for the others.
    answers: Arc<Mutex<HashMap<String, Answer>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap().to_string(),
            hooks: Arc::default(),
            answers: Arc::default(),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn hooks(&self, path: &str) -> Vec<Hook> {
        self.hooks.lock().unwrap().iter().filter(|hook| hook.path == path).cloned().collect()
    }

    pub fn seqs(&self, path: &str) -> Vec<i64> {
        self.hooks(path).iter().map(Hook::seq).collect()
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut read = Vec::new();
        let head = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            let mut part = [0; 4096];
            let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
            read.extend_from_slice(&part[..count]);
        };
        let text = String::from_utf8(read[..head].to_vec()).unwrap();
        let mut lines = text.lines();
        let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = read.split_off(head + 4);
        let had = body.len();
        body.resize(length, 0);
        stream.read_exact(&mut body[had..]).await.ok()?;
        let answer = {
            let answers = self.answers.lock().unwrap();
            let answer = answers.get(&path).or_else(|| answers.get("*")).copied().unwrap_or(OK);
            if answer != GONE {
                let raw = String::from_utf8(body).unwrap();
                self.hooks.lock().unwrap().push(Hook { path, headers, raw });
            }
            answer
        };
        match answer {
            GONE => None,
            SILENT => std::future::pending().await,
            answer => {
                let answer = format!("HTTP/1.1 {answer}content-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.ok()
            }
        }
    }
}
