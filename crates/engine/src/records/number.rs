//! Numbers of records as people write them.

/// Where a number stands among `words`, and how it is written in records: `P-2026-000123` of `p 2026 123`.
pub(crate) fn among(words: &[String]) -> Option<(usize, String)> {
    let at = words.iter().position(|word| matches!(word.as_str(), "p" | "w"))?;
    let [kind, year, serial] = words.get(at..at + 3)? else { return None };
    if year.len() != 4 {
        return None;
    }
    let (year, serial): (u16, u32) = (year.parse().ok()?, serial.parse().ok()?);
    Some((at, format!("{}-{year:04}-{serial:06}", kind.to_uppercase())))
}

/// Lower-case words, with figures apart from letters and in Western digits.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for letter in text.chars() {
        let letter = match letter {
            '٠'..='٩' => char::from(b'0' + (letter as u32 - '٠' as u32) as u8),
            '۰'..='۹' => char::from(b'0' + (letter as u32 - '۰' as u32) as u8),
            letter => letter,
        };
        if !letter.is_alphanumeric() {
            last = None;
            continue;
        }
        let figure = letter.is_ascii_digit();
        match words.last_mut().filter(|_| last == Some(figure)) {
            Some(word) => word.extend(letter.to_lowercase()),
            None => words.push(letter.to_lowercase().collect()),
        }
        last = Some(figure);
    }
    words
}

/// The number that is all of a text.
pub(super) fn whole(text: &str) -> Option<String> {
    let words = words(text);
    among(&words).filter(|_| words.len() == 3).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_many_ways() {
        for text in [
            "P-2026-000003",
            "p-2026-3",
            " #p-2026-003 ",
            "P 2026 3",
            "p2026-3",
            "p/2026/3",
            "P–٢٠٢٦–٣",
            "p-۲۰۲۶-۳",
        ] {
            assert_eq!(whole(text).as_deref(), Some("P-2026-000003"), "{text}");
        }
        for text in ["p-2026", "p-26-3", "pompa 2026 3", "p-2026-3 bocor", "P-2026-99999999999", ""] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
