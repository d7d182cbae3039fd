//! A text's terms against a name's, in full.

use super::distance::distance;
use super::lookup::{Name, Resolved};
use super::terms::{Role, Term, is_inner, is_place, is_thing};

/// How alike they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    /// 0 to 1; below what counts as meant wherever a tell is missing or contradicts.
    pub score: f32,
    /// Whether all that tells the name from others is in the text.
    pub whole: bool,
    pub weight: f32,
}

/// The most that a name scores whose tells are not all in the text, or that both sides have words beside.
const DOUBTFUL: f32 = 0.6;
const CONTRARY: f32 = 0.4;

/// What of a name was found, term by term, and where.
struct Fit {
    /// The term of the text for each of the name's.
    places: Vec<Option<usize>>,
    used: Vec<bool>,
    matched: f32,
    weight: f32,
    slipped: bool,
    /// Whether a word of its own, not a noun, is otherwise spelt.
    misspelt: bool,
}

impl Fit {
    /// `running` text is no name: numbers and letters in it belong to the nouns they stand at.
    fn of(terms: &[Term], resolved: &[Resolved], name: &Name, running: bool) -> Self {
        let mut fit = Fit {
            places: Vec::with_capacity(name.parts.len()),
            used: vec![false; terms.len()],
            matched: 0.0,
            weight: name.weight,
            slipped: false,
            misspelt: false,
        };
        for (part, weight) in name.parts.iter().zip(&name.weights) {
            let fits = |place: usize| -> f32 {
                let options = resolved[place].iter();
                let likeness = options
                    .into_iter()
                    .find(|(option, _)| *option == part.term)
                    .map_or(0.0, |(_, like)| *like);
                let own = part.of == terms[place].of;
                let loose = part.of == 0 || terms[place].of == 0 && (!running || part.code);
                if likeness == 0.0 || part.role == Role::Tell && !own && !loose {
                    return 0.0;
                }
                // A tell with its own noun is likelier than one without.
                likeness + if own { 0.001 } else { 0.0 }
            };
            let best = (0..terms.len())
                .filter(|place| !fit.used[*place])
                .map(|place| (fits(place), place))
                .fold((0.0, 0), |best, next| if next.0 > best.0 { next } else { best });
            if best.0 > 0.0 {
                fit.used[best.1] = true;
                fit.matched += weight * best.0.min(1.0);
                fit.slipped |= best.0 < 0.87;
                fit.misspelt |= part.role == Role::Word && best.0 < 1.0;
            }
            fit.places.push((best.0 > 0.0).then_some(best.1));
        }
        fit
    }

    fn has(&self, name: &Name, is_missing: bool, wanted: impl Fn(usize) -> bool) -> bool {
        (0..name.parts.len()).any(|at| self.places[at].is_none() == is_missing && wanted(at))
    }

    /// Whether a number or letter that the name has after a word stands elsewhere in a running text.
    fn is_apart(&self, terms: &[Term], name: &Name) -> bool {
        let beside = |at: usize, other: usize| {
            self.used.get(other) == Some(&true)
                && terms[at.max(other)].first.saturating_sub(terms[at.min(other)].last) <= 3
        };
        name.parts.iter().zip(&self.places).any(|(part, place)| {
            let Some(at) = *place else { return false };
            part.role == Role::Tell
                && part.of == 0
                && !part.side
                && !part.code
                && !(beside(at, at + 1) || at.checked_sub(1).is_some_and(|before| beside(at, before)))
        })
    }

    /// Whether what is found of a name is enough to name it in a running text.
    fn is_named(&self, terms: &[Term], name: &Name, other_thing: bool) -> bool {
        let count = |wanted: &dyn Fn(usize) -> bool| {
            (0..name.parts.len()).filter(|at| self.places[*at].is_some() && wanted(*at)).count()
        };
        let tells = count(&|at| name.parts[at].role == Role::Tell);
        let words = count(&|at| name.parts[at].role == Role::Word);
        let told = count(&|at| name.parts[at].role == Role::Word && !name.parts[at].ordinary);
        let codes = count(&|at| name.parts[at].code);
        let missing = |wanted: &dyn Fn(u64) -> bool| {
            self.has(name, true, |at| name.parts[at].role == Role::Noun && wanted(name.parts[at].noun))
        };
        let has_nouns = name.parts.iter().any(|part| part.role == Role::Noun);
        if self.is_apart(terms, name) {
            return false;
        }
        if words == 0 && tells > 0 && !has_nouns {
            return codes > 0;
        }
        if !missing(&|_| true) {
            return true;
        }
        if words == 0 {
            return codes > 0 && !other_thing;
        }
        // Of a thing, or a room that any place may have, the noun goes without saying only where much else is said.
        if missing(&|noun| is_thing(noun)) {
            return !other_thing && words + tells > 1 && told > 0;
        }
        told > 0 && (!missing(&is_inner) || words + tells > 1)
    }
}

