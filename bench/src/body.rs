//! Webhook bodies as Meta's WhatsApp Cloud API posts them, each distinct, and the signature over them.

use std::time::Instant;

use aws_lc_rs::hmac;

/// The WhatsApp number the webhooks are about.
#[derive(Clone, Debug)]
pub struct Number {
    pub phone_number_id: String,
    /// Digits without `+`.
    pub phone: String,
    pub waba_id: String,
}

/// A message the server under test has sent, as its statuses name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    pub wamid: String,
    pub recipient: String,
    /// `biz_opaque_callback_data` of the send call, echoed in every status.
    pub callback_data: Option<String>,
}

/// Which contact writes the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each contact once, then contacts at random (the same ones for the same seed).
    NewThenRandom,
    /// Each contact once, then each again, and so on.
    Rounds,
}

/// What is written, besides who writes it.
#[derive(Clone, Debug)]
pub enum Mix {
    /// Inbound texts only.
    Text,
    /// Of four webhooks three are statuses (`sent`, `delivered`, `read`) of these messages, one is an inbound text.
    /// A message is delivered `lag` messages after it was sent and read as much later; where no message is at hand,
    /// an inbound text keeps the rate.
    Number { sent: Vec<SentMessage>, lag: usize },
}

/// Makes the n-th webhook, the same for the same seed but for its time.
pub struct Source {
    key: hmac::Key,
    request_head: Vec<u8>,
    envelope: String,
    contacts: u64,
    order: Order,
    seed: u64,
    mix: Mix,
    started: Instant,
    started_unix: u64,
}

pub struct SourceOptions<'a> {
    pub number: &'a Number,
    pub secret: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    pub contacts: u64,
    pub order: Order,
    pub seed: u64,
    pub mix: Mix,
}

/// What people at sites write, in the languages they write it; `\u` escapes as on Meta's wire.
const PHRASES: [&str; 6] = [
    "AC bocor di Gedung A lantai 3, air menetes ke lantai dekat lift barat. Mohon teknisi segera datang karena lantai sudah licin sekali.",
    "Laporan pekerjaan hari ini: pembersihan ruang rapat utama dan lobi selesai pukul sepuluh, dua orang petugas, tidak ada kendala.",
    "Lampu koridor lantai 2 Tower B mati sejak tadi malam, sudah dicoba ganti saklar tetapi tetap gelap. Tolong dicek panelnya ya.",
    "Weekly inspection of the generator room is finished, oil and coolant topped up, the next filter change is due in about two weeks.",
    "The elevator in the north tower stops between floors again and one visitor was stuck for ten minutes. Please send somebody today.",
    "\\u0627\\u0644\\u0645\\u0643\\u064a\\u0641 \\u0644\\u0627 \\u064a\\u0639\\u0645\\u0644 \\u0641\\u064a \\u0627\\u0644\\u0637\\u0627\\u0628\\u0642",
];

const NAMES: [&str; 8] = [
    "Budi Santoso",
    "Siti Rahmawati",
    "Agus Wijaya",
    "Dewi Lestari",
    "Ahmed Salem",
    "Noura Haddad",
    "Maria Kelly",
    "Tom Harris",
];

