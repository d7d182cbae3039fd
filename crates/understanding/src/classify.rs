//! Work update, problem, or neither.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::language::{Detected, Language, detect};
use crate::model::{CLASSES, COLUMNS, Model, Scores, softmax};
use crate::rules::lean;
use crate::text::{Kind, Text};
use crate::vocabulary::{List, Scanned, Vocabulary};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Work done, under way or planned; a reading; normal again.
    WorkUpdate,
    /// Something is wrong now.
    Problem,
    /// Neither: greetings, thanks, chatter, plain questions.
    General,
}

/// Why something was decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The words that decided it, as they were written.
    pub text: String,
    /// What they speak of: a rule's name (`fault`, `repaired`, `gas`, …) or `words` for the model's weights.
    pub why: String,
    /// How much they weigh, in log-odds over the runner-up.
    pub weight: f32,
}

/// What a message is, how sure that is, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    pub class: Class,
    /// The calibrated probability of `class`, 0 to 1.
    pub confidence: f32,
    pub reasons: Vec<Reason>,
    pub language: Language,
    /// The engine's name, version and weights.
    pub engine: &'static str,
}

/// The engine's name, version and weights, as [`Classification::engine`] has it.
pub fn engine() -> &'static str {
    static ENGINE: OnceLock<String> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let weights = Model::get().fingerprint >> 32;
        format!("kabar-understanding {} ({weights:08x})", env!("CARGO_PKG_VERSION"))
    })
}

/// Classifies one message.
///
/// ```
/// use kabar_understanding::{Class, classify};
///
/// assert_eq!(classify("pipa bocor di toilet lantai 3").class, Class::Problem);
/// assert_eq!(classify("sudah diganti, normal").class, Class::WorkUpdate);
/// assert_eq!(classify("selamat pagi semua").class, Class::General);
/// ```
pub fn classify(text: &str) -> Classification {
    let text = Text::new(text);
    let scanned = Vocabulary::get().scan(&text);
    let scores = Model::get().score(&text, &scanned);
    classify_text(&text, &scanned, &scores, detect(&text, &scanned))
}

const REASONS: usize = 5;

pub(crate) fn classify_text(
    text: &Text<'_>,
    scanned: &Scanned,
    scores: &Scores,
    detected: Detected,
) -> Classification {
    let wordless = text.tokens().iter().all(|token| token.kind == Kind::Mark);
    let (leaning, rule) = lean(text, scanned, &scores.columns[CLASSES]);
    let chances: [f32; 3] =
        if wordless { [0.02, 0.03, 0.95] } else { softmax(&leaning, Model::get().class_temperature) };
    let mut order = [0, 1, 2];
    order.sort_by(|a, b| chances[*b].total_cmp(&chances[*a]));
    let [best, second, _] = order;
    let mut reasons = reasons(text, scanned, &[List::Signal, List::Concept], scores, |columns| {
        columns[best] - columns[second]
    });
    if let Some((why, first, last)) = rule.filter(|_| best == 1) {
        let weight = leaning[1] - scores.columns[CLASSES.start + 1];
        reasons.insert(0, Reason { text: text.span(first, last).to_owned(), why: why.to_owned(), weight });
        reasons.truncate(REASONS);
    }
    Classification {
        class: [Class::WorkUpdate, Class::Problem, Class::General][best],
        confidence: chances[best],
        reasons,
        language: detected.language,
        engine: engine(),
    }
}

/// The words that weigh most, heaviest first; words of one rule, and neighbours, as one.
pub(crate) fn reasons(
    text: &Text<'_>,
    scanned: &Scanned,
    lists: &[List],
    scores: &Scores,
    weigh: impl Fn(&[f32; COLUMNS]) -> f32,
) -> Vec<Reason> {
    let mut weights: Vec<f32> = scores.tokens.iter().map(weigh).collect();
    let mut found: Vec<(f32, usize, usize, &str)> = Vec::new();
    for list in lists {
        let names = Vocabulary::get().names(*list);
        for hit in scanned.of(*list) {
            let (first, last) = (hit.first as usize, hit.last as usize);
            let weight: f32 = weights[first..=last].iter().sum();
            if weight > 0.1 {
                let name = &names[usize::from(hit.group)];
                found.push((weight, first, last, name.split_once(' ').map_or(name, |(_, meaning)| meaning)));
                weights[first..=last].fill(0.0);
            }
        }
    }
    for (at, token) in text.tokens().iter().enumerate() {
        if weights[at] > 0.1 && (token.kind != Kind::Mark || text.norm(token) != "\n") {
            found.push((weights[at], at, at, "words"));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(REASONS);
    let reason = |(weight, first, last, why): (f32, usize, usize, &str)| Reason {
        text: text.span(first, last).to_owned(),
        why: why.to_owned(),
        weight,
    };
    found.into_iter().map(reason).collect()
}
