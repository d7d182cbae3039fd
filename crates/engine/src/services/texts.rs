//! The texts that are asked about, and an answer for each.

use std::sync::Arc;

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;
use crate::vocabulary::Vocabulary;

/// Texts of one request at most.
const TEXTS: usize = 1_000;
/// Characters of a text at most, as of an inbox item's.
const TEXT: usize = 65_536;

/// One text, or many.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub one: Option<String>,
    pub many: Option<Vec<String>>,
}

/// An answer for each text, as they were asked.
#[derive(Clone, Debug)]
pub enum Answers<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Answers<T> {
    pub fn map<U>(self, make: impl Fn(T) -> U) -> Answers<U> {
        match self {
            Self::One(answer) => Answers::One(make(answer)),
            Self::Many(answers) => Answers::Many(answers.into_iter().map(make).collect()),
        }
    }
}

impl Texts {
    /// `name` is the field of one text; that of many is its plural.
    pub(super) fn checked(self, invalid: &mut Invalid, name: &str, plural: &str) -> (Vec<String>, bool) {
        let is_one = self.many.is_none();
        if is_one && self.one.as_ref().is_none_or(|text| text.trim().is_empty()) {
            invalid.add(name, format!("The {name} field is required when {plural} is not present."));
        } else if !is_one && self.one.is_some() {
            invalid.add(name, format!("The {name} field cannot be sent together with {plural}."));
        }
        let texts = self.many.unwrap_or_else(|| self.one.into_iter().collect());
        if texts.len() > TEXTS {
            invalid.add(plural, format!("The {plural} field must not have more than {TEXTS} items."));
        }
        for (index, text) in texts.iter().take(TEXTS).enumerate() {
            let field = if is_one { name.to_owned() } else { format!("{plural}.{index}") };
            rules::text(invalid, &field, text, TEXT);
        }
        (texts, is_one)
    }
}

impl Engine {
    /// Reads each text with the organisation's vocabulary, away from the threads that answer requests.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        principal: &Principal,
        (texts, is_one): (Vec<String>, bool),
        vocabulary: Arc<Vocabulary>,
        read: impl Fn(&str, &Vocabulary) -> T + Send + 'static,
    ) -> Result<Answers<T>> {
        tracing::debug!(organisation = %principal.organisation_id, texts = texts.len(), "asked to read");
        let work = move || texts.iter().map(|text| read(text, &vocabulary)).collect::<Vec<_>>();
        let answers = tokio::task::spawn_blocking(work).await;
        let mut answers = answers.map_err(|error| Error::Internal(format!("reading failed: {error}")))?;
        match answers.pop() {
            Some(answer) if is_one => Ok(Answers::One(answer)),
            last => {
                answers.extend(last);
                Ok(Answers::Many(answers))
            }
        }
    }

    pub(super) async fn own_names(&self, principal: &Principal) -> Result<Arc<Vocabulary>> {
        self.vocabulary(&mut self.store.reader().await?, principal.organisation_id).await
    }
}
