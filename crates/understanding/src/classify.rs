//! Work update, problem, or neither.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::language::{Detected, Language, detect};
use crate::lexicon::{Hit, Lexicon};
use crate::text::Text;

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
    concat!("kabar-understanding ", env!("CARGO_PKG_VERSION"))
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
    classify_text(&text, detect(&text))
}

pub(crate) fn signals() -> &'static Lexicon {
    static SIGNALS: OnceLock<Lexicon> = OnceLock::new();
    SIGNALS.get_or_init(|| Lexicon::read(include_str!("../data/signals.txt")))
}

pub(crate) fn classify_text(text: &Text<'_>, detected: Detected) -> Classification {
    let lexicon = signals();
    let mut hits: Vec<Hit> = Vec::with_capacity(16);
    lexicon.scan(text, &mut hits);
    let mut reasons = Vec::new();
    let mut scores = [0.0_f32, 0.0, 0.6];
    for hit in &hits {
        let name = lexicon.groups()[usize::from(hit.group)].as_str();
        let weights: [f32; 3] = match name {
            "fault" => [0.0, 1.2, 0.0],
            "danger" => [0.0, 1.0, 0.0],
            "done" | "plan" | "log" => [0.8, 0.0, 0.0],
            "repaired" => [1.4, 0.0, 0.0],
            "normal" => [1.4, -0.4, 0.0],
            "repair" | "request" | "again" | "urgent" => [0.0, 0.4, 0.0],
            "greeting" | "thanks" => [0.0, 0.0, 0.8],
            "talk" | "hypothetical" | "sense" => [0.0, 0.0, 1.2],
            _ => [0.0; 3],
        };
        for (score, weight) in scores.iter_mut().zip(weights) {
            *score += weight;
        }
        let weight = weights.iter().copied().fold(0.0, f32::max);
        if weight > 0.0 {
            reasons.push((weights, hit, name));
        }
    }
    let total: f32 = scores.iter().map(|score| score.exp()).sum();
    let best = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(2);
    let class = [Class::WorkUpdate, Class::Problem, Class::General][best];
    let reasons = reasons
        .into_iter()
        .filter(|(weights, ..)| weights[best] > 0.0)
        .map(|(weights, hit, name)| Reason {
            text: text.span(hit.first as usize, hit.last as usize).to_owned(),
            why: name.to_owned(),
            weight: weights[best],
        })
        .collect();
    Classification {
        class,
        confidence: scores[best].exp() / total,
        reasons,
        language: detected.language,
        engine: engine(),
    }
}
