//! Reads the inbox: what each item is, how grave, where and about what. It comes after the item is stored, many in a
//! transaction, and waits while webhooks are applied late. An item that cannot be understood is left to people; no
//! message waits for it.

mod decide;
mod flood;
mod read;
mod refine;
mod replay;

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::operations::RecordKind;
use kabar_domain::{OrganisationId, Timestamp};
use kabar_store::events::NewEvent;
use kabar_store::understanding::{self, Understood, Unread};
use kabar_store::{Error as StoreError, Tx, inbox, organisations};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::operations::OperationsSettings;
use crate::records::{Author, RecordFields};
use crate::vocabulary::Vocabulary;
use decide::{Fate, fate, is_unsure};
use flood::{Floods, Flow};

pub(crate) use decide::in_group;
pub(crate) use flood::LONGEST as LONGEST_FLOOD;
pub(crate) use read::{Guess, Reading, sentence, severity_of, sure};
pub use replay::Reread;

/// Items in one transaction at most.
const BATCH: i64 = 256;
/// Items read before other work on the thread gets its turn.
const TURN: usize = 32;
/// How often items are looked for when nobody says that there are some.
const POLL: Duration = Duration::from_millis(500);
/// Wait after the database could not be read or written.
const PAUSE: Duration = Duration::from_millis(250);
/// While webhooks are applied late, one batch comes in so long.
const GIVE_WAY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);

/// An item and what was read in it; `None` when reading failed.
type Read = (Unread, Option<Reading>);

/// What an organisation's items are read with.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub settings: OperationsSettings,
    pub vocabulary: Arc<Vocabulary>,
}

type Desks = HashMap<OrganisationId, Desk>;

/// How far what was read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Sure items become records, people are answered.
    All,
    /// What was read is written, and the rest is left to people.
    Words,
}

impl Engine {
    /// Understands items until `stop`.
    pub(crate) async fn run_understanding(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wake = self.items_waiting.notified();
            match self.understand_next().await {
                Ok(0) => tokio::select! {
                    () = wake => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = stop.cancelled() => {}
                },
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "inbox items cannot be understood now; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            let mut waited = Duration::ZERO;
            while self.lag.is_behind() && waited < GIVE_WAY && !stop.is_cancelled() {
                tokio::time::sleep(LOOK).await;
                waited += LOOK;
            }
        }
    }

    /// Understands what waits longest; how many items that were.
    pub(crate) async fn understand_next(&self) -> Result<usize> {
        let unread = understanding::next(&mut self.store.reader().await?, BATCH).await?;
        if unread.is_empty() {
            return Ok(0);
        }
        let count = unread.len();
        let desks = self.desks(unread.iter().map(|item| item.organisation_id)).await?;
        let read = read_items(unread, &desks).await;
        match self.settle(&read, &desks, Reach::All).await {
            Ok(()) => {}
            Err(error) if transient(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a batch of inbox items is taken one by one");
                for one in &read {
                    self.settle_alone(one, &desks).await?;
                }
            }
        }
        Ok(count)
    }

    pub(crate) async fn desks(&self, organisations: impl Iterator<Item = OrganisationId>) -> Result<Desks> {
        let mut desks = HashMap::new();
        let mut db = self.store.reader().await?;
        for id in organisations.collect::<BTreeSet<_>>() {
            let Some(found) = organisations::by_id(&mut db, id).await? else { continue };
            let vocabulary = self.vocabulary(&mut db, id).await?;
            desks.insert(id, Desk { settings: OperationsSettings::of(&found.settings), vocabulary });
        }
        Ok(desks)
    }

