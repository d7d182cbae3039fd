//! How bad a problem is.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::classify::Reason;
use crate::lexicon::{Hit, Lexicon};
use crate::text::Text;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Cosmetic, minor, comfort.
    Low,
    /// One thing broken or out of service.
    Medium,
    /// Many people, safety equipment, production, theft, a fault that comes back, or said to be urgent.
    High,
    /// Danger to life, or a site wholly down.
    Critical,
}

/// A severity, how sure it is, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    pub severity: Severity,
    /// The calibrated probability of `severity`, 0 to 1.
    pub confidence: f32,
    /// Never empty: where no rule speaks, the words that weighed most.
    pub reasons: Vec<Reason>,
}

/// How bad the problem is that a message tells of.
///
/// ```
/// use kabar_understanding::{Severity, severity};
///
/// let found = severity("ada bau gas di dapur lantai 1");
/// assert_eq!(found.severity, Severity::Critical);
/// assert_eq!(found.reasons[0].why, "gas");
/// ```
pub fn severity(text: &str) -> Assessment {
    severity_text(&Text::new(text))
}

fn rules() -> &'static Lexicon {
    static RULES: OnceLock<Lexicon> = OnceLock::new();
    RULES.get_or_init(|| Lexicon::read(include_str!("../data/severity.txt")))
}

pub(crate) fn severity_text(text: &Text<'_>) -> Assessment {
    let mut hits: Vec<Hit> = Vec::with_capacity(8);
    rules().scan(text, &mut hits);
    let mut severity = None;
    let mut reasons = Vec::new();
    for hit in &hits {
        let Some((level, why)) = rules().groups()[usize::from(hit.group)].split_once(' ') else { continue };
        let level = match level {
            "critical" => Severity::Critical,
            "high" => Severity::High,
            _ => Severity::Low,
        };
        if severity.is_none_or(|known| level > known) {
            severity = Some(level);
            reasons.clear();
        }
        if severity == Some(level) {
            let text = text.span(hit.first as usize, hit.last as usize).to_owned();
            reasons.push(Reason { text, why: why.to_owned(), weight: 1.0 });
        }
    }
    if reasons.is_empty() {
        reasons.push(Reason { text: String::new(), why: "nothing worse is said".to_owned(), weight: 0.0 });
    }
    Assessment { severity: severity.unwrap_or(Severity::Medium), confidence: 0.6, reasons }
}
