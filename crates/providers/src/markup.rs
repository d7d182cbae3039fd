//! Marked-up text: read once, written as each provider wants it.

use kabar_domain::content::TextFormat;
use serde_json::{Value, json};

/// How a stretch of text looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    Bold,
    Italic,
    Underline,
    Strike,
    Spoiler,
    Code,
    /// A block, with its language where one is named.
    Block(Option<String>),
    Quote,
    Link(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// Bytes of the text.
    start: usize,
    end: usize,
    style: Style,
}

/// Marks are read this deep inside one another; deeper ones are text.
const DEEPEST: usize = 16;
/// Longest source with marks, in bytes: eight times what providers take of the text itself.
const LONGEST: usize = 32_768;

/// A text without its marks, and what they meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub text: String,
    /// Outer ones before those inside them; they never overlap otherwise.
    spans: Vec<Span>,
}

impl Marked {
    /// # Errors
    /// A sentence, for HTML that is broken or has tags that no provider shows, and for a source that is too long.
    pub fn parse(source: &str, format: TextFormat) -> Result<Self, String> {
        if format != TextFormat::Plain && source.len() > LONGEST {
            return Err(format!("The body field must not be greater than {LONGEST} bytes with its marks."));
        }
        let mut marked = match format {
            TextFormat::Plain => Self { text: source.to_owned(), spans: Vec::new() },
            TextFormat::Markdown => {
                let mut marked = Self::default();
                marked.markdown(source, 0);
                marked
            }
            TextFormat::Html => html(source)?,
        };
        marked.spans.retain(|span| !marked.text[span.start..span.end].trim().is_empty());
        marked.spans.sort_by_key(|span| (span.start, usize::MAX - span.end));
        Ok(marked)
    }

    /// Adds text in one style.
    pub fn push(&mut self, text: &str, style: Option<Style>) {
        let start = self.text.len();
        self.text.push_str(text);
        self.spans.extend(style.map(|style| Span { start, end: self.text.len(), style }));
    }

    pub fn append(&mut self, other: Self) {
        let offset = self.text.len();
        self.text.push_str(&other.text);
        self.spans.extend(other.spans.into_iter().map(|span| Span {
            start: span.start + offset,
            end: span.end + offset,
            style: span.style,
        }));
    }

    /// Telegram's `entities`, which count UTF-16 code units.
    pub fn entities(&self) -> Vec<Value> {
        let units = |text: &str| text.encode_utf16().count();
        self.spans
            .iter()
            .map(|span| {
                let kind = match span.style {
                    Style::Bold => "bold",
                    Style::Italic => "italic",
                    Style::Underline => "underline",
                    Style::Strike => "strikethrough",
                    Style::Spoiler => "spoiler",
                    Style::Code => "code",
                    Style::Block(_) => "pre",
                    Style::Quote => "blockquote",
                    Style::Link(_) => "text_link",
                };
                let mut entity = json!({ "type": kind, "offset": units(&self.text[..span.start]),
                    "length": units(&self.text[span.start..span.end]) });
                match &span.style {
                    Style::Link(url) => entity["url"] = json!(url),
                    Style::Block(Some(language)) => entity["language"] = json!(language),
                    _ => {}
                }
                entity
            })
            .collect()
    }

