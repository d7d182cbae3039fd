//! Notifications and their legs.

use std::collections::HashMap;

use kabar_domain::message::{MessageStatus, ProviderError};
use kabar_domain::notification::NotificationChannel;
use kabar_domain::{MessageId, NotificationId, NotificationLegId, OrganisationId, Timestamp, UserId};

use crate::args;
use crate::error::Result;
use crate::select::{Select, Window};
use crate::store::{Db, Tx};
use crate::value::{Bind, Row};

#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    pub id: NotificationId,
    pub user_id: UserId,
    pub subject: Option<String>,
    pub text: String,
    /// The name of the template it was made from.
    pub template: Option<String>,
    pub created_at: Timestamp,
    pub legs: Vec<Leg>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub id: NotificationLegId,
    pub channel: NotificationChannel,
    /// An e-mail address, a number, or whatever names a person on its channel.
    pub recipient: String,
    pub status: MessageStatus,
    /// WhatsApp and Telegram: the message that carries it, whose status is the leg's.
    pub message_id: Option<MessageId>,
    pub provider_id: Option<String>,
    pub error: Option<ProviderError>,
    pub attempts: i64,
    pub retry_at: Option<Timestamp>,
    pub sent_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
}

pub async fn insert(tx: &mut Tx, organisation: OrganisationId, notification: &Notification) -> Result<()> {
    tx.execute(
        "INSERT INTO notifications (organisation_id, id, user_id, subject, text, template, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            organisation,
            notification.id,
            notification.user_id,
            notification.subject.as_ref(),
            &notification.text,
            notification.template.as_ref(),
            notification.created_at,
        ],
    )
    .await?;
    for leg in &notification.legs {
        tx.execute(
            "INSERT INTO notification_legs
                 (organisation_id, id, notification_id, channel, recipient, status, message_id, attempts, error,
                  failed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)",
            args![
                organisation,
                leg.id,
                notification.id,
                leg.channel,
                &leg.recipient,
                leg.status,
                leg.message_id,
                leg.error.as_ref().and_then(|error| serde_json::to_string(error).ok()),
                leg.failed_at,
            ],
        )
        .await?;
    }
    Ok(())
}

const SELECT: &str = "SELECT n.id, n.user_id, n.subject, n.text, n.template, n.created_at
    FROM notifications n WHERE n.organisation_id = ?";

fn notification(mut row: Row) -> Result<Notification> {
    Ok(Notification {
        id: row.get(0)?,
        user_id: row.get(1)?,
        subject: row.get(2)?,
        text: row.get(3)?,
        template: row.get(4)?,
        created_at: row.get(5)?,
        legs: Vec::new(),
    })
}

const LEGS: &str =
    "SELECT l.notification_id, l.id, l.channel, l.recipient, COALESCE(m.status, l.status), l.message_id,
    COALESCE(m.provider_message_id, l.provider_id), COALESCE(m.error, l.error), l.attempts, l.retry_at,
    COALESCE(m.sent_at, l.sent_at), m.delivered_at, COALESCE(m.failed_at, l.failed_at)
    FROM notification_legs l
    LEFT JOIN messages m ON m.organisation_id = l.organisation_id AND m.id = l.message_id
    WHERE l.organisation_id = ?";

fn leg(mut row: Row) -> Result<(NotificationId, Leg)> {
    let leg = Leg {
        id: row.get(1)?,
        channel: row.get(2)?,
        recipient: row.get(3)?,
        status: row.get(4)?,
        message_id: row.get(5)?,
        provider_id: row.get(6)?,
        error: row.json(7)?,
        attempts: row.get(8)?,
        retry_at: row.get(9)?,
        sent_at: row.get(10)?,
        delivered_at: row.get(11)?,
        failed_at: row.get(12)?,
    };
    Ok((row.get(0)?, leg))
}

async fn with_legs(
    db: &mut impl Db,
    organisation: OrganisationId,
    rows: Vec<Row>,
) -> Result<Vec<Notification>> {
    let mut found: Vec<_> = rows.into_iter().map(notification).collect::<Result<_>>()?;
    let mut select = Select::new(LEGS, args![organisation]);
    select.push_in("AND l.notification_id IN", found.iter().map(|one| one.id.value()).collect());
    select.push("ORDER BY l.id", Vec::new());
    let mut legs: HashMap<NotificationId, Vec<Leg>> = HashMap::new();
    for row in select.fetch(db).await? {
        let (of, leg) = leg(row)?;
        legs.entry(of).or_default().push(leg);
    }
    for one in &mut found {
        one.legs = legs.remove(&one.id).unwrap_or_default();
    }
    Ok(found)
}

