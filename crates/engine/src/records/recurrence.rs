//! Whether a problem has been there before.

use std::collections::HashSet;
use std::time::Duration;

use kabar_store::Tx;
use kabar_store::records::{self, Earlier, Record};
use kabar_understanding::text::Text;

use crate::error::Result;

/// An earlier problem counts when it occurred so recently.
const WITHIN: Duration = Duration::from_hours(30 * 24);
/// Earlier problems looked at.
const LOOKED_AT: i64 = 50;

/// Sets what `record` is a recurrence of: the last problem of the same thing, or, where no thing is named, of the
/// same site and category in similar words. It is that problem's number.
pub(super) async fn link(tx: &mut Tx, record: &mut Record) -> Result<Option<String>> {
    let found = records::earlier(tx, record, record.occurred_at.minus(WITHIN), LOOKED_AT).await?;
    let words = words(&record.title, record.body.as_deref());
    let same = |earlier: &Earlier| {
        (record.facility_id.is_some() && earlier.facility_id == record.facility_id)
            || is_similar(&words, &self::words(&earlier.title, earlier.body.as_deref()))
    };
    let found = found.into_iter().find(same);
    record.recurrence_of = found.as_ref().map(|earlier| earlier.id);
    record.recurrences = found.as_ref().map_or(0, |earlier| earlier.recurrences + 1);
    Ok(found.map(|earlier| earlier.number))
}

/// Normal forms of the words that say something: neither single letters nor numbers.
fn words(title: &str, body: Option<&str>) -> HashSet<String> {
    let mut words = HashSet::new();
    for part in [Some(title), body].into_iter().flatten() {
        let text = Text::new(part);
        let said = text.tokens().iter().map(|token| text.stem(token));
        words.extend(
            said.filter(|word| word.chars().count() > 1 && word.chars().all(char::is_alphabetic))
                .map(str::to_owned),
        );
    }
    words
}

/// Half of the shorter one's words, and two at least, or all of them.
fn is_similar(one: &HashSet<String>, other: &HashSet<String>) -> bool {
    let common = one.intersection(other).count();
    let shorter = one.len().min(other.len());
    common > 0 && (common == shorter || (common >= 2 && common * 2 >= shorter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similar(one: &str, other: &str) -> bool {
        is_similar(&words(one, None), &words(other, None))
    }

    #[test]
    fn the_same_fault_in_other_words_is_recognised() {
        assert!(similar("AC bocor di lobi", "ac lobi bocor lagi, udah 2x"));
        assert!(similar("Lampu mati", "lampu lorong mati total"));
        assert!(similar("المكيف يسرب ماء", "المكيف يسرب مرة أخرى"));
        assert!(!similar("AC bocor di lobi", "AC berisik, mohon dicek"));
        assert!(!similar("", "Lampu mati"));
        assert!(!similar("!!!", "???"));
    }
}
