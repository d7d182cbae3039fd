//! The inbound log: what is acknowledged is on disk, in order, applied once, and kept as long as it is needed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_domain::{AccountId, Clock, HeldId, Timestamp};
use kabar_store::apply::{self, NewHeld};
use kabar_store::log::{AppendError, Claim, Entry, Lag, LogReader, LogWriter, Logged};
use kabar_store::{Error, Store, Tx};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::both;
use crate::reopen::options;
use crate::support::clock;

const START: i64 = 1_700_000_000;

fn entry(seconds: i64, body: impl Into<Vec<u8>>) -> Entry {
    Entry {
        received_at: Timestamp::from_unix(START + seconds),
        source: Platform::Whatsapp,
        account_id: None,
        signed_by: Some(-7),
        body: body.into(),
    }
}

async fn writer(store: &Store) -> (LogWriter, Vec<JoinHandle<()>>) {
    LogWriter::start(store, Arc::new(Notify::new()), Lag::default()).await.unwrap()
}

async fn finish(log: LogWriter, handles: Vec<JoinHandle<()>>) {
    drop(log);
    for handle in handles {
        handle.await.unwrap();
    }
}

/// Appends one after the other to one stream.
async fn write(store: &Store, entries: impl IntoIterator<Item = Entry>) {
    let (log, mut handles) = writer(store).await;
    for other in handles.drain(1..) {
        other.abort();
    }
    for entry in entries {
        log.append(entry).await.unwrap();
    }
    finish(log, handles).await;
}

async fn everything(store: &Store) -> Vec<Logged> {
    let reader = LogReader::open(store).unwrap();
    let mut all = Vec::new();
    for stream in reader.streams().await.unwrap() {
        all.extend(reader.range(stream, 0, i64::MAX, i64::MAX).await.unwrap());
    }
    all
}

