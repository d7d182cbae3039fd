//! What leans a message towards a problem although its words alone say otherwise: repairs that should have been made,
//! faults behind questions, readings beyond their limits, cries for help.

use crate::model::CLASSES;
use crate::text::{Kind, Text};
use crate::vocabulary::{List, Scanned, Vocabulary};

/// Log-odds that a rule adds to a problem.
const STRONG: f32 = 5.0;
const SOME: f32 = 3.0;
/// A cry for help has few words.
const CRY: usize = 2;
/// Words between a negation and what was not done.
const NEAR: u32 = 3;
/// A reading is another than the usual one from this share on.
const OTHER: f64 = 0.1;

/// A group of a list that is in a text.
struct Found<'v> {
    name: &'v str,
    first: u32,
    last: u32,
}

fn found<'v>(scanned: &Scanned, list: List) -> Vec<Found<'v>> {
    let names = Vocabulary::get().names(list);
    let named = |hit: crate::lexicon::Hit| Found {
        name: &names[usize::from(hit.group)],
        first: hit.first,
        last: hit.last,
    };
    scanned.of(list).map(named).collect()
}

/// The classes' log-odds with the rules' part in them, and the rule that spoke with the words it spoke of.
pub(crate) fn lean(
    text: &Text<'_>,
    scanned: &Scanned,
    columns: &[f32],
) -> ([f32; CLASSES.end], Option<(&'static str, usize, usize)>) {
    let mut leaning = [columns[0], columns[1], columns[2]];
    let spoken = strongest(text, scanned);
    if let Some((_, weight, ..)) = spoken {
        leaning[1] += weight;
    }
    (leaning, spoken.map(|(rule, _, first, last)| (rule, first, last)))
}

fn strongest(text: &Text<'_>, scanned: &Scanned) -> Option<(&'static str, f32, usize, usize)> {
    let rules = found(scanned, List::Rule);
    let words = text.tokens().iter().filter(|token| token.kind != Kind::Mark).count();
    if rules.is_empty() && words > CRY {
        return None;
    }
    let signals = found(scanned, List::Signal);
    let concepts = found(scanned, List::Concept);
    let grave = found(scanned, List::Severity);
    let has = |name: &str| signals.iter().any(|signal| signal.name == name);
    let is_work = |found: &&Found<'_>| {
        matches!(found.name, "repaired" | "repair") || found.name.starts_with("repaired ")
    };
    let work = || signals.iter().chain(&concepts).filter(is_work);
    let is_fault = |found: &Found<'_>| {
        matches!(found.name, "fault" | "danger")
            || found.name.starts_with("fault ")
            || found.name.starts_with("danger ")
    };
    let has_fault = signals.iter().chain(&concepts).any(is_fault)
        || grave.iter().any(|found| matches!(found.name, "high power" | "high water"));
    let is_over = has("normal") || has("hypothetical");
    let is_held = |done: &Found<'_>| {
        rules.iter().any(|rule| rule.name == "held" && rule.first <= done.last && done.first <= rule.last)
    };
    let spans = |rule: &Found<'_>| (rule.first as usize, rule.last as usize);
    for rule in &rules {
        let (first, last) = spans(rule);
        let speaks = match rule.name {
            "unmet" => work().any(|done| done.first > rule.last),
            "undone" => {
                let near = |at: u32| at > rule.last && at - rule.last <= NEAR;
                !is_over
                    && work().any(|done| near(done.first))
                    && !signals.iter().any(|signal| signal.name == "done" && near(signal.first))
            }
            "held" => has_fault && !is_over && !work().any(|done| done.name != "repair" && !is_held(done)),
            "wonder" => has_fault && !is_over,
            "help" => !has("done") && !is_over,
            "comfort" => !rules.iter().any(|other| other.name == "outdoors") && !has("normal"),
            "least" | "most" | "usual" => is_beyond(text, rule),
            _ => false,
        };
        if speaks {
            let (name, weight) = match rule.name {
                name @ ("unmet" | "undone" | "held") => (name, STRONG),
                name @ ("wonder" | "help" | "comfort") => (name, SOME),
                _ => ("beyond its limit", STRONG),
            };
            return Some((name, weight, first, last));
        }
    }
    let quiet = ["done", "not", "question", "sense", "talk", "thanks"].iter().any(|name| has(name));
    let cry = grave.iter().find(|found| found.name.starts_with("critical"))?;
    let (first, last) = spans(cry);
    (words <= CRY && !quiet && !is_over && work().next().is_none()).then_some((
        "emergency",
        STRONG,
        first,
        last,
    ))
}

