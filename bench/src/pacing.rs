//! A backlog over a number that may send 80 messages a second: never more than that in any second, and hardly less.

use crate::Outcome;
use crate::arrivals::Arrivals;
use crate::context::{Context, Database};
use crate::graph_stub::Throughput;
use crate::report::Report;
use crate::sending::{hear_everyone, send_messages};
use crate::server_under_test::{Installation, log_in, register_number};
use serde_json::json;

const PER_SECOND: usize = 80;
const CONTACTS: u64 = 1_000;

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let label = format!("pacing {name}");
    context.graph.begin(Throughput::Standard);
    let installation = Installation::new(context, database, "pacing")?;
    let server = installation.start().await?;
    let mut api = log_in(&server).await?;
    let channel = register_number(&mut api).await?;
    hear_everyone(context, &label, &server, &mut api, CONTACTS).await?;
    let wanted = if context.quick { 800 } else { 3_000 };
    let (created, accepted) = send_messages(context, &label, &api, &channel, CONTACTS, wanted).await?;
    server.stop().await?;

    let arrivals = Arrivals::new(accepted.iter().map(|accepted| accepted.at));
    let (most, rate) = (arrivals.most_in_a_second(), arrivals.mean_rate());
    report.judge(
        "pacing",
        name,
        "most in any one second, of 80 allowed",
        format!("{most} of {} messages", accepted.len()),
        ("≤ 80", most <= PER_SECOND && accepted.len() == created.len()),
    );
    let used = rate / PER_SECOND as f64;
    report.judge(
        "pacing",
        name,
        "used of 80/s while messages wait",
        format!("{:.1} %, {rate:.1}/s", used * 100.0),
        ("≥ 95 %", used >= 0.95),
    );
    let detail = json!({ "messages": accepted.len(), "most_in_a_second": most, "per_second": rate });
    report.detail("pacing", name, "a backlog at 80/s", &detail);
    Ok(())
}
