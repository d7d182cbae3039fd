//! The API over real connections.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kabar_api::{ApiState, Limits};
use kabar_domain::Clock;
use kabar_engine::crypto::MasterKey;
use kabar_engine::{Config, Engine};
use kabar_store::{Options, Store};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "correct horse";

struct Server {
    address: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn message(&self) -> String {
        let body = self.json();
        assert_eq!(body["request_id"], self.headers["x-request-id"].as_str(), "{self:?}");
        body["message"].as_str().unwrap().to_owned()
    }
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("kabar.db").display());
        let store = Store::open(&Options { url, connections: 1 }).await.unwrap();
        let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        let nowhere = url::Url::parse("http://127.0.0.1:9").unwrap();
        let config = Config::new(std::env::temp_dir(), nowhere.clone(), nowhere.clone(), nowhere);
        let engine = Engine::new(store, Clock::system(), key, config).unwrap();
        engine.bootstrap(Some(EMAIL), Some(PASSWORD)).await.unwrap();
        let router = kabar_api::router(ApiState::new(Arc::new(engine)).with_limits(limits));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            stopped.await.unwrap_or_default();
        };
        let task = tokio::spawn(kabar_api::serve(listener, router, shutdown, limits));
        Self { address, stop: Some(stop), task, _folder: folder }
    }

    async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        read(&mut stream).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: String =
            headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let content = if method == "GET" {
            String::new()
        } else {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}{content}\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, "").await
    }

    async fn login(&self) -> String {
        let body = json!({"email": EMAIL, "password": PASSWORD}).to_string();
        let answer = self.send("POST", "/api/v1/auth/login", &[], &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"]["access_token"].as_str().unwrap().to_owned()
    }
}