/// What a text is compared as.
#[derive(Clone, Copy, Debug)]
pub(super) enum As<'a> {
    /// A name: what it says in a row, and the nouns whose numbers the list knows.
    Name { plain: &'a [char], counted: &'a [u64] },
    /// A part of a message, and whether the message names equipment that is none of the name's.
    Message { other_thing: bool },
}

pub(super) fn compare(terms: &[Term], resolved: &[Resolved], name: &Name, said: As<'_>) -> Compared {
    let running = matches!(said, As::Message { .. });
    let fit = Fit::of(terms, resolved, name, running);
    let missing = |role: Role| fit.has(name, true, |at| name.parts[at].role == role);
    let missing_tell = missing(Role::Tell);
    let missing_noun = missing(Role::Noun);
    let missing_word = missing(Role::Word);
    let any_word = fit.has(name, false, |at| name.parts[at].role == Role::Word);
    let has_words = any_word || missing_word;
    let order: Vec<usize> = (0..name.parts.len())
        .filter(|at| name.parts[*at].role == Role::Tell && name.parts[*at].of == 0)
        .filter_map(|at| fit.places[at])
        .collect();
    let mut contrary = order.windows(2).any(|pair| pair[0] > pair[1]);
    let inner_only =
        !has_words && name.parts.iter().all(|part| part.role != Role::Noun || is_inner(part.noun));
    let (mut beside, mut details) = (0.0_f32, 0.0_f32);
    let (mut other_noun, mut known_beside, mut elsewhere) = (false, false, false);
    for (term, options) in
        terms.iter().zip(resolved).zip(&fit.used).filter(|(_, used)| !**used).map(|(both, _)| both)
    {
        match term.role {
            Role::Tell => {
                // `floor 2` is a detail of a building, unless the list tells its floors apart; a second number of its
                // own is another building. Of a name that is only like the text, another's floor is enough to doubt.
                let told_apart = match said {
                    As::Name { counted, .. } => {
                        name.split_by.contains(&term.of) || fit.misspelt && counted.contains(&term.of)
                    }
                    As::Message { .. } => false,
                };
                let detail = term.of != 0
                    && !told_apart
                    && is_place(term.of)
                    && !name.parts.iter().any(|part| part.of == term.of || part.noun == term.of);
                // A floor of some building is not that of the building named.
                elsewhere |= inner_only && !is_inner(term.of);
                if detail && !missing_tell {
                    details += 0.35;
                } else {
                    contrary = true;
                }
            }
            Role::Word => {
                known_beside |= !options.is_empty();
                // What is said of a thing between its name and its number is no part of a name.
                beside += match (options.is_empty(), running) {
                    (true, true) => 0.4,
                    (true, false) => 0.8,
                    (false, _) => 1.0,
                };
            }
            Role::Noun => {
                details += 0.1;
                other_noun |= !is_inner(term.id)
                    || !terms.iter().any(|tell| tell.role == Role::Tell && tell.of == term.id);
            }
        }
    }
    let share = fit.matched / fit.weight;
    let found = fit.matched / (fit.matched + beside + details * 0.6).max(0.01);
    let mut score = 0.5 * (share + found);
    // A hall is not the tower of the same name, and a floor not the toilet on it.
    let another = missing_noun && other_noun;
    let other_head = !has_words && fit.has(name, true, |at| name.parts[at].head);
    if another
        || elsewhere
        || other_head
        || known_beside
        || missing_word && (fit.slipped || beside > 0.0 || !any_word)
    {
        score = score.min(DOUBTFUL);
    }
    if let As::Name { plain, .. } = said
        && !missing_tell
        && !contrary
        && !another
        && !other_head
        && plain.len() > 4
        && let Some(slips) = distance(plain, &name.plain, if plain.len() < 10 { 1 } else { 2 })
    {
        score = score.max(1.0 - 0.8 * slips as f32 / plain.len() as f32 - (1.0 - share) * 0.05);
    }
    if missing_tell {
        score = score.min(DOUBTFUL);
    }
    if contrary {
        score = score.min(CONTRARY);
    }
    let tells_and_words = name.parts.iter().any(|part| part.role != Role::Noun);
    let mut whole = !missing_tell && !contrary && !missing_word && (tells_and_words || share > 0.99);
    if let As::Message { other_thing } = said {
        whole = whole && fit.is_named(terms, name, other_thing);
    }
    Compared { score, whole, weight: fit.weight }
}