    /// The text with WhatsApp's marks in it. What WhatsApp has no mark for stays plain.
    pub fn whatsapp(&self) -> String {
        // A mark stands only at the edge of a word: not between it and a space.
        let mut marks: Vec<(usize, bool, usize, String)> = Vec::new();
        for (depth, span) in self.spans.iter().enumerate() {
            let inside = &self.text[span.start..span.end];
            let start = span.start + (inside.len() - inside.trim_start().len());
            let end = span.start + inside.trim_end().len();
            let (open, close) = match &span.style {
                Style::Bold => ("*", "*".to_owned()),
                Style::Italic => ("_", "_".to_owned()),
                Style::Strike => ("~", "~".to_owned()),
                Style::Code => ("`", "`".to_owned()),
                Style::Block(_) => ("```", "```".to_owned()),
                Style::Link(url) if *url != self.text[start..end] => ("", format!(" ({url})")),
                Style::Quote => {
                    let lines = self.text[start..end].match_indices('\n').map(|(at, _)| start + at + 1);
                    marks.extend([start].into_iter().chain(lines).map(|at| (at, true, depth, "> ".into())));
                    continue;
                }
                Style::Link(_) | Style::Underline | Style::Spoiler => continue,
            };
            marks.push((start, true, depth, open.to_owned()));
            marks.push((end, false, usize::MAX - depth, close));
        }
        // What ends at a place ends, the inner first, before anything begins there.
        marks.sort();
        let (mut written, mut done) = (String::with_capacity(self.text.len() + 16), 0);
        for (at, _, _, mark) in marks {
            written.push_str(&self.text[done..at]);
            written.push_str(&mark);
            done = at;
        }
        written.push_str(&self.text[done..]);
        written
    }

    /// Appends Markdown. What is not closed is no mark.
    fn markdown(&mut self, source: &str, depth: usize) {
        let mut rest = source;
        while let Some(next) = rest.chars().next() {
            rest = self.marked(rest, depth).unwrap_or_else(|| {
                self.text.push(next);
                &rest[next.len_utf8()..]
            });
        }
    }

    /// Takes one mark and what it holds from the front of `rest`.
    fn marked<'a>(&mut self, rest: &'a str, depth: usize) -> Option<&'a str> {
        let is_mark = |c: char| "\\*_~`|[]()>".contains(c);
        if let Some(escaped) = rest.strip_prefix('\\')
            && let Some(literal) = escaped.chars().next().filter(|c| is_mark(*c))
        {
            self.text.push(literal);
            return Some(&escaped[literal.len_utf8()..]);
        }
        if let Some((code, after)) = rest.strip_prefix("```").and_then(|inner| inner.split_once("```")) {
            let named = code.split_once('\n').filter(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
            let (language, code) = named.map_or((None, code), |(name, code)| (Some(name.to_owned()), code));
            self.push(code.trim_matches('\n'), Some(Style::Block(language)));
            return Some(after);
        }
        if let Some((code, after)) = rest.strip_prefix('`').and_then(|inner| inner.split_once('`'))
            && !code.is_empty()
            && !code.contains('\n')
        {
            self.push(code, Some(Style::Code));
            return Some(after);
        }
        if depth == DEEPEST {
            return None;
        }
        let at_line = self.text.is_empty() || self.text.ends_with('\n');
        if at_line && let Some(quoted) = rest.strip_prefix("> ") {
            // Lines of one quote are one span.
            let mut length = 0;
            let mut lines = Vec::new();
            for line in quoted.split('\n') {
                let line_text = if lines.is_empty() { Some(line) } else { line.strip_prefix("> ") };
                let Some(text) = line_text else { break };
                length += line.len() + 1;
                lines.push(text);
            }
            let mut inner = Self::default();
            inner.markdown(&lines.join("\n"), depth + 1);
            self.wrap(inner, Style::Quote);
            // The line's end belongs to what follows.
            return Some(quoted.get(length - 1..).unwrap_or_default());
        }
        if let Some((label, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once("](")) {
            let (url, after) = after.split_once(')')?;
            let is_link = ["https://", "http://", "mailto:", "tel:", "tg://"];
            if label.is_empty() || label.contains(['\n', '[']) || !is_link.iter().any(|p| url.starts_with(p))
            {
                return None;
            }
            let mut inner = Self::default();
            inner.markdown(label, depth + 1);
            self.wrap(inner, Style::Link(url.to_owned()));
            return Some(after);
        }
        let before = self.text.chars().next_back();
        let pairs = [
            ("||", Style::Spoiler),
            ("**", Style::Bold),
            ("*", Style::Bold),
            ("__", Style::Italic),
            ("_", Style::Italic),
            ("~~", Style::Strike),
            ("~", Style::Strike),
        ];
        let (mark, style) = pairs.into_iter().find(|(mark, _)| rest.starts_with(mark))?;
        let inner = &rest[mark.len()..];
        if before.is_some_and(char::is_alphanumeric) || inner.starts_with(char::is_whitespace) {
            return None;
        }
        let end = inner.match_indices(mark).map(|(at, _)| at).find(|at| {
            let (inside, after) = (&inner[..*at], &inner[at + mark.len()..]);
            let last = inside.chars().next_back();
            last.is_some_and(|c| !c.is_whitespace() && c != '\\')
                && !after.starts_with(|c: char| c.is_alphanumeric() || mark.starts_with(c))
        })?;
        if inner[..end].contains('\n') {
            return None;
        }
        let mut within = Self::default();
        within.markdown(&inner[..end], depth + 1);
        self.wrap(within, style);
        Some(&inner[end + mark.len()..])
    }

    fn wrap(&mut self, inner: Self, style: Style) {
        let start = self.text.len();
        self.append(inner);
        self.spans.push(Span { start, end: self.text.len(), style });
    }
}

