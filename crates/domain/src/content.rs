//! What the kinds of outbound messages hold beside text and file: as the API takes it, as `messages.payload` keeps
//! it, and as the providers' modules read it. Limits are the providers' and are checked there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::outbound::Unsendable;

/// How a text is marked up. Each provider gets it in its own way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextFormat {
    /// Sent as it is.
    #[default]
    Plain,
    /// `*bold*`, `_italic_`, `~struck~`, `` `code` ``, ```` ```block``` ````, `[text](https://…)`, `> quote`,
    /// `||spoiler||`; a backslash takes a mark literally.
    Markdown,
    /// The tags `b`, `i`, `u`, `s`, `code`, `pre`, `a`, `blockquote`, `tg-spoiler`, `br` and their long names.
    Html,
}

/// A place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    #[schema(minimum = -90, maximum = 90, example = 24.7136)]
    pub latitude: f64,
    #[schema(minimum = -180, maximum = 180, example = 46.6753)]
    pub longitude: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Location {
    /// Whether it is on Earth.
    pub fn check(&self) -> Result<(), Unsendable> {
        for (name, degrees, bound) in
            [("latitude", self.latitude, 90.0), ("longitude", self.longitude, 180.0)]
        {
            if !(-bound..=bound).contains(&degrees) {
                let reason = format!("The {name} must be between -{bound} and {bound} degrees.");
                return Err(Unsendable::new(format!("location.{name}"), reason));
            }
        }
        Ok(())
    }
}

/// An address card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactCard {
    pub name: CardName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<CardPhone>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<CardEmail>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<CardAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<CardOrganisation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<CardUrl>,
    /// `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birthday: Option<String>,
}

macro_rules! card_part {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident $(= $wire:literal)?),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub struct $name {
            $($(#[$fdoc])* $(#[serde(rename = $wire)])?
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<String>,)*
        }
    };
}

/// A card's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardName {
    /// The whole name as it is shown.
    #[schema(example = "Siti Rahma")]
    pub formatted_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

card_part! {
    /// `wa_id` gives the card a button to write to the person on WhatsApp. `type` is `CELL`, `WORK`, …
    CardPhone { phone, wa_id, kind = "type" }
}
card_part! { CardEmail { email, kind = "type" } }
card_part! { CardAddress { street, city, state, zip, country, country_code, kind = "type" } }
card_part! { CardOrganisation { company, department, title } }
card_part! { CardUrl { url, kind = "type" } }

/// What an interactive message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InteractiveKind {
    /// Up to three `buttons`, each answered by a tap.
    Buttons,
    /// A menu of rows in `sections`, opened by `button`.
    List,
    /// One `button` that opens `url`.
    CtaUrl,
    /// Asks for the recipient's place.
    LocationRequest,
}

/// A message with something to tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Interactive {
    #[serde(rename = "type")]
    pub kind: InteractiveKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The message's text; the same as `body` beside `interactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// Of `buttons`: 1 to 3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    /// What the button says that opens a `list` or the `url`. Of a `location_request` on Telegram, which has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<String>,
    /// Of `list`: up to 10 rows in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// Of `cta_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What a header shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeaderKind {
    Text,
    Image,
    Video,
    Document,
}

/// Above the text of an interactive message. A file is given as that of a message of its own; it stands in the
/// message's `media`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Header {
    #[serde(rename = "type")]
    pub kind: HeaderKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing)]
    pub media_url: Option<String>,
    #[serde(default, skip_serializing)]
    pub media_id: Option<String>,
    #[serde(default, skip_serializing)]
    pub provider_media_id: Option<String>,
    #[serde(default, skip_serializing)]
    pub filename: Option<String>,
}

/// A button to tap. The answer carries its `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Button {
    #[schema(example = "confirm")]
    pub id: String,
    #[schema(example = "Confirm")]
    pub title: String,
}

/// Rows of a list under one title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Section {
    /// Required when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub rows: Vec<ListRow>,
}

/// A row to choose. The answer carries its `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListRow {
    pub id: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A WhatsApp form to open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// The form's id at Meta; or its `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the button says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<String>,
    /// Comes back with the answer; the message's id unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// `published` unless given, or `draft`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The first screen. Without it the form's own endpoint is asked (`data_exchange`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<String>,
    /// What the first screen is filled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Map<String, Value>>,
}
