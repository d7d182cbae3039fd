//! Records as a table, however many there are.

use kabar_domain::RecordId;
use kabar_domain::operations::RecordKind;
use kabar_store::Window;
use kabar_store::records::{Named, list};

use super::query::Listing;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::Result;

/// Rows read at a time.
const BATCH: i64 = 500;

/// Where an export goes on.
pub type ExportPlace = (i64, RecordId);

impl Engine {
    /// The next rows of a listing, and where to go on; nowhere, after the last.
    pub async fn export_records(
        &self,
        principal: &Principal,
        kind: RecordKind,
        listing: &Listing,
        after: Option<ExportPlace>,
    ) -> Result<(Vec<Named>, Option<ExportPlace>)> {
        let window = Window { after, offset: 0, limit: BATCH };
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let rows = list::list(&mut db, organisation, kind, &listing.filter, listing.order, window).await?;
        let place = |row: &Named| (listing.order.by.of(row), row.record.id);
        let next = rows.last().filter(|_| rows.len() as i64 == BATCH).map(place);
        Ok((rows, next))
    }
}
