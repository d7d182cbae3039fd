//! From a text to an item's class, reasons and suggestions.

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::operations::Severity;
use kabar_domain::{CategoryId, SiteId};
use kabar_store::inbox::BY_PERSON;
use kabar_store::understanding::{Standing, Understood, Unread};
use kabar_understanding::{Analysis, Class, Language, Reason, analyse};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::places;
use crate::vocabulary::{Place, Thing, Vocabulary};

/// Places that a person may be asked to choose from.
const CHOICES: usize = 3;
/// A category that a text speaks of less than this is no suggestion.
const CATEGORY: f32 = 0.3;

/// Something of the organisation's that an item seems to be about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guess {
    pub id: String,
    pub name: String,
    /// 0 to 1.
    #[serde(serialize_with = "rounded")]
    pub score: f32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde calls it")]
fn rounded<S: Serializer>(score: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(sure(*score))
}

impl Guess {
    fn new(id: &str, name: &str, score: f32) -> Self {
        Self { id: id.to_owned(), name: name.to_owned(), score }
    }
}

/// What was read in an item.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub class: InboxClass,
    pub confidence: f64,
    pub severity: Option<Severity>,
    pub site: Option<Guess>,
    pub facility: Option<Guess>,
    pub category: Option<Guess>,
    /// Sites that may be meant, where none is sure.
    pub choices: Vec<Guess>,
    /// The model that read it again, and why it says so.
    pub refined: Option<(String, String)>,
    pub analysis: Analysis,
}

/// What people made of an item stays, whatever is read in it later.
pub(crate) fn is_decided(standing: &Standing) -> bool {
    standing.status == InboxStatus::Converted || standing.reasons.iter().any(|reason| reason == BY_PERSON)
}

pub(crate) const fn class_of(class: Class) -> InboxClass {
    match class {
        Class::WorkUpdate => InboxClass::WorkUpdate,
        Class::Problem => InboxClass::Problem,
        Class::General => InboxClass::Unknown,
    }
}

pub(crate) const fn severity_of(severity: kabar_understanding::Severity) -> Severity {
    use kabar_understanding::Severity as Read;
    match severity {
        Read::Low => Severity::Low,
        Read::Medium => Severity::Medium,
        Read::High => Severity::High,
        Read::Critical => Severity::Critical,
    }
}

/// Six digits say as much as the model knows, and read the same everywhere.
pub(crate) fn sure(score: f32) -> f64 {
    (f64::from(score) * 1e6).round() / 1e6
}

/// `fault: bocor`; the words alone where nothing names what they speak of.
pub(crate) fn sentence(reason: &Reason) -> String {
    match (reason.why.as_str(), reason.text.as_str()) {
        (why, "") => why.to_owned(),
        ("words", text) => text.to_owned(),
        (why, text) => format!("{why}: {text}"),
    }
}

fn site(vocabulary: &Vocabulary, id: SiteId, score: f32) -> Option<Guess> {
    let key = id.to_string();
    let entry = vocabulary.locations.entries().iter().find(|entry| entry.key == key)?;
    Some(Guess::new(&key, &entry.name, score))
}

/// Where it is, which thing it is about, and whether several places may be meant.
struct Where {
    site: Option<Guess>,
    thing: Option<(Thing, Guess)>,
    choices: Vec<Guess>,
}

/// The facility whose code was scanned before the message was written.
fn scanned(item: &Unread, vocabulary: &Vocabulary) -> Option<(Thing, Guess)> {
    let key = places::facility_of(item.start.as_deref()?)?.to_string();
    let entry = vocabulary.things.entries().iter().find(|entry| entry.key == key)?;
    Some((vocabulary.thing(&key)?, Guess::new(&key, &entry.name, 1.0)))
}