/// Newest first.
pub async fn list(
    db: &mut impl Db,
    organisation: OrganisationId,
    window: Window<NotificationId>,
) -> Result<Vec<Notification>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push_some("AND n.id < ?", window.after.map(Bind::value));
    select.push("ORDER BY n.id DESC LIMIT ? OFFSET ?", args![window.limit, window.offset]);
    let rows = select.fetch(db).await?;
    with_legs(db, organisation, rows).await
}

pub async fn count(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    Select::new("SELECT COUNT(*) FROM notifications WHERE organisation_id = ?", args![organisation])
        .count(db)
        .await
}

pub async fn find(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: NotificationId,
) -> Result<Option<Notification>> {
    let mut select = Select::new(SELECT, args![organisation]);
    select.push("AND n.id = ?", args![id]);
    let rows = select.fetch(db).await?;
    Ok(with_legs(db, organisation, rows).await?.pop())
}

/// A leg whose attempt begins.
#[derive(Clone, Debug)]
pub struct Begun {
    pub organisation_id: OrganisationId,
    pub notification_id: NotificationId,
    pub id: NotificationLegId,
    pub channel: NotificationChannel,
    pub recipient: String,
    /// This attempt's number, from 1.
    pub attempt: i64,
}

fn begun(mut row: Row) -> Result<Begun> {
    Ok(Begun {
        organisation_id: row.get(0)?,
        notification_id: row.get(1)?,
        id: row.get(2)?,
        channel: row.get(3)?,
        recipient: row.get(4)?,
        attempt: row.get(5)?,
    })
}

/// Marks a queued leg as being sent. `None`: it is not queued.
pub async fn begin(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: NotificationLegId,
) -> Result<Option<Begun>> {
    tx.fetch_optional(
        "UPDATE notification_legs SET status = $3, attempts = attempts + 1, retry_at = NULL
         WHERE organisation_id = $1 AND id = $2 AND status = $4 AND message_id IS NULL
         RETURNING organisation_id, notification_id, id, channel, recipient, attempts",
        args![organisation, id, MessageStatus::Sending, MessageStatus::Queued],
    )
    .await?
    .map(begun)
    .transpose()
}

/// The leg, when an attempt at it was begun and nobody wrote how it ended.
pub async fn interrupted(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: NotificationLegId,
) -> Result<Option<Begun>> {
    tx.fetch_optional(
        "SELECT organisation_id, notification_id, id, channel, recipient, attempts FROM notification_legs
         WHERE organisation_id = $1 AND id = $2 AND status = $3 AND message_id IS NULL",
        args![organisation, id, MessageStatus::Sending],
    )
    .await?
    .map(begun)
    .transpose()
}

/// How an attempt at a leg ended.
#[derive(Clone, Debug)]
pub struct LegEnd {
    pub status: MessageStatus,
    pub provider_id: Option<String>,
    /// JSON.
    pub error: Option<String>,
    pub retry_at: Option<Timestamp>,
    pub sent_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
}

/// Ends an attempt. `false`: somebody else ended it, and nothing was written.
pub async fn end(tx: &mut Tx, begun: &Begun, end: LegEnd) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE notification_legs SET status = $4, provider_id = $5, error = $6, retry_at = $7, sent_at = $8,
                    failed_at = $9
             WHERE organisation_id = $1 AND id = $2 AND attempts = $3 AND status = $10",
            args![
                begun.organisation_id,
                begun.id,
                begun.attempt,
                end.status,
                end.provider_id,
                end.error,
                end.retry_at,
                end.sent_at,
                end.failed_at,
                MessageStatus::Sending,
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Queues a leg again that ended as `from`. `false`: it stands otherwise by now.
pub async fn requeue(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: NotificationLegId,
    from: MessageStatus,
) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE notification_legs SET status = $4, error = NULL, failed_at = NULL
             WHERE organisation_id = $1 AND id = $2 AND status = $3",
            args![organisation, id, from, MessageStatus::Queued],
        )
        .await?;
    Ok(changed == 1)
}
