//! Messages that are a file.

use kabar_domain::message::{Media, MessageKind};
use kabar_domain::outbound::{OutboundMessage, Unsendable};
use serde_json::{Map, Value};

use super::{Refused, body, within};

/// Characters WhatsApp takes in a caption.
const CAPTION_LIMIT: usize = 1_024;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The MIME types WhatsApp takes and its largest size, by the name the file has on the wire.
fn limits(name: &str, is_voice: bool) -> (&'static [&'static str], u64) {
    match name {
        "image" => (&["image/jpeg", "image/png"], 5 * MIB),
        "video" => (&["video/mp4", "video/3gpp"], 16 * MIB),
        "audio" if is_voice => (&["audio/ogg"], 16 * MIB),
        "audio" => (&["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"], 16 * MIB),
        // An animated one; a still one may have 100 KiB, which only a look into the file tells.
        "sticker" => (&["image/webp"], 500 * KIB),
        _ => (
            &[
                "text/plain",
                "application/pdf",
                "application/msword",
                "application/vnd.ms-excel",
                "application/vnd.ms-powerpoint",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            ],
            100 * MIB,
        ),
    }
}

pub(super) fn media(message: &OutboundMessage) -> Refused<(&'static str, Value)> {
    let name = match message.kind {
        MessageKind::Image => "image",
        MessageKind::Video => "video",
        MessageKind::Audio | MessageKind::Voice => "audio",
        MessageKind::Sticker => "sticker",
        _ => "document",
    };
    let is_voice = message.kind == MessageKind::Voice;
    let missing = || Unsendable::new("media_url", format!("A WhatsApp {name} needs a file."));
    let mut content = file(message.media.as_ref().ok_or_else(missing)?, name, is_voice)?;
    if let Some(caption) = body(message)? {
        if matches!(name, "audio" | "sticker") {
            return Err(Unsendable::new(
                "body",
                format!("A WhatsApp {name} cannot have a caption; send the text as a message of its own."),
            ));
        }
        within(&caption, CAPTION_LIMIT, "body", "caption")?;
        content.insert("caption".to_owned(), caption.into());
    }
    if is_voice {
        content.insert("voice".to_owned(), true.into());
    }
    Ok((name, Value::Object(content)))
}

/// `id` of a file given to WhatsApp before, or a `link` for it to fetch; with its name, where that is shown. Of a file
/// in the media library, which is uploaded before it is sent, only type and size are checked.
pub(super) fn file(media: &Media, name: &str, is_voice: bool) -> Refused<Map<String, Value>> {
    let (types, largest) = limits(name, is_voice);
    let refuse = |field: &str, reason: String| Err(Unsendable::new(field, reason));
    let what = if is_voice { "voice message" } else { name };
    if let Some(mime_type) = &media.mime_type {
        let essence = mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !types.contains(&essence.as_str()) {
            let listed = types.join(", ");
            let reason =
                format!("The file is {essence}; WhatsApp takes for a message of type {what}: {listed}.");
            return refuse("media_id", reason);
        }
    }
    let is_ours = media.file_id.is_some() && media.id.is_none() && media.url.is_none();
    if is_ours && media.mime_type.is_none() {
        let reason =
            "Nobody knows the file's type: upload it again with its Content-Type, or a name that tells it.";
        return refuse("media_id", reason.to_owned());
    }
    if let Some(size) = media.size.filter(|size| *size > largest) {
        let reason = format!("The file has {size} bytes; WhatsApp takes {largest} for a {what}.");
        return refuse("media_id", reason);
    }
    let given = |value: &'_ Option<String>| value.clone().filter(|value| !value.is_empty());
    let source = match (given(&media.id), given(&media.url)) {
        (Some(id), _) => Some(("id", id)),
        (None, Some(url)) if url.starts_with("https://") || url.starts_with("http://") => Some(("link", url)),
        (None, Some(_)) => {
            return refuse("media_url", format!("The {what}'s link must begin with https://."));
        }
        (None, None) if media.file_id.is_some() => None,
        (None, None) => {
            return refuse(
                "media_url",
                format!("A WhatsApp {what} needs the id of an uploaded file or a link."),
            );
        }
    };
    let mut object = Map::from_iter(source.map(|(key, value)| (key.to_owned(), Value::String(value))));
    if name == "document"
        && let Some(filename) = &media.filename
    {
        object.insert("filename".to_owned(), filename.as_str().into());
    }
    Ok(object)
}
