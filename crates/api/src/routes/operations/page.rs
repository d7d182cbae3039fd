//! A report as a page: no script, nothing fetched, and it prints well.

use std::fmt::Write as _;

use kabar_domain::Timestamp;
use kabar_domain::hours::local;
use kabar_domain::operations::Severity;
use kabar_engine::records::Named;
use kabar_engine::visibility::{Durations, Report};

use super::words::Words;
use crate::html::{said, text};
use crate::pages::Language;

const STYLE: &str = "
:root { color-scheme: light; --ink: #1c2126; --faint: #5f6b76; --line: #d7dde2; --wash: #f3f5f7; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans Arabic', sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
p { margin: .25rem 0; } .faint { color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem; margin: 1.5rem 0 0; padding: 0; }
.tiles div { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem .9rem; break-inside: avoid; }
.tiles dt { color: var(--faint); font-size: .85rem; } .tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600; }
@media (max-width: 40rem) { .tiles { grid-template-columns: repeat(2, 1fr); } }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: start; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--faint); white-space: nowrap; border-bottom-color: var(--ink); }
td.n, th.n { text-align: end; font-variant-numeric: tabular-nums; } td.no { white-space: nowrap; }
tr { break-inside: avoid; } thead { display: table-header-group; }
.tag { display: inline-block; border: 1px solid currentColor; border-radius: 1rem; padding: 0 .55rem; font-size: .8rem; white-space: nowrap; }
.critical { color: #a3121f; font-weight: 600; } .high { color: #a4480a; } .medium { color: #6c5600; } .low { color: #4c5965; }
.late { color: #a3121f; font-weight: 600; }
@page { margin: 15mm 12mm; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } h2 { break-after: avoid; } .wide { overflow: visible; } }
";

struct Page<'a> {
    report: &'a Report,
    language: Language,
    words: &'static Words,
    html: String,
}

