//! How soon `kabar serve` answers after it is started, and how large its one file is.

use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::context::{Context, Database};
use crate::report::{Report, Row, median};
use crate::server_under_test::Installation;

const STARTS: usize = 5;
const TARGET: Duration = Duration::from_millis(300);

pub async fn measure(
    context: &Context,
    database: Database,
    large: &Installation<'_>,
    report: &mut Report,
) -> Outcome<()> {
    let name = database.name();
    let mut first = Vec::new();
    let mut again = Vec::new();
    for at in 0..STARTS {
        let empty = Installation::new(context, database, &format!("start_{at}"))?;
        first.push(start_once(&empty).await?);
        again.push(start_once(&empty).await?);
        context.say(&format!("start {name}: empty database {} of {STARTS}", at + 1));
    }
    let mut existing = Vec::new();
    for _ in 0..STARTS {
        existing.push(start_once(large).await?);
    }
    context
        .say(&format!("start {name}: {STARTS} starts each on nothing, on an empty and on a large database"));
    tell(report, name, "first start: tables, key and administrator made", &first, false);
    tell(report, name, "on an empty database", &again, true);
    tell(report, name, "on a large database", &existing, true);
    Ok(())
}

pub fn binary_size(context: &Context, report: &mut Report) -> Outcome<()> {
    let size = std::fs::metadata(&context.kabar)?.len();
    report.note("start", "-", "release binary, one file", format!("{:.1} MiB", size as f64 / 1_048_576.0));
    Ok(())
}

async fn start_once(installation: &Installation<'_>) -> Outcome<f64> {
    let server = installation.start().await?;
    let startup = server.startup;
    server.stop().await?;
    Ok(startup.as_secs_f64())
}

fn tell(report: &mut Report, name: &'static str, what: &str, seconds: &[f64], has_target: bool) {
    let (median, max) = (median(seconds), seconds.iter().copied().fold(0.0, f64::max));
    report.push(Row {
        benchmark: "start",
        database: name,
        measure: what.into(),
        figure: format!("median {:.0} ms, max {:.0} ms", median * 1e3, max * 1e3),
        ratio: None,
        target: if has_target { "< 300 ms".into() } else { String::new() },
        met: has_target.then_some(max < TARGET.as_secs_f64()),
    });
    report.detail("start", name, what, &json!({"seconds": seconds}));
}
