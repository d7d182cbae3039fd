//! What messages are, and how bad.

use kabar_domain::Ability;
use kabar_understanding::{analyse, severity};

use super::{Answers, Texts};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};
use crate::understanding::{sentence, severity_of, sure};
use crate::vocabulary::Vocabulary;

/// What a message is.
#[derive(Clone, Debug)]
pub struct Classified {
    /// `work_update`, `problem` or `general`.
    pub class: &'static str,
    pub confidence: f64,
    pub reasons: Vec<String>,
    pub language: &'static str,
    pub engine: &'static str,
}

/// How bad a problem is.
#[derive(Clone, Debug)]
pub struct Weighed {
    pub severity: kabar_domain::operations::Severity,
    pub confidence: f64,
    pub reasons: Vec<String>,
}

impl Engine {
    /// Work update, problem or neither, as the inbox would have it.
    pub async fn classify_messages(
        &self,
        principal: &Principal,
        texts: Texts,
    ) -> Result<Answers<Classified>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        invalid.check()?;
        let vocabulary = self.own_names(principal).await?;
        let read = |text: &str, vocabulary: &Vocabulary| {
            use kabar_understanding::Class;
            let found = analyse(text, &vocabulary.context()).classification;
            Classified {
                class: match found.class {
                    Class::WorkUpdate => "work_update",
                    Class::Problem => "problem",
                    Class::General => "general",
                },
                confidence: sure(found.confidence),
                reasons: found.reasons.iter().map(sentence).collect(),
                language: found.language.code(),
                engine: found.engine,
            }
        };
        self.ask(principal, texts, vocabulary, read).await
    }

    /// How bad the problems are that texts tell of.
    pub async fn detect_severity(&self, principal: &Principal, texts: Texts) -> Result<Answers<Weighed>> {
        principal.require(Ability::Write)?;
        let mut invalid = Invalid::default();
        let texts = texts.checked(&mut invalid, "text", "texts");
        invalid.check()?;
        let vocabulary = self.own_names(principal).await?;
        let read = |text: &str, _: &Vocabulary| {
            let found = severity(text);
            Weighed {
                severity: severity_of(found.severity),
                confidence: sure(found.confidence),
                reasons: found.reasons.iter().map(sentence).collect(),
            }
        };
        self.ask(principal, texts, vocabulary, read).await
    }
}
