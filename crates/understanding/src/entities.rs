//! What a message speaks of: places, things, categories, people, times and quantities.

use serde::Serialize;

use crate::categories::CategorySource;
use crate::matching::{Index, Mention};
use crate::text::Text;

/// The entry of an organisation's list that an entity was matched to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundName {
    pub key: String,
    pub name: String,
    /// 0 to 1.
    pub score: f32,
}

/// Something that a message names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// As it was written.
    pub text: String,
    /// Scalar values over the original text, half open.
    pub start: usize,
    pub end: usize,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub found: Option<FoundName>,
}

/// What a message names, each kind in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entities {
    pub locations: Vec<Entity>,
    pub things: Vec<Entity>,
    pub categories: Vec<Entity>,
    pub persons: Vec<Entity>,
    pub times: Vec<Entity>,
    pub quantities: Vec<Entity>,
}

/// An organisation's lists. Where one is missing, patterns alone decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists<'a> {
    pub locations: Option<&'a Index>,
    pub things: Option<&'a Index>,
    pub categories: Option<&'a CategorySource>,
}

/// What a message names.
///
/// ```
/// use kabar_understanding::{Entry, Index, Lists, entities};
///
/// let places = Index::new([Entry::new("a", "Building A")]);
/// let lists = Lists { locations: Some(&places), ..Lists::default() };
/// let found = entities("Leak in Building A since 2pm", &lists);
/// assert_eq!((found.locations[0].start, found.locations[0].end), (8, 18));
/// ```
pub fn entities(text: &str, lists: &Lists<'_>) -> Entities {
    entities_text(&Text::new(text), lists)
}

fn entity(text: &Text<'_>, mention: &Mention<'_>) -> Entity {
    let cut = text.source().chars().skip(mention.start).take(mention.end - mention.start).collect();
    let found =
        FoundName { key: mention.key.to_owned(), name: mention.name.to_owned(), score: mention.score };
    Entity { text: cut, start: mention.start, end: mention.end, found: Some(found) }
}

pub(crate) fn entities_text(text: &Text<'_>, lists: &Lists<'_>) -> Entities {
    let named = |index: Option<&Index>| {
        let mentions = index.map(|index| index.mentions(text.source())).unwrap_or_default();
        mentions.iter().map(|mention| entity(text, mention)).collect()
    };
    Entities {
        locations: named(lists.locations),
        things: named(lists.things),
        categories: named(lists.categories.map(CategorySource::index)),
        ..Entities::default()
    }
}
