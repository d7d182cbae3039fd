//! A text's terms against a name's, in full.

use super::distance::distance;
use super::lookup::{Name, Resolved};
use super::terms::{Role, Term, is_place};

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

/// `counted` holds the nouns whose numbers the list knows.
pub(super) fn compare(
    terms: &[Term],
    resolved: &[Resolved],
    name: &Name,
    counted: &[u64],
    plain: Option<&[char]>,
) -> Compared {
    let weight_of = |at: usize| name.weights[at];
    let mut used = vec![false; terms.len()];
    let (mut matched, mut whole_weight) = (0.0, 0.0);
    let (mut missing_tell, mut missing_word, mut any_word) = (false, 0.0_f32, false);
    let (mut missing_noun, mut other_noun, mut slipped) = (false, false, false);
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (at, (term, role, of)) in name.terms.iter().enumerate() {
        let fits = |place: usize| -> f32 {
            let likeness =
                resolved[place].iter().find(|(option, _)| option == term).map_or(0.0, |(_, like)| *like);
            let same_noun = *role != Role::Tell || *of == terms[place].of || *of == 0 || terms[place].of == 0;
            // A tell with its own noun is likelier than one without.
            let closer = if *of == terms[place].of { 0.001 } else { 0.0 };
            if likeness > 0.0 && same_noun { likeness + closer } else { 0.0 }
        };
        let best = (0..terms.len())
            .filter(|place| !used[*place])
            .map(|place| (fits(place), place))
            .fold((0.0, 0), |best, next| if next.0 > best.0 { next } else { best });
        whole_weight += weight_of(at);
        if best.0 > 0.0 {
            used[best.1] = true;
            matched += weight_of(at) * best.0.min(1.0);
            any_word |= *role == Role::Word;
            slipped |= best.0 < 0.87;
            if *role == Role::Tell && *of == 0 {
                order.push((at, best.1));
            }
        } else {
            match role {
                Role::Tell => missing_tell = true,
                Role::Word => missing_word += weight_of(at),
                Role::Noun => missing_noun = true,
            }
        }
    }
    let mut contrary = order.windows(2).any(|pair| pair[0].1 > pair[1].1);
    let (mut beside, mut details) = (0.0_f32, 0.0_f32);
    for (term, options) in
        terms.iter().zip(resolved).zip(&used).filter(|(_, used)| !**used).map(|(both, _)| both)
    {
        match term.role {
            Role::Tell => {
                // `floor 2` is a detail of a building; a second number of its own is another building.
                let detail = term.of != 0
                    && !counted.contains(&term.of)
                    && is_place(term.of)
                    && !name.terms.iter().any(|(_, _, of)| *of == term.of);
                if detail && !missing_tell {
                    details += 0.35;
                } else {
                    contrary = true;
                }
            }
            Role::Word => beside += if options.is_empty() { 0.8 } else { 1.0 },
            Role::Noun => {
                details += 0.1;
                other_noun |= !terms.iter().any(|tell| tell.role == Role::Tell && tell.of == term.id);
            }
        }
    }
    let share = matched / whole_weight;
    let found = matched / (matched + beside + details * 0.6).max(0.01);
    let mut score = 0.5 * (share + found);
    // A hall is not the tower of the same name.
    let another = missing_noun && other_noun;
    if another || missing_word > 0.0 && (slipped || beside > 0.0 || !any_word) {
        score = score.min(DOUBTFUL);
    }
    if let Some(plain) = plain
        && !missing_tell
        && !contrary
        && !another
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
    let tells_and_words = name.terms.iter().filter(|(_, role, _)| *role != Role::Noun).count();
    let whole = !missing_tell && !contrary && missing_word == 0.0 && (tells_and_words > 0 || share > 0.99);
    Compared { score, whole, weight: whole_weight }
}
