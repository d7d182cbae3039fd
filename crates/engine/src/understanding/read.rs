//! From a text to an item's class, reasons and suggestions.

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::operations::Severity;
use kabar_store::understanding::{Understood, Unread};
use kabar_understanding::{Analysis, Class, Context, Reason, analyse};
use serde_json::{Value, json};

/// What was read in an item.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub class: InboxClass,
    pub confidence: f64,
    pub severity: Option<Severity>,
    pub analysis: Analysis,
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

/// `fault: bocor`; the words alone where nothing names what they speak of.
fn sentence(reason: &Reason) -> String {
    match (reason.why.as_str(), reason.text.as_str()) {
        (why, "") => why.to_owned(),
        ("words", text) => text.to_owned(),
        (why, text) => format!("{why}: {text}"),
    }
}

impl Reading {
    pub fn of(item: &Unread) -> Self {
        let text = item.text.as_deref().unwrap_or_default();
        let analysis = analyse(text, &Context::default());
        Self {
            class: class_of(analysis.classification.class),
            // Six digits say as much as the model knows, and read the same everywhere.
            confidence: (f64::from(analysis.classification.confidence) * 1e6).round() / 1e6,
            severity: analysis.severity.as_ref().map(|found| severity_of(found.severity)),
            analysis,
        }
    }

    fn reasons(&self) -> Vec<String> {
        let severity = self.analysis.severity.iter().flat_map(|found| {
            let level = severity_of(found.severity).as_str();
            found.reasons.iter().map(move |reason| format!("severity {level}: {}", sentence(reason)))
        });
        self.analysis.classification.reasons.iter().map(sentence).chain(severity).collect()
    }

    fn suggestions(&self) -> Value {
        json!({ "site": null, "facility": null, "category": null, "severity": self.severity })
    }

    /// What is kept beside the item.
    fn understanding(&self) -> Value {
        let analysis = &self.analysis;
        json!({
            "language": analysis.language.language,
            "engine": analysis.classification.engine,
            "severity": analysis.severity,
            "entities": analysis.entities,
            "categories": analysis.categories,
            "structured": analysis.structured,
        })
    }

    /// For the database; what people have decided about the item stays.
    pub fn written(&self, item: &Unread, status: InboxStatus) -> Understood {
        Understood {
            organisation_id: item.organisation_id,
            id: item.id,
            class: self.class,
            was: status,
            status,
            confidence: self.confidence,
            reasons: json!(self.reasons()).to_string(),
            suggestions: self.suggestions().to_string(),
            understanding: self.understanding().to_string(),
        }
    }
}
