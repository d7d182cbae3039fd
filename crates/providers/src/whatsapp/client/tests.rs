use kabar_domain::message::MessageKind;
use kabar_domain::outbound::Recipient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const TOKEN: &str = "EAAJBtoken-of-a-test";

/// What the peer does with the one request it gets.
enum Peer {
    Answer(u16, &'static str, String),
    /// Reads the request and hangs up.
    HangUp,
    /// Reads the request and says nothing.
    Silence,
    /// Promises a body and hangs up within it.
    Half,
}

/// A client to a peer, and the request the peer will have seen.
async fn against(peer: Peer) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                });
                body.len() >= length.unwrap_or(0)
            });
            if whole || read == 0 {
                break;
            }
        }
        match peer {
            Peer::Answer(status, headers, body) => {
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Peer::HangUp => {}
            Peer::Silence => tokio::time::sleep(Duration::from_secs(30)).await,
            Peer::Half => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{").await.unwrap(),
        }
        String::from_utf8(request).unwrap()
    });
    (Client::new(crate::http::client(Duration::from_millis(400)).unwrap(), base), seen)
}

fn message() -> OutboundMessage {
    OutboundMessage {
        callback_data: "01JX".to_owned(),
        recipient: Recipient::Person(Identity::new(IdentityKind::WaId, "16505551234")),
        kind: MessageKind::Text,
        body: Some("hi".to_owned()),
        media: None,
        payload: serde_json::json!({}),
        reply_to: None,
    }
}

async fn send(peer: Peer) -> Result<Accepted, SendFailure> {
    against(peer).await.0.send("106", TOKEN, &message()).await
}

fn answer(status: u16, body: &str) -> Peer {
    Peer::Answer(status, "", body.to_owned())
}

#[tokio::test]
async fn a_message_is_posted_and_its_id_taken() {
    let ok = r#"{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],
        "messages":[{"id":"wamid.X","message_status":"accepted"}]}"#;
    let (client, seen) = against(answer(200, ok)).await;
    let accepted = client.send("106", TOKEN, &message()).await.unwrap();
    assert_eq!(accepted.provider_message_id, "wamid.X");
    assert_eq!(accepted.recipient, Some(Identity::new(IdentityKind::WaId, "16505551234")));
    let request = seen.await.unwrap();
    assert!(request.starts_with("POST /v24.0/106/messages HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {TOKEN}\r\n")));
    assert!(request.contains(r#""to":"+16505551234""#));
    let by_id = r#"{"contacts":[{"input":"US.1","user_id":"US.1"}],"messages":[{"id":"wamid.Y"}]}"#;
    let accepted = send(answer(200, by_id)).await.unwrap();
    assert_eq!(accepted.recipient, Some(Identity::new(IdentityKind::Bsuid, "US.1")));
}

#[tokio::test]
async fn a_number_that_is_not_there_stops_the_account() {
    let gone = r#"{"error":{"message":"Unsupported post request. Object with ID '106' does not exist, cannot be loaded due to missing permissions, or does not support this operation.","type":"GraphMethodException","code":100,"error_subcode":33}}"#;
    let failure = send(answer(400, gone)).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::PauseAccount);
    assert!(failure.error.action.unwrap().contains("phone number id"));
    let wrong = r#"{"error":{"message":"(#100) Invalid parameter","type":"OAuthException","code":100}}"#;
    assert_eq!(send(answer(400, wrong)).await.unwrap_err().verdict, Verdict::Fail);
}

#[tokio::test]
async fn a_lost_answer_is_uncertain() {
    for peer in [
        Peer::HangUp,
        Peer::Silence,
        Peer::Half,
        answer(200, "{}"),
        answer(200, r#"{"messages":[]}"#),
        answer(200, "OK"),
        answer(502, "<html>"),
    ] {
        let failure = send(peer).await.unwrap_err();
        assert_eq!(failure.verdict, Verdict::Uncertain, "{failure:?}");
        assert!(failure.error.action.is_some());
        assert!(!format!("{failure:?}").contains("127.0.0.1"), "{failure:?}");
    }
}

#[tokio::test]
async fn what_was_never_sent_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let client = Client::new(crate::http::client(Duration::from_secs(2)).unwrap(), base);
    let failure = client.send("106", TOKEN, &message()).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Hold { after: None });
    let failure = client.send("106", "line\nbreak", &message()).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::PauseAccount);
    let failure = client.send("106", TOKEN, &OutboundMessage { body: None, ..message() }).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Fail);
}

#[tokio::test]
async fn a_refusal_is_classified_and_the_token_kept_out() {
    let error = format!(r#"{{"error":{{"code":190,"message":"Malformed access token {TOKEN}"}}}}"#);
    let failure = send(answer(401, &error)).await.unwrap_err();
    assert_eq!((failure.verdict, failure.error.code), (Verdict::PauseAccount, 190));
    assert!(!format!("{failure:?}").contains(TOKEN));
    let busy = r#"{"error":{"code":80007,"message":"(#80007) Too many calls"}}"#;
    let usage = "x-business-use-case-usage: {\"1\":[{\"estimated_time_to_regain_access\":3}]}\r\n";
    let failure = send(Peer::Answer(400, usage, busy.to_owned())).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Hold { after: Some(Duration::from_mins(3)) });
    let failure = send(Peer::Answer(429, "retry-after: 7\r\n", String::new())).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Hold { after: Some(Duration::from_secs(7)) });
}

#[tokio::test]
async fn a_number_is_asked_about() {
    let info = r#"{"display_phone_number":"+1 555-078-3881","verified_name":"Lucky Shrub","quality_rating":"GREEN",
        "status":"CONNECTED","throughput":{"level":"STANDARD"},
        "whatsapp_business_manager_messaging_limit":"TIER_2K","id":"106"}"#;
    let (client, seen) = against(answer(200, info)).await;
    let number = client.number("106", TOKEN).await.unwrap();
    assert_eq!(number.display_phone_number.as_deref(), Some("+1 555-078-3881"));
    assert_eq!(number.throughput_level.as_deref(), Some("STANDARD"));
    assert_eq!(number.messaging_limit.as_deref(), Some("TIER_2K"));
    let request = seen.await.unwrap();
    assert!(request.starts_with("GET /v24.0/106?fields=display_phone_number"), "{request}");
    assert!(!request.lines().next().unwrap().contains(TOKEN));
}

#[tokio::test]
async fn an_account_is_subscribed_and_may_be_again() {
    let (client, seen) = against(answer(200, r#"{"success":true}"#)).await;
    client.subscribe("../10 2", TOKEN).await.unwrap();
    let request = seen.await.unwrap();
    assert!(request.starts_with("POST /v24.0/..%2F10%202/subscribed_apps "), "{request}");
    let (client, _) = against(Peer::HangUp).await;
    let failure = client.subscribe("102", TOKEN).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Retry { after: None });
}
