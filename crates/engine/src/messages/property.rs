//! Whatever is let into the queue, its provider takes: its limits as we check them, and as the simulator plays them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use kabar_domain::content::{
    Button, CardName, CardPhone, ContactCard, Flow, Header, HeaderKind, Interactive, InteractiveKind,
    ListRow, Location, Section, TextFormat,
};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::Platform;
use kabar_domain::outbound::Recipient;
use kabar_domain::{Clock, FileId, MessageId};
use kabar_providers::{telegram, whatsapp};
use kabar_simulator::{Bot, Config, Number, Simulator};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestRng, TestRunner};
use serde_json::{Value, json};

use super::draft::{Draft, draft};
use super::{FileSource, SendMessage, as_sent};

const CASES: u32 = 2_000;
const TOKEN: &str = "EAAtoken";
const BOT: &str = "123456:AAE";

/// Lengths beside every limit there is.
const LENGTHS: &[usize] = &[
    0, 1, 19, 20, 21, 24, 25, 60, 61, 64, 65, 72, 73, 128, 129, 200, 201, 256, 257, 1_024, 1_025, 4_096,
    4_097,
];

const MIME_TYPES: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "video/mp4",
    "video/3gpp",
    "video/webm",
    "audio/ogg",
    "audio/ogg; codecs=opus",
    "audio/mpeg",
    "audio/amr",
    "audio/wav",
    "application/pdf",
    "text/plain",
    "application/zip",
];

fn text() -> BoxedStrategy<String> {
    let at_a_limit = (select(LENGTHS), select(&["a", "é", "م", "😀", " ", "*"][..]));
    let marks = "[ab *_~`<>/&|\\[\\]()\\\\\n😀]{0,40}";
    prop_oneof![
        8 => "[a-zé]{1,12}",
        2 => at_a_limit.prop_map(|(length, letter)| letter.repeat(length)),
        1 => marks,
        1 => select(&["<b>halo</b>", "<i> </i>", "*halo* _dunia_", "[x](https://x.example)", "> a\n> b"][..])
            .prop_map(str::to_owned),
    ]
    .boxed()
}

fn url() -> BoxedStrategy<String> {
    let odd = &["x", "", "http://", "ftp://x.example/a", "https://", "mailto:a@x.example"][..];
    prop_oneof![
        6 => Just("https://x.example/a.jpg".to_owned()),
        1 => Just("http://x.example/a".to_owned()),
        1 => select(odd).prop_map(str::to_owned),
    ]
    .boxed()
}

fn file() -> BoxedStrategy<FileSource> {
    let stored = FileId::from_uuid(uuid::Uuid::max()).to_string();
    (weighted(0.6, url()), weighted(0.3, Just(stored)), of(text()))
        .prop_map(|(url, media_id, filename)| FileSource { url, media_id, filename, ..FileSource::default() })
        .boxed()
}

fn header() -> BoxedStrategy<Header> {
    let kinds = [HeaderKind::Text, HeaderKind::Image, HeaderKind::Video, HeaderKind::Document];
    (select(kinds.to_vec()), of(text()), file())
        .prop_map(|(kind, text, file)| Header {
            kind,
            text,
            media_url: file.url,
            media_id: file.media_id,
            provider_media_id: None,
            filename: file.filename,
        })
        .boxed()
}

fn interactive() -> BoxedStrategy<Interactive> {
    let kinds = [
        InteractiveKind::Buttons,
        InteractiveKind::List,
        InteractiveKind::CtaUrl,
        InteractiveKind::LocationRequest,
    ];
    let button = (text(), text()).prop_map(|(id, title)| Button { id, title });
    let row = (text(), text(), of(text()));
    let row = row.prop_map(|(id, title, description)| ListRow { id, title, description });
    let section = (weighted(0.8, text()), vec(row, 0..5)).prop_map(|(title, rows)| Section { title, rows });
    let frame = (select(kinds.to_vec()), weighted(0.3, header()), weighted(0.3, text()));
    let rest = (vec(button, 0..5), weighted(0.9, text()), vec(section, 0..4), weighted(0.9, url()));
    (frame, rest)
        .prop_map(|((kind, header, footer), (buttons, button, sections, url))| Interactive {
            kind,
            header,
            body: None,
            footer,
            buttons,
            button,
            sections,
            url,
        })
        .boxed()
}

