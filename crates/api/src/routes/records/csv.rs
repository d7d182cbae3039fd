//! Records as a table, streamed: no number of them fills the server's memory.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, header};
use kabar_domain::operations::RecordKind;
use kabar_engine::Principal;
use kabar_engine::records::{Named, RecordQuery};

use crate::error::Result;
use crate::state::ApiState;

const COMMON: [&str; 11] = [
    "number",
    "title",
    "body",
    "site",
    "facility",
    "facility_code",
    "category",
    "reporter",
    "reporter_phone",
    "occurred_at",
    "created_at",
];
const PROBLEM: [&str; 9] = [
    "severity",
    "status",
    "assignee",
    "due_at",
    "acknowledged_at",
    "resolved_at",
    "closed_at",
    "recurrence_of",
    "merged_into",
];

/// Whether a client asks for a table rather than JSON.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accept.split([',', ';']).next().unwrap_or_default().trim();
    first.eq_ignore_ascii_case("text/csv")
}

/// What makes spreadsheets take a cell for a formula; the wide forms do where Chinese or Japanese is written.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The beginning of a table. Without the byte order mark Excel takes it for one in the code page of the machine.
pub(crate) fn begin<'a>(header: impl IntoIterator<Item = &'a str>) -> String {
    format!("\u{feff}{}", line(header))
}

/// One line of RFC 4180. A cell that a spreadsheet would take for a formula is shown as text: what people write in
/// chats ends up here. A number with its sign, a phone number among them, can be no more than a number.
pub(crate) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        let number = cell.strip_prefix(['+', '-']).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        });
        let guard = if cell.starts_with(FORMULA) && !number { "'" } else { "" };
        if guard.is_empty() && !cell.contains([',', '"', '\n', '\r']) {
            line.push_str(cell);
        } else {
            line.push('"');
            line.push_str(guard);
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        }
    }
    line.push_str("\r\n");
    line
}

fn row(kind: RecordKind, row: &Named) -> String {
    let record = &row.record;
    let time = |at: Option<kabar_domain::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let mut cells = vec![
        record.number.clone(),
        record.title.clone(),
        record.body.clone().unwrap_or_default(),
        row.site_name.clone().unwrap_or_default(),
        row.facility_name.clone().unwrap_or_default(),
        row.facility_code.clone().unwrap_or_default(),
        row.category_name.clone().unwrap_or_default(),
        row.contact_name.clone().or_else(|| row.user_name.clone()).unwrap_or_default(),
        row.contact_phone.clone().unwrap_or_default(),
        record.occurred_at.to_string(),
        record.created_at.to_string(),
    ];
    if kind == RecordKind::Problem {
        cells.extend([
            record.severity.map(|severity| severity.to_string()).unwrap_or_default(),
            record.status.map(|status| status.to_string()).unwrap_or_default(),
            row.assignee_name.clone().unwrap_or_default(),
            time(record.due_at),
            time(record.acknowledged_at),
            time(record.resolved_at),
            time(record.closed_at),
            row.recurrence_number.clone().unwrap_or_default(),
            row.merged_number.clone().unwrap_or_default(),
        ]);
    }
    line(cells.iter().map(String::as_str))
}

/// A table to save under this name.
pub(crate) fn answer(name: &str, body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, body.into()).into_response()
}

/// Everything a query finds.
pub(crate) async fn export(
    state: ApiState,
    caller: Principal,
    kind: RecordKind,
    query: RecordQuery,
) -> Result<Response> {
    let listing = state.engine.record_listing(&caller, kind, query).await?;
    let (name, header) = match kind {
        RecordKind::WorkUpdate => ("work-updates", begin(COMMON)),
        RecordKind::Problem => ("problems", begin(COMMON.into_iter().chain(PROBLEM))),
    };
    // The first rows before the answer begins: what fails at once is an error, not a broken table.
    let first = state.engine.export_records(&caller, kind, &listing, None).await?;
    let text = move |rows: &[Named]| rows.iter().map(|named| row(kind, named)).collect::<String>();
    let begin = (Bytes::from(header + &text(&first.0)), first.1);
    let rows = stream::try_unfold(Some((Some(begin), None)), move |at| {
        let (state, caller, listing) = (state.clone(), caller.clone(), listing.clone());
        async move {
            let Some((ready, after)) = at else { return Ok(None) };
            let (bytes, next) = if let Some(ready) = ready {
                ready
            } else {
                let (rows, next) = state.engine.export_records(&caller, kind, &listing, after).await?;
                (Bytes::from(text(&rows)), next)
            };
            Ok::<_, kabar_engine::Error>(Some((bytes, next.map(|next| (None, Some(next))))))
        }
    });
    Ok(answer(name, Body::from_stream(rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        assert_eq!(line(["a", "b c", ""]), "a,b c,\r\n");
        assert_eq!(line(["say \"hi\", now", "two\nlines"]), "\"say \"\"hi\"\", now\",\"two\nlines\"\r\n");
        assert_eq!(line(["=1+1", "@SUM(A1)", "-x"]), "\"'=1+1\",\"'@SUM(A1)\",\"'-x\"\r\n");
        assert_eq!(line(["\t=1", "\n=1", "＝1+1"]), "\"'\t=1\",\"'\n=1\",\"'＝1+1\"\r\n");
        assert_eq!(line(["+62811", "-6.2"]), "+62811,-6.2\r\n");
        assert_eq!(line(["+62811+cmd|' /C calc'!A0"]), "\"'+62811+cmd|' /C calc'!A0\"\r\n");
    }
}
