use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

fn here() -> Url {
    Url::parse("https://kabar.example.com/").unwrap()
}

fn client(url: &str, from: Option<&str>) -> Result<Client, String> {
    Client::new(url, from, &here())
}

const EMAIL: Email<'static> = Email {
    id: "01JX",
    to: "ani@example.com",
    subject: "Pompa mati · المضخة",
    text: "Halo Ani,\n.\npompa 3 mati — المضخة\n",
    at: Timestamp::from_micros(1_700_000_000_000_000),
};

/// A server that gives these answers, one for each line it reads but those of the message, and hangs up after the
/// last; what it read.
async fn against(answers: &'static [&'static str]) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut seen = String::new();
        let mut in_message = false;
        for (at, answer) in answers.iter().enumerate() {
            if at > 0 {
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap() == 0 {
                        return seen;
                    }
                    seen.push_str(&line);
                    if !in_message || line == ".\r\n" {
                        break;
                    }
                }
            }
            if answer.is_empty() {
                return seen;
            }
            in_message = answer.starts_with("354");
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        }
        seen
    });
    (client(&url, Some("Acme <ops@acme.example>")).unwrap(), seen)
}

async fn failing(answers: &'static [&'static str]) -> SendFailure {
    against(answers).await.0.send(&EMAIL).await.unwrap_err()
}

#[tokio::test]
async fn a_mail_is_handed_over_once_and_named_after_the_leg() {
    let (client, seen) =
        against(&["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "250 taken", "221 bye"]).await;
    assert_eq!(client.send(&EMAIL).await.unwrap(), "<01JX@acme.example>");
    let seen = seen.await.unwrap();
    for part in [
        "EHLO kabar.example.com\r\n",
        "MAIL FROM:<ops@acme.example>\r\nRCPT TO:<ani@example.com>\r\nDATA\r\n",
        "\r\nMessage-ID: <01JX@acme.example>\r\n",
        "\r\nAuto-Submitted: auto-generated\r\n",
        "\r\nMIME-Version: 1.0\r\n",
        "\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(seen.is_ascii(), "{seen}");
    assert_eq!(seen.matches("DATA\r\n").count(), 1);
}

#[tokio::test]
async fn a_server_without_a_name_sends_too() {
    let (named, seen) =
        against(&["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "250 taken", "221 bye"]).await;
    let here = Url::parse("http://127.0.0.1:8080").unwrap();
    let client = Client::new(&format!("smtp://127.0.0.1:{}", named.port), None, &here).unwrap();
    assert_eq!(client.send(&EMAIL).await.unwrap(), "<01JX@localhost>");
    assert!(seen.await.unwrap().contains("MAIL FROM:<kabar@localhost>\r\n"));
}

#[tokio::test]
async fn only_what_the_server_may_have_is_uncertain() {
    let retry = Verdict::Retry { after: None };
    for (answers, verdict, code) in [
        (&[""][..], retry, 0),
        (&["554 go away"][..], retry, 554),
        (&["220 hi", "250 hi", ""][..], retry, 0),
        (&["220 hi", "250 hi", "530 who are you"][..], retry, 530),
        (&["220 hi", "250 hi", "250 ok", "450 later"][..], retry, 450),
        (&["220 hi", "250 hi", "250 ok", "550 no such user"][..], Verdict::Fail, 550),
        (&["220 hi", "250 hi", "250 ok", "250 ok", ""][..], retry, 0),
        (&["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "452 full"][..], retry, 452),
        (&["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "554 spam"][..], Verdict::Fail, 554),
        (&["220 hi", "250 hi", "250 ok", "250 ok", "354 go", ""][..], Verdict::Uncertain, 0),
    ] {
        let failure = failing(answers).await;
        assert_eq!((failure.verdict, failure.error.code), (verdict, code), "{answers:?}: {failure:?}");
        assert!(failure.error.action.is_some_and(|action| action.ends_with('.')));
    }
    let failure = failing(&["220 hi", "250 hi", "250 ok", "550 5.1.1 no such user"]).await;
    assert_eq!(failure.error.detail.as_deref(), Some("5.1.1 no such user."));
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let failure = client("smtp://127.0.0.1:9", None).unwrap().send(&EMAIL).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Retry { after: None });
}

#[test]
fn a_header_cannot_be_added() {
    let client = client("smtp://mail.example.com", None).unwrap();
    let email = Email { subject: "a\r\nBcc: eve@example.com\r\n\r\nx", ..EMAIL };
    let written = String::from_utf8(client.compose(&email, "<1@a>".into()).unwrap().formatted()).unwrap();
    assert!(!written.contains("\nBcc"), "{written}");
    for wrong in [
        "a@b.c\r\nBcc: e@x.y",
        "a@b.c>, <e@x.y",
        "a b@c.de",
        "a@b@c.de",
        "@b.c",
        "a@",
        "a",
        "a@b c.de",
        "a@[10.0.0.1]",
    ] {
        assert_eq!(address(wrong), None, "{wrong}");
    }
    assert_eq!(address(" ani@مثال.com ").as_deref(), Some("ani@xn--mgbh0fb.com"));
    assert_eq!(address("a.b+c@sub.example.co.id").as_deref(), Some("a.b+c@sub.example.co.id"));
}

#[test]
fn the_server_is_named_by_a_url() {
    let built = client("smtps://ops%40acme.com:p%2Bw+d@mail.acme.com", None).unwrap();
    assert_eq!((built.port, built.encryption), (465, Encryption::Always));
    assert_eq!(built.from.email.to_string(), "ops@acme.com");
    assert_eq!(built.credentials, Some(Credentials::new("ops@acme.com".into(), "p+w+d".into())));
    let built = client("smtp://mail.acme.com?tls=required", None).unwrap();
    assert_eq!((built.port, built.encryption), (587, Encryption::Required));
    assert_eq!(built.from.email.to_string(), "kabar@kabar.example.com");
    let built =
        client("smtp://u:p@10.0.0.1:2525/mx.acme.com?tls=opportunistic", Some("Acme <a@b.co>")).unwrap();
    assert_eq!((built.port, built.encryption), (2525, Encryption::IfOffered));
    assert_eq!(built.hello, ClientId::Domain("mx.acme.com".into()));
    let local = Url::parse("http://127.0.0.1:8080").unwrap();
    assert_eq!(
        Client::new("smtp://localhost", None, &local).unwrap().from.email.to_string(),
        "kabar@localhost"
    );
    for wrong in ["mail.acme.com", "https://mail.acme.com", "smtp://", "smtp://a?tls=maybe"] {
        assert!(client(wrong, None).is_err(), "{wrong}");
    }
    assert!(client("smtp://a", Some("nobody")).is_err());
    assert!(client("smtp://a", Some("Acme <ops@[10.0.0.1]>")).is_err());
}