    /// Writes what was read and does what follows from it, all of it or nothing.
    async fn settle(&self, read: &[Read], desks: &Desks, reach: Reach) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let keys = read.iter().map(|(item, _)| (item.organisation_id, item.id));
        let taken = understanding::take(&mut tx, keys).await?;
        let mut standing = understanding::lock(&mut tx, taken).await?;
        // What another server took, or is gone, is not there any more.
        let mut here = Vec::with_capacity(read.len());
        for (item, reading) in read {
            let Some(was) = standing.remove(&item.id) else { continue };
            match (reading, desks.get(&item.organisation_id)) {
                (Some(reading), Some(desk)) => here.push((item, reading, desk, was)),
                _ => give_up(&mut tx, item, "it could not be read", now).await?,
            }
        }
        let counted = here.iter().map(|(item, reading, desk, _)| (*item, *reading, &desk.settings));
        let mut floods = Floods::load(&mut tx, counted).await?;
        let mut written = Vec::with_capacity(here.len());
        let mut ahead = Vec::new();
        let mut again = Vec::new();
        for (item, reading, desk, was) in here {
            let status = was.status;
            if status != InboxStatus::New {
                // People were faster.
                written.push(reading.written(item, &was, status, None));
                continue;
            }
            if reach == Reach::All && self.answer(&mut tx, item, reading, desk).await? {
                let note = Some("answered in the chat".to_owned());
                written.push(reading.written(item, &was, InboxStatus::Dismissed, note));
                continue;
            }
            let (next, note) = match floods.take(item, reading, &desk.settings) {
                Flow::Digest(why) => (InboxStatus::NeedsReview, Some(why)),
                Flow::Gathered => (status, Some("gathered with others of a flood".to_owned())),
                Flow::Single => {
                    if item.text.is_some()
                        && self.model_service(item.organisation_id, &desk.settings).is_some()
                    {
                        again.push((item.organisation_id, item.id));
                    }
                    let asked = reach == Reach::All
                        && is_unsure(&desk.settings, item, reading)
                        && self.ask_where(&mut tx, item, reading, desk).await?;
                    match fate(&desk.settings, item, reading) {
                        _ if asked => {
                            (InboxStatus::NeedsReview, Some("asked in the chat where it is".to_owned()))
                        }
                        Fate::Stay(why) => (status, why.map(str::to_owned)),
                        Fate::Review(why) => (InboxStatus::NeedsReview, Some(why.to_owned())),
                        Fate::Convert(_) if reach == Reach::Words => {
                            (InboxStatus::NeedsReview, Some("it could not be converted by itself".to_owned()))
                        }
                        Fate::Convert(kind) => {
                            ahead.push((item, kind));
                            (status, None)
                        }
                    }
                }
            };
            written.push(reading.written(item, &was, next, note));
        }
        understanding::write(&mut tx, &written, now).await?;
        floods.keep(&mut tx).await?;
        for item in written.iter().filter(|item| is_news(item)) {
            tx.record(item.organisation_id, now, [updated(item)]);
        }
        for (item, kind) in ahead {
            self.convert_alone(&mut tx, item, kind).await?;
        }
        let refined = !again.is_empty();
        self.have_refined(&mut tx, again, now).await?;
        tx.commit().await?;
        self.outbound_ready.notify_one();
        if refined {
            self.jobs_ready.notify_waiters();
        }
        Ok(())
    }

    /// Makes a record of an item on nobody's word.
    pub(crate) async fn convert_alone(&self, tx: &mut Tx, item: &Unread, kind: RecordKind) -> Result<()> {
        let Some(mut stored) = inbox::find_to_change(tx, item.organisation_id, item.id).await? else {
            return Ok(());
        };
        let author = Author { user_id: None, contact_id: item.contact_id, message_id: item.message_id };
        self.convert(tx, &mut stored, kind, RecordFields::default(), author).await
    }

    async fn settle_alone(&self, one: &Read, desks: &Desks) -> Result<()> {
        for reach in [Reach::All, Reach::Words] {
            match self.settle(std::slice::from_ref(one), desks, reach).await {
                Err(error) if !transient(&error) => {
                    tracing::error!(%error, item = %one.0.id, "an inbox item is left to people");
                }
                settled => return settled,
            }
        }
        let mut tx = self.store.begin().await?;
        give_up(&mut tx, &one.0, "what was understood could not be stored", self.clock.now()).await?;
        Ok(tx.commit().await?)
    }
}

async fn read_items(unread: Vec<Unread>, desks: &Desks) -> Vec<Read> {
    let mut read = Vec::with_capacity(unread.len());
    for (index, item) in unread.into_iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let desk = desks.get(&item.organisation_id);
        let reading = std::panic::catch_unwind(AssertUnwindSafe(|| {
            desk.map(|desk| Reading::of(&item, &desk.vocabulary))
        }));
        if reading.is_err() {
            tracing::error!(item = %item.id, "an inbox item cannot be read; it is left to people");
        }
        read.push((item, reading.ok().flatten()));
    }
    read
}

async fn give_up(tx: &mut Tx, item: &Unread, reason: &str, now: Timestamp) -> Result<(), StoreError> {
    understanding::give_up(tx, (item.organisation_id, item.id), reason, now).await?;
    let data = json!({ "status": InboxStatus::NeedsReview }).to_string();
    let event = NewEvent { kind: "inbox.updated", subject_id: Some(item.id.uuid()), data: Some(data) };
    tx.record(item.organisation_id, now, [event]);
    Ok(())
}

const fn transient(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.is_transient())
}

/// Chatter says nothing to anybody: most of what comes is understood without an event.
fn is_news(item: &Understood) -> bool {
    item.class != InboxClass::Unknown || item.status != item.was
}

fn updated(item: &Understood) -> NewEvent {
    let data = json!({ "class": item.class, "status": item.status, "confidence": item.confidence });
    NewEvent { kind: "inbox.updated", subject_id: Some(item.id.uuid()), data: Some(data.to_string()) }
}
