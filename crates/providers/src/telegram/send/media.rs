//! Messages that are a file.

use kabar_domain::message::{Media, MessageKind};
use kabar_domain::outbound::{OutboundMessage, Unsendable};
use serde_json::json;

use super::{Parameters, Refused, body, put_caption};

const MIB: u64 = 1 << 20;

pub(super) fn media(message: &OutboundMessage, parameters: &mut Parameters) -> Refused<&'static str> {
    let method = file(message.kind, message.media.as_ref(), parameters)?;
    if let Some(caption) = body(message)? {
        if message.kind == MessageKind::Sticker {
            return Err(Unsendable::new("body", "Telegram shows no caption with a sticker."));
        }
        put_caption(caption, parameters)?;
    }
    Ok(method)
}

/// Puts the file where the method for its kind wants it. One of the media library, which is uploaded while it is
/// sent, is only checked.
pub(super) fn file(
    kind: MessageKind,
    media: Option<&Media>,
    parameters: &mut Parameters,
) -> Refused<&'static str> {
    let (method, field, types, largest): (_, _, &[&str], _) = match kind {
        MessageKind::Image => ("sendPhoto", "photo", &["image/"], 10 * MIB),
        MessageKind::Video => ("sendVideo", "video", &["video/"], 50 * MIB),
        MessageKind::Audio => ("sendAudio", "audio", &["audio/"], 50 * MIB),
        MessageKind::Voice => {
            ("sendVoice", "voice", &["audio/ogg", "audio/mpeg", "audio/mp4", "audio/x-m4a"], 50 * MIB)
        }
        MessageKind::Sticker => {
            ("sendSticker", "sticker", &["image/webp", "application/x-tgsticker", "video/webm"], 50 * MIB)
        }
        _ => ("sendDocument", "document", &[""], 50 * MIB),
    };
    let media = media
        .ok_or_else(|| Unsendable::new("media_url", format!("A message of kind \"{kind}\" needs a file.")))?;
    if let Some(mime_type) = media.mime_type.as_deref().map(str::to_ascii_lowercase)
        && !types.iter().any(|known| mime_type.starts_with(known))
    {
        let listed = types.join(", ");
        return Err(Unsendable::new(
            "media_id",
            format!("The file is {mime_type}; Telegram takes for a message of type {kind}: {listed}."),
        ));
    }
    if let Some(size) = media.size.filter(|size| *size > largest) {
        return Err(Unsendable::new(
            "media_id",
            format!("The file has {size} bytes; Telegram takes {largest} for a {kind}."),
        ));
    }
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    match given(&media.id).or_else(|| given(&media.url)) {
        Some(source) => {
            parameters.insert(field.to_owned(), json!(source));
        }
        None if media.file_id.is_some() => {}
        None => {
            let reason = "The file has neither a Telegram file id nor a link.";
            return Err(Unsendable::new("media_url", reason));
        }
    }
    Ok(method)
}
