//! Work updates and problems, on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use kabar_domain::operations::{ProblemStatus, RecordKind, Severity};
use kabar_domain::{Ability, CategoryId, Clock, FacilityId, InboxItemId, RecordId, Role, SiteId, Timestamp};
use kabar_engine::crypto::MasterKey;
use kabar_engine::inbox::{Conversion, NewItem};
use kabar_engine::organisations::UpdateOrganisation;
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::records::{RecordFields, RecordQuery, Shown};
use kabar_engine::users::{NewUser, TokenRequest};
use kabar_engine::{Config, Engine, Error, Principal};
use kabar_store::{Store, args};
use serde_json::{Value as Json, json};
use support::clock;

#[path = "../../store/tests/it/support.rs"]
mod support;

use RecordKind::{Problem, WorkUpdate};

/// A member of the organisation that the first start made.
struct Team {
    store: Store,
    engine: Arc<Engine>,
    clock: Clock,
    owner: Principal,
}

impl Team {
    async fn new(store: &Store) -> Self {
        let clock = clock();
        // 2026-05-08 is a Friday; 09:00 in Jakarta.
        clock.set(Timestamp::parse("2026-05-08T09:00:00+07:00").unwrap());
        let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        let nowhere = url::Url::parse("http://127.0.0.1:9").unwrap();
        let config = Config::new(std::env::temp_dir(), nowhere.clone(), nowhere.clone(), nowhere);
        let engine = Engine::new(store.clone(), clock.clone(), key, config).unwrap();
        engine.bootstrap(Some("owner@example.com"), Some("correct horse")).await.unwrap();
        let request = TokenRequest {
            email: "owner@example.com",
            organisation: None,
            name: "test",
            abilities: &[Ability::Admin],
            expires_in: None,
        };
        let token = engine.create_token(request).await.unwrap().token;
        let owner = engine.authenticate(&token, None).await.unwrap();
        let change = UpdateOrganisation {
            timezone: Patch::Set(Some("Asia/Jakarta".into())),
            ..UpdateOrganisation::default()
        };
        engine.update_organisation(&owner, owner.organisation_id, change).await.unwrap();
        Self { store: store.clone(), engine: Arc::new(engine), clock, owner }
    }

    async fn run(&self, sql: &str, args: Vec<kabar_store::Value>) {
        let mut tx = self.store.begin().await.unwrap();
        tx.execute(sql, args).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn site(&self, name: &str, hours: Option<Json>) -> SiteId {
        let id = SiteId::new(&self.clock);
        self.run(
            "INSERT INTO sites (organisation_id, id, name, aliases, learned, operating_hours, supervisor_ids, search,
                 created_at, updated_at)
             VALUES ($1, $2, $3, '[]', '[]', $4, '[]', '', 0, 0)",
            args![self.owner.organisation_id, id, name, hours.map(|hours| hours.to_string())],
        )
        .await;
        id
    }

    async fn facility(&self, site: SiteId, category: Option<CategoryId>, name: &str) -> FacilityId {
        let id = FacilityId::new(&self.clock);
        self.run(
            "INSERT INTO facilities (organisation_id, id, site_id, category_id, name, aliases, learned, search,
                 created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, '[]', '[]', '', 0, 0)",
            args![self.owner.organisation_id, id, site, category, name],
        )
        .await;
        id
    }

    async fn category(&self, name: &str) -> CategoryId {
        let id = CategoryId::new(&self.clock);
        self.run(
            "INSERT INTO categories (organisation_id, id, name, names, aliases, learned, search, created_at,
                 updated_at)
             VALUES ($1, $2, $3, '{}', '[]', '[]', '', 0, 0)",
            args![self.owner.organisation_id, id, name],
        )
        .await;
        id
    }

    async fn item(&self, text: &str) -> InboxItemId {
        let new = NewItem { text: Some(text.into()), ..NewItem::default() };
        self.engine.create_inbox_item(&self.owner, new).await.unwrap().item.id
    }

    async fn report(&self, fields: RecordFields) -> Shown {
        self.engine.create_record_by_hand(&self.owner, Problem, fields).await.unwrap()
    }

    async fn change(&self, id: RecordId, fields: RecordFields) -> Result<Shown, Error> {
        self.engine.update_record(&self.owner, Problem, id, fields).await
    }

    async fn to(&self, id: RecordId, status: &str) -> Result<Shown, Error> {
        self.change(id, RecordFields { status: set(status), ..RecordFields::default() }).await
    }

    async fn found(&self, query: RecordQuery) -> Vec<RecordId> {
        let page = PageRequest::new(None, None, None, None, 25).unwrap();
        let found = self.engine.list_records(&self.owner, Problem, query, &page).await.unwrap();
        assert_eq!(found.total, found.items.len() as i64);
        found.items.into_iter().map(|shown| shown.row.record.id).collect()
    }

    fn pass(&self, hours: u64) {
        self.clock.advance(Duration::from_hours(hours));
    }
}