fn flow() -> BoxedStrategy<Flow> {
    let data = serde_json::Map::from_iter([("a".to_owned(), json!(1))]);
    let what = (of(text()), weighted(0.2, text()), weighted(0.9, text()), weighted(0.2, header()));
    let how =
        (of(select(&["published", "draft", "x"][..])), of(text()), weighted(0.3, Just(data)), of(text()));
    (what, how)
        .prop_map(|((id, name, button, header), (mode, screen, data, footer))| Flow {
            id,
            name,
            button,
            header,
            footer,
            mode: mode.map(str::to_owned),
            screen,
            data,
            token: None,
        })
        .boxed()
}

fn card() -> BoxedStrategy<ContactCard> {
    (text(), of(text()), vec(of(text()), 0..3))
        .prop_map(|(formatted_name, first_name, phones)| ContactCard {
            name: CardName { formatted_name, first_name, ..CardName::default() },
            phones: phones.into_iter().map(|phone| CardPhone { phone, ..CardPhone::default() }).collect(),
            ..ContactCard::default()
        })
        .boxed()
}

fn location() -> BoxedStrategy<Location> {
    let degrees =
        || prop_oneof![-200.0..200.0_f64, select(vec![90.0, -90.0, 180.0, -180.0, 90.000_1, f64::NAN])];
    (degrees(), degrees(), of(text()), of(text()))
        .prop_map(|(latitude, longitude, name, address)| Location { latitude, longitude, name, address })
        .boxed()
}

fn request() -> BoxedStrategy<SendMessage> {
    let kinds = &[
        "text",
        "image",
        "document",
        "audio",
        "video",
        "voice",
        "sticker",
        "location",
        "contacts",
        "reaction",
        "interactive",
        "interactive",
        "interactive",
        "flow",
    ];
    let formats = [TextFormat::Plain, TextFormat::Markdown, TextFormat::Html];
    let emoji = select(&["👍", "❤\u{fe0f}", "", "ok", "👨‍👩‍👧‍👦", "1\u{fe0f}\u{20e3}"][..]).prop_map(str::to_owned);
    let words = (select(&kinds[..]), weighted(0.8, text()), select(formats.to_vec()), of(any::<bool>()));
    let parts = (file(), of(location()), vec(card(), 0..3), of(emoji), interactive(), flow(), any::<bool>());
    (words, parts)
        .prop_map(|((kind, body, format, preview_url), parts)| {
            let (file, location, contacts, emoji, interactive, flow, is_reply) = parts;
            SendMessage {
                conversation_id: Some("x".into()),
                kind: Some(kind.into()),
                body,
                format,
                preview_url,
                file: if kind == "text" { FileSource::default() } else { file },
                reply_to: (is_reply || kind == "reaction").then(|| "x".to_owned()),
                location,
                contacts,
                emoji,
                interactive: Some(interactive),
                flow: Some(flow),
                ..SendMessage::default()
            }
        })
        .boxed()
}

/// A message with the type of its file, should that be of the library.
fn message() -> impl Strategy<Value = (SendMessage, &'static str)> {
    (request(), select(MIME_TYPES))
}

fn simulator() -> Simulator {
    Simulator::new(Config {
        auto_statuses: false,
        keep: 10,
        numbers: vec![Number {
            phone_number_id: "1".into(),
            waba_id: "2".into(),
            display_phone_number: "+62 811-000".into(),
            verified_name: "Acme".into(),
            access_token: TOKEN.into(),
        }],
        bots: vec![Bot { token: BOT.into(), username: "acme_bot".into(), first_name: "Acme".into() }],
        ..Config::default()
    })
}

/// As [`super::Engine::queue_message`] has it once the file is looked up.
fn drafted(mut request: SendMessage, mime_type: &str) -> Option<(Draft, bool)> {
    let is_reply = request.reply_to.is_some();
    let mut draft = draft(&mut request).ok()?;
    if let Some(media) = draft.media.as_mut().filter(|media| media.file_id.is_some()) {
        media.mime_type = Some(mime_type.to_owned());
        media.size = Some(1_000);
    }
    Some((draft, is_reply))
}

