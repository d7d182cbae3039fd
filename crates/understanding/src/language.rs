//! Which language a text is in.

use serde::{Deserialize, Serialize};

use crate::text::{Kind, Script, Text};
use crate::vocabulary::{List, Scanned, Vocabulary};

/// A language that the crate reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    #[serde(rename = "en")]
    English,
    /// Indonesian and Malay, as one family.
    #[serde(rename = "id")]
    Indonesian,
    #[serde(rename = "ar")]
    Arabic,
    /// Two or more of them in one text.
    #[serde(rename = "mixed")]
    Mixed,
    /// None of them, or nothing to tell by.
    #[default]
    #[serde(rename = "unknown")]
    Unknown,
}

impl Language {
    /// `en`, `id`, `ar`, `mixed`, `unknown`.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Indonesian => "id",
            Language::Arabic => "ar",
            Language::Mixed => "mixed",
            Language::Unknown => "unknown",
        }
    }
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Detected {
    pub language: Language,
    /// The language to answer in: of a mixture the one with the most words, never `Mixed`.
    pub dominant: Language,
}

/// Which language a text is in.
///
/// ```
/// use kabar_understanding::{Language, detect_language};
///
/// assert_eq!(detect_language("AC di ruang rapat mati").language, Language::Indonesian);
/// assert_eq!(detect_language("المكيف لا يعمل").language, Language::Arabic);
/// assert_eq!(detect_language("the pump is leaking again").language, Language::English);
/// ```
pub fn detect_language(text: &str) -> Detected {
    let text = Text::new(text);
    detect(&text, &Vocabulary::get().scan(&text))
}

pub(crate) fn detect(text: &Text<'_>, scanned: &Scanned) -> Detected {
    let mut arabic = 0;
    let mut latin = 0;
    for token in text.tokens().iter().filter(|token| token.kind == Kind::Word) {
        match token.script {
            Script::Arabic => arabic += 1,
            Script::Latin if token.end - token.start > 2 => latin += 1,
            _ => {}
        }
    }
    let english = scanned.of(List::Language).filter(|hit| hit.group == 0).count();
    let indonesian = scanned.of(List::Language).count() - english;
    let (most, least, of_most, of_least) = if english > indonesian {
        (english, indonesian, Language::English, Language::Indonesian)
    } else {
        (indonesian, english, Language::Indonesian, Language::English)
    };
    let latin_language = if most == 0 { Language::Unknown } else { of_most };
    let mixed = |dominant| Detected { language: Language::Mixed, dominant };
    let plain = |language| Detected { language, dominant: language };
    if arabic > 0 {
        return match (latin >= 2 && latin * 3 >= arabic, latin > arabic * 2) {
            (true, true) if latin_language != Language::Unknown => mixed(latin_language),
            (true, _) => mixed(Language::Arabic),
            _ => plain(Language::Arabic),
        };
    }
    if most == 0 {
        return plain(Language::Unknown);
    }
    if least >= 2 && least * 2 >= most && of_least != of_most { mixed(of_most) } else { plain(of_most) }
}
