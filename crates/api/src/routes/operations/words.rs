//! What a report says, in each language.

use kabar_domain::operations::{ProblemStatus, Severity};

use crate::pages::Language;

/// The texts of one language. `{…}` stands for what is named there.
pub(super) struct Words {
    /// `{from}`, `{to}`
    pub title: &'static str,
    /// `{at}`, `{zone}`
    pub as_of: &'static str,
    pub open_problems: &'static str,
    pub overdue: &'static str,
    pub unassigned: &'static str,
    pub reported: &'static str,
    pub resolved: &'static str,
    pub updates: &'static str,
    pub to_acknowledge: &'static str,
    pub to_resolve: &'static str,
    pub sites: &'static str,
    pub site: &'static str,
    pub no_site: &'static str,
    pub open: &'static str,
    pub nothing: &'static str,
    pub failing: &'static str,
    pub facility: &'static str,
    pub code: &'static str,
    pub problems: &'static str,
    pub last: &'static str,
    pub nothing_failed: &'static str,
    pub number: &'static str,
    pub severity: &'static str,
    pub problem: &'static str,
    pub place: &'static str,
    pub status: &'static str,
    pub assignee: &'static str,
    pub due: &'static str,
    pub none: &'static str,
    /// `{shown}`, `{all}`
    pub gravest: &'static str,
    /// Days, hours, minutes.
    pub units: [&'static str; 3],
    pub comma: &'static str,
    /// From low to critical.
    severities: [&'static str; 4],
    /// Open, acknowledged, in progress, resolved, closed, reopened.
    statuses: [&'static str; 6],
    months: [&'static str; 12],
}

const ENGLISH: Words = Words {
    title: "Operations, {from} to {to}",
    as_of: "As of {at} ({zone})",
    open_problems: "Open problems",
    overdue: "Overdue",
    unassigned: "Unassigned",
    reported: "Reported",
    resolved: "Resolved",
    updates: "Work updates",
    to_acknowledge: "Median to acknowledge",
    to_resolve: "Median to resolve",
    sites: "Sites",
    site: "Site",
    no_site: "No site",
    open: "Open",
    nothing: "Nothing was reported or done in this time, and nothing is open.",
    failing: "What keeps failing",
    facility: "Facility",
    code: "Code",
    problems: "Problems",
    last: "Last",
    nothing_failed: "Nothing failed more than once.",
    number: "Number",
    severity: "Severity",
    problem: "Problem",
    place: "Where",
    status: "Status",
    assignee: "Assignee",
    due: "Due",
    none: "None.",
    gravest: "The {shown} gravest of {all}. The export has all of them.",
    units: ["d", "h", "min"],
    comma: ", ",
    severities: ["low", "medium", "high", "critical"],
    statuses: ["open", "acknowledged", "in progress", "resolved", "closed", "reopened"],
    months: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
};

const INDONESIAN: Words = Words {
    title: "Operasional, {from} sampai {to}",
    as_of: "Per {at} ({zone})",
    open_problems: "Masalah terbuka",
    overdue: "Lewat tenggat",
    unassigned: "Belum ditugaskan",
    reported: "Dilaporkan",
    resolved: "Diselesaikan",
    updates: "Laporan kerja",
    to_acknowledge: "Median sampai diterima",
    to_resolve: "Median sampai selesai",
    sites: "Lokasi",
    site: "Lokasi",
    no_site: "Tanpa lokasi",
    open: "Terbuka",
    nothing: "Tidak ada yang dilaporkan atau dikerjakan dalam kurun ini, dan tidak ada yang terbuka.",
    failing: "Yang terus bermasalah",
    facility: "Fasilitas",
    code: "Kode",
    problems: "Masalah",
    last: "Terakhir",
    nothing_failed: "Tidak ada yang bermasalah lebih dari sekali.",
    number: "Nomor",
    severity: "Tingkat",
    problem: "Masalah",
    place: "Di mana",
    status: "Status",
    assignee: "Petugas",
    due: "Tenggat",
    none: "Tidak ada.",
    gravest: "{shown} yang terberat dari {all}. Semuanya ada di ekspor.",
    units: ["hr", "jam", "mnt"],
    comma: ", ",
    severities: ["rendah", "sedang", "tinggi", "kritis"],
    statuses: ["terbuka", "diterima", "sedang dikerjakan", "selesai", "ditutup", "dibuka kembali"],
    months: ["Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"],
};

const ARABIC: Words = Words {
    title: "العمليات من {from} إلى {to}",
    as_of: "حتى {at} ({zone})",
    open_problems: "المشكلات المفتوحة",
    overdue: "المتأخرة",
    unassigned: "بلا مسؤول",
    reported: "المُبلَّغ عنها",
    resolved: "المحلولة",
    updates: "تقارير العمل",
    to_acknowledge: "الوسيط حتى الاستلام",
    to_resolve: "الوسيط حتى الحل",
    sites: "المواقع",
    site: "الموقع",
    no_site: "بلا موقع",
    open: "المفتوحة",
    nothing: "لم يُبلَّغ عن شيء ولم يُنجَز شيء في هذه المدة، ولا شيء مفتوح.",
    failing: "ما يتكرر عطله",
    facility: "المرفق",
    code: "الرمز",
    problems: "المشكلات",
    last: "الأخيرة",
    nothing_failed: "لم يتعطل شيء أكثر من مرة.",
    number: "الرقم",
    severity: "الخطورة",
    problem: "المشكلة",
    place: "المكان",
    status: "الحالة",
    assignee: "المسؤول",
    due: "الموعد",
    none: "لا شيء.",
    gravest: "أخطر {shown} من أصل {all}. جميعها في ملف التصدير.",
    units: ["ي", "س", "د"],
    comma: "، ",
    severities: ["منخفضة", "متوسطة", "عالية", "حرجة"],
    statuses: ["مفتوحة", "تم استلامها", "قيد العمل", "تم حلها", "مغلقة", "أُعيد فتحها"],
    months: [
        "يناير",
        "فبراير",
        "مارس",
        "أبريل",
        "مايو",
        "يونيو",
        "يوليو",
        "أغسطس",
        "سبتمبر",
        "أكتوبر",
        "نوفمبر",
        "ديسمبر",
    ],
};

impl Words {
    pub const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Indonesian => &INDONESIAN,
            Language::Arabic => &ARABIC,
        }
    }

    pub const fn severity(&self, severity: Severity) -> &'static str {
        let [low, medium, high, critical] = self.severities;
        match severity {
            Severity::Low => low,
            Severity::Medium => medium,
            Severity::High => high,
            Severity::Critical => critical,
        }
    }

    pub const fn status(&self, status: ProblemStatus) -> &'static str {
        let [open, acknowledged, in_progress, resolved, closed, reopened] = self.statuses;
        match status {
            ProblemStatus::Open => open,
            ProblemStatus::Acknowledged => acknowledged,
            ProblemStatus::InProgress => in_progress,
            ProblemStatus::Resolved => resolved,
            ProblemStatus::Closed => closed,
            ProblemStatus::Reopened => reopened,
        }
    }

    /// `7 May 2026`; months from 1.
    pub fn day(&self, day: i8, month: i8, year: i16) -> String {
        let month = self.months.get(usize::from(month.unsigned_abs()).saturating_sub(1));
        format!("{day} {} {year}", month.unwrap_or(&""))
    }
}
