//! The sentences, in the three languages.

use kabar_domain::operations::{ProblemStatus, Severity};
use kabar_understanding::Language;

pub(super) use crate::words::language;
use crate::words::{pick, status};

/// What follows the number in an acknowledgement: `Building A · high`.
pub(super) fn acknowledged(
    language: Language,
    number: &str,
    site: Option<&str>,
    severity: Option<Severity>,
    again: Option<&str>,
) -> String {
    let mut text = format!(
        "{} {number}",
        pick(
            language,
            "Thank you. Your report is recorded as",
            "Terima kasih. Laporan Anda tercatat sebagai",
            "شكرًا لك. سُجّل بلاغك برقم",
        )
    );
    let about = [site, severity.map(|level| crate::words::severity(language, level))];
    let about: Vec<&str> = about.into_iter().flatten().collect();
    if !about.is_empty() {
        text = format!("{text} ({})", about.join(" · "));
    }
    text.push('.');
    if let Some(again) = again {
        let seen = pick(language, "It was reported before:", "Pernah dilaporkan:", "سبق الإبلاغ عنه:");
        text = format!("{text} {seen} {again}.");
    }
    text
}

fn labelled(language: Language, standing: ProblemStatus) -> String {
    format!("{}: {}", pick(language, "Status", "Status", "الحالة"), status(language, standing))
}

/// `P-2026-000123: AC bocor` and where it stands.
pub(super) fn standing(
    language: Language,
    number: &str,
    title: &str,
    standing: Option<ProblemStatus>,
    due: Option<&str>,
) -> String {
    let mut text = format!("{number}: {title}");
    if let Some(standing) = standing {
        text = format!("{text}\n{}", labelled(language, standing));
    }
    if let Some(due) = due {
        text = format!("{text}\n{}: {due}", pick(language, "Due", "Tenggat", "الموعد"));
    }
    text
}

pub(super) fn not_found(language: Language, number: &str) -> String {
    let (before, after) = match language {
        Language::Indonesian => ("Tidak ada laporan", "dari Anda."),
        Language::Arabic => ("لا يوجد بلاغ لك برقم", ""),
        _ => ("There is no report", "of yours."),
    };
    format!("{before} {number} {after}").trim_end().to_owned()
}

pub(super) const fn help(language: Language) -> &'static str {
    pick(
        language,
        "Write what is wrong and where, as: AC leaking, Building A, 2nd floor. A photo helps.\nSTATUS P-2026-000123 \
         shows how your report stands.\nHELP shows this.",
        "Tulis apa yang rusak dan di mana, misalnya: AC bocor di Gedung A lantai 2. Foto akan membantu.\nSTATUS \
         P-2026-000123 menunjukkan keadaan laporan Anda.\nBANTUAN menampilkan pesan ini.",
        "اكتب ما العطل وأين، مثل: المكيف يسرب في المبنى أ الطابق الثاني. الصورة تساعد.\nSTATUS P-2026-000123 لمعرفة حالة \
         بلاغك.\nمساعدة لعرض هذه الرسالة.",
    )
}

/// To who has scanned the code of a facility.
pub(super) fn about(language: Language, facility: &str) -> String {
    let (before, after) = match language {
        Language::Indonesian => ("Ini tentang", "Apa yang rusak? Foto akan membantu."),
        Language::Arabic => ("هذا بخصوص", "ما العطل؟ الصورة تساعد."),
        _ => ("This is about", "What is wrong with it? A photo helps."),
    };
    format!("{before} {facility}. {after}")
}

/// `closed` or `resolved`, with what the team says about it.
pub(super) fn closing(
    language: Language,
    number: &str,
    title: &str,
    standing: ProblemStatus,
    note: Option<&str>,
) -> String {
    let now = pick(language, "is now", "kini", "أصبح");
    let mut text = format!("{number} ({title}) {now}: {}.", status(language, standing));
    if let Some(note) = note {
        text = format!("{text}\n{note}");
    }
    text
}

pub(super) fn merged(language: Language, part: &str, whole: &str) -> String {
    let with = pick(language, "is handled together with", "ditangani bersama", "تتم معالجته مع");
    format!("{part} {with} {whole}.")
}

/// With where it stands: people may have heard that the other one is solved.
pub(super) fn unmerged(
    language: Language,
    part: &str,
    whole: &str,
    standing: Option<ProblemStatus>,
) -> String {
    let apart = pick(
        language,
        "is handled on its own again, apart from",
        "ditangani tersendiri lagi, terpisah dari",
        "تتم معالجته من جديد بشكل منفصل عن",
    );
    let text = format!("{part} {apart} {whole}.");
    standing.map_or_else(|| text.clone(), |standing| format!("{text}\n{}", labelled(language, standing)))
}

pub(super) const fn wherever(language: Language) -> &'static str {
    pick(language, "Where is it?", "Di mana lokasinya?", "أين يقع ذلك؟")
}

/// Beside a list of numbered places.
pub(super) const fn by_number(language: Language) -> &'static str {
    pick(language, "Answer with the number.", "Balas dengan nomornya.", "أجب بالرقم.")
}

pub(super) const fn elsewhere(language: Language) -> &'static str {
    pick(language, "Somewhere else", "Di tempat lain", "مكان آخر")
}
