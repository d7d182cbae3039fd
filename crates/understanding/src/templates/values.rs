//! Values of fields, checked and put into one form.

use super::{FieldError, FieldKind};
use crate::text::{Kind, Text};

const SEVERITIES: [(&str, &[&str]); 4] = [
    ("low", &["low", "minor", "rendah", "ringan", "kecil", "منخفض", "منخفضه", "بسيط", "بسيطه", "1"]),
    ("medium", &["medium", "normal", "moderate", "sedang", "biasa", "متوسط", "متوسطه", "عادي", "عاديه", "2"]),
    (
        "high",
        &[
            "high",
            "major",
            "urgent",
            "tinggi",
            "berat",
            "parah",
            "penting",
            "عالي",
            "عاليه",
            "مرتفع",
            "مرتفعه",
            "مهم",
            "عاجل",
            "عاجله",
            "3",
        ],
    ),
    (
        "critical",
        &[
            "critical",
            "emergency",
            "kritis",
            "darurat",
            "gawat",
            "حرج",
            "حرجه",
            "خطير",
            "خطيره",
            "طارئ",
            "طواري",
            "4",
        ],
    ),
];
const DAYS: [&str; 16] = [
    "today",
    "yesterday",
    "tomorrow",
    "hari ini",
    "kemarin",
    "besok",
    "lusa",
    "sekarang",
    "now",
    "tadi",
    "اليوم",
    "امس",
    "غدا",
    "البارحه",
    "بكره",
    "الان",
];
const MONTHS: [&str; 40] = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "mei",
    "jun",
    "jul",
    "aug",
    "agu",
    "ags",
    "sep",
    "oct",
    "okt",
    "nov",
    "dec",
    "des",
    "januari",
    "februari",
    "maret",
    "agustus",
    "oktober",
    "desember",
    "يناير",
    "فبراير",
    "مارس",
    "ابريل",
    "مايو",
    "يونيو",
    "يوليو",
    "اغسطس",
    "سبتمبر",
    "اكتوبر",
    "نوفمبر",
    "ديسمبر",
    "محرم",
    "رمضان",
    "شوال",
    "صفر",
    "رجب",
];

/// Words and numbers in normal form, one space between them.
pub(super) fn normal(value: &str) -> String {
    let text = Text::verbatim(value);
    let words: Vec<&str> =
        text.tokens().iter().filter(|token| token.kind != Kind::Mark).map(|token| text.norm(token)).collect();
    words.join(" ")
}

/// The value as it is given back, or why it is not one.
pub(super) fn check(value: &str, kind: &FieldKind) -> Result<String, FieldError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(FieldError::Missing);
    }
    let told = normal(value);
    match kind {
        FieldKind::Text => Ok(value.to_owned()),
        FieldKind::Number => number(value).ok_or(FieldError::NotANumber),
        FieldKind::Date => is_date(&told).then(|| value.to_owned()).ok_or(FieldError::NotADate),
        FieldKind::OneOf { options } => {
            let same = options.iter().find(|option| normal(option) == told && !told.is_empty());
            same.or_else(|| options.iter().find(|option| option.as_str() == value))
                .cloned()
                .ok_or(FieldError::NotAnOption)
        }
        FieldKind::Severity => SEVERITIES
            .iter()
            .find(|(_, names)| told.split(' ').any(|word| names.contains(&word)))
            .map(|(level, _)| (*level).to_owned())
            .ok_or(FieldError::NotASeverity),
    }
}

/// The first number, with `.` before decimals and without marks between thousands.
fn number(value: &str) -> Option<String> {
    let text = Text::verbatim(value);
    let at = text.tokens().iter().position(|token| token.kind == Kind::Number)?;
    if text.tokens()[..at].iter().any(|token| token.kind == Kind::Word) {
        return None;
    }
    let negative = at > 0 && text.norm(&text.tokens()[at - 1]) == "-";
    let digits = text.norm(&text.tokens()[at]);
    let marks: Vec<(usize, char)> = digits.char_indices().filter(|(_, c)| !c.is_ascii_digit()).collect();
    let decimal = match marks.as_slice() {
        [] => None,
        [(at, _)] => (digits.len() - at != 4 || *at > 3 || digits.starts_with('0')).then_some(*at),
        [.., (_, one), (at, other)] => (one != other).then_some(*at),
    };
    let mut plain: String = digits
        .char_indices()
        .filter_map(|(at, c)| match c {
            '.' | ',' => (Some(at) == decimal).then_some('.'),
            _ => Some(c),
        })
        .collect();
    if negative {
        plain.insert(0, '-');
    }
    Some(plain)
}

fn is_date(told: &str) -> bool {
    if DAYS.iter().any(|day| told.contains(day)) {
        return true;
    }
    let numbers: Vec<u32> = told.split([' ', '.', ',']).filter_map(|word| word.parse().ok()).collect();
    let day = |number: &u32| (1..=31).contains(number);
    let named = told.split(' ').any(|word| {
        MONTHS.iter().any(|month| word == *month || (month.len() == 3 && word.starts_with(month)))
    });
    match numbers.as_slice() {
        [year, month, date, ..] if *year > 31 => (1..=12).contains(month) && day(date),
        [date, month, ..] if !named => day(date) && day(month) && (*date <= 12 || *month <= 12),
        [date, ..] => named && (day(date) || *date > 1900),
        [] => false,
    }
}
