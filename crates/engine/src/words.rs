//! What is said in several places, in the three languages.

use kabar_domain::operations::{ProblemStatus, Severity};
pub use kabar_understanding::Language;

/// One of three texts.
pub(crate) const fn pick<'a>(language: Language, en: &'a str, id: &'a str, ar: &'a str) -> &'a str {
    match language {
        Language::Indonesian => id,
        Language::Arabic => ar,
        _ => en,
    }
}

/// A language by its code, `id` or `id-ID`; English where it is none of ours.
pub(crate) fn language(code: &str) -> Language {
    match code.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "id" | "in" | "ms" => Language::Indonesian,
        "ar" => Language::Arabic,
        _ => Language::English,
    }
}

pub const fn severity(language: Language, severity: Severity) -> &'static str {
    match severity {
        Severity::Low => pick(language, "low", "rendah", "منخفضة"),
        Severity::Medium => pick(language, "medium", "sedang", "متوسطة"),
        Severity::High => pick(language, "high", "tinggi", "عالية"),
        Severity::Critical => pick(language, "critical", "kritis", "حرجة"),
    }
}

pub const fn status(language: Language, status: ProblemStatus) -> &'static str {
    match status {
        ProblemStatus::Open => pick(language, "open", "terbuka", "مفتوح"),
        ProblemStatus::Acknowledged => pick(language, "acknowledged", "diterima", "تم الاستلام"),
        ProblemStatus::InProgress => pick(language, "in progress", "sedang dikerjakan", "قيد العمل"),
        ProblemStatus::Resolved => pick(language, "resolved", "selesai", "تم الحل"),
        ProblemStatus::Closed => pick(language, "closed", "ditutup", "مغلق"),
        ProblemStatus::Reopened => pick(language, "reopened", "dibuka kembali", "أُعيد فتحه"),
    }
}
