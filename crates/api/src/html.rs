//! Text in pages that the server writes.

/// Text that is nothing but text, whoever wrote it; good between tags and in quoted attributes.
pub(crate) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// What somebody called something, in its own direction of writing.
pub(crate) fn said(words: &str) -> String {
    format!("<bdi>{}</bdi>", text(words))
}