fn place(
    analysis: &Analysis,
    vocabulary: &Vocabulary,
    text: &str,
    scanned: Option<(Thing, Guess)>,
    default: Option<SiteId>,
) -> Where {
    let named: Vec<_> =
        analysis.entities.locations.iter().filter_map(|entity| entity.found.as_ref()).collect();
    let things: Vec<_> = analysis
        .entities
        .things
        .iter()
        .filter_map(|entity| entity.found.as_ref())
        .filter_map(|found| {
            Some((vocabulary.thing(&found.key)?, Guess::new(&found.key, &found.name, found.score)))
        })
        .collect();
    let places: Vec<_> =
        named.iter().filter_map(|found| Some((vocabulary.place(&found.key)?, *found))).collect();
    // A place that the named thing stands at is meant before one that is named first.
    let at_thing =
        places.iter().find(|(place, _)| things.iter().any(|(thing, _)| thing.site_id == place.site_id()));
    let meant = at_thing.or(places.first());
    let mut choices = Vec::new();
    let mut found = meant.and_then(|(place, found)| site(vocabulary, place.site_id(), found.score));
    if found.is_none() {
        found = things.first().and_then(|(thing, guess)| site(vocabulary, thing.site_id, guess.score));
    }
    if let (None, Some((thing, _))) = (&found, &scanned) {
        found = site(vocabulary, thing.site_id, 1.0);
    }
    if found.is_none() {
        let doubtful = analysis.entities.locations.iter().filter(|entity| entity.found.is_none());
        for entity in doubtful {
            for candidate in vocabulary.locations.find(&entity.text, CHOICES).candidates {
                let Some(place) = vocabulary.place(candidate.key) else { continue };
                let Some(guess) = site(vocabulary, place.site_id(), candidate.score) else { continue };
                if !choices.iter().any(|choice: &Guess| choice.id == guess.id) {
                    choices.push(guess);
                }
            }
        }
        choices.truncate(CHOICES);
        if choices.is_empty() {
            found = default.and_then(|default| site(vocabulary, default, 1.0));
        }
    }
    let at = found.as_ref().and_then(|found| found.id.parse::<SiteId>().ok());
    let here = |thing: &Thing| at.is_none_or(|at| thing.site_id == at);
    let mut thing = things.into_iter().find(|(thing, _)| here(thing));
    if let (None, Some(at)) = (&thing, at) {
        // A name that several sites have is sure once the site is.
        thing = vocabulary.things_at(at).and_then(|index| {
            let mentions = index.mentions(text);
            let best = mentions.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
            Some((vocabulary.thing(best.key)?, Guess::new(best.key, best.name, best.score)))
        });
    }
    if thing.is_none()
        && let Some((Place::Facility(facility), found)) = meant
    {
        thing = Some((*facility, Guess::new(&found.key, &found.name, found.score)));
    }
    thing = thing.or_else(|| scanned.filter(|(thing, _)| here(thing)));
    Where { site: found, thing, choices }
}

fn category(analysis: &Analysis, vocabulary: &Vocabulary, of_thing: Option<CategoryId>) -> Option<Guess> {
    let spoken = analysis.categories.first().filter(|suggestion| suggestion.score >= CATEGORY);
    if let Some(suggestion) = spoken
        && let Some(id) = vocabulary.category(&suggestion.key)
    {
        return Some(Guess::new(&id.to_string(), &suggestion.name, suggestion.score));
    }
    let key = of_thing?.to_string();
    let entry = vocabulary.categories.index().entries().iter().find(|entry| entry.key == key)?;
    Some(Guess::new(&key, &entry.name, 1.0))
}

impl Reading {
    pub fn of(item: &Unread, vocabulary: &Vocabulary) -> Self {
        let text = item.text.as_deref().unwrap_or_default();
        let analysis = analyse(text, &vocabulary.context());
        let default = item.channel.and_then(|channel| channel.default_site_id);
        let place = place(&analysis, vocabulary, text, scanned(item, vocabulary), default);
        let of_thing = place.thing.as_ref().and_then(|(thing, _)| thing.category_id);
        let form = analysis.structured.as_ref().map(|form| form.fields.clone()).unwrap_or_default();
        let mut reading = Self {
            class: class_of(analysis.classification.class),
            confidence: sure(analysis.classification.confidence),
            severity: analysis.severity.as_ref().map(|found| severity_of(found.severity)),
            category: category(&analysis, vocabulary, of_thing),
            site: place.site,
            facility: place.thing.map(|(_, guess)| guess),
            choices: place.choices,
            refined: None,
            analysis,
        };
        // What a form calls by its name is meant before what is read between its lines.
        let said = |field: &str| form.get(field).map(String::as_str);
        reading.name(vocabulary, said("location"), said("thing"), said("category"));
        reading
    }

