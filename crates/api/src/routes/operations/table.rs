//! A report as a table: a row for each site.

use kabar_domain::operations::Severity;
use kabar_engine::visibility::{AGES, Report};

use super::super::records::csv::{begin, line};

pub(super) fn of(report: &Report) -> String {
    let ages: Vec<_> = AGES.iter().map(|(name, _)| format!("open_{name}")).collect();
    let severities: Vec<_> = Severity::ALL.iter().map(|severity| format!("open_{severity}")).collect();
    let mut header = vec!["site", "from", "to", "open", "overdue", "unassigned"];
    header.extend(severities.iter().map(String::as_str));
    header.extend(ages.iter().map(String::as_str));
    header.extend(["problems_reported", "problems_resolved", "mean_hours_to_resolve", "work_updates"]);
    let mut table = begin(header);
    for row in &report.sites {
        let counts = &row.counts;
        let mut cells = vec![
            row.site.as_ref().map(|site| site.name.clone()).unwrap_or_default(),
            report.period.from.to_string(),
            report.period.to.to_string(),
            row.open.total.to_string(),
            row.open.overdue.to_string(),
            row.open.unassigned.to_string(),
        ];
        cells.extend(
            Severity::ALL
                .iter()
                .map(|severity| row.open.by_severity.get(severity).copied().unwrap_or_default().to_string()),
        );
        cells.extend(row.open.by_age.iter().map(i64::to_string));
        let hours = counts.mean_to_resolve.max(0.0) / 3_600e6;
        cells.extend([
            counts.reported.to_string(),
            counts.resolved.to_string(),
            if counts.resolved > 0 { format!("{hours:.2}") } else { String::new() },
            counts.updates.to_string(),
        ]);
        table.push_str(&line(cells.iter().map(String::as_str)));
    }
    table
}
