use std::time::Duration;

use kabar_domain::message::MessageKind;
use kabar_domain::outbound::Recipient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

const TOKEN: &str = "123456:AAH-s3cret_s3cret";
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does with the one call it takes.
enum Answer {
    Json(u16, Value),
    Raw(&'static str),
    Nothing,
}

/// Serves one call and gives its request line and body.
async fn serve(answer: Answer) -> (Client, JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let patience = if matches!(answer, Answer::Nothing) { Duration::from_millis(200) } else { PATIENCE };
    let client = client(&format!("http://{}/", listener.local_addr().unwrap()), patience);
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let call = read_call(&mut stream).await;
        let text = match answer {
            Answer::Json(status, body) => {
                let body = body.to_string();
                let length = body.len();
                format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                )
            }
            Answer::Raw(text) => text.to_owned(),
            Answer::Nothing => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                String::new()
            }
        };
        stream.write_all(text.as_bytes()).await.unwrap();
        call
    });
    (client, task)
}

async fn read_call(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.lines().next().unwrap().to_owned(), body);
        }
        assert!(read > 0, "the call ended early: {text}");
    }
}

fn client(base: &str, patience: Duration) -> Client {
    Client::new(crate::http::client(patience).unwrap(), Url::parse(base).unwrap())
}

fn message() -> OutboundMessage {
    OutboundMessage {
        callback_data: "01J".to_owned(),
        recipient: Recipient::Person(Identity::new(IdentityKind::Telegram, "777001")),
        kind: MessageKind::Text,
        body: Some("Halo".to_owned()),
        media: None,
        payload: json!({}),
        reply_to: None,
    }
}

#[tokio::test]
async fn a_message_is_sent() {
    let sent = json!({ "ok": true, "result": { "message_id": 43, "chat": { "id": 777_001, "type": "private" }, "text": "Halo" } });
    let (client, call) = serve(Answer::Json(200, sent)).await;
    let accepted = client.send(TOKEN, &message()).await.unwrap();
    assert_eq!(accepted.provider_message_id, "777001:43");
    assert_eq!(accepted.recipient, Some(Identity::new(IdentityKind::Telegram, "777001")));
    let (line, body) = call.await.unwrap();
    assert_eq!(line, format!("POST /bot{TOKEN}/sendMessage HTTP/1.1"));
    assert_eq!(body, json!({ "chat_id": 777_001, "text": "Halo" }));
}

#[tokio::test]
async fn a_message_telegram_cannot_carry_makes_no_call() {
    let client = client("http://127.0.0.1:1/", PATIENCE);
    let message = OutboundMessage { kind: MessageKind::Template, ..message() };
    assert_eq!(client.send(TOKEN, &message).await.unwrap_err().verdict, Verdict::Fail);
}

#[tokio::test]
async fn failures_never_show_the_token() {
    let refusal = |status: u16, description: String| {
        Answer::Json(status, json!({ "ok": false, "error_code": status, "description": description }))
    };
    let page = "HTTP/1.1 404 X\r\ncontent-length: 47\r\n\r\n/bot123456:AAH-s3cret_s3cret/sendMessage missing";
    let redirect = "HTTP/1.1 302 X\r\nlocation: /bot123456:AAH-s3cret_s3cret/x\r\ncontent-length: 0\r\n\r\n";
    let cases = [
        (refusal(401, "Unauthorized".to_owned()), Verdict::PauseAccount),
        (refusal(400, format!("no such path /bot{TOKEN}/sendMessage")), Verdict::Fail),
        (Answer::Raw(page), Verdict::PauseAccount),
        (Answer::Raw(redirect), Verdict::Retry { after: None }),
        (Answer::Raw("HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n"), Verdict::Uncertain),
        (Answer::Raw("HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{\"ok\":true"), Verdict::Uncertain),
        (Answer::Raw("HTTP/1.1 200 X\r\ncontent-length: 1\r\n\r\n{"), Verdict::Uncertain),
        (Answer::Json(200, json!({ "ok": true, "result": {} })), Verdict::Uncertain),
        (Answer::Raw("nonsense\r\n\r\n"), Verdict::Uncertain),
        (Answer::Raw(""), Verdict::Uncertain),
        (Answer::Nothing, Verdict::Uncertain),
    ];
    for (answer, verdict) in cases {
        let (client, _call) = serve(answer).await;
        let failure = client.send(TOKEN, &message()).await.unwrap_err();
        assert_eq!(failure.verdict, verdict, "{failure:?}");
        assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
    }
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for base in [format!("http://{address}"), "data:x".to_owned()] {
        let failure = client(&base, PATIENCE).send(TOKEN, &message()).await.unwrap_err();
        assert!(matches!(failure.verdict, Verdict::Hold { .. } | Verdict::PauseAccount), "{failure:?}");
        assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
    }
}

