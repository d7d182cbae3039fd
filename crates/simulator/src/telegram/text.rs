//! Formatting: HTML becomes text and entities; MarkdownV2 is checked and stripped.

use serde_json::{Value, json};

use super::BotError;

fn unparsable(reason: &str) -> BotError {
    BotError::bad(&format!("can't parse entities: {reason}"))
}

/// Text without its markup, and the entities that the markup meant (for HTML).
pub(super) fn format(text: &str, parse_mode: Option<&str>) -> Result<(String, Vec<Value>), BotError> {
    match parse_mode.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "none") => Ok((text.to_owned(), Vec::new())),
        Some("html") => html(text),
        Some("markdownv2") => Ok((markdown(text)?, Vec::new())),
        Some("markdown") => Ok((text.replace(['*', '_', '`'], ""), Vec::new())),
        Some(_) => Err(BotError::bad("unsupported parse_mode")),
    }
}

fn entity_of(tag: &str) -> Option<&'static str> {
    Some(match tag {
        "b" | "strong" => "bold",
        "i" | "em" => "italic",
        "u" | "ins" => "underline",
        "s" | "strike" | "del" => "strikethrough",
        "code" => "code",
        "pre" => "pre",
        "a" => "text_link",
        "blockquote" => "blockquote",
        "span" | "tg-spoiler" => "spoiler",
        "tg-emoji" => "custom_emoji",
        _ => return None,
    })
}

fn html(text: &str) -> Result<(String, Vec<Value>), BotError> {
    let mut plain = String::new();
    let mut units = 0;
    let mut open: Vec<(String, usize, Option<String>)> = Vec::new();
    let mut entities = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        units += before.encode_utf16().count();
        let offset = text.len() - tail.len();
        if let Some(tail) = tail.strip_prefix('&') {
            let known = [("lt;", "<"), ("gt;", ">"), ("amp;", "&"), ("quot;", "\"")];
            let (skip, literal) = known
                .iter()
                .find(|(name, _)| tail.starts_with(name))
                .map_or((0, "&"), |(name, literal)| (name.len(), *literal));
            plain.push_str(literal);
            units += 1;
            rest = &tail[skip..];
            continue;
        }
        let Some((tag, after)) = tail[1..].split_once('>') else {
            return Err(unparsable(&format!("Unclosed start tag at byte offset {offset}")));
        };
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let name = name.trim().to_ascii_lowercase();
            let Some((opened, start, link)) = open.pop() else {
                return Err(unparsable(&format!("Unexpected end tag at byte offset {offset}")));
            };
            if opened != name {
                return Err(unparsable(&format!(
                    "Unmatched end tag at byte offset {offset}, expected \"</{opened}>\", found \"</{name}>\""
                )));
            }
            if let Some(kind) = entity_of(&name).filter(|_| units > start) {
                let mut entity = json!({"type": kind, "offset": start, "length": units - start});
                if let Some(link) = link {
                    entity["url"] = json!(link);
                }
                entities.push(entity);
            }
        } else {
            let name = tag.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            if entity_of(&name).is_none() {
                return Err(unparsable(&format!("Unsupported start tag \"{name}\" at byte offset {offset}")));
            }
            let link = tag.split_once("href=\"").and_then(|(_, link)| link.split_once('"'));
            open.push((name, units, link.map(|(link, _)| link.to_owned())));
        }
    }
    plain.push_str(rest);
    if let Some((name, ..)) = open.last() {
        return Err(unparsable(&format!("Can't find end tag corresponding to start tag \"{name}\"")));
    }
    Ok((plain, entities))
}

fn markdown(text: &str) -> Result<String, BotError> {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    let (mut in_code, mut in_link) = (false, false);
    let mut open: Vec<char> = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            '`' => in_code = !in_code,
            _ if in_code => plain.push(c),
            '[' => {}
            ']' => in_link = chars.next_if_eq(&'(').is_some(),
            ')' if in_link => in_link = false,
            _ if in_link => {}
            '*' | '_' | '~' | '|' => {
                if open.last() == Some(&c) {
                    open.pop();
                } else {
                    open.push(c);
                }
            }
            '(' | ')' | '>' | '#' | '+' | '-' | '=' | '{' | '}' | '.' | '!' => {
                return Err(unparsable(&format!(
                    "Character '{c}' is reserved and must be escaped with the preceding '\\'"
                )));
            }
            _ => plain.push(c),
        }
    }
    if in_code || !open.is_empty() {
        let kind = if in_code { "Code" } else { "Bold" };
        return Err(unparsable(&format!("Can't find end of {kind} entity at byte offset {}", text.len())));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_text_and_entities_in_utf16() {
        let (plain, entities) =
            format("😀 <b>a &lt; b</b> <a href=\"https://x.y\">z</a>", Some("HTML")).unwrap();
        assert_eq!(plain, "😀 a < b z");
        assert_eq!(entities[0], json!({"type": "bold", "offset": 3, "length": 5}));
        assert_eq!(entities[1], json!({"type": "text_link", "offset": 9, "length": 1, "url": "https://x.y"}));
    }

    #[test]
    fn broken_markup_is_refused_in_telegrams_words() {
        let html = format("<b>a", Some("HTML")).unwrap_err().description;
        assert!(html.starts_with("Bad Request: can't parse entities: Can't find end tag"), "{html}");
        let unknown = format("<div>a</div>", Some("HTML")).unwrap_err().description;
        assert!(unknown.contains("Unsupported start tag \"div\" at byte offset 0"), "{unknown}");
        let markdown = format("1.5", Some("MarkdownV2")).unwrap_err().description;
        assert!(markdown.contains("Character '.' is reserved"), "{markdown}");
        assert_eq!(format("*a* 1\\.5", Some("MarkdownV2")).unwrap().0, "a 1.5");
    }
}