impl Source {
    pub fn new(options: SourceOptions<'_>) -> Self {
        let SourceOptions { number, secret, host, path, contacts, order, seed, mix } = options;
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            request_head: format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n\
                 Content-Type: application/json\r\nX-Hub-Signature-256: sha256="
            )
            .into_bytes(),
            envelope: format!(
                "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"{}\",\"changes\":[{{\"value\":\
                 {{\"messaging_product\":\"whatsapp\",\"metadata\":{{\"display_phone_number\":\"{}\",\
                 \"phone_number_id\":\"{}\"}},",
                number.waba_id, number.phone, number.phone_number_id
            ),
            contacts: contacts.max(1),
            order,
            seed: scramble(seed),
            mix,
            started: Instant::now(),
            started_unix: unix_seconds(),
        }
    }

    pub fn contacts(&self) -> u64 {
        self.contacts
    }

    /// The contact that writes webhook `index`, or none when the webhook is a status.
    pub fn contact(&self, index: u64) -> Option<u64> {
        if self.status(index).is_some() {
            return None;
        }
        Some(match self.order {
            Order::NewThenRandom if index >= self.contacts => scramble(self.seed ^ index) % self.contacts,
            Order::NewThenRandom | Order::Rounds => index % self.contacts,
        })
    }

    /// Puts the whole signed request for webhook `index` into `request`; `body` is scratch space and keeps the body.
    pub fn write_request(&self, index: u64, body: &mut Vec<u8>, request: &mut Vec<u8>) {
        body.clear();
        self.write_body(index, body);
        self.sign(body, request);
    }

    /// The same for a report that `message` is `status` now.
    pub fn write_status_request(
        &self,
        message: &SentMessage,
        status: &str,
        body: &mut Vec<u8>,
        request: &mut Vec<u8>,
    ) {
        body.clear();
        self.write_status(message, status, self.now(), body);
        self.sign(body, request);
    }

    fn sign(&self, body: &[u8], request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.request_head);
        push_hex(request, hmac::sign(&self.key, body).as_ref());
        request.extend_from_slice(b"\r\nContent-Length: ");
        push_number(request, body.len() as u64, 1);
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
    }

    pub fn write_body(&self, index: u64, out: &mut Vec<u8>) {
        match self.status(index) {
            Some((message, status)) => self.write_status(message, status, self.now(), out),
            None => self.write_text(index, self.now(), out),
        }
    }

    fn now(&self) -> u64 {
        self.started_unix + self.started.elapsed().as_secs()
    }

    fn status(&self, index: u64) -> Option<(&SentMessage, &'static str)> {
        let Mix::Number { sent, lag } = &self.mix else { return None };
        let (position, status) = match index % 4 {
            0 => (index / 4, "sent"),
            1 => ((index / 4).checked_sub(*lag as u64)?, "delivered"),
            2 => ((index / 4).checked_sub(2 * *lag as u64)?, "read"),
            _ => return None,
        };
        Some((sent.get(position as usize)?, status))
    }

    fn write_text(&self, index: u64, timestamp: u64, out: &mut Vec<u8>) {
        let contact = self.contact(index).unwrap_or(0);
        out.extend_from_slice(self.envelope.as_bytes());
        out.extend_from_slice(b"\"contacts\":[{\"profile\":{\"name\":\"");
        out.extend_from_slice(NAMES[(contact % NAMES.len() as u64) as usize].as_bytes());
        out.extend_from_slice(b"\"},\"wa_id\":\"");
        push_phone(out, contact);
        out.extend_from_slice(b"\",\"user_id\":\"");
        push_user_id(out, contact);
        out.extend_from_slice(b"\"}],\"messages\":[{\"from\":\"");
        push_phone(out, contact);
        out.extend_from_slice(b"\",\"from_user_id\":\"");
        push_user_id(out, contact);
        out.extend_from_slice(b"\",\"id\":\"wamid.HBgNNjI4MTEwMDAwMDAwFQIAEhgU");
        // Scrambling is a bijection: distinct for distinct indexes, and as unordered as Meta's are.
        push_upper_hex(out, scramble(self.seed ^ index));
        push_upper_hex(out, self.seed.wrapping_add(index));
        out.extend_from_slice(b"AA==\",\"timestamp\":\"");
        push_number(out, timestamp, 10);
        out.extend_from_slice(b"\",\"text\":{\"body\":\"");
        out.extend_from_slice(PHRASES[(scramble(index) % PHRASES.len() as u64) as usize].as_bytes());
        out.extend_from_slice(b" Ref ");
        push_number(out, index, 9);
        out.extend_from_slice(b"\"},\"type\":\"text\"}]},\"field\":\"messages\"}]}]}");
    }

    fn write_status(&self, message: &SentMessage, status: &str, timestamp: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.envelope.as_bytes());
        out.extend_from_slice(b"\"statuses\":[{\"id\":\"");
        out.extend_from_slice(message.wamid.as_bytes());
        out.extend_from_slice(b"\",\"status\":\"");
        out.extend_from_slice(status.as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":\"");
        push_number(out, timestamp, 10);
        out.extend_from_slice(b"\",\"recipient_id\":\"");
        out.extend_from_slice(message.recipient.as_bytes());
        if let Some(callback_data) = &message.callback_data {
            out.extend_from_slice(b"\",\"biz_opaque_callback_data\":\"");
            out.extend_from_slice(callback_data.as_bytes());
        }
        out.extend_from_slice(
            b"\",\"pricing\":{\"billable\":false,\"pricing_model\":\"PMP\",\"category\":\"service\",\
              \"type\":\"free_customer_service\"}}]},\"field\":\"messages\"}]}]}",
        );
    }
}

/// The index that `write_text` put at the end of a text, read back from a stored message.
pub fn reference_of(text: &str) -> Option<u64> {
    text.rsplit_once(" Ref ").and_then(|(_, digits)| digits.parse().ok())
}

/// The digits of contact `contact`'s phone.
pub fn phone_of(contact: u64) -> String {
    let mut digits = Vec::with_capacity(13);
    push_phone(&mut digits, contact);
    digits.into_iter().map(char::from).collect()
}

fn push_phone(out: &mut Vec<u8>, contact: u64) {
    out.extend_from_slice(b"62811");
    push_number(out, contact, 8);
}

fn push_user_id(out: &mut Vec<u8>, contact: u64) {
    out.extend_from_slice(b"ID.13491");
    push_number(out, contact, 11);
}

fn push_number(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

fn push_upper_hex(out: &mut Vec<u8>, value: u64) {
    for shift in (0..16).rev() {
        out.push(b"0123456789ABCDEF"[(value >> (shift * 4) & 15) as usize]);
    }
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
        out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
    }
}