#[tokio::test]
async fn the_bot_behind_a_token() {
    let me = json!({ "ok": true, "result": { "id": 123_456, "is_bot": true, "first_name": "Toko", "username": "toko_bot",
        "can_read_all_group_messages": true, "supports_inline_queries": false } });
    let (client, call) = serve(Answer::Json(200, me)).await;
    let expected = BotInfo {
        id: 123_456,
        username: Some("toko_bot".to_owned()),
        first_name: "Toko".to_owned(),
        can_read_all_group_messages: true,
    };
    assert_eq!(client.me(TOKEN).await.unwrap(), expected);
    assert_eq!(call.await.unwrap().0, format!("POST /bot{TOKEN}/getMe HTTP/1.1"));
}

#[tokio::test]
async fn a_webhook_is_set_for_every_kind_of_update() {
    let done = json!({ "ok": true, "result": true, "description": "Webhook is already set" });
    let (client, call) = serve(Answer::Json(200, done)).await;
    client.set_webhook(TOKEN, "https://kabar.example/hooks/t/1", "abc_-9").await.unwrap();
    let (line, body) = call.await.unwrap();
    assert_eq!(line, format!("POST /bot{TOKEN}/setWebhook HTTP/1.1"));
    assert_eq!(body["url"], "https://kabar.example/hooks/t/1");
    assert_eq!((&body["secret_token"], &body["max_connections"]), (&json!("abc_-9"), &json!(100)));
    for kind in ["message", "chat_member", "message_reaction", "message_reaction_count", "callback_query"] {
        assert!(body["allowed_updates"].as_array().unwrap().contains(&json!(kind)), "{kind}");
    }
    for secret in ["", "with space", "ü", &"a".repeat(257)] {
        let failure = client.set_webhook(TOKEN, "https://kabar.example/", secret).await.unwrap_err();
        assert_eq!(failure.verdict, Verdict::Fail);
    }
}

#[tokio::test]
async fn a_webhooks_state_and_end() {
    let info = json!({ "ok": true, "result": { "url": "https://kabar.example/h", "has_custom_certificate": false,
        "pending_update_count": 3, "last_error_date": 1_763_990_000, "last_error_message": "Wrong response from the webhook: 500" } });
    let (client, _call) = serve(Answer::Json(200, info)).await;
    let info = client.webhook_info(TOKEN).await.unwrap();
    assert_eq!(
        (info.pending_update_count, info.last_error_at()),
        (3, Some(Timestamp::from_unix(1_763_990_000)))
    );

    let (client, call) = serve(Answer::Json(200, json!({ "ok": true, "result": true }))).await;
    client.delete_webhook(TOKEN).await.unwrap();
    assert_eq!(call.await.unwrap().0, format!("POST /bot{TOKEN}/deleteWebhook HTTP/1.1"));
}

#[test]
fn a_base_address_may_have_a_path() {
    for (base, path) in [
        ("https://api.telegram.org", "/bot1:a/getMe"),
        ("https://example.com/telegram/", "/telegram/bot1:a/getMe"),
        ("https://example.com/telegram", "/telegram/bot1:a/getMe"),
    ] {
        assert_eq!(client(base, PATIENCE).address("1:a", "getMe").unwrap().path(), path);
    }
    assert_eq!(
        client("https://example.com", PATIENCE).address("1:a/../b", "getMe").unwrap().path(),
        "/bot1:a%2F..%2Fb/getMe"
    );
}
