//! `kabar understand`: what was read in the inbox, read again.

use std::io::IsTerminal;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kabar_domain::Timestamp;

use crate::cli::Outcome;
use crate::serve;
use crate::settings::Settings;

/// Read the inbox again, as after an upgrade with a new model. What people decided stays, and no record is made.
#[derive(Args)]
pub struct UnderstandCommand {
    /// Read what is there already.
    #[arg(long, required = true)]
    replay: bool,
    /// Only this organisation's, by id or slug [default: all].
    #[arg(long, value_name = "ORGANISATION")]
    organisation: Option<String>,
    /// Only what came since, as 2026-05-01T00:00:00+00:00.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| "it must be a time with an offset, as 2026-05-01T00:00:00+00:00".into())
}

impl UnderstandCommand {
    pub async fn run(self, settings: Settings) -> Outcome {
        let engine = serve::open(&settings.resolve()?).await?;
        let bar = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} items, {per_sec}, {eta} left")?;
            ProgressBar::new(0).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        let done = engine
            .reread(self.organisation.as_deref(), self.since, |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            })
            .await?;
        bar.finish_and_clear();
        let Some(done) = done else {
            return Err(
                format!("there is no organisation `{}`", self.organisation.unwrap_or_default()).into()
            );
        };
        println!("Read again: {} items, of which {} are of another class now.", done.items, done.changed);
        Ok(())
    }
}