/// SplitMix64's finaliser: a bijection that makes counters look random.
pub fn scramble(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[expect(clippy::disallowed_methods, reason = "a payload carries the provider's wall clock, read once a run")]
fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn number() -> Number {
        Number {
            phone_number_id: "106540352242922".into(),
            phone: "6281200000001".into(),
            waba_id: "102290129340398".into(),
        }
    }

    fn source(contacts: u64, order: Order, mix: Mix) -> Source {
        Source::new(SourceOptions {
            number: &number(),
            secret: "secret",
            host: "127.0.0.1:8080",
            path: "/webhooks/whatsapp",
            contacts,
            order,
            seed: 1,
            mix,
        })
    }

    fn json(source: &Source, index: u64) -> (Value, usize) {
        let mut body = Vec::new();
        source.write_body(index, &mut body);
        (serde_json::from_slice(&body).unwrap(), body.len())
    }

    #[test]
    fn a_text_is_valid_json_of_about_seven_hundred_bytes() {
        let source = source(10, Order::NewThenRandom, Mix::Text);
        let mut total = 0;
        for index in 0..1_000 {
            let (body, length) = json(&source, index);
            total += length;
            let value = &body["entry"][0]["changes"][0]["value"];
            assert_eq!(value["metadata"]["phone_number_id"], "106540352242922");
            assert_eq!(value["contacts"][0]["wa_id"], value["messages"][0]["from"]);
            assert_eq!(value["messages"][0]["type"], "text");
            let text = value["messages"][0]["text"]["body"].as_str().unwrap();
            assert_eq!(reference_of(text), Some(index));
            let contact = source.contact(index).unwrap();
            assert_eq!(value["messages"][0]["from"], phone_of(contact));
        }
        assert!((650..=750).contains(&(total / 1_000)), "mean length {}", total / 1_000);
    }

    #[test]
    fn message_ids_and_bodies_are_distinct() {
        let source = source(10, Order::NewThenRandom, Mix::Text);
        let mut wamids = HashSet::new();
        for index in 0..20_000 {
            let (body, _) = json(&source, index);
            let wamid =
                body["entry"][0]["changes"][0]["value"]["messages"][0]["id"].as_str().unwrap().to_owned();
            assert!(wamids.insert(wamid), "webhook {index} repeats a message id");
        }
    }

    #[test]
    fn each_contact_comes_once_before_any_comes_twice() {
        let random = source(500, Order::NewThenRandom, Mix::Text);
        let first: HashSet<_> = (0..500).map(|index| random.contact(index).unwrap()).collect();
        assert_eq!(first.len(), 500);
        let later: HashSet<_> = (500..2_500).map(|index| random.contact(index).unwrap()).collect();
        assert!(later.len() > 450 && later.iter().all(|contact| *contact < 500));
        let rounds = source(500, Order::Rounds, Mix::Text);
        assert_eq!(rounds.contact(1_003), Some(3));
    }

    #[test]
    fn the_signature_is_over_the_body_that_follows() {
        let source = source(10, Order::NewThenRandom, Mix::Text);
        let (mut body, mut request) = (Vec::new(), Vec::new());
        source.write_request(7, &mut body, &mut request);
        let text = String::from_utf8(request).unwrap();
        let (head, sent) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(sent.as_bytes(), body);
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let hex = head.split_once("sha256=").unwrap().1.split_once("\r\n").unwrap().0;
        let tag: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        hmac::verify(&key, sent.as_bytes(), &tag).unwrap();
        assert!(hmac::verify(&key, b"another body", &tag).is_err());
    }

    #[test]
    fn a_number_plays_three_statuses_in_order_and_fills_gaps_with_texts() {
        let sent: Vec<_> = (0..10)
            .map(|at| SentMessage {
                wamid: format!("wamid.{at}"),
                recipient: phone_of(at),
                callback_data: Some(format!("message-{at}")),
            })
            .collect();
        let source = source(10, Order::NewThenRandom, Mix::Number { sent, lag: 2 });
        let mut seen: Vec<Vec<String>> = vec![Vec::new(); 10];
        let mut texts = 0;
        for index in 0..40 {
            let (body, _) = json(&source, index);
            let value = &body["entry"][0]["changes"][0]["value"];
            let status = &value["statuses"][0];
            if status.is_null() {
                texts += 1;
                assert!(source.contact(index).is_some());
                continue;
            }
            assert_eq!(source.contact(index), None);
            let at: usize = status["id"].as_str().unwrap()[6..].parse().unwrap();
            assert_eq!(status["biz_opaque_callback_data"], format!("message-{at}"));
            seen[at].push(status["status"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen[0], ["sent", "delivered", "read"]);
        assert_eq!(seen[7], ["sent", "delivered"]);
        assert_eq!(seen[9], ["sent"]);
        assert_eq!(texts, 10 + 2 + 4);
    }
}