/// Whether the number before a limit is on the wrong side of the number behind it.
fn is_beyond(text: &Text<'_>, limit: &Found<'_>) -> bool {
    let tokens = text.tokens();
    let value = |at: usize| {
        let token = tokens.get(at).filter(|token| token.kind == Kind::Number)?;
        text.norm(token).replace(',', ".").parse::<f64>().ok()
    };
    let (first, last) = (limit.first as usize, limit.last as usize);
    let read = (0..first).rev().take(6).find_map(value);
    let bound = (last + 1..tokens.len()).take(3).find_map(value);
    let (Some(read), Some(bound)) = (read, bound) else { return false };
    match limit.name {
        "least" => read < bound,
        "most" => read > bound,
        _ => (read - bound).abs() > OTHER * bound.abs(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Class, classify};

    fn wrong(class: Class, texts: &[&'static str]) -> Vec<(&'static str, Class, f32)> {
        let found = texts.iter().map(|text| (*text, classify(text)));
        let wrong = found.filter(|(_, found)| found.class != class);
        wrong.map(|(text, found)| (text, found.class, found.confidence)).collect()
    }

    #[test]
    fn what_should_have_been_done_is_a_problem() {
        let texts = [
            "the belt should have been replaced on Monday",
            "this drain was supposed to be cleaned yesterday",
            "seharusnya lampu ini sudah diganti kemarin",
            "المفروض يتم تصليح المصعد امس",
            "لم يتم تنظيف الخزان حتى الان",
            "the toilets have not been cleaned since Friday",
            "AC ruang rapat belum diperbaiki juga",
        ];
        assert_eq!(wrong(Class::Problem, &texts), []);
        let done = [
            "the belt has been replaced",
            "lampu sudah diganti",
            "تم تنظيف الخزان",
            "drain cleaned, as it should be",
        ];
        assert_eq!(wrong(Class::WorkUpdate, &done), []);
    }

    #[test]
    fn a_fault_that_is_only_fenced_off_is_a_problem() {
        let texts = [
            "seal on pump 4 leaking badly, isolated and awaiting parts",
            "conveyor bearing failed, locked out, waiting for parts",
            "pompa bocor, sudah diisolasi, menunggu sparepart",
        ];
        assert_eq!(wrong(Class::Problem, &texts), []);
        assert_eq!(wrong(Class::WorkUpdate, &["pump isolated, seal replaced, back in service"]), []);
    }

    #[test]
    fn readings_are_held_against_their_limits() {
        let texts = [
            "discharge pressure 2.1 bar, normal is 6 bar",
            "gearbox vibration 11 mm/s alarm limit 7",
            "tank level 5 % minimum 20 %",
            "suhu bearing 95 C batas 80",
        ];
        assert_eq!(wrong(Class::Problem, &texts), []);
        let fine = [
            "discharge pressure 6 bar, normal is 6 bar",
            "tank level 65 % minimum 20 %",
            "suhu bearing 60 C batas 80",
        ];
        assert_eq!(wrong(Class::WorkUpdate, &fine), []);
    }

    #[test]
    fn faults_behind_questions_and_cries_for_help_are_problems() {
        let texts = [
            "anyone know why there is no water on our floor",
            "ada yang tau kenapa lift nya mati",
            "ليش الكهرباء مقطوعة",
            "can you fix the window in 204",
            "mohon kirim teknisi ke gudang",
            "it is too hot to work up here",
            "berisik banget di lantai 3",
            "kebakaran",
            "نار",
            "gas leak!",
        ];
        assert_eq!(wrong(Class::Problem, &texts), []);
        let none = [
            "why is the meeting so early",
            "panas banget hari ini",
            "kenapa ga ikut makan siang",
            "fire drill today",
        ];
        assert!(
            wrong(Class::General, &none).iter().all(|(_, class, _)| *class != Class::Problem),
            "{:?}",
            wrong(Class::General, &none)
        );
    }
}
