//! The legs that are not messages: e-mails and SMS. Neither has a key by which it could be sent twice safely, so an
//! attempt is on record before it is made, and one whose end is not on record is never made again.

use std::time::Duration;

use kabar_domain::NotificationLegId;
use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::notification::NotificationChannel;
use kabar_domain::outbound::{SendFailure, Verdict};
use kabar_providers::smtp::Email;
use kabar_store::jobs::Leased;
use kabar_store::notifications::{self, Begun, LegEnd};

use super::{Notification, SUBJECT, leg_event};
use crate::crypto::unit;
use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::Done;
use crate::outbound::error_text;

/// Attempts at a leg: with the waits between them some five hours.
const ATTEMPTS: i64 = 14;
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Between attempts to write to a database that is away.
const POLL: Duration = Duration::from_millis(500);

/// The wait after a job's failed attempt, doubled each time; `unit` in 0..1 moves it between a half and one and a half.
fn backoff(attempt: i64, unit: f64) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(12);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT).mul_f64(0.5 + unit)
}

/// The first line of a text, as a subject.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut subject: String =
        line.chars().filter(|letter| !letter.is_control()).take(SUBJECT.min(78)).collect();
    if subject.len() < line.len() {
        subject.push('…');
    }
    subject
}

impl Engine {
    /// Makes one attempt at a leg.
    pub(crate) async fn attempt_leg(&self, job: &Leased) -> Done {
        let (begun, notification) = match self.begin_leg(job).await {
            Ok(Some(found)) => found,
            Ok(None) => return Done::Finished,
            Err(error) => {
                tracing::error!(%error, "a notification's leg cannot be begun now");
                return Done::Again(FIRST_WAIT);
            }
        };
        let result = self.send_leg(&begun, &notification).await;
        let now = self.clock.now();
        let mut end = LegEnd {
            status: MessageStatus::Sent,
            provider_id: None,
            error: None,
            retry_at: None,
            sent_at: None,
            failed_at: None,
        };
        let mut done = Done::Finished;
        match result {
            Ok(provider_id) => {
                end.provider_id = Some(provider_id);
                end.sent_at = Some(now);
            }
            Err(failure) => {
                end.error = Some(error_text(&failure.error));
                match failure.verdict {
                    Verdict::Retry { after } if job.attempt < ATTEMPTS => {
                        let wait = backoff(job.attempt, unit()).max(after.unwrap_or_default());
                        end.status = MessageStatus::Queued;
                        end.retry_at = Some(now.plus(wait));
                        done = Done::Again(wait);
                    }
                    Verdict::Uncertain => end.status = MessageStatus::Uncertain,
                    _ => {
                        end.status = MessageStatus::Failed;
                        end.failed_at = Some(now);
                    }
                }
            }
        }
        let outcome = if end.retry_at.is_some() { "retry" } else { end.status.as_str() };
        self.metrics.leg_attempted(begun.channel, outcome);
        while let Err(error) = self.end_leg(&begun, &end).await {
            tracing::error!(%error, leg = %begun.id, "how a leg ended cannot be written now; trying again");
            tokio::time::sleep(POLL).await;
        }
        done
    }

    /// Puts the attempt on record. `None`: there is nothing to attempt, or an earlier attempt was cut off and what it
    /// achieved is not known.
    async fn begin_leg(&self, job: &Leased) -> Result<Option<(Begun, Notification)>> {
        let organisation = job.organisation_id;
        let id = NotificationLegId::from_uuid(job.subject_id);
        let mut tx = self.store.begin().await?;
        let Some(begun) = notifications::begin(&mut tx, organisation, id).await? else {
            let cut_off = notifications::interrupted(&mut tx, organisation, id).await?;
            drop(tx);
            if let Some(begun) = cut_off {
                let error = ProviderError {
                    code: 0,
                    title: "It is not known whether it was sent".into(),
                    detail: Some("The server was stopped in the middle of sending it.".into()),
                    action: Some(
                        "Ask the recipient or look in the service's log, then retry this leg by its id."
                            .into(),
                    ),
                };
                let end = LegEnd {
                    status: MessageStatus::Uncertain,
                    provider_id: None,
                    error: Some(error_text(&error)),
                    retry_at: None,
                    sent_at: None,
                    failed_at: None,
                };
                self.end_leg(&begun, &end).await?;
                self.metrics.leg_attempted(begun.channel, end.status.as_str());
            }
            return Ok(None);
        };
        let notification = notifications::find(&mut tx, organisation, begun.notification_id).await?;
        tx.commit().await?;
        Ok(notification.map(|notification| (begun, notification)))
    }

    async fn send_leg(&self, begun: &Begun, notification: &Notification) -> Result<String, SendFailure> {
        let text = &notification.text;
        match (begun.channel, &self.config.smtp, &self.sms) {
            (NotificationChannel::Email, Some(smtp), _) => {
                let subject = notification.subject.clone().unwrap_or_else(|| first_line(text));
                let email = Email {
                    id: &begun.id.to_string(),
                    to: &begun.recipient,
                    subject: &subject,
                    text,
                    at: notification.created_at,
                };
                smtp.send(&email).await
            }
            (NotificationChannel::Sms, _, Some(sms)) => sms.send(&begun.recipient, text).await,
            (NotificationChannel::Whatsapp | NotificationChannel::Telegram, ..) => Err(SendFailure {
                error: ProviderError {
                    code: 0,
                    title: format!("There was no {} account when it was sent", begun.channel),
                    detail: None,
                    action: Some("Send a new notification.".into()),
                },
                verdict: Verdict::Fail,
            }),
            _ => Err(SendFailure {
                error: ProviderError {
                    code: 0,
                    title: format!("This server cannot send {}", begun.channel),
                    detail: None,
                    action: Some("Give the server its settings (smtp_url, sms_account); Kabar tries again for some hours.".into()),
                },
                verdict: Verdict::Retry { after: None },
            }),
        }
    }

    async fn end_leg(&self, begun: &Begun, end: &LegEnd) -> Result<()> {
        let mut tx = self.store.begin().await?;
        if notifications::end(&mut tx, begun, end.clone()).await? && end.status != MessageStatus::Queued {
            let event = leg_event(begun.notification_id, begun.id, begun.channel, end.status);
            tx.record(begun.organisation_id, self.clock.now(), [event]);
        }
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_for_hours() {
        let waits: Vec<_> = (1..ATTEMPTS).map(|attempt| backoff(attempt, 0.5)).collect();
        assert_eq!(waits[..2], [FIRST_WAIT, FIRST_WAIT * 2]);
        let whole: Duration = waits.iter().sum();
        assert!((3 * 3600..8 * 3600).contains(&whole.as_secs()), "{whole:?}");
    }

    #[test]
    fn a_subject_is_made_of_the_first_line() {
        assert_eq!(first_line("\n  Pompa mati\t\nsegera"), "Pompa mati");
        assert_eq!(first_line(&"é".repeat(90)).chars().count(), 79);
    }
}
