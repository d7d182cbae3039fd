//! Places, address cards and reactions.

use kabar_domain::content::{ContactCard, Location};
use kabar_domain::outbound::{OutboundMessage, Unsendable};
use serde_json::{Value, json};

use super::{Parameters, Refused, number_in};
use crate::fields::{field, whole};

/// The emoji Telegram takes as reactions, without variation selectors.
const REACTIONS: &str = "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 \
    💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡";

/// A place with a name or an address is a venue.
pub(super) fn location(message: &OutboundMessage, parameters: &mut Parameters) -> Refused<&'static str> {
    let place: Location = whole(message)?;
    place.check()?;
    parameters.insert("latitude".to_owned(), json!(place.latitude));
    parameters.insert("longitude".to_owned(), json!(place.longitude));
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (name, address) = (filled(place.name), filled(place.address));
    let Some(title) = name.or_else(|| address.clone()) else { return Ok("sendLocation") };
    // A venue needs both.
    parameters.insert("address".to_owned(), json!(address.unwrap_or_else(|| title.clone())));
    parameters.insert("title".to_owned(), json!(title));
    Ok("sendVenue")
}

pub(super) fn contact(message: &OutboundMessage, parameters: &mut Parameters) -> Refused<&'static str> {
    let cards: Vec<ContactCard> = field(message, "contacts")?.unwrap_or_default();
    let [card] = cards.as_slice() else {
        let reason = "Telegram sends one contact in a message.";
        return Err(Unsendable::new("contacts", reason));
    };
    let phone = card.phones.iter().find_map(|phone| phone.phone.as_deref().filter(|text| !text.is_empty()));
    let phone = phone
        .ok_or_else(|| Unsendable::new("contacts.0.phones", "Telegram sends no contact without a phone."))?;
    let name = card.name.first_name.as_deref().unwrap_or(&card.name.formatted_name);
    if name.trim().is_empty() {
        return Err(Unsendable::new("contacts.0.name.formatted_name", "The contact needs a name."));
    }
    parameters.insert("phone_number".to_owned(), json!(phone));
    parameters.insert("first_name".to_owned(), json!(name));
    if card.name.first_name.is_some()
        && let Some(last_name) = &card.name.last_name
    {
        parameters.insert("last_name".to_owned(), json!(last_name));
    }
    Ok("sendContact")
}

/// Without an emoji the bot's reaction is taken away.
pub(super) fn reaction(message: &OutboundMessage, chat: i64, parameters: &mut Parameters) -> Refused<()> {
    let target = message.reply_to.as_deref().and_then(|key| number_in(key, chat));
    let target =
        target.ok_or_else(|| Unsendable::new("message_id", "Telegram takes no reaction to this message."))?;
    let emoji = message.body.as_deref().unwrap_or_default().replace('\u{fe0f}', "");
    let reaction = if emoji.is_empty() {
        Vec::new()
    } else if REACTIONS.split_whitespace().any(|known| known == emoji) {
        vec![json!({ "type": "emoji", "emoji": emoji })]
    } else {
        let reason = format!("Telegram does not take {emoji} as a reaction. It takes: {REACTIONS}.");
        return Err(Unsendable::new("emoji", reason));
    };
    parameters.insert("message_id".to_owned(), json!(target));
    parameters.insert("reaction".to_owned(), Value::Array(reaction));
    Ok(())
}
