//! E-mail, handed to the operator's mail server over SMTP (RFC 5321).
//!
//! The conversation is led step by step, because only the step tells what a broken connection means: before the
//! message's last line the server has nothing; after it, it may have the message.

use std::time::{Duration, SystemTime};

use kabar_domain::Timestamp;
use kabar_domain::message::ProviderError;
use kabar_domain::outbound::{SendFailure, Verdict};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::{Address, address::Envelope};
use url::{Host, Url};

/// Longest time from connecting to the server's being ready for the message.
const HANDSHAKE: Duration = Duration::from_mins(1);
/// Longest wait for the server's word on a message. Some look for viruses meanwhile.
const ANSWER: Duration = Duration::from_mins(2);
/// Longest wait for a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// When the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Never,
    /// By STARTTLS, when the server offers it.
    IfOffered,
    /// By STARTTLS, or not sent at all.
    Required,
    /// From the first byte.
    Always,
}

/// One mail server and the address mail goes out from.
#[derive(Clone, Debug)]
pub struct Client {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    /// What we call ourselves.
    hello: ClientId,
    from: Mailbox,
}

/// One e-mail to one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Email<'a> {
    /// Names the mail in its `Message-ID`; ASCII letters and digits.
    pub id: &'a str,
    /// As [`address`] gives it.
    pub to: &'a str,
    /// A single line.
    pub subject: &'a str,
    pub text: &'a str,
    pub at: Timestamp,
}

/// The address in the form it is stored in and sent to; `None` when it is none, or its host is an address of the
/// network (`[10.0.0.1]`): envelopes cannot be made of those. A host beyond ASCII takes its ASCII form.
pub fn address(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > 254 || text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return None;
    }
    let (local, host) = text.rsplit_once('@').filter(|(_, host)| !host.starts_with('['))?;
    let host = if host.is_ascii() { host.to_owned() } else { Host::parse(host).ok()?.to_string() };
    Address::new(local, host).ok().map(|address| address.to_string())
}

fn decoded(text: &str) -> String {
    // What is percent-encoded in a URL is what a form would write, but for the plus sign.
    let query = format!("_={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

impl Client {
    /// `url`: `smtps://user:password@host:port` is encrypted from the start, `smtp://…?tls=required` by STARTTLS,
    /// `?tls=opportunistic` when the server offers it, and `smtp://…` not at all. `from`: `Acme <ops@acme.com>`;
    /// else the user, when that is an address; else `kabar` at our own host, `here`, or at
    /// `localhost` where that has no name.
    pub fn new(url: &str, from: Option<&str>, here: &Url) -> Result<Self, String> {
        let form = "`smtp_url` must be an SMTP address, as smtps://user:password@mail.example.com";
        let url = Url::parse(url).map_err(|_| form.to_owned())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(form)?.to_owned();
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (encryption, port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None | Some("required")) => (Encryption::Always, 465),
            ("smtp", Some("required")) => (Encryption::Required, 587),
            ("smtp", Some("opportunistic")) => (Encryption::IfOffered, 587),
            ("smtp", None | Some("none")) => (Encryption::Never, 25),
            ("smtp" | "smtps", Some(_)) => {
                return Err("`tls` in `smtp_url` must be required or opportunistic".into());
            }
            _ => return Err(form.into()),
        };
        let user = decoded(url.username());
        let credentials = url.password().map(|password| Credentials::new(user.clone(), decoded(password)));
        let named = url.path().trim_matches('/');
        let hello = match here.host() {
            _ if !named.is_empty() => ClientId::Domain(named.to_owned()),
            Some(Host::Domain(name)) => ClientId::Domain(name.to_owned()),
            Some(Host::Ipv4(address)) => ClientId::Ipv4(address),
            Some(Host::Ipv6(address)) => ClientId::Ipv6(address),
            None => ClientId::default(),
        };
        let from = if let Some(text) = from {
            let mailbox = text.parse::<Mailbox>().ok();
            mailbox.filter(|mailbox| address(mailbox.email.as_ref()).is_some()).ok_or_else(|| {
                format!("`smtp_from` must be an address, as Acme <ops@example.com>; it is `{text}`")
            })?
        } else {
            let host = match here.host() {
                Some(Host::Domain(name)) => name,
                _ => "localhost",
            };
            let own = address(&user).unwrap_or_else(|| format!("kabar@{host}"));
            Mailbox::new(None, own.parse().map_err(|_| "`smtp_from`, the sender's address, is needed")?)
        };
        let port = url.port().unwrap_or(port);
        Ok(Self { host, port, encryption, credentials, hello, from })
    }

    /// Hands over one e-mail; its `Message-ID`. Whatever fails before the server has the whole message is certainly
    /// not sent; a lost answer is [`Verdict::Uncertain`].
    pub async fn send(&self, email: &Email<'_>) -> Result<String, SendFailure> {
        let message_id = format!("<{}@{}>", email.id, self.from.email.domain());
        let message = self.compose(email, message_id.clone()).map_err(|detail| {
            let action = "Correct the address or the text and send it again.";
            failure(0, "The e-mail cannot be written", detail, action, Verdict::Fail)
        })?;
        let bytes = message.formatted();
        // The end of the last line is part of the end of data.
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
        let opening = self.open(message.envelope(), bytes.is_ascii());
        let mut connection = tokio::time::timeout(HANDSHAKE, opening)
            .await
            .unwrap_or_else(|_| Err(unreachable("It did not answer in time.".to_owned())))?;
        let answer = tokio::time::timeout(ANSWER, connection.message(bytes)).await;
        let result = match answer {
            Ok(Ok(_)) => Ok(message_id),
            Ok(Err(error)) if error.status().is_some() => Err(refused(&error)),
            Ok(Err(error)) => Err(lost(format!("The connection broke: {}.", told(&error)))),
            Err(_) => Err(lost("The time for an answer ran out.".to_owned())),
        };
        if result.is_ok() {
            // The server has the message whether or not it says goodbye.
            tokio::time::timeout(GOODBYE, connection.quit()).await.ok();
        }
        result
    }

    fn compose(&self, email: &Email<'_>, message_id: String) -> Result<Message, String> {
        let to: Address = email.to.parse().map_err(|_| "The recipient's address is malformed.".to_owned())?;
        let at = Duration::from_micros(u64::try_from(email.at.as_micros()).unwrap_or_default());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(email.subject)
            .message_id(Some(message_id))
            .date(SystemTime::UNIX_EPOCH + at)
            // Holiday replies do not come (RFC 3834).
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(email.text.to_owned()))
            .map_err(|error| format!("{error}."))
    }

    /// Everything up to the server's waiting for the message.
    async fn open(&self, envelope: &Envelope, is_ascii: bool) -> Result<AsyncSmtpConnection, SendFailure> {
        let tls = || TlsParameters::new(self.host.clone()).map_err(|error| unready(&error));
        let wrapped = (self.encryption == Encryption::Always).then(tls).transpose()?;
        let server = (self.host.trim_matches(['[', ']']), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(HANDSHAKE), &self.hello, wrapped, None)
                .await
                .map_err(|error| unready(&error))?;
        let upgrade = match self.encryption {
            Encryption::Required => true,
            Encryption::IfOffered => connection.can_starttls(),
            Encryption::Never | Encryption::Always => false,
        };
        if upgrade {
            connection.starttls(tls()?, &self.hello).await.map_err(|error| unready(&error))?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(|error| unready(&error))?;
        }
        let mut options = Vec::new();
        let addresses = envelope.to().iter().chain(envelope.from());
        if !addresses.map(AsRef::<str>::as_ref).all(str::is_ascii) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let detail = "The mail server takes addresses of ASCII letters only.".to_owned();
                let action = "Write to another address of this person.";
                return Err(failure(0, "The address cannot be used", detail, action, Verdict::Fail));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !is_ascii && connection.server_info().supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        connection
            .command(Mail::new(envelope.from().cloned(), options))
            .await
            .map_err(|error| early(&error))?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|error| early(&error))?;
        }
        connection.command(Data).await.map_err(|error| early(&error))?;
        Ok(connection)
    }
}

