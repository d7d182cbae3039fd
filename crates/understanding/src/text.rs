//! Text as the rest of the crate reads it: one spelling per word, with the way back to the original.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use crate::lexicon::spelling;

/// What a token is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    /// Digits, with inner `.` and `,`: `2`, `1.200`, `٣` (as `3`).
    Number,
    /// One punctuation mark, emoji or line break.
    Mark,
}

/// The script of a word's first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    Latin,
    Arabic,
    Other,
}

/// A token: where it stands in the original, and how it is spelt once normalised.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Scalar values from the start of the original, half open.
    pub start: u32,
    pub end: u32,
    /// Bytes of the original, half open.
    pub(crate) from: u32,
    pub(crate) to: u32,
    norm_from: u32,
    norm_to: u32,
    /// Bytes of Arabic proclitics (`وال`, `بال`, `لل`, `ال`) at the front of the normal form.
    stem: u8,
    pub kind: Kind,
    pub script: Script,
    /// Whether nothing stands between it and the token before.
    pub glued: bool,
    /// Whether the original begins with a capital letter.
    pub capital: bool,
}

/// A text cut into tokens, each in normal form: lower case, no diacritics, one form of each Arabic letter, Latin
/// digits, no stretched letters, chat spellings written out.
///
/// ```
/// use kabar_understanding::text::Text;
///
/// let text = Text::new("Udh bocoooor di مَبنى أ lt.٢");
/// let words: Vec<&str> = text.tokens().iter().map(|token| text.norm(token)).collect();
/// assert_eq!(words, ["sudah", "bocor", "di", "مبني", "ا", "lt", ".", "2"]);
/// assert_eq!(text.original(&text.tokens()[1]), "bocoooor");
/// ```
#[derive(Debug)]
pub struct Text<'a> {
    source: &'a str,
    norm: String,
    tokens: Vec<Token>,
}

impl<'a> Text<'a> {
    /// Cuts and normalises `source`, with chat spellings written out.
    pub fn new(source: &'a str) -> Self {
        Self::cut(source, true)
    }

    /// The same without writing out chat spellings: for names, where `U` is a letter and not `you`.
    pub fn verbatim(source: &'a str) -> Self {
        Self::cut(source, false)
    }

    fn cut(source: &'a str, spell: bool) -> Self {
        let mut text = Text {
            source,
            norm: String::with_capacity(source.len() + 16),
            tokens: Vec::with_capacity(source.len() / 4 + 2),
        };
        let mut reader = Reader { text: &mut text, open: None, run: 0, last: '\0', spell };
        let mut position = 0;
        let mut chars = source.char_indices().peekable();
        while let Some((byte, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            reader.read(byte as u32, position, c, next);
            position += 1;
        }
        reader.close(source.len() as u32, position);
        text
    }

    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text as it came.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// A token in normal form.
    pub fn norm(&self, token: &Token) -> &str {
        &self.norm[token.norm_from as usize..token.norm_to as usize]
    }

    /// The normal form without Arabic proclitics.
    pub fn stem(&self, token: &Token) -> &str {
        &self.norm(token)[usize::from(token.stem)..]
    }

    /// A token as it was written.
    pub fn original(&self, token: &Token) -> &'a str {
        &self.source[token.from as usize..token.to as usize]
    }

    /// What the original says from one token to another, both included.
    pub fn span(&self, first: usize, last: usize) -> &'a str {
        match (self.tokens.get(first), self.tokens.get(last)) {
            (Some(first), Some(last)) if first.from <= last.to => {
                &self.source[first.from as usize..last.to as usize]
            }
            _ => "",
        }
    }

    /// Whether a word begins with a capital though the one before does not end a sentence.
    pub fn is_shouted(&self) -> bool {
        let letters = self.source.bytes().filter(u8::is_ascii_alphabetic).count();
        letters > 5 && !self.source.bytes().any(|byte| byte.is_ascii_lowercase())
    }
}

struct Reader<'t, 'a> {
    text: &'t mut Text<'a>,
    open: Option<Token>,
    run: u8,
    last: char,
    spell: bool,
}

impl Reader<'_, '_> {
    fn read(&mut self, byte: u32, position: u32, c: char, next: Option<char>) {
        if c.is_ascii() {
            return self.read_folded(byte, position, c, c.to_ascii_lowercase(), next);
        }
        match c {
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | 'ـ'
            | '\u{064b}'..='\u{065f}'
            | '\u{0670}'
            | '\u{06d6}'..='\u{06ed}' => {}
            _ => {
                if let Some(folded) = fold_arabic(c) {
                    return self.read_folded(byte, position, c, folded, next);
                }
                let mut any = false;
                decompose_compatible(c, |part| {
                    if is_combining_mark(part) {
                        return;
                    }
                    any = true;
                    let part = fold_arabic(part).unwrap_or(part);
                    for lower in part.to_lowercase() {
                        self.read_folded(byte, position, c, lower, next);
                    }
                });
                if !any && self.open.is_none() && c.is_alphanumeric() {
                    self.read_folded(byte, position, c, c, next);
                }
            }
        }
    }