fn html(source: &str) -> Result<Marked, String> {
    let mut marked = Marked::default();
    let mut open: Vec<(String, usize, Option<Style>)> = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['<', '&']) {
        marked.text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(named) = rest.strip_prefix('&') {
            let found = named.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
            let (literal, after) = found.unwrap_or(('&', named));
            marked.text.push(literal);
            rest = after;
            continue;
        }
        let Some((tag, after)) = rest[1..].split_once('>') else {
            return Err("The HTML ends within a tag; write \"&lt;\" for a \"<\" of the text.".to_owned());
        };
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let name = name.trim().to_ascii_lowercase();
            match open.pop() {
                Some((opened, start, style)) if opened == name => {
                    let end = marked.text.len();
                    marked.spans.extend(style.map(|style| Span { start, end, style }));
                }
                Some((opened, ..)) => {
                    return Err(format!("The HTML has </{name}> where <{opened}> must end first."));
                }
                None => return Err(format!("The HTML has </{name}> without <{name}>.")),
            }
            continue;
        }
        let tag = tag.trim_end_matches('/').trim();
        let name = tag.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if name == "br" {
            marked.text.push('\n');
            continue;
        }
        let style = match name.as_str() {
            "b" | "strong" => Some(Style::Bold),
            "i" | "em" => Some(Style::Italic),
            "u" | "ins" => Some(Style::Underline),
            "s" | "strike" | "del" => Some(Style::Strike),
            "tg-spoiler" => Some(Style::Spoiler),
            "span" if attribute(tag, "class").as_deref() == Some("tg-spoiler") => Some(Style::Spoiler),
            "blockquote" => Some(Style::Quote),
            "pre" => Some(Style::Block(None)),
            "a" => Some(Style::Link(
                attribute(tag, "href")
                    .filter(|url| !url.is_empty())
                    .ok_or_else(|| "The HTML has <a> without href.".to_owned())?,
            )),
            // Inside a block it names the language only.
            "code" => match open.last_mut() {
                Some((_, _, Some(Style::Block(language)))) => {
                    *language = attribute(tag, "class")
                        .and_then(|class| class.strip_prefix("language-").map(str::to_owned));
                    None
                }
                _ => Some(Style::Code),
            },
            _ => return Err(format!("The HTML has the tag <{name}>, which messages cannot show.")),
        };
        open.push((name, marked.text.len(), style));
    }
    marked.text.push_str(rest);
    match open.pop() {
        Some((name, ..)) => Err(format!("The HTML has <{name}> without </{name}>.")),
        None => Ok(marked),
    }
}