    /// Takes over what these names stand for, where the organisation has them.
    pub fn name(
        &mut self,
        vocabulary: &Vocabulary,
        location: Option<&str>,
        thing: Option<&str>,
        category: Option<&str>,
    ) {
        let mut located = false;
        if let Some(best) = location.and_then(|name| vocabulary.locations.find(name, 1).best)
            && let Some(place) = vocabulary.place(best.key)
            && let Some(found) = site(vocabulary, place.site_id(), best.score)
        {
            self.site = Some(found);
            // What was read before may stand elsewhere.
            let here = place.site_id();
            self.facility
                .take_if(|facility| vocabulary.thing(&facility.id).is_none_or(|thing| thing.site_id != here));
            located = true;
        }
        let at = self.site.as_ref().and_then(|site| site.id.parse::<SiteId>().ok());
        let at_site = at.and_then(|at| vocabulary.things_at(at));
        let index = if located { at_site } else { at_site.or(Some(&vocabulary.things)) };
        if let Some(best) = thing.zip(index).and_then(|(name, index)| index.find(name, 1).best)
            && let Some(facility) = vocabulary.thing(best.key)
        {
            self.facility = Some(Guess::new(best.key, best.name, best.score));
            self.site = site(vocabulary, facility.site_id, best.score).or(self.site.take());
        }
        if let Some(best) = category.and_then(|name| vocabulary.categories.index().find(name, 1).best) {
            self.category = Some(Guess::new(best.key, best.name, best.score));
        }
    }

    /// The language to answer in.
    pub const fn answer_in(&self) -> Language {
        self.analysis.language.dominant
    }

    fn reasons(&self) -> Vec<String> {
        let severity = self.analysis.severity.iter().flat_map(|found| {
            let level = severity_of(found.severity).as_str();
            found.reasons.iter().map(move |reason| format!("severity {level}: {}", sentence(reason)))
        });
        let refined = self.refined.iter().map(|(model, reason)| format!("{model}: {reason}"));
        let own = self.analysis.classification.reasons.iter().map(sentence);
        if self.refined.is_some() { refined.collect() } else { own.chain(severity).collect() }
    }

    fn suggestions(&self) -> Value {
        json!({
            "site": self.site,
            "facility": self.facility,
            "category": self.category,
            "severity": self.severity,
        })
    }

    /// What is kept beside the item.
    fn understanding(&self) -> Value {
        let analysis = &self.analysis;
        json!({
            "language": analysis.language.language,
            "answer_in": analysis.language.dominant,
            "engine": analysis.classification.engine,
            "severity": analysis.severity,
            "entities": analysis.entities,
            "categories": analysis.categories,
            "sites": self.choices,
            "structured": analysis.structured,
            "refined_by": self.refined.as_ref().map(|(model, _)| model),
        })
    }

    /// For the database; `note` is why it is not converted, when people should know.
    pub fn written(
        &self,
        item: &Unread,
        was: &Standing,
        status: InboxStatus,
        note: Option<String>,
    ) -> Understood {
        let mut reasons = self.reasons();
        reasons.extend(note);
        let decided = is_decided(was);
        if decided && !was.reasons.is_empty() {
            reasons.clone_from(&was.reasons);
        }
        Understood {
            organisation_id: item.organisation_id,
            id: item.id,
            class: if decided { was.class } else { self.class },
            was: was.status,
            status,
            confidence: was.confidence.filter(|_| decided).unwrap_or(self.confidence),
            reasons: json!(reasons).to_string(),
            suggestions: self.suggestions().to_string(),
            understanding: self.understanding().to_string(),
        }
    }
}