    fn read_folded(&mut self, byte: u32, position: u32, c: char, folded: char, next: Option<char>) {
        let kind = match folded {
            '0'..='9' => Kind::Number,
            'a'..='z' | '\u{0621}'..='\u{064a}' => Kind::Word,
            _ if !folded.is_ascii() && folded.is_alphanumeric() => Kind::Word,
            _ => Kind::Mark,
        };
        if kind == Kind::Mark {
            let joins = match self.open.map(|open| open.kind) {
                Some(Kind::Word) => {
                    matches!(folded, '\'' | '’' | 'ʼ' | '`' | '´') && next.is_some_and(char::is_alphabetic)
                }
                Some(Kind::Number) => {
                    matches!(folded, '.' | ',')
                        && next.is_some_and(|next| {
                            next.is_ascii_digit() || matches!(next, '٠'..='٩' | '۰'..='۹')
                        })
                }
                _ => false,
            };
            if joins {
                if self.open.is_some_and(|open| open.kind == Kind::Number) {
                    self.push(folded);
                }
                return;
            }
            self.close(byte, position);
            if folded.is_whitespace() && folded != '\n' {
                return;
            }
            self.start(byte, position, Kind::Mark, folded, c);
            self.push(folded);
            self.close(byte + c.len_utf8() as u32, position + 1);
            return;
        }
        if self.open.is_some_and(|open| open.kind != kind) {
            self.close(byte, position);
        }
        if self.open.is_none() {
            self.start(byte, position, kind, folded, c);
        }
        if kind == Kind::Word {
            self.run = if folded == self.last { self.run.saturating_add(1) } else { 1 };
            self.last = folded;
            if self.run == 3 {
                self.text.norm.pop();
            }
            if self.run >= 3 {
                return;
            }
        }
        self.push(folded);
        if self.run >= 3 {
            self.run = 1;
        }
    }

    fn push(&mut self, c: char) {
        self.text.norm.push(c);
    }

    fn start(&mut self, byte: u32, position: u32, kind: Kind, folded: char, original: char) {
        let script = match folded {
            'a'..='z' => Script::Latin,
            '\u{0600}'..='\u{06ff}' | '\u{0750}'..='\u{077f}' => Script::Arabic,
            _ if folded.is_alphabetic() && (folded as u32) < 0x250 => Script::Latin,
            _ => Script::Other,
        };
        let at = self.text.norm.len() as u32;
        let glued = self.text.tokens.last().is_some_and(|before| before.to == byte);
        self.run = 0;
        self.last = '\0';
        self.open = Some(Token {
            start: position,
            end: position,
            from: byte,
            to: byte,
            norm_from: at,
            norm_to: at,
            stem: 0,
            kind,
            script,
            glued,
            capital: original.is_uppercase(),
        });
    }

    fn close(&mut self, byte: u32, position: u32) {
        let Some(mut token) = self.open.take() else { return };
        // One letter of several that a single scalar value decomposes into still stands for that value.
        let least = self.text.source[token.from as usize..].chars().next().map_or(0, char::len_utf8);
        token.to = byte.max(token.from + least as u32);
        token.end = position.max(token.start + 1);
        let text = &mut *self.text;
        let from = token.norm_from as usize;
        if self.spell
            && token.kind == Kind::Word
            && let Some(canonical) = spelling(&text.norm[from..])
        {
            text.norm.truncate(from);
            text.norm.push_str(canonical);
        }
        token.norm_to = text.norm.len() as u32;
        if token.script == Script::Arabic {
            token.stem = proclitics(&text.norm[from..]);
        }
        text.norm.push(' ');
        text.tokens.push(token);
    }
}

/// One form of each Arabic letter; `None` for what is not Arabic.
fn fold_arabic(c: char) -> Option<char> {
    Some(match c {
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ئ' | 'ی' => 'ي',
        'ؤ' => 'و',
        'ة' | 'ہ' | 'ھ' => 'ه',
        'ک' | 'گ' => 'ك',
        'پ' => 'ب',
        'ڤ' => 'ف',
        '٠'..='٩' => char::from(b'0' + (c as u32 - 0x0660) as u8),
        '۰'..='۹' => char::from(b'0' + (c as u32 - 0x06f0) as u8),
        '٫' => '.',
        '٬' | '،' => ',',
        '؟' => '?',
        '؛' => ';',
        '٪' => '%',
        '\u{0621}'..='\u{064a}' | '\u{066e}'..='\u{06d3}' => c,
        _ => return None,
    })
}

/// How many bytes of `word` are proclitics before a stem of at least two letters.
fn proclitics(word: &str) -> u8 {
    for prefix in ["وبال", "وال", "بال", "كال", "فال", "لل", "ال", "عال"] {
        if let Some(rest) = word.strip_prefix(prefix)
            && rest.chars().nth(1).is_some()
        {
            return prefix.len() as u8;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(source: &str) -> Vec<String> {
        let text = Text::new(source);
        text.tokens().iter().map(|token| text.norm(token).to_owned()).collect()
    }

    #[test]
    fn stretched_letters_shrink_and_double_ones_stay() {
        assert_eq!(words("Tolooong dingggin pool"), ["tolong", "dingin", "pool"]);
        assert_eq!(words("حااااار"), ["حار"]);
    }

    #[test]
    fn arabic_has_one_form_of_each_letter() {
        assert_eq!(words("المَبْنَى الإداريّ ـ مدرسة"), ["المبني", "الاداري", "مدرسه"]);
        let text = Text::new("والمكيف");
        assert_eq!(text.stem(&text.tokens()[0]), "مكيف");
    }

    #[test]
    fn letters_and_digits_part_and_numbers_hold_together() {
        assert_eq!(words("lt2 1.200L ٣٧٫٥°C"), ["lt", "2", "1.200", "l", "37.5", "°", "c"]);
    }

    proptest! {
        #[test]
        fn spans_are_offsets_over_the_original(source in "\\PC{0,60}") {
            let text = Text::new(&source);
            let scalars: Vec<char> = source.chars().collect();
            let mut before = 0;
            for token in text.tokens() {
                prop_assert!(before <= token.start && token.start <= token.end);
                let cut: String = scalars[token.start as usize..token.end as usize].iter().collect();
                prop_assert_eq!(cut, text.original(token));
                before = token.start;
            }
        }
    }
}
