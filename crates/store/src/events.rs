//! Events: one row per change, numbered without gaps in each organisation.

use kabar_domain::{OrganisationId, Timestamp};
use uuid::Uuid;

use crate::bulk::{Rows, of};
use crate::error::Result;
use crate::store::{Db, Tx};
use crate::{Bind, args};

/// An event to record. `kind` is `resource.change` (`message.received`); `data` is a small JSON object.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub kind: &'static str,
    pub subject_id: Option<Uuid>,
    pub data: Option<String>,
}

/// Appends events. The organisation's counter stays locked until the transaction ends: [`Tx::commit`] calls it last.
pub(crate) async fn append(
    tx: &mut Tx,
    organisation: OrganisationId,
    events: Vec<(Timestamp, NewEvent)>,
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let count = events.len() as i64;
    let mut row = tx
        .fetch(
            "INSERT INTO event_sequences (organisation_id, last_seq) VALUES ($1, $2)
             ON CONFLICT (organisation_id) DO UPDATE SET last_seq = event_sequences.last_seq + excluded.last_seq
             RETURNING last_seq",
            args![organisation, count],
        )
        .await?;
    let last: i64 = row.first_mut().map_or(Ok(count), |row| row.get(0))?;
    let mut rows = Rows::new(&[
        ("organisation_id", of::<OrganisationId>()),
        ("seq", of::<i64>()),
        ("kind", of::<String>()),
        ("subject_id", of::<Uuid>()),
        ("data", of::<String>()),
        ("created_at", of::<i64>()),
    ]);
    for (seq, (at, event)) in (last - count + 1..).zip(events) {
        rows.push([
            organisation.value(),
            seq.value(),
            event.kind.value(),
            event.subject_id.value(),
            event.data.value(),
            at.value(),
        ]);
    }
    tx.bulk_insert("events", rows, "").await?;
    Ok(())
}