impl Page<'_> {
    fn put(&mut self, html: &str) {
        self.html.push_str(html);
    }

    fn day(&self, at: Timestamp) -> String {
        let at = local(at, &self.report.timezone);
        at.map(|at| self.words.day(at.day(), at.month(), at.year())).unwrap_or_default()
    }

    fn time(&self, at: Timestamp) -> String {
        let clock = local(at, &self.report.timezone).map(|at| at.strftime("%H:%M").to_string());
        format!("{}{}{}", self.day(at), self.words.comma, clock.unwrap_or_default())
    }

    fn head(&mut self) {
        let report = self.report;
        // The period ends before its last moment: a report to Sunday's midnight is one to Sunday.
        let last = Timestamp::from_micros(report.period.to.as_micros() - 1);
        let (from, to, at) = (self.day(report.period.from), self.day(last), self.time(report.at));
        let zone = text(report.timezone.iana_name().unwrap_or("UTC"));
        let name = said(&report.organisation);
        let organisation = text(&report.organisation);
        let title = self.words.title.replace("{from}", &from).replace("{to}", &to);
        let as_of = self.words.as_of.replace("{at}", &at).replace("{zone}", &format!("<bdi>{zone}</bdi>"));
        let (lang, dir) = (self.language.code(), self.language.direction());
        self.put(&format!(
            "<!doctype html>\n<html lang=\"{lang}\" dir=\"{dir}\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
             name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{organisation}: {title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{name}</h1>\n<p>{title}</p>\n\
             <p class=\"faint\">{as_of}</p>\n</header>\n<main>\n"
        ));
    }

    fn tiles(&mut self) {
        let (report, words) = (self.report, self.words);
        let tiles = [
            (words.open_problems, report.open.total.to_string()),
            (words.overdue, report.open.overdue.to_string()),
            (words.unassigned, report.open.unassigned.to_string()),
            (words.reported, report.reported.to_string()),
            (words.resolved, report.resolved.to_string()),
            (words.updates, report.updates.to_string()),
            (words.to_acknowledge, median(words, &report.to_acknowledge)),
            (words.to_resolve, median(words, &report.to_resolve)),
        ];
        self.put("<dl class=\"tiles\">\n");
        for (name, value) in tiles {
            self.put(&format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
        }
        self.put("</dl>\n");
    }

    /// Columns with `true` hold numbers.
    fn table(&mut self, id: &str, title: &str, columns: &[(&str, bool)], rows: &[Vec<String>], none: &str) {
        self.put(&format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n"));
        if rows.is_empty() {
            self.put(&format!("<p class=\"faint\">{none}</p>\n</section>\n"));
            return;
        }
        let class = |number: bool| if number { " class=\"n\"" } else { "" };
        self.put("<div class=\"wide\"><table>\n<thead><tr>");
        for (name, number) in columns {
            let _ = write!(self.html, "<th scope=\"col\"{}>{name}</th>", class(*number));
        }
        self.put("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.put("<tr>");
            for ((_, number), cell) in columns.iter().zip(row) {
                let _ = write!(self.html, "<td{}>{cell}</td>", class(*number));
            }
            self.put("</tr>\n");
        }
        self.put("</tbody>\n</table></div>\n</section>\n");
    }

    fn sites(&mut self) {
        let (report, words) = (self.report, self.words);
        let rows: Vec<_> = report
            .sites
            .iter()
            .map(|row| {
                let grave = |severity| row.open.by_severity.get(&severity).copied().unwrap_or_default();
                let name = row.site.as_ref().map_or_else(
                    || format!("<span class=\"faint\">{}</span>", words.no_site),
                    |site| said(&site.name),
                );
                let overdue = match row.open.overdue {
                    0 => "0".to_owned(),
                    count => format!("<span class=\"late\">{count}</span>"),
                };
                let mut cells = vec![name, row.open.total.to_string(), overdue];
                cells
                    .extend([Severity::Critical, Severity::High].map(|severity| grave(severity).to_string()));
                cells.extend(
                    [row.counts.reported, row.counts.resolved, row.counts.updates]
                        .map(|count| count.to_string()),
                );
                cells
            })
            .collect();
        self.table(
            "sites",
            words.sites,
            &[
                (words.site, false),
                (words.open, true),
                (words.overdue, true),
                (words.severity(Severity::Critical), true),
                (words.severity(Severity::High), true),
                (words.reported, true),
                (words.resolved, true),
                (words.updates, true),
            ],
            &rows,
            words.nothing,
        );
    }

    fn recurring(&mut self) {
        let (report, words) = (self.report, self.words);
        let rows: Vec<_> = report
            .recurring
            .iter()
            .map(|thing| {
                vec![
                    said(thing.name.as_deref().unwrap_or("?")),
                    text(thing.code.as_deref().unwrap_or_default()),
                    thing.problems.to_string(),
                    format!("{}{}{}", number(&thing.last_number), words.comma, self.day(thing.last_at)),
                ]
            })
            .collect();
        let columns =
            [(words.facility, false), (words.code, false), (words.problems, true), (words.last, false)];
        self.table("recurring", words.failing, &columns, &rows, words.nothing_failed);
    }

    fn problem(&self, row: &Named) -> Vec<String> {
        let (record, at) = (&row.record, self.report.at);
        let class = record.severity.map_or("", Severity::as_str);
        let severity = record.severity.map_or("", |severity| self.words.severity(severity));
        let due = record.due_at.map(|due| {
            let class = if due < at { " class=\"late\"" } else { "" };
            format!("<span{class}>{}</span>", self.time(due))
        });
        let place: Vec<_> =
            [&row.site_name, &row.facility_name].into_iter().flatten().map(|name| said(name)).collect();
        let status = record.status.map_or("", |status| self.words.status(status)).to_owned();
        vec![
            number(&record.number),
            format!("<span class=\"tag {class}\">{severity}</span>"),
            said(&record.title),
            place.join(self.words.comma),
            status,
            row.assignee_name.as_deref().map(said).unwrap_or_default(),
            due.unwrap_or_default(),
        ]
    }

    fn problems(&mut self) {
        let (report, words) = (self.report, self.words);
        let rows: Vec<_> = report.problems.iter().map(|row| self.problem(row)).collect();
        let shown = rows.len() as i64;
        let columns = [
            words.number,
            words.severity,
            words.problem,
            words.place,
            words.status,
            words.assignee,
            words.due,
        ];
        self.table("open", words.open_problems, &columns.map(|name| (name, false)), &rows, words.none);
        if shown < report.open.total {
            let all = report.open.total.to_string();
            let gravest = words.gravest.replace("{shown}", &shown.to_string()).replace("{all}", &all);
            self.put(&format!("<p class=\"faint\">{gravest}</p>\n"));
        }
    }
}

/// Written from left to right wherever it stands, and never broken.
fn number(number: &str) -> String {
    format!("<bdi dir=\"ltr\">{}</bdi>", text(number).replace('-', "\u{2011}"))
}

/// `3 h 20 min`, as precise as people say it.
fn median(words: &Words, took: &Durations) -> String {
    let [d, h, min] = words.units;
    let minutes = took.median.max(0) / 60_000_000;
    match (took.count, minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, ..) => "\u{2013}".to_owned(),
        (_, 0, 0, 0) => format!("&lt; 1 {min}"),
        (_, 0, 0, minutes) => format!("{minutes} {min}"),
        (_, 0, hours, minutes) => format!("{hours} {h} {minutes} {min}"),
        (_, days, hours, _) => format!("{days} {d} {hours} {h}"),
    }
}

pub(super) fn of(report: &Report, language: Language) -> String {
    let mut page =
        Page { report, language, words: Words::of(language), html: String::with_capacity(32 * 1024) };
    page.head();
    page.tiles();
    page.sites();
    page.problems();
    page.recurring();
    page.put("</main>\n</body>\n</html>\n");
    page.html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_text() {
        assert_eq!(text("<b onclick=\"x\">&"), "&lt;b onclick=&quot;x&quot;&gt;&amp;");
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        let words = Words::of(Language::English);
        let took = |minutes: i64| {
            median(words, &Durations { count: 1, median: minutes * 60_000_000, ..Durations::default() })
        };
        assert_eq!(took(9), "9 min");
        assert_eq!(took(200), "3 h 20 min");
        assert_eq!(took(3 * 24 * 60 + 125), "3 d 2 h");
        assert_eq!(median(words, &Durations::default()), "\u{2013}");
    }
}
