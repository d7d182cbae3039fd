//! What a message speaks of: places, things, categories, people, times and quantities.

mod patterns;

use serde::Serialize;

use crate::categories::{CategorySource, default_categories};
use crate::matching::{Index, Message};
use crate::text::Text;
use crate::vocabulary::{List, Scanned, Vocabulary};

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
    let text = Text::new(text);
    entities_text(&text, &Vocabulary::get().scan(&text), lists)
}

/// Spans of tokens, first and last, both included.
type Span = (usize, usize);

fn entity(text: &Text<'_>, (first, last): Span) -> Entity {
    let (start, end) = (text.tokens()[first].start as usize, text.tokens()[last].end as usize);
    Entity { text: text.span(first, last).to_owned(), start, end, found: None }
}

fn found_name(key: &str, name: &str, score: f32) -> FoundName {
    FoundName { key: key.to_owned(), name: name.to_owned(), score }
}

/// What a list names in the text, then what only looks like it: matched as a whole if the list has it.
fn named(text: &Text<'_>, message: &Message<'_>, index: Option<&Index>, spans: Vec<Span>) -> Vec<Entity> {
    let mut entities: Vec<Entity> = Vec::new();
    for mention in index.map(|index| index.mentions_in(message)).unwrap_or_default() {
        let tokens = text.tokens();
        let first = tokens.partition_point(|token| (token.end as usize) <= mention.start);
        let last = tokens.partition_point(|token| (token.start as usize) < mention.end).saturating_sub(1);
        if first <= last && last < tokens.len() {
            let found = Some(found_name(mention.key, mention.name, mention.score));
            let cut = text.span(first, last).to_owned();
            entities.push(Entity { text: cut, start: mention.start, end: mention.end, found });
        }
    }
    for span in spans {
        let mut entity = entity(text, span);
        let overlaps = |known: &Entity| known.start < entity.end && entity.start < known.end;
        if entities.iter().any(overlaps) {
            continue;
        }
        entity.found = index
            .and_then(|index| index.find(&entity.text, 1).best)
            .map(|best| found_name(best.key, best.name, best.score));
        entities.push(entity);
    }
    entities.sort_by_key(|entity| entity.start);
    entities
}

pub(crate) fn entities_text(text: &Text<'_>, scanned: &Scanned, lists: &Lists<'_>) -> Entities {
    let message = Message::new(text.source());
    let places = patterns::places(text, scanned);
    let things = patterns::things(text, &places);
    let plain = |spans: Vec<Span>| spans.into_iter().map(|span| entity(text, span)).collect();
    let times = patterns::times(text, scanned);
    let quantities = patterns::quantities(text, scanned, &times);
    Entities {
        locations: named(text, &message, lists.locations, places),
        things: named(text, &message, lists.things, things),
        categories: categories(text, &message, scanned, lists.categories),
        persons: plain(patterns::persons(text, scanned)),
        times: plain(times),
        quantities: plain(quantities),
    }
}

/// Names of the organisation's categories; without a list, the words that speak of default ones.
fn categories(
    text: &Text<'_>,
    message: &Message<'_>,
    scanned: &Scanned,
    source: Option<&CategorySource>,
) -> Vec<Entity> {
    if let Some(source) = source {
        return named(text, message, Some(source.index()), Vec::new());
    }
    let mut entities: Vec<Entity> = Vec::new();
    for hit in scanned.of(List::Category) {
        let category = &default_categories()[usize::from(hit.group)];
        let mut entity = entity(text, (hit.first as usize, hit.last as usize));
        if entities.iter().all(|known| known.end <= entity.start) {
            entity.found = Some(found_name(category.key, category.english, 0.5));
            entities.push(entity);
        }
    }
    entities
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Entry;

    fn texts(entities: &[Entity]) -> Vec<&str> {
        entities.iter().map(|entity| entity.text.as_str()).collect()
    }

    #[test]
    fn patterns_find_what_no_list_has() {
        let found = entities(
            "Pak Budi, genset 2 di gd. A lt 2 mati jam 9.30 kemarin, suhu 37,5 °C",
            &Lists::default(),
        );
        assert_eq!(texts(&found.persons), ["Pak Budi"]);
        assert_eq!(texts(&found.things), ["genset 2"]);
        assert_eq!(texts(&found.locations), ["gd. A lt 2"]);
        assert_eq!(texts(&found.times), ["jam 9.30", "kemarin"]);
        assert_eq!(texts(&found.quantities), ["37,5 °C"]);
    }

    #[test]
    fn arabic_spans_are_those_of_the_original() {
        let text = "المهندس خالد: تسرب ٣ لتر في المبنى أ الدور الثاني الساعة ٣";
        let found = entities(text, &Lists::default());
        assert_eq!(texts(&found.persons), ["المهندس خالد"]);
        assert_eq!(texts(&found.locations), ["المبنى أ الدور الثاني"]);
        assert_eq!(texts(&found.times), ["الساعة ٣"]);
        assert_eq!(texts(&found.quantities), ["٣ لتر"]);
        let place = &found.locations[0];
        let cut: String = text.chars().skip(place.start).take(place.end - place.start).collect();
        assert_eq!(cut, place.text);
    }

    #[test]
    fn english_places_and_times() {
        let found = entities(
            "Leak on the 2nd floor of Building B since 2pm, told Mr Ahmed. 3 days already, @rina",
            &Lists::default(),
        );
        assert_eq!(texts(&found.locations), ["2nd floor of Building B"]);
        assert_eq!(texts(&found.times), ["2pm", "3 days"]);
        assert_eq!(texts(&found.persons), ["Mr Ahmed", "@rina"]);
    }

    #[test]
    fn a_floor_leads_to_its_building() {
        let places = Index::new([Entry::new("a", "Building A"), Entry::new("b", "Building B")]);
        let lists = Lists { locations: Some(&places), ..Lists::default() };
        let found = entities("AC bocor di gd A lt 2", &lists);
        assert_eq!(found.locations[0].found.as_ref().map(|found| found.key.as_str()), Some("a"));
    }
}