/// Applies all there is, `limit` at a time; the bodies.
async fn apply(store: &Store, limit: usize) -> Vec<Vec<u8>> {
    let reader = LogReader::open(store).unwrap();
    let mut bodies = Vec::new();
    loop {
        let mut tx = store.begin().await.unwrap();
        let Some(claim) = reader.claim(&mut tx, limit, usize::MAX >> 1).await.unwrap() else { return bodies };
        assert!(claim.entries.len() <= limit);
        claim.done(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        bodies.extend(claim.entries.into_iter().map(|logged| logged.entry.body));
    }
}

/// Claims as soon as a claim given up before is rolled back, which PostgreSQL does in its own time.
async fn claim(store: &Store, limit: usize) -> (Tx, Claim) {
    let reader = LogReader::open(store).unwrap();
    for _ in 0..1_000 {
        let mut tx = store.begin().await.unwrap();
        if let Some(claim) = reader.claim(&mut tx, limit, usize::MAX >> 1).await.unwrap() {
            return (tx, claim);
        }
        drop(tx);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is nothing to claim");
}

fn held(clock: &Clock, at: &Logged) -> NewHeld {
    NewHeld {
        id: HeldId::new(clock),
        organisation_id: None,
        stream: at.stream,
        seq: at.seq,
        item: 0,
        pointer: String::new(),
        platform: Platform::Whatsapp,
        account_key: "100".into(),
        unclaimed: true,
        error: "no account".into(),
        received_at: at.entry.received_at,
    }
}

both! {
    async fn what_many_append_at_once_is_all_there_in_order_after_the_next_start(store: Store) {
        const TASKS: usize = 200;
        const EACH: usize = 8;
        let (log, handles) = writer(&store).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let log = log.clone();
                tokio::spawn(async move {
                    for n in 0..EACH {
                        log.append(entry(0, format!("{task} {n}"))).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let acknowledged = everything(&store).await;
        finish(log, handles).await;
        let options = options(&store).await;
        store.close().await;

        let again = Store::open(&options).await.unwrap();
        let all = everything(&again).await;
        assert_eq!(all, acknowledged, "the next start finds what was acknowledged, and nothing else");
        assert_eq!(all.len(), TASKS * EACH);
        let mut last_seq: HashMap<i64, i64> = HashMap::new();
        let mut last_of_task: HashMap<(i64, usize), usize> = HashMap::new();
        let mut seen = HashSet::new();
        for logged in all {
            let last = last_seq.insert(logged.stream, logged.seq).unwrap_or(0);
            assert_eq!(logged.seq, last + 1, "numbers of a stream have no gaps");
            let text = String::from_utf8(logged.entry.body).unwrap();
            let (task, n) = text.split_once(' ').unwrap();
            let (task, n): (usize, usize) = (task.parse().unwrap(), n.parse().unwrap());
            assert!(seen.insert((task, n)), "{text} is there twice");
            let before = last_of_task.insert((logged.stream, task), n);
            assert!(before.is_none_or(|before| before < n), "{text} stands before what was acknowledged earlier");
        }
        again.close().await;
    }

    async fn an_entry_is_read_as_it_was_written(store: Store) {
        let clock = clock();
        let entries = [
            Entry { account_id: Some(AccountId::new(&clock)), source: Platform::Telegram, ..entry(0, "{}") },
            Entry { signed_by: None, ..entry(1, Vec::new()) },
            // As long as an id.
            entry(2, [0; 16]),
            entry(3, vec![0xff; 3 << 20]),
        ];
        write(&store, entries.clone()).await;
        let reader = LogReader::open(&store).unwrap();
        let mut newest = reader.list(None, 10).await.unwrap();
        newest.reverse();
        assert_eq!(newest.iter().map(|logged| logged.entry.clone()).collect::<Vec<_>>(), entries);
        let one = reader.get(newest[2].stream, newest[2].seq).await.unwrap();
        assert_eq!(one.as_ref(), Some(&newest[2]));
        let older = reader.list(Some(Timestamp::from_unix(START + 2)), 1).await.unwrap();
        assert_eq!(older, newest[1..2]);
        assert_eq!(reader.backlog().await.unwrap(), (4, Some(Timestamp::from_unix(START))));
        assert_eq!(apply(&store, 3).await.len(), 4);
        assert_eq!(reader.backlog().await.unwrap(), (0, None));
    }

    async fn more_than_fits_in_memory_is_refused_and_what_comes_later_is_taken(store: Store) {
        let (log, handles) = writer(&store).await;
        let large = || entry(0, vec![b'x'; 50 << 20]);
        // Both wait for their turn in the same moment: the second has no room.
        let (first, second) = tokio::join!(log.append(large()), log.append(large()));
        first.unwrap();
        assert!(matches!(second, Err(AppendError::Busy)), "{second:?}");
        log.append(entry(1, "later")).await.unwrap();
        assert_eq!(everything(&store).await.len(), 2);
        finish(log, handles).await;
    }

    async fn one_batch_is_applied_by_one(store: Store) {
        write(&store, (0..10).map(|n| entry(n, format!("{n}")))).await;
        // For the first entry of a stream, and for one further on.
        for (taken, expected) in [(4, "0123"), (3, "456")] {
            let (tx, slow) = claim(&store, taken).await;
            drop(tx);
            let (mut tx, quick) = claim(&store, taken).await;
            assert_eq!(quick.entries, slow.entries, "what was not finished is there for the next");
            quick.done(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
            let bodies: Vec<u8> = quick.entries.into_iter().flat_map(|logged| logged.entry.body).collect();
            assert_eq!(bodies, expected.as_bytes());

            let mut tx = store.begin().await.unwrap();
            assert!(matches!(slow.done(&mut tx).await, Err(Error::Contention(_))));
        }
        assert_eq!(apply(&store, 100).await.concat(), b"789");
    }

    async fn a_claim_that_is_rolled_back_is_not_done(store: Store) {
        write(&store, [entry(0, "a")]).await;
        let (mut tx, first) = claim(&store, 10).await;
        first.done(&mut tx).await.unwrap();
        drop(tx);
        let (_tx, again) = claim(&store, 10).await;
        assert_eq!(again.entries, first.entries);
    }

    async fn a_claim_ends_where_its_bodies_are_enough(store: Store) {
        write(&store, [10, 20, 5, 100, 1, 1].map(|size| entry(0, vec![b'x'; size]))).await;
        let reader = LogReader::open(&store).unwrap();
        let mut claimed = Vec::new();
        loop {
            let mut tx = store.begin().await.unwrap();
            let Some(claim) = reader.claim(&mut tx, 2_048, 30).await.unwrap() else { break };
            claim.done(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
            claimed.push(claim.entries.iter().map(|logged| logged.entry.body.len()).collect::<Vec<_>>());
        }
        assert_eq!(claimed, [vec![10, 20], vec![5, 100], vec![1, 1]]);
    }

    async fn what_is_not_applied_or_still_held_is_not_pruned(store: Store) {
        let clock = clock();
        write(&store, (0..6).map(|n| entry(n, format!("{n}")))).await;
        let reader = LogReader::open(&store).unwrap();
        let late = Timestamp::from_unix(START + 1_000);
        assert_eq!(reader.prune(late, 100).await.unwrap(), 0, "nothing is applied");

        let mut tx = store.begin().await.unwrap();
        let claim = reader.claim(&mut tx, 5, usize::MAX >> 1).await.unwrap().unwrap();
        let at = claim.entries[2].clone();
        apply::hold(&mut tx, vec![held(&clock, &at)]).await.unwrap();
        claim.done(&mut tx).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(reader.prune(Timestamp::from_unix(START + 1), 100).await.unwrap(), 1, "only the old");
        assert_eq!(reader.prune(late, 2).await.unwrap(), 2, "a few at a time");
        assert_eq!(reader.prune(late, 100).await.unwrap(), 1, "all but the one that is held");
        assert!(reader.get(at.stream, at.seq).await.unwrap().is_some());

        let mut tx = store.begin().await.unwrap();
        apply::release(&mut tx, at.stream, at.seq, &[0], late).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(reader.prune(late, 100).await.unwrap(), 1);
        let left = everything(&store).await;
        assert_eq!(left.iter().map(|logged| logged.entry.body.clone()).collect::<Vec<_>>(), [b"5"]);
        assert_eq!(apply(&store, 10).await, [b"5"]);
    }

    async fn a_number_is_never_used_again(store: Store) {
        write(&store, (0..3).map(|n| entry(n, format!("{n}")))).await;
        let before: HashSet<_> = everything(&store).await.iter().map(|at| (at.stream, at.seq)).collect();
        assert_eq!(apply(&store, 10).await.len(), 3);
        let reader = LogReader::open(&store).unwrap();
        assert_eq!(reader.prune(Timestamp::from_unix(START + 1_000), 100).await.unwrap(), 3);
        assert!(everything(&store).await.is_empty());
        let options = options(&store).await;
        store.close().await;

        let again = Store::open(&options).await.unwrap();
        write(&again, [entry(9, "new")]).await;
        let after = everything(&again).await;
        assert!(!before.contains(&(after[0].stream, after[0].seq)), "{after:?}");
        assert_eq!(apply(&again, 10).await, [b"new"], "and so it is applied");
        again.close().await;
    }
}
