//! Texts with `{{variables}}`.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// As it stands.
    Plain(&'a str),
    /// A variable's name, and the whole place it stands in.
    Variable(&'a str, &'a str),
}

/// The parts of a text in order. Braces around what cannot be a name are plain text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let Some(length) = text[open + 2..].find("}}") else { break };
        let name = text[open + 2..open + 2 + length].trim();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            at = open + 1;
            continue;
        }
        let end = open + 2 + length + 2;
        if plain < open {
            pieces.push(Piece::Plain(&text[plain..open]));
        }
        pieces.push(Piece::Variable(name, &text[open..end]));
        (plain, at) = (end, end);
    }
    if plain < text.len() {
        pieces.push(Piece::Plain(&text[plain..]));
    }
    pieces
}

/// The variables of a text, each once: numbers by their size, names as they come.
pub(crate) fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces(text) {
        if let Piece::Variable(name, _) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    let numbers: Option<Vec<u32>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(mut numbers) = numbers {
        numbers.sort_unstable();
        names = numbers.iter().map(u32::to_string).collect();
    }
    names
}

/// The text with its variables filled in; one without a value stays as it stands. Values are taken as they are:
/// what looks like a variable in them is none.
pub(crate) fn render<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    pieces(text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Plain(text) => text,
            Piece::Variable(name, place) => value(name).unwrap_or(place),
        })
        .collect()
}

/// Whether a variable stands at the start or at the end, where WhatsApp takes none.
pub(crate) fn at_an_edge(text: &str) -> bool {
    let pieces = pieces(text.trim());
    [pieces.first(), pieces.last()].into_iter().flatten().any(|piece| matches!(piece, Piece::Variable(..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_ordered_and_names_are_not() {
        assert_eq!(variables("{{2}} of {{10}}, {{ 1 }}, again {{2}}"), ["1", "2", "10"]);
        assert_eq!(variables("Hi {{name}}, {{order_id}} for {{name}}"), ["name", "order_id"]);
        assert_eq!(variables("{{}} {{a b}} {1} {{ {{3}} {{4"), ["3"]);
    }

    #[test]
    fn a_value_is_not_read_again() {
        let text = render("{{1}} and {{2}}", |name| Some(if name == "1" { "{{2}}" } else { "x" }));
        assert_eq!(text, "{{2}} and x");
        assert_eq!(render("Hi {{1}}, {{2}}", |name| (name == "2").then_some("you")), "Hi {{1}}, you");
    }

    #[test]
    fn edges() {
        for text in ["{{1}} is ready", "for {{1}}", " {{1}} x", "x {{1}}\n"] {
            assert!(at_an_edge(text), "{text}");
        }
        assert!(!at_an_edge("Hi {{1}}."));
    }

    fn join(parts: &[(String, u32)], place: impl Fn(u32) -> String) -> String {
        parts.iter().flat_map(|(plain, n)| [plain.clone(), place(*n)]).collect()
    }

    proptest! {
        /// Whatever stands between them, exactly the variables written are found and filled.
        #[test]
        fn what_was_written_is_found(parts in proptest::collection::vec(("[^{}]{0,6}", 1_u32..30), 0..12)) {
            let text: String = join(&parts, |n| format!("{{{{{n}}}}}"));
            let mut numbers: Vec<u32> = parts.iter().map(|part| part.1).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let found = variables(&text);
            prop_assert_eq!(&found, &numbers.iter().map(u32::to_string).collect::<Vec<_>>());
            let expected: String = join(&parts, |n| format!("<{n}>"));
            let values: std::collections::HashMap<_, _> =
                found.iter().map(|name| (name.clone(), format!("<{name}>"))).collect();
            let filled = render(&text, |name| values.get(name).map(String::as_str));
            prop_assert_eq!(filled, expected);
        }

        #[test]
        fn any_text_without_values_stays_as_it_is(text in "[{}a1_ é\n]{0,40}") {
            prop_assert_eq!(render(&text, |_| None), text.clone());
            let _ = at_an_edge(&text);
        }
    }
}
