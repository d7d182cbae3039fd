//! How bad a problem is.

use serde::{Deserialize, Serialize};

use crate::classify::{Reason, reasons};
use crate::model::{Model, SEVERITIES, Scores, softmax};
use crate::text::Text;
use crate::vocabulary::{List, Scanned, Vocabulary};

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
    let text = Text::new(text);
    let scanned = Vocabulary::get().scan(&text);
    let scores = Model::get().score(&text, &scanned);
    severity_text(&text, &scanned, &scores)
}

const LEVELS: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

pub(crate) fn severity_text(text: &Text<'_>, scanned: &Scanned, scores: &Scores) -> Assessment {
    let columns = &scores.columns[SEVERITIES];
    let chances: [f32; 4] = softmax(columns, Model::get().severity_temperature);
    // The median: of two far levels that are as likely, one between them is the least wrong.
    let half = |level: &usize| chances[..=*level].iter().sum::<f32>() >= 0.5;
    let level = (0..4).find(half).unwrap_or(3);
    let rival = if level == 3 || (level > 0 && chances[level - 1] > chances[level + 1]) {
        level - 1
    } else {
        level + 1
    };
    let (best, rival) = (SEVERITIES.start + level, SEVERITIES.start + rival);
    let mut reasons = reasons(text, scanned, &[List::Severity, List::Concept], scores, |columns| {
        columns[best] - columns[rival]
    });
    if reasons.is_empty() {
        let text = text.source().to_owned();
        reasons.push(Reason { text, why: "nothing worse is said".to_owned(), weight: 0.0 });
    }
    Assessment { severity: LEVELS[level], confidence: chances[level], reasons }
}
