//! Totals of lists, kept in the transactions that change them, so that a list need not count its rows.

use kabar_domain::channel::{ConversationStatus, InboxStatus};
use kabar_domain::file::FileStatus;
use kabar_domain::{ChannelId, OrganisationId};
use uuid::Uuid;

use crate::args;
use crate::error::Result;
use crate::store::{Db, Tx};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    Conversations(ChannelId, ConversationStatus),
    Contacts,
    Inbox(InboxStatus),
    Files(FileStatus),
}

impl Counter {
    const fn key(self) -> (i64, Uuid, i64) {
        match self {
            Self::Conversations(channel, status) => (1, channel.uuid(), status.code()),
            Self::Contacts => (2, Uuid::nil(), 0),
            Self::Inbox(status) => (3, Uuid::nil(), status.code()),
            Self::Files(status) => (4, Uuid::nil(), status.code()),
        }
    }
}

pub(crate) async fn add(tx: &mut Tx, organisation: OrganisationId, counter: Counter, by: i64) -> Result<()> {
    if by == 0 {
        return Ok(());
    }
    let (subject, reference, status) = counter.key();
    tx.execute(
        "INSERT INTO counters (organisation_id, subject, ref_id, status, value) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (organisation_id, subject, ref_id, status) DO UPDATE SET value = counters.value + excluded.value",
        args![organisation, subject, reference, status, by],
    )
    .await?;
    Ok(())
}

async fn sum(
    db: &mut impl Db,
    organisation: OrganisationId,
    subject: i64,
    channel: Option<Uuid>,
    status: Option<i64>,
) -> Result<i64> {
    let mut rows = db
        .fetch(
            "SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM counters
             WHERE organisation_id = $1 AND subject = $2
               AND ($3 IS NULL OR ref_id = $3) AND ($4 IS NULL OR status = $4)",
            args![organisation, subject, channel, status],
        )
        .await?;
    rows.first_mut().map_or(Ok(0), |row| row.get(0))
}

pub async fn conversations(
    db: &mut impl Db,
    organisation: OrganisationId,
    channel: Option<ChannelId>,
    status: Option<ConversationStatus>,
) -> Result<i64> {
    sum(db, organisation, 1, channel.map(ChannelId::uuid), status.map(ConversationStatus::code)).await
}

pub async fn contacts(db: &mut impl Db, organisation: OrganisationId) -> Result<i64> {
    sum(db, organisation, 2, None, None).await
}

pub async fn inbox(
    db: &mut impl Db,
    organisation: OrganisationId,
    status: Option<InboxStatus>,
) -> Result<i64> {
    sum(db, organisation, 3, None, status.map(InboxStatus::code)).await
}

pub async fn files(
    db: &mut impl Db,
    organisation: OrganisationId,
    status: Option<FileStatus>,
) -> Result<i64> {
    sum(db, organisation, 4, None, status.map(FileStatus::code)).await
}