/// Runs `play` on many messages; it says what was let in, of which there is enough of every kind in `kinds`.
fn all(
    kinds: &[&str],
    play: impl Fn(SendMessage, &'static str) -> Result<Option<Draft>, TestCaseError> + Send,
) {
    let look = move || {
        let let_in = RefCell::new(BTreeMap::<String, u32>::new());
        let outcome = runner().run(&message(), |(request, mime_type)| {
            if let Some(draft) = play(request, mime_type)? {
                let kind = draft.payload.get("type").and_then(Value::as_str);
                *let_in.borrow_mut().entry(kind.unwrap_or(draft.kind.as_str()).to_owned()).or_default() += 1;
            }
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
        let let_in = let_in.into_inner();
        for kind in kinds {
            assert!(let_in.get(*kind).is_some_and(|count| *count >= 3), "too few of {kind}: {let_in:?}");
        }
    };
    // A debug build carries the whole message through many frames.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, look);
        if let Err(panic) = thread.expect("a thread").join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The same messages each time, so that there is enough of every kind each time.
fn runner() -> TestRunner {
    let config = Cases { failure_persistence: None, ..Cases::with_cases(CASES) };
    let seeded = TestRng::deterministic_rng(config.rng_algorithm);
    TestRunner::new_with_rng(config, seeded)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn whatsapp_takes_what_is_queued() {
    let (runtime, simulator) = (runtime(), simulator());
    let id = MessageId::new(&Clock::system());
    all(
        &[
            "text",
            "image",
            "document",
            "audio",
            "video",
            "voice",
            "sticker",
            "location",
            "contacts",
            "reaction",
            "buttons",
            "list",
            "cta_url",
            "location_request",
            "flow",
        ],
        |request, mime_type| {
            let Some((mut draft, is_reply)) = drafted(request, mime_type) else { return Ok(None) };
            let recipient = Recipient::Person(Identity::new(IdentityKind::WaId, "6281234567890"));
            let reply_to = is_reply.then(|| "wamid.1".to_owned());
            let sent = |draft: &Draft| {
                whatsapp::payload(&as_sent(
                    Platform::Whatsapp,
                    recipient.clone(),
                    draft,
                    id,
                    reply_to.clone(),
                ))
            };
            let Ok(mut payload) = sent(&draft) else { return Ok(None) };
            // A file of the library is given to WhatsApp before its message.
            if let Some(media) = draft.media.as_mut().filter(|media| media.file_id.is_some()) {
                let given = json!({ "mime_type": mime_type, "content_base64": "S2FiYXIh" });
                let given = simulator.whatsapp_media(serde_json::from_value(given).expect("a file"));
                media.id = given.expect("an id")["id"].as_str().map(str::to_owned);
                payload = sent(&draft).map_err(|refused| TestCaseError::fail(format!("{refused:?}")))?;
            }
            let (status, answer) =
                runtime.block_on(simulator.call("/v24.0/1/messages", Some(TOKEN), &payload));
            prop_assert_eq!(status, 200, "{} of {}", answer, payload);
            Ok(Some(draft))
        },
    );
}

#[test]
fn telegram_takes_what_is_queued() {
    let (runtime, simulator) = (runtime(), simulator());
    let id = MessageId::new(&Clock::system());
    let call = |method: &str, body: &Value| {
        runtime.block_on(simulator.call(&format!("/bot{BOT}/{method}"), None, body))
    };
    let (_, first) = call("sendMessage", &json!({ "chat_id": 777, "text": "halo" }));
    let first = format!("777:{}", first["result"]["message_id"]);
    all(
        &[
            "text",
            "image",
            "document",
            "audio",
            "video",
            "voice",
            "sticker",
            "location",
            "contacts",
            "reaction",
            "buttons",
            "list",
            "cta_url",
            "location_request",
        ],
        |request, mime_type| {
            let Some((mut draft, is_reply)) = drafted(request, mime_type) else { return Ok(None) };
            let recipient = Recipient::Person(Identity::new(IdentityKind::Telegram, "777"));
            let reply_to = is_reply.then(|| first.clone());
            let sent = |draft: &Draft| {
                telegram::request(&as_sent(
                    Platform::Telegram,
                    recipient.clone(),
                    draft,
                    id,
                    reply_to.clone(),
                ))
            };
            let Ok((method, mut body)) = sent(&draft) else { return Ok(None) };
            // A file of the library goes with its message; a link takes as much of the rest.
            if let Some(media) = draft.media.as_mut().filter(|media| media.file_id.is_some()) {
                media.url = Some("https://x.example/a".to_owned());
                body = sent(&draft).map_err(|refused| TestCaseError::fail(format!("{refused:?}")))?.1;
            }
            let (status, answer) = call(method, &body);
            prop_assert_eq!(status, 200, "{} of {} {}", answer, method, body);
            Ok(Some(draft))
        },
    );
}