/// The character a reference such as `amp` or `#x27` means.
fn character(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')
        }
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, _) = rest[1..].split_once(quote)?;
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whatsapp(source: &str, format: TextFormat) -> String {
        Marked::parse(source, format).unwrap().whatsapp()
    }

    #[test]
    fn markdown_looks_the_same_on_both() {
        let source = "*a* and **b _c_** 😀 ~d~ `e*f*` [g](https://x.y) snake_case_name 2*3*4 \\*h\\*";
        let marked = Marked::parse(source, TextFormat::Markdown).unwrap();
        assert_eq!(marked.text, "a and b c 😀 d e*f* g snake_case_name 2*3*4 *h*");
        assert_eq!(
            marked.whatsapp(),
            "*a* and *b _c_* 😀 ~d~ `e*f*` g (https://x.y) snake_case_name 2*3*4 *h*"
        );
        assert_eq!(
            marked.entities(),
            [
                json!({"type": "bold", "offset": 0, "length": 1}),
                json!({"type": "bold", "offset": 6, "length": 3}),
                json!({"type": "italic", "offset": 8, "length": 1}),
                json!({"type": "strikethrough", "offset": 13, "length": 1}),
                json!({"type": "code", "offset": 15, "length": 4}),
                json!({"type": "text_link", "offset": 20, "length": 1, "url": "https://x.y"}),
            ]
        );
    }

    #[test]
    fn blocks_and_quotes_hold_lines() {
        let marked = Marked::parse("> a\n> b\nc\n```rust\nlet *x*;\n```", TextFormat::Markdown).unwrap();
        assert_eq!(marked.text, "a\nb\nc\nlet *x*;");
        assert_eq!(marked.whatsapp(), "> a\n> b\nc\n```let *x*;```");
        assert_eq!(
            marked.entities(),
            [
                json!({"type": "blockquote", "offset": 0, "length": 3}),
                json!({"type": "pre", "offset": 6, "length": 8, "language": "rust"}),
            ]
        );
    }

    #[test]
    fn html_becomes_whatsapps_marks() {
        let source = "<b>Baik <i>pak</i></b><br>a &lt; b &amp; c &#39;d&#x27; <a href=\"https://x.y?a=1&amp;b\">sini</a> \
                      <u>e</u><s> f </s><pre><code class=\"language-js\">x()</code></pre>";
        assert_eq!(
            whatsapp(source, TextFormat::Html),
            "*Baik _pak_*\na < b & c 'd' sini (https://x.y?a=1&b) e ~f~ ```x()```"
        );
        let marked = Marked::parse(source, TextFormat::Html).unwrap();
        assert_eq!(marked.entities().last().unwrap()["language"], "js");
        for broken in ["<b>a", "a</b>", "<b><i>a</b></i>", "<div>a</div>", "<a>x</a>", "a < b"] {
            assert!(Marked::parse(broken, TextFormat::Html).is_err(), "{broken}");
        }
    }

    #[test]
    fn marks_in_marks_end_somewhere() {
        for (mark, close) in [("> ", ""), ("*a ", "*"), ("||b ", "||"), ("[", "](tel:1)")] {
            let times = LONGEST / (mark.len() + close.len());
            let source = mark.repeat(times) + &close.repeat(times);
            let marked = Marked::parse(&source, TextFormat::Markdown).unwrap();
            assert!(marked.entities().len() <= DEEPEST, "{mark}");
        }
        assert!(Marked::parse(&"a".repeat(LONGEST + 1), TextFormat::Markdown).is_err());
        assert_eq!(whatsapp("> > > a", TextFormat::Markdown).matches("> ").count(), 3);
    }

    proptest! {
        #[test]
        fn nothing_breaks_and_entities_lie_in_the_text(
            source in "([*_~`|\\\\\\[\\]()> \n]|[a-c]|😀|é|https://|<b>|</b>|&lt;){0,24}",
        ) {
            for format in [TextFormat::Plain, TextFormat::Markdown, TextFormat::Html] {
                let Ok(marked) = Marked::parse(&source, format) else {
                    prop_assert_eq!(format, TextFormat::Html);
                    continue;
                };
                let units = marked.text.encode_utf16().count() as u64;
                for entity in marked.entities() {
                    let (offset, length) = (entity["offset"].as_u64(), entity["length"].as_u64());
                    prop_assert!(length > Some(0) && offset.unwrap() + length.unwrap() <= units);
                }
                if format == TextFormat::Plain {
                    prop_assert_eq!(marked.whatsapp(), source.clone());
                }
            }
        }
    }
}
