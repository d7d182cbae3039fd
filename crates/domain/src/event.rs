//! Which events somebody wants to hear of.

/// The longest name of an event, and the most that a filter may list.
const LONGEST: usize = 100;
pub const MOST_FILTERS: usize = 50;

/// Names of events: whole (`message.received`), or with all that begin alike (`message.*`, `*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    exact: Vec<String>,
    /// Without the asterisk; an empty one begins every name.
    prefixes: Vec<String>,
}

/// Not the name of an event, nor the beginning of one with `.*`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a type of event")]
pub struct NoEventType(pub String);

impl EventFilter {
    /// Every event.
    pub fn all() -> Self {
        Self { exact: Vec::new(), prefixes: vec![String::new()] }
    }

    /// The events that any of the patterns names.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, NoEventType> {
        let mut filter = Self::default();
        for pattern in patterns {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            let is_prefix = name.len() < pattern.len();
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
            let fits = name.bytes().all(plain)
                && name.len() <= LONGEST
                && if is_prefix { name.is_empty() || name.ends_with('.') } else { !name.is_empty() };
            if !fits {
                return Err(NoEventType(pattern.to_owned()));
            }
            let list = if is_prefix { &mut filter.prefixes } else { &mut filter.exact };
            list.push(name.to_owned());
        }
        Ok(filter)
    }

    pub fn matches(&self, kind: &str) -> bool {
        self.prefixes.iter().any(|prefix| kind.starts_with(prefix.as_str()))
            || self.exact.iter().any(|name| name == kind)
    }

    /// Whole names.
    pub fn exact(&self) -> &[String] {
        &self.exact
    }

    /// Beginnings of names.
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_one_event_or_all_that_begin_alike() {
        let filter = EventFilter::parse(["message.*", "conversation.updated"]).unwrap();
        assert!(filter.matches("message.received") && filter.matches("conversation.updated"));
        assert!(!filter.matches("conversation.created") && !filter.matches("messaging_account.updated"));
        assert!(EventFilter::parse(["*"]).unwrap().matches("anything.at_all"));
        assert!(!EventFilter::default().matches("message.received"));
    }

    #[test]
    fn what_can_name_no_event_is_refused() {
        for wrong in
            ["", "message*", "*.received", "message.**", "Message.received", "a b", "%", &"a".repeat(101)]
        {
            assert_eq!(EventFilter::parse([wrong]), Err(NoEventType(wrong.to_owned())));
        }
    }
}
