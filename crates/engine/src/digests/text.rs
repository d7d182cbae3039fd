//! What a digest says, in its reader's language.

use std::fmt::Write as _;

use kabar_domain::Timestamp;
use kabar_domain::operations::Severity;
use kabar_store::digests::Open;

use crate::words::{Language, pick, severity};

/// Problems that are shown of a site.
const SHOWN: usize = 15;

pub(super) fn subject(language: Language, sites: &[&str]) -> String {
    let name = pick(language, "Daily digest", "Ringkasan harian", "الملخص اليومي");
    format!("{name}: {}", sites.join(comma(language)))
}

const fn comma(language: Language) -> &'static str {
    pick(language, ", ", ", ", "، ")
}

/// How a line of Arabic begins, so that it runs from the right even where a number comes first.
const fn start(language: Language) -> &'static str {
    pick(language, "", "", "\u{200f}")
}

/// What people wrote, in its own direction inside of Arabic.
fn said(language: Language, text: &str) -> String {
    if language == Language::Arabic { format!("\u{2068}{text}\u{2069}") } else { text.to_owned() }
}

fn age(language: Language, since: Timestamp, now: Timestamp) -> String {
    let hours = now.since(since).as_secs() / 3_600;
    let (count, unit) = if hours < 48 {
        (hours, pick(language, "h", "jam", if few(hours) { "ساعات" } else { "ساعة" }))
    } else {
        let days = hours / 24;
        (days, pick(language, "d", "hari", if few(days) { "أيام" } else { "يومًا" }))
    };
    format!("{count} {unit}")
}

/// Whether Arabic counts so many in the plural.
const fn few(count: u64) -> bool {
    matches!(count % 100, 3..=10)
}

/// Adds a site; `recent` are the problems and work updates of the last 24 hours.
pub(super) fn describe(
    text: &mut String,
    language: Language,
    site: &str,
    open: &[Open],
    (problems, updates): (i64, i64),
    now: Timestamp,
) {
    let (start, comma) = (start(language), comma(language));
    let is_overdue = |problem: &Open| problem.due_at.is_some_and(|due| due < now);
    let overdue = open.iter().filter(|problem| is_overdue(problem)).count();
    let by_severity: Vec<String> = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low]
        .into_iter()
        .filter_map(|level| {
            let count = open.iter().filter(|problem| problem.severity == level).count();
            (count > 0).then(|| format!("{count} {}", severity(language, level)))
        })
        .collect();
    let detail =
        if by_severity.is_empty() { String::new() } else { format!(" ({})", by_severity.join(comma)) };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{start}{}\n{start}{}: {}{detail}. {}: {overdue}.",
        said(language, site),
        pick(language, "Open problems", "Masalah terbuka", "المشكلات المفتوحة"),
        open.len(),
        pick(language, "Overdue", "Lewat tenggat", "المتأخرة"),
    );
    let _ = writeln!(
        text,
        "{start}{}: {} {problems}{comma}{} {updates}.",
        pick(language, "In the last 24 hours", "Dalam 24 jam terakhir", "في آخر 24 ساعة"),
        pick(language, "problems", "masalah", "المشكلات"),
        pick(language, "work updates", "laporan kerja", "تقارير العمل"),
    );
    for problem in open.iter().take(SHOWN) {
        let late = pick(language, "overdue", "lewat tenggat", "متأخرة");
        let late = if is_overdue(problem) { format!("{comma}{late}") } else { String::new() };
        let _ = writeln!(
            text,
            "{start}- {} {} ({}{comma}{}{late})",
            problem.number,
            said(language, &problem.title),
            severity(language, problem.severity),
            age(language, problem.occurred_at, now)
        );
    }
    if open.len() > SHOWN {
        let more = open.len() - SHOWN;
        let _ = match language {
            Language::Indonesian => writeln!(text, "- dan {more} lagi"),
            Language::Arabic => writeln!(text, "{start}- و{more} غيرها"),
            _ => writeln!(text, "- and {more} more"),
        };
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use kabar_domain::operations::ProblemStatus;

    #[test]
    fn a_digest_is_in_its_readers_language() {
        let now = Timestamp::from_unix(1_700_000_000);
        let open = [Open {
            number: "P-2026-000001".into(),
            title: "Gas leak".into(),
            severity: Severity::Critical,
            status: ProblemStatus::Open,
            due_at: Some(Timestamp::from_unix(1_699_999_000)),
            occurred_at: Timestamp::from_unix(1_700_000_000 - 5 * 3_600),
        }];
        let text = |language| {
            let mut text = subject(language, &["A", "B"]) + "\n";
            describe(&mut text, language, "A", &open, (1, 2), now);
            text.trim_end().to_owned()
        };
        assert_eq!(
            text(Language::English),
            "Daily digest: A, B\nA\nOpen problems: 1 (1 critical). Overdue: 1.\nIn the last 24 hours: problems 1, work \
             updates 2.\n- P-2026-000001 Gas leak (critical, 5 h, overdue)"
        );
        assert_eq!(
            text(Language::Indonesian),
            "Ringkasan harian: A, B\nA\nMasalah terbuka: 1 (1 kritis). Lewat tenggat: 1.\nDalam 24 jam terakhir: masalah 1, \
             laporan kerja 2.\n- P-2026-000001 Gas leak (kritis, 5 jam, lewat tenggat)"
        );
        let arabic = text(Language::Arabic);
        assert!(
            arabic.contains("\u{200f}- P-2026-000001 \u{2068}Gas leak\u{2069} (حرجة، 5 ساعات، متأخرة)"),
            "{arabic}"
        );
    }
}