/// The server's or the network's own words.
fn told(error: &SmtpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let words = cause.to_string();
    words.trim().trim_end_matches('.').chars().take(500).collect()
}

fn code(error: &SmtpError) -> i64 {
    error.status().map_or(0, |code| u16::from(code).into())
}

/// Before anything was said of the mail itself: only the server's settings can be wrong.
fn unready(error: &SmtpError) -> SendFailure {
    match code(error) {
        0 => unreachable(format!("{}.", told(error))),
        code => failure(
            code,
            "The mail server does not let us in",
            format!("{}.", told(error)),
            "Check `smtp_url` in the configuration; Kabar tries again for some hours.",
            Verdict::Retry { after: None },
        ),
    }
}

fn early(error: &SmtpError) -> SendFailure {
    match code(error) {
        0 => unreachable(format!("The connection broke: {}.", told(error))),
        // Authentication is required.
        530 => unready(error),
        _ => refused(error),
    }
}

fn refused(error: &SmtpError) -> SendFailure {
    let detail = format!("{}.", told(error));
    if error.is_permanent() {
        let action = "Check the recipient's address, and whether the server lets `smtp_from` send.";
        return failure(code(error), "The mail server refused the e-mail", detail, action, Verdict::Fail);
    }
    let action = "Nothing to do if it passes: Kabar tries again for some hours.";
    failure(
        code(error),
        "The mail server has no time for the e-mail",
        detail,
        action,
        Verdict::Retry { after: None },
    )
}

fn unreachable(detail: String) -> SendFailure {
    let action = "Nothing to do if it passes: Kabar tries again for some hours; else check `smtp_url` and the network.";
    failure(0, "The mail server cannot be reached", detail, action, Verdict::Retry { after: None })
}

fn lost(detail: String) -> SendFailure {
    let action = "Look in the mail server's log for the Message-ID, which begins with the leg's id, before sending it again.";
    failure(0, "No answer from the mail server", detail, action, Verdict::Uncertain)
}

fn failure(code: i64, title: &str, detail: String, action: &str, verdict: Verdict) -> SendFailure {
    let error = ProviderError {
        code,
        title: title.to_owned(),
        detail: Some(detail),
        action: Some(action.to_owned()),
    };
    SendFailure { error, verdict }
}

#[cfg(test)]
mod tests;