/// Reads to the end of the connection.
async fn read(stream: &mut TcpStream) -> Answer {
    let mut raw = Vec::new();
    // A reset after the answer is an end like any other.
    let _ended = stream.read_to_end(&mut raw).await;
    let raw = String::from_utf8(raw).unwrap();
    let (head, text) = raw.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {raw:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Answer { status, headers, text: text.to_owned() }
}

fn organisation(slug: &str) -> String {
    json!({"name": "PT Dua", "slug": slug, "timezone": "Asia/Jakarta"}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_shape() {
    let server = Server::start(Limits::default()).await;
    let token = server.login().await;
    let key = ("X-API-Key", token.as_str());

    let answer = server.get("/api/v1/nothing", &[]).await;
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (404, "The route api/v1/nothing could not be found.")
    );
    let answer = server.send("DELETE", "/api/v1/organisations", &[], "").await;
    assert_eq!(answer.status, 405);
    assert_eq!(
        answer.message(),
        "The DELETE method is not supported for route api/v1/organisations. Supported methods: GET, POST."
    );
    assert!(answer.headers["allow"].contains("GET") && answer.headers["allow"].contains("POST"));
    let answer = server.get("/api/v1/auth/me", &[]).await;
    assert_eq!((answer.status, answer.message().as_str()), (401, "Unauthenticated."));
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    for id in ["no-ulid", "0", "%00", "%ff", "01HZK7P5R3Q6V0YH4XJ3M8CHN1", "01HZK7P5R3Q6V0YH4XJ3M8CHNU"] {
        let answer = server.get(&format!("/api/v1/organisations/{id}"), &[key]).await;
        assert_eq!(
            (answer.status, answer.message().as_str()),
            (404, "No query results for model [Organisation].")
        );
    }
    for (query, field) in
        [("page=x", "page"), ("per_page=101", "per_page"), ("limit=0", "limit"), ("cursor=x", "cursor")]
    {
        let answer = server.get(&format!("/api/v1/organisations?{query}"), &[key]).await;
        assert_eq!(answer.status, 422, "{query}");
        assert!(!answer.message().is_empty());
        assert!(answer.json()["errors"][field][0].is_string(), "{answer:?}");
    }
    assert_eq!(server.get("/api/v1/organisations?page=&unknown=1", &[key]).await.status, 200);
    let answer = server.send("POST", "/api/v1/organisations", &[key], "{").await;
    assert_eq!(answer.status, 400);
    answer.message();
    let answer = server.send("POST", "/api/v1/organisations", &[key], "{\"timezone\": 7}").await;
    assert_eq!((answer.status, answer.message().as_str()), (422, "The timezone field must be a string."));
    let answer = server.send("POST", "/api/v1/organisations", &[key], "").await;
    assert_eq!(answer.json()["errors"]["name"], json!(["The name field is required."]));
    let elsewhere = ("X-Organisation-Id", "elsewhere");
    assert_eq!(server.get("/api/v1/auth/me", &[key, elsewhere]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_have_ids() {
    let server = Server::start(Limits::default()).await;
    let answer = server.get("/healthz", &[("X-Request-Id", "a-1_B.2")]).await;
    assert_eq!((answer.status, answer.headers["x-request-id"].as_str()), (200, "a-1_B.2"));
    let long = "x".repeat(129);
    for odd in ["a b", "a\tb", "a;b", &long] {
        let answer = server.get("/healthz", &[("X-Request-Id", odd)]).await;
        assert_eq!(answer.headers["x-request-id"].len(), 32, "{odd}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_api_is_open_but_what_gives_tokens() {
    let server = Server::start(Limits::default()).await;
    let document = serde_json::to_value(kabar_api::openapi()).unwrap();
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let gives_tokens =
                operation["operationId"] == "login" || operation["operationId"] == "exchange_code_for_token";
            if !path.starts_with("/api/v1/") || gives_tokens {
                continue;
            }
            let path = path.replace("{id}", "01HZK7P5R3Q6V0YH4XJ3M8CHN1");
            let method = method.to_uppercase();
            for token in ["", "Bearer 1|x", "Bearer nonsense"] {
                let answer = server.send(&method, &path, &[("Authorization", token)], "{}").await;
                assert_eq!(answer.status, 401, "{method} {path}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_login_to_logout() {
    let server = Server::start(Limits::default()).await;
    let wrong = json!({"email": EMAIL, "password": "wrong"}).to_string();
    let answer = server.send("POST", "/api/v1/auth/login", &[], &wrong).await;
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (401, "These credentials do not match our records.")
    );
    let token = server.login().await;
    let bearer = format!("bearer {token}");
    let by_bearer = server.get("/api/v1/auth/me", &[("Authorization", bearer.as_str())]).await;
    let by_key = server.get("/api/v1/user/me", &[("X-API-Key", &token)]).await;
    assert_eq!(by_bearer.json()["data"]["user"], by_key.json()["data"]["user"]);
    assert_eq!(by_key.json()["data"]["organisations"][0]["role"], "owner");
    assert!(!by_key.text.contains(token.split_once('|').unwrap().1));
    let out = server.send("POST", "/api/v1/auth/logout", &[("X-API-Key", &token)], "").await;
    assert_eq!((out.status, out.text.as_str()), (204, ""));
    assert_eq!(server.get("/api/v1/auth/me", &[("X-API-Key", &token)]).await.status, 401);
    for _ in 0..5 {
        server.send("POST", "/api/v1/auth/login", &[], &wrong).await;
    }
    let closed = server.send("POST", "/api/v1/auth/login", &[], &wrong).await;
    assert_eq!((closed.status, closed.message().as_str()), (429, "Too Many Attempts."));
    let wait: u64 = closed.headers["retry-after"].parse().unwrap();
    assert!((1..=60).contains(&wait));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_repeated_under_one_key_is_done_once() {
    let server = Arc::new(Server::start(Limits::default()).await);
    let token = server.login().await;
    let create = async |key: &str, body: &str| {
        let headers = [("X-API-Key", token.as_str()), ("Idempotency-Key", key)];
        server.send("POST", "/api/v1/organisations", &headers, body).await
    };
    let first = create("k1", &organisation("one")).await;
    let again = create("k1", &organisation("one")).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(create("k1", &organisation("two")).await.status, 409);

    // A refusal is an answer too, in the words of the first and with an id of its own.
    let refused = create("k2", &organisation("one")).await;
    let again = create("k2", &organisation("one")).await;
    assert_eq!((refused.status, again.status), (422, 422));
    assert_eq!(refused.message(), again.message());
    assert_eq!(refused.json()["errors"], again.json()["errors"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");

    for key in ["", &"x".repeat(256)] {
        assert_eq!(create(key, &organisation("three")).await.status, 422);
    }

    let mut answers = Vec::new();
    for _ in 0..6 {
        let (server, token) = (Arc::clone(&server), token.clone());
        answers.push(tokio::spawn(async move {
            let headers = [("X-API-Key", token.as_str()), ("Idempotency-Key", "k3")];
            server.send("POST", "/api/v1/organisations", &headers, &organisation("four")).await
        }));
    }
    for answer in answers {
        let answer = answer.await.unwrap();
        assert!(matches!(answer.status, 201 | 409), "{answer:?}");
        assert!(answer.status == 201 || answer.headers.contains_key("retry-after"));
    }
    let list = server.get("/api/v1/organisations", &[("X-API-Key", &token)]).await;
    assert_eq!(list.json()["meta"], json!({"current_page": 1, "per_page": 25, "total": 3}));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_limits() {
    let limits = Limits {
        body: 1000,
        body_time: Duration::from_millis(300),
        head_time: Duration::from_millis(600),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let key = format!("X-API-Key: {}", server.login().await);
    let post = format!("POST /api/v1/organisations HTTP/1.1\r\nHost: x\r\n{key}\r\n");

    let body = format!("{{\"slug\": \"{}\"}}", "x".repeat(1000 - 12));
    assert_eq!(body.len(), 1000);
    let fits = format!("{post}Connection: close\r\nContent-Length: 1000\r\n\r\n{body}");
    assert_eq!(server.raw(fits.as_bytes()).await.status, 422);
    // Refused by its announcement; nothing of it needs to come.
    let answer = server.raw(format!("{post}Content-Length: 1001\r\n\r\n").as_bytes()).await;
    assert_eq!((answer.status, answer.message().as_str()), (413, "Payload Too Large"));
    let chunk = format!("3e9\r\n{}\r\n", "x".repeat(1001));
    let answer = server.raw(format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunk}").as_bytes()).await;
    assert_eq!((answer.status, answer.message().as_str()), (413, "Payload Too Large"));

    let begun = Instant::now();
    let answer = server.raw(format!("{post}Content-Length: 100\r\n\r\n{{").as_bytes()).await;
    assert_eq!(answer.status, 408);
    answer.message();
    // With a key the body is read before the handler.
    let keyed = format!("{post}Idempotency-Key: k\r\nContent-Length: 100\r\n\r\n{{");
    assert_eq!(server.raw(keyed.as_bytes()).await.status, 408);
    assert!(begun.elapsed() < Duration::from_secs(5));

    // A head that does not end.
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    // One that says nothing yet is left alone.
    let mut idle = TcpStream::connect(&server.address).await.unwrap();
    tokio::time::sleep(limits.head_time * 2).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut idle).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_the_connection_fit_for_the_next_request() {
    let server = Server::start(Limits::default()).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    for _ in 0..3 {
        let head = "POST /api/v1/organisations HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // The handler refuses before the body comes.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(&[b' '; 2000]).await.unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        assert!(answer.starts_with("http/1.1 401") && !answer.contains("connection: close"), "{answer}");
    }
    // One too large to wait for is refused for good.
    let head = "POST /api/v1/organisations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; 400_000]).await.unwrap();
    let answer = read(&mut stream).await;
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (401, "close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_requests_end_and_idle_clients_go() {
    let mut server = Server::start(Limits::default()).await;
    let mut idle = TcpStream::connect(&server.address).await.unwrap();
    let mut kept = TcpStream::connect(&server.address).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(kept.read(&mut [0; 1000]).await.unwrap() > 0);
    let body = json!({"email": EMAIL, "password": PASSWORD}).to_string();
    let (early, late) = body.split_at(10);
    let mut begun = TcpStream::connect(&server.address).await.unwrap();
    let head =
        format!("POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    begun.write_all(format!("{head}{early}").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    server.stop.take().unwrap().send(()).unwrap();
    let within = Duration::from_secs(5);
    assert_eq!(tokio::time::timeout(within, idle.read(&mut [0; 10])).await.unwrap().unwrap(), 0);
    assert_eq!(tokio::time::timeout(within, kept.read(&mut [0; 10])).await.unwrap().unwrap(), 0);
    assert!(TcpStream::connect(&server.address).await.is_err());
    assert!(!server.task.is_finished());
    begun.write_all(late.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(within, read(&mut begun)).await.unwrap();
    assert_eq!(answer.status, 200);
    tokio::time::timeout(within, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_and_its_page_come_with_the_program() {
    let server = Server::start(Limits::default()).await;
    let document = server.get("/openapi.json", &[]).await;
    assert_eq!(document.headers["content-type"], "application/json");
    assert_eq!(document.json(), serde_json::to_value(kabar_api::openapi()).unwrap());
    let answer = server.get("/docs", &[]).await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/docs/"));
    let page = server.get("/docs/", &[]).await;
    assert_eq!(page.status, 200);
    for part in page.text.split('"').filter(|part| part.starts_with("./")) {
        let path = format!("/docs/{}", part.trim_start_matches("./"));
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(server.raw(head.as_bytes()).await.status, 200, "{path}");
    }
    let missing = server.get("/docs/nothing.js", &[]).await;
    assert_eq!((missing.status, missing.message().as_str()), (404, "Not Found"));
}
