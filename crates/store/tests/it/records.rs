//! Records: numbers, filters, order and pages.

use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{Clock, OrganisationId, RecordId, SiteId, Timestamp};
use kabar_store::records::list::{self, Filter, Key, Merged, Order};
use kabar_store::records::{self, Record};
use kabar_store::{Store, Window};

use crate::both;
use crate::support::{clock, organisation};

fn problem(clock: &Clock, organisation_id: OrganisationId, number: &str, severity: Severity) -> Record {
    let now = clock.now();
    Record {
        organisation_id,
        id: RecordId::new(clock),
        kind: RecordKind::Problem,
        number: number.into(),
        title: format!("Pump {number} leaks"),
        body: None,
        site_id: None,
        facility_id: None,
        category_id: None,
        severity: Some(severity),
        status: Some(ProblemStatus::Open),
        assignee_id: None,
        reporter_contact_id: None,
        reporter_user_id: None,
        channel_id: None,
        conversation_id: None,
        inbox_item_id: None,
        occurred_at: now,
        due_at: None,
        acknowledged_at: None,
        resolved_at: None,
        closed_at: None,
        reopened_count: 0,
        merged_into: None,
        recurrence_of: None,
        recurrences: 0,
        metadata: None,
        created_at: now,
        updated_at: now,
    }
}

async fn write(store: &Store, records: &[Record]) {
    let mut tx = store.begin().await.unwrap();
    for record in records {
        records::insert(&mut tx, record).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn numbers(store: &Store, organisation: OrganisationId, filter: &Filter, order: Order) -> Vec<String> {
    let mut db = store.reader().await.unwrap();
    let mut found = Vec::new();
    let mut after = None;
    // By pages of two: what is on the border of one is neither lost nor shown twice.
    loop {
        let window = Window { after, offset: 0, limit: 2 };
        let page =
            list::list(&mut db, organisation, RecordKind::Problem, filter, order, window).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((order.by.of(last), last.record.id));
        found.extend(page.into_iter().map(|row| row.record.number));
    }
    let count = list::count(&mut db, organisation, RecordKind::Problem, filter).await.unwrap();
    assert_eq!(count as usize, found.len());
    found
}

both! {
    async fn numbers_are_counted_by_organisation_kind_and_year(store: Store) {
        let clock = clock();
        let (one, other) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let mut tx = store.begin().await.unwrap();
        for (organisation, kind, year, expected) in [
            (one, RecordKind::Problem, 2026, 1),
            (one, RecordKind::Problem, 2026, 2),
            (one, RecordKind::WorkUpdate, 2026, 1),
            (one, RecordKind::Problem, 2027, 1),
            (other, RecordKind::Problem, 2026, 1),
        ] {
            assert_eq!(records::next_number(&mut tx, organisation, kind, year).await.unwrap(), expected);
        }
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(records::next_number(&mut tx, one, RecordKind::Problem, 2026).await.unwrap(), 3);
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        let again = records::next_number(&mut tx, one, RecordKind::Problem, 2026).await.unwrap();
        assert_eq!(again, 3, "what was not committed leaves no gap");
    }

    async fn a_record_is_read_back_as_it_was_written(store: Store) {
        let clock = clock();
        let organisation_id = organisation(&store, &clock).await;
        let stranger = organisation(&store, &clock).await;
        let mut written = problem(&clock, organisation_id, "P-2026-000001", Severity::High);
        written.body = Some("Since the morning".into());
        written.metadata = Some(serde_json::json!({ "tank": 4 }));
        write(&store, std::slice::from_ref(&written)).await;
        written.status = Some(ProblemStatus::Closed);
        written.closed_at = Some(Timestamp::from_unix(1_700_000_500));
        written.title = "Pump 1 leaks no more".into();
        let mut tx = store.begin().await.unwrap();
        records::update(&mut tx, &written).await.unwrap();
        tx.commit().await.unwrap();
        let mut db = store.reader().await.unwrap();
        let found = records::find(&mut db, organisation_id, RecordKind::Problem, written.id).await.unwrap();
        assert_eq!(found.map(|row| row.record).as_ref(), Some(&written));
        let said = records::find_number(&mut db, organisation_id, "P-2026-000001").await.unwrap();
        assert_eq!(said.as_ref(), Some(&written));
        for (organisation, kind) in
            [(stranger, RecordKind::Problem), (organisation_id, RecordKind::WorkUpdate)]
        {
            assert!(records::find(&mut db, organisation, kind, written.id).await.unwrap().is_none());
        }
        assert!(records::find_number(&mut db, stranger, "P-2026-000001").await.unwrap().is_none());
    }

    async fn lists_are_filtered_ordered_and_paged(store: Store) {
        let clock = clock();
        let organisation_id = organisation(&store, &clock).await;
        let site = SiteId::new(&clock);
        let severities =
            [Severity::Low, Severity::Critical, Severity::Low, Severity::High, Severity::Critical];
        let mut all = Vec::new();
        for (at, severity) in severities.into_iter().enumerate() {
            clock.advance(std::time::Duration::from_secs(1));
            all.push(problem(&clock, organisation_id, &at.to_string(), severity));
        }
        all[1].site_id = Some(site);
        all[3].site_id = Some(site);
        all[2].due_at = Some(Timestamp::from_unix(1_600_000_000));
        all[3].due_at = Some(Timestamp::from_unix(1_600_000_000));
        (all[3].status, all[3].resolved_at) = (Some(ProblemStatus::Resolved), Some(clock.now()));
        all[4].merged_into = Some(all[1].id);
        write(&store, &all).await;

        let newest = Order::default();
        let of = |filter: Filter| (filter, newest);
        let by_severity = Order { by: Key::Severity, ascending: false };
        let now = Some(clock.now());
        for ((filter, order), expected) in [
            (of(Filter::default()), "3 2 1 0"),
            ((Filter::default(), Order { by: Key::Occurred, ascending: true }), "0 1 2 3"),
            ((Filter { merged: Merged::With, ..Filter::default() }, by_severity), "4 1 3 2 0"),
            ((Filter::default(), Order { by: Key::Due, ascending: true }), "2 3 0 1"),
            (of(Filter { merged: Merged::Into(all[1].id), ..Filter::default() }), "4"),
            (of(Filter { sites: vec![site], ..Filter::default() }), "3 1"),
            (of(Filter { severities: vec![Severity::Low, Severity::High], ..Filter::default() }), "3 2 0"),
            (of(Filter { statuses: vec![ProblemStatus::Resolved], ..Filter::default() }), "3"),
            (of(Filter { overdue: now, ..Filter::default() }), "2"),
            (of(Filter { words: vec!["pump".into(), "2".into()], ..Filter::default() }), "2"),
            (of(Filter { words: vec!["100%".into()], ..Filter::default() }), ""),
            (of(Filter { from: Some(all[1].occurred_at), to: Some(all[3].occurred_at), ..Filter::default() }), "2 1"),
        ] {
            let found = numbers(&store, organisation_id, &filter, order).await;
            assert_eq!(found.join(" "), expected, "{filter:?} {order:?}");
        }
        let stranger = organisation(&store, &clock).await;
        assert!(numbers(&store, stranger, &Filter::default(), newest).await.is_empty());
    }
}