fn set<T: ToString + ?Sized>(text: &T) -> Patch<String> {
    Patch::Set(Some(text.to_string()))
}

fn titled(title: &str) -> RecordFields {
    RecordFields { title: set(title), ..RecordFields::default() }
}

fn conversion(to: &str) -> Conversion {
    Conversion { to: Some(to.into()), ..Conversion::default() }
}

fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(invalid)) => invalid.errors.into_keys().collect(),
        other => panic!("not refused for its fields: {other:?}"),
    }
}

fn kinds(shown: &Shown) -> Vec<&str> {
    shown.timeline.iter().map(|entry| entry.kind.as_str()).collect()
}

fn at(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text)
}

both! {
    async fn an_item_becomes_one_record_however_often_it_is_converted(store: Store) {
        let team = Team::new(&store).await;
        let item = team.item("AC bocor di lobi\nsudah dua kali").await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (engine, owner) = (Arc::clone(&team.engine), team.owner.clone());
                tokio::spawn(async move { engine.convert_inbox_item(&owner, item, conversion("problem")).await })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            made.push(task.await.unwrap().unwrap());
        }
        assert_eq!(made.iter().filter(|converted| converted.created).count(), 1);
        let record = &made[0].record.row.record;
        assert!(made.iter().all(|converted| converted.record.row.record.id == record.id));
        assert_eq!((record.title.as_str(), record.number.as_str()), ("AC bocor di lobi", "P-2026-000001"));
        assert_eq!(made[0].item.record.as_ref().unwrap()["number"], "P-2026-000001");
        let again = team.engine.convert_inbox_item(&team.owner, item, conversion("work_update")).await;
        assert!(matches!(again, Err(Error::Conflict(_))));
        let wrong = team.engine.convert_inbox_item(&team.owner, item, conversion("poem")).await;
        assert_eq!(fields(wrong), ["to"]);
        assert_eq!(team.found(RecordQuery::default()).await.len(), 1);
    }

    async fn what_was_suggested_counts_as_far_as_it_is_still_there(store: Store) {
        let team = Team::new(&store).await;
        let (site, other) = (team.site("Gedung A", None).await, team.site("Gedung B", None).await);
        let category = team.category("AC").await;
        let thing = team.facility(site, Some(category), "AC lantai 2").await;
        let suggest = async |item: InboxItemId| {
            let suggestions = json!({ "site": {"id": other}, "facility": {"id": thing}, "severity": "high",
                "category": {"id": RecordId::new(&team.clock)} });
            team.run(
                "UPDATE inbox_items SET suggestions = $2 WHERE id = $1",
                args![item, suggestions.to_string()],
            )
            .await;
        };
        let item = team.item("AC bocor").await;
        suggest(item).await;
        let made = team.engine.convert_inbox_item(&team.owner, item, conversion("problem")).await.unwrap();
        let record = made.record.row.record;
        assert_eq!((record.site_id, record.facility_id), (Some(site), Some(thing)), "the thing knows where it is");
        assert_eq!((record.category_id, record.severity), (Some(category), Some(Severity::High)));

        let item = team.item("AC bocor lagi").await;
        suggest(item).await;
        let mut other_site = conversion("problem");
        other_site.fields = RecordFields { site_id: set(&other), severity: set("low"), ..RecordFields::default() };
        let made = team.engine.convert_inbox_item(&team.owner, item, other_site).await.unwrap();
        let record = made.record.row.record;
        assert_eq!((record.site_id, record.facility_id), (Some(other), None), "a person knows better");
        assert_eq!(record.severity, Some(Severity::Low));
    }

    async fn numbers_have_no_gaps_and_begin_anew_with_the_organisations_year(store: Store) {
        let team = Team::new(&store).await;
        team.clock.set(Timestamp::parse("2026-12-31T16:59:00+00:00").unwrap());
        let refused = RecordFields { site_id: set(&SiteId::new(&team.clock)), ..titled("x") };
        assert_eq!(
            fields(team.engine.create_record_by_hand(&team.owner, Problem, refused).await),
            ["site_id"]
        );
        let number = async |title: &str| team.report(titled(title)).await.row.record.number;
        assert_eq!(number("a").await, "P-2026-000001");
        assert_eq!(number("b").await, "P-2026-000002");
        team.clock.advance(Duration::from_mins(1));
        assert_eq!(number("c").await, "P-2027-000001", "it is the first of January in Jakarta");
        let update = team.engine.create_record_by_hand(&team.owner, WorkUpdate, titled("d")).await.unwrap();
        assert_eq!(update.row.record.number, "W-2027-000001");
        assert_eq!((update.row.record.status, update.row.record.due_at), (None, None));
    }

    async fn a_problem_goes_through_its_states_and_keeps_its_times(store: Store) {
        let team = Team::new(&store).await;
        let made = team.report(titled("Lift mati")).await.row.record;
        let id = made.id;
        assert_eq!((made.status, made.severity), (Some(ProblemStatus::Open), Some(Severity::Medium)));
        team.pass(1);
        let seen = team.to(id, "acknowledged").await.unwrap().row.record;
        assert_eq!(seen.acknowledged_at, at("2026-05-08T10:00:00+07:00"));
        team.pass(1);
        let fixed = RecordFields {
            status: set("resolved"),
            note: Some("Sekring diganti".into()),
            ..RecordFields::default()
        };
        let fixed = team.change(id, fixed).await.unwrap();
        assert_eq!(fixed.timeline.last().unwrap().text.as_deref(), Some("Sekring diganti"));
        assert_eq!(fixed.row.record.acknowledged_at, seen.acknowledged_at);
        assert_eq!(fixed.row.record.resolved_at, at("2026-05-08T11:00:00+07:00"));
        for wrong in ["open", "acknowledged", "in_progress"] {
            assert!(matches!(team.to(id, wrong).await, Err(Error::Conflict(_))), "{wrong}");
        }
        let closed = team.to(id, "closed").await.unwrap().row.record;
        assert_eq!(closed.closed_at, at("2026-05-08T11:00:00+07:00"));
        assert_eq!(team.to(id, "closed").await.unwrap().timeline.len(), 4, "once more is no change");
        team.pass(24);
        let back = team.to(id, "reopened").await.unwrap();
        let record = &back.row.record;
        assert_eq!((record.resolved_at, record.closed_at, record.reopened_count), (None, None, 1));
        assert_eq!(record.due_at, at("2026-05-10T11:00:00+07:00"), "a day from when it was reopened");
        assert_eq!(kinds(&back), ["created", "status", "status", "status", "status", "due"]);
        assert!(back.timeline.iter().all(|entry| entry.user_id == Some(team.owner.user_id)));
        assert_eq!(fields(team.to(id, "lost").await), ["status"]);
    }

    async fn what_decides_when_it_is_due_may_change(store: Store) {
        let team = Team::new(&store).await;
        let day = json!([["08:00", "17:00"]]);
        let site = team.site("Kantor", Some(json!({"mon": day, "fri": day}))).await;
        let fields = RecordFields { severity: set("high"), site_id: set(&site), ..titled("Pintu macet") };
        team.clock.set(Timestamp::parse("2026-05-08T15:00:00+07:00").unwrap());
        let made = team.report(fields).await.row.record;
        assert_eq!(made.due_at, at("2026-05-11T10:00:00+07:00"), "two hours on Friday, two on Monday");
        let change = RecordFields { severity: set("critical"), ..RecordFields::default() };
        let grave = team.change(made.id, change).await.unwrap();
        assert_eq!(grave.row.record.due_at, at("2026-05-08T16:00:00+07:00"), "at any hour");
        assert_eq!(kinds(&grave), ["created", "severity", "due"]);
        team.pass(2);
        assert!(team.engine.get_record(&team.owner, Problem, made.id).await.unwrap().overdue);
        assert_eq!(team.found(RecordQuery { overdue: true, ..RecordQuery::default() }).await, [made.id]);
        let settings = json!({"operations": {"response_hours": {"low": 2}}});
        let change = UpdateOrganisation { settings: Patch::Set(Some(settings)), ..UpdateOrganisation::default() };
        team.engine.update_organisation(&team.owner, team.owner.organisation_id, change).await.unwrap();
        let change =
            RecordFields { severity: set("low"), site_id: Patch::Set(None), ..RecordFields::default() };
        let small = team.change(made.id, change).await.unwrap().row.record;
        assert_eq!(small.due_at, at("2026-05-08T17:00:00+07:00"), "as the organisation set it, at no site's hours");
    }

    async fn a_problem_that_was_there_before_is_recognised(store: Store) {
        let team = Team::new(&store).await;
        let (site, category) = (team.site("Gedung A", None).await, team.category("AC").await);
        let (ac, pump) = (team.facility(site, None, "AC").await, team.facility(site, None, "Pompa").await);
        let of = |thing: FacilityId| RecordFields { facility_id: set(&thing), ..titled("Rusak") };
        let first = team.report(of(ac)).await.row.record;
        team.report(of(pump)).await;
        team.pass(29 * 24);
        let second = team.report(of(ac)).await;
        assert_eq!(second.row.recurrence_number.as_deref(), Some(first.number.as_str()));
        assert_eq!(second.row.record.recurrences, 1);
        assert_eq!(kinds(&second), ["created", "recurrence"]);
        team.pass(29 * 24);
        let third = team.report(of(ac)).await.row.record;
        assert_eq!((third.recurrence_of, third.recurrences), (Some(second.row.record.id), 2));
        team.pass(31 * 24);
        assert_eq!(team.report(of(ac)).await.row.record.recurrence_of, None, "too long ago");

        let at_site = |title: &str| RecordFields {
            site_id: set(&site),
            category_id: set(&category),
            ..titled(title)
        };
        let leak = team.report(at_site("AC bocor di lobi")).await.row.record;
        let other = team.report(at_site("Freon habis, mohon diisi")).await.row.record;
        assert_eq!((leak.recurrence_of, other.recurrence_of), (None, None));
        let again = team.report(at_site("ac lobi bocor lagi")).await.row.record;
        assert_eq!(again.recurrence_of, Some(leak.id));
    }

    async fn reports_of_one_fault_become_one_and_can_be_taken_apart(store: Store) {
        let team = Team::new(&store).await;
        let mut made = Vec::new();
        for text in ["Lift mati", "Lift tidak jalan", "lift stuck"] {
            let item = team.item(text).await;
            let converted = team.engine.convert_inbox_item(&team.owner, item, conversion("problem")).await;
            made.push(converted.unwrap().record.row.record);
        }
        let merge = async |part: RecordId, into: RecordId| {
            team.engine.merge_problem(&team.owner, part, Some(into.to_string())).await
        };
        merge(made[2].id, made[1].id).await.unwrap();
        let part = merge(made[1].id, made[0].id).await.unwrap();
        assert_eq!(part.row.merged_number, Some(made[0].number.clone()));
        assert_eq!(part.timeline.last().unwrap().kind, "merged");
        assert_eq!(merge(made[1].id, made[0].id).await.unwrap().timeline.len(), part.timeline.len());
        assert_eq!(team.found(RecordQuery::default()).await, [made[0].id]);
        let parts = RecordQuery { merged_into: Some(made[0].id.to_string()), ..RecordQuery::default() };
        assert_eq!(team.found(parts).await, [made[2].id, made[1].id], "what was in it came with it");
        let all = RecordQuery { merged: true, ..RecordQuery::default() };
        assert_eq!(team.found(all).await.len(), 3);
        let mut db = team.store.reader().await.unwrap();
        let told = kabar_store::records::sources(&mut db, team.owner.organisation_id, made[0].id).await.unwrap();
        assert_eq!(told.len(), 3, "every reporter is the whole's");
        drop(db);

        assert!(matches!(team.to(made[1].id, "resolved").await, Err(Error::Conflict(_))));
        assert!(matches!(merge(made[0].id, made[1].id).await, Err(Error::Conflict(_))), "no circles");
        assert_eq!(fields(merge(made[0].id, made[0].id).await), ["into"]);
        let unmerged = team.engine.unmerge_problem(&team.owner, made[1].id).await.unwrap();
        assert_eq!((unmerged.row.record.merged_into, unmerged.row.record.status), (None, Some(ProblemStatus::Open)));
        assert_eq!(team.found(RecordQuery::default()).await, [made[1].id, made[0].id]);
        assert!(matches!(team.engine.unmerge_problem(&team.owner, made[1].id).await, Err(Error::Conflict(_))));
    }

    async fn lists_show_what_was_asked_for_in_the_order_asked_for(store: Store) {
        let team = Team::new(&store).await;
        let site = team.site("Gedung A", None).await;
        let mut made = Vec::new();
        for (title, severity, hours) in
            [("Lampu mati", "low", 3), ("Pipa BOCOR 100%", "critical", 2), ("Pintu macet", "high", 1)]
        {
            let occurred = team.clock.now().minus(Duration::from_hours(hours));
            let given = RecordFields {
                severity: set(severity),
                occurred_at: set(&occurred),
                site_id: if severity == "low" { Patch::Keep } else { set(&site) },
                assignee_id: if severity == "high" { set(&team.owner.user_id) } else { Patch::Keep },
                ..titled(title)
            };
            team.clock.advance(Duration::from_secs(1));
            made.push(team.report(given).await.row.record.id);
        }
        team.to(made[0], "closed").await.unwrap();
        let own = team.owner.user_id.to_string();
        let text = |text: &str| Some(text.to_owned());
        for (query, expected) in [
            (RecordQuery { site_id: text(&site.to_string()), ..RecordQuery::default() }, vec![2, 1]),
            (RecordQuery { severity: text("low, high"), ..RecordQuery::default() }, vec![2, 0]),
            (RecordQuery { status: text("open"), ..RecordQuery::default() }, vec![2, 1]),
            (RecordQuery { assignee_id: text("me"), ..RecordQuery::default() }, vec![2]),
            (RecordQuery { assignee_id: text("none"), ..RecordQuery::default() }, vec![1, 0]),
            (RecordQuery { reporter_id: text(&own), ..RecordQuery::default() }, vec![2, 1, 0]),
            (RecordQuery { q: text("100% bocor"), ..RecordQuery::default() }, vec![1]),
            (RecordQuery { q: text("p-2026-000003"), ..RecordQuery::default() }, vec![2]),
            (RecordQuery { from: text("2026-05-09"), ..RecordQuery::default() }, vec![]),
            (RecordQuery { to: text("2026-05-08"), ..RecordQuery::default() }, vec![2, 1, 0]),
            (RecordQuery { to: text("2026-05-08T06:30:00+07:00"), ..RecordQuery::default() }, vec![0]),
            (RecordQuery { sort: text("-severity"), ..RecordQuery::default() }, vec![1, 2, 0]),
            (RecordQuery { sort: text("due_at"), ..RecordQuery::default() }, vec![1, 2, 0]),
            (RecordQuery { sort: text("occurred_at"), ..RecordQuery::default() }, vec![0, 1, 2]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|index: usize| made[index]).collect();
            assert_eq!(team.found(query.clone()).await, expected, "{query:?}");
        }
        for sort in ["-created_at", "severity", "due_at", "-updated_at"] {
            let query = RecordQuery { sort: text(sort), ..RecordQuery::default() };
            let whole = team.found(query.clone()).await;
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = PageRequest::new(None, None, Some(2), cursor, 25).unwrap();
                let found = team.engine.list_records(&team.owner, Problem, query.clone(), &page).await.unwrap();
                seen.extend(found.items.iter().map(|shown| shown.row.record.id));
                cursor = found.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, whole, "page by page, {sort}");
        }
        let page = PageRequest::new(None, None, None, None, 25).unwrap();
        let wrong = RecordQuery {
            site_id: text("x"),
            severity: text("huge"),
            from: text("soon"),
            sort: text("mood"),
            ..RecordQuery::default()
        };
        let refused = team.engine.list_records(&team.owner, Problem, wrong, &page).await;
        assert_eq!(fields(refused), ["from", "severity", "site_id", "sort"]);
    }

    async fn nobody_is_given_work_who_does_not_belong(store: Store) {
        let team = Team::new(&store).await;
        let made = team.report(titled("Lift mati")).await.row.record;
        let stranger = kabar_domain::UserId::new(&team.clock);
        let elsewhere = support::organisation(&store, &team.clock).await;
        let outsider = Principal { organisation_id: elsewhere, ..team.owner.clone() };
        let hidden = team.engine.get_record(&outsider, Problem, made.id).await;
        assert!(matches!(hidden, Err(Error::NotFound("Problem"))));
        let give = |user: String| RecordFields { assignee_id: set(&user), ..RecordFields::default() };
        assert_eq!(fields(team.change(made.id, give(stranger.to_string())).await), ["assignee_id"]);
        let ani = NewUser {
            email: "ani@example.com",
            name: "Ani",
            password: "correct horse",
            organisation: "default",
            role: Role::Agent,
        };
        let ani = team.engine.create_user(ani).await.unwrap();
        let given = team.change(made.id, give(ani.id.to_string())).await.unwrap();
        assert_eq!(given.row.assignee_name.as_deref(), Some("Ani"));
        assert_eq!(given.watchers.len(), 2, "who reported it and whose it is");
        let page = PageRequest::new(None, None, None, None, 25).unwrap();
        let watched = RecordQuery { watcher_id: Some(ani.id.to_string()), ..RecordQuery::default() };
        assert_eq!(team.found(watched).await, [made.id]);
        let entries = team.engine.list_record_entries(&team.owner, Problem, made.id, &page).await.unwrap();
        assert_eq!(entries.items.last().unwrap().kind, "assigned");
    }
}
