//! Sites, facilities and categories, and what is built of their names, on both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(dead_code, reason = "what the tests of the engine share is more than each of them uses")]

use std::sync::Arc;

use kabar_domain::{Clock, Role, UserId};
use kabar_engine::organisations::CreateOrganisation;
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::places::{
    CategoryFields, FacilityFields, FacilityQuery, ImportAction, ImportReport, Meant, PlaceQuery, SiteFields,
};
use kabar_engine::vocabulary::Place;
use kabar_engine::{Engine, Error, Principal};
use kabar_store::users::User;
use kabar_store::{Store, users};
use serde_json::json;
use support::{clock, organisation};

#[path = "harness/mod.rs"]
mod harness;
#[path = "../../store/tests/it/support.rs"]
mod support;

/// An engine that calls nobody, and an administrator of a new organisation.
async fn start(store: &Store) -> (Arc<Engine>, Principal, Clock) {
    let clock = clock();
    let engine = harness::engine(store, &clock, "http://127.0.0.1:9");
    let admin = harness::admin(&clock, organisation(store, &clock).await);
    (engine, admin, clock)
}

fn set(text: impl Into<String>) -> Patch<String> {
    Patch::Set(Some(text.into()))
}

fn names(list: &[&str]) -> Patch<Vec<String>> {
    Patch::Set(Some(list.iter().map(|name| (*name).to_owned()).collect()))
}

fn site(name: &str, code: &str) -> SiteFields {
    SiteFields { name: set(name), code: set(code), ..SiteFields::default() }
}

fn thing(site: impl std::fmt::Display, name: &str) -> FacilityFields {
    FacilityFields { site_id: set(site.to_string()), name: set(name), ..FacilityFields::default() }
}

fn page() -> PageRequest {
    PageRequest::new(None, None, None, None, 25).unwrap()
}

fn actions(report: &ImportReport) -> Vec<&'static str> {
    report.rows.iter().map(|row| row.action.as_str()).collect()
}

/// The fields an error names.
fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(invalid)) => invalid.errors.into_keys().collect(),
        other => panic!("not refused for its fields: {other:?}"),
    }
}

both! {
    async fn a_site_is_kept_as_it_was_given(store: Store) {
        let (engine, admin, clock) = start(&store).await;
        let supervisor = UserId::new(&clock);
        let mut tx = store.begin().await.unwrap();
        let user = User {
            id: supervisor,
            email: "rina@example.com".into(),
            name: "Rina".into(),
            password_hash: String::new(),
            default_organisation_id: None,
            disabled_at: None,
            created_at: clock.now(),
        };
        users::insert(&mut tx, &user).await.unwrap();
        users::set_membership(&mut tx, admin.organisation_id, supervisor, Role::Supervisor, clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let fields_given = SiteFields {
            aliases: names(&["Gedung A", " gedung a ", "", "مبنى أ"]),
            timezone: set("asia/jakarta"),
            operating_hours: Patch::Set(Some(json!({"mon": [["08:00", "17:00"]]}))),
            latitude: Patch::Set(Some(-6.2)),
            longitude: Patch::Set(Some(106.8)),
            supervisor_ids: names(&[&supervisor.to_string(), &supervisor.to_string()]),
            ..site("Building A", "BA")
        };
        let made = engine.create_site(&admin, fields_given).await.unwrap();
        assert_eq!(made.aliases, ["Gedung A", "مبنى أ"]);
        assert_eq!(made.timezone.as_deref(), Some("Asia/Jakarta"));
        assert_eq!(made.supervisor_ids, [supervisor]);
        assert_eq!(engine.get_site(&admin, made.id).await.unwrap(), made);
        let change = SiteFields { latitude: Patch::Set(None), ..SiteFields::default() };
        assert_eq!(fields(engine.update_site(&admin, made.id, change).await), ["latitude"]);
        let stranger = UserId::new(&clock).to_string();
        let wrong = SiteFields {
            timezone: set("Asia/Jakrata"),
            latitude: Patch::Set(Some(91.0)),
            longitude: Patch::Set(Some(0.0)),
            supervisor_ids: names(&[&stranger]),
            ..SiteFields::default()
        };
        let wrong = fields(engine.create_site(&admin, wrong).await);
        assert_eq!(wrong, ["latitude", "name", "supervisor_ids.0", "timezone"]);
        let other = harness::admin(&clock, organisation(&store, &clock).await);
        assert!(matches!(engine.get_site(&other, made.id).await, Err(Error::NotFound("Site"))));
    }

    async fn a_code_is_one_sites_until_it_is_archived(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let first = engine.create_site(&admin, site("Building A", "BA")).await.unwrap();
        assert_eq!(fields(engine.create_site(&admin, site("Block A", "ba")).await), ["code"]);
        let archive = SiteFields { archived: Some(true), ..SiteFields::default() };
        engine.update_site(&admin, first.id, archive).await.unwrap();
        let second = engine.create_site(&admin, site("Block A", "ba")).await.unwrap();
        let restore = SiteFields { archived: Some(false), ..SiteFields::default() };
        assert_eq!(fields(engine.update_site(&admin, first.id, restore).await), ["code"]);
        let list = async |status: Option<&str>| {
            let query = PlaceQuery { q: Some("A".into()), status: status.map(str::to_owned) };
            let page = engine.list_sites(&admin, query, &page()).await.unwrap();
            page.items.into_iter().map(|site| site.id).collect::<Vec<_>>()
        };
        assert_eq!(list(None).await, [second.id]);
        assert_eq!(list(Some("archived")).await, [first.id]);
        assert_eq!(list(Some("all")).await, [first.id, second.id]);
    }

    async fn what_is_at_a_site_goes_and_comes_back_with_it(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let place = engine.create_site(&admin, site("Building A", "BA")).await.unwrap();
        let kept = engine.create_facility(&admin, thing(place.id, "Genset 2")).await.unwrap();
        let gone = engine.create_facility(&admin, thing(place.id, "Genset 3")).await.unwrap();
        let archive = FacilityFields { archived: Some(true), ..FacilityFields::default() };
        engine.update_facility(&admin, gone.id, archive).await.unwrap();
        engine.clock().advance(std::time::Duration::from_secs(1));
        let archive = SiteFields { archived: Some(true), ..SiteFields::default() };
        engine.update_site(&admin, place.id, archive).await.unwrap();
        let query = FacilityQuery { site_id: Some(place.id.to_string()), ..FacilityQuery::default() };
        assert_eq!(engine.list_facilities(&admin, query.clone(), &page()).await.unwrap().total, 0);
        let refused = engine.create_facility(&admin, thing(place.id, "Genset 4")).await;
        assert_eq!(fields(refused), ["site_id"]);
        let restore = FacilityFields { archived: Some(false), ..FacilityFields::default() };
        let refused = engine.update_facility(&admin, kept.id, restore).await;
        assert!(matches!(refused, Err(Error::Conflict(_))));
        let restore = SiteFields { archived: Some(false), ..SiteFields::default() };
        engine.update_site(&admin, place.id, restore).await.unwrap();
        let back = engine.list_facilities(&admin, query, &page()).await.unwrap().items;
        assert_eq!(back.iter().map(|facility| facility.id).collect::<Vec<_>>(), [kept.id]);
    }

    async fn facilities_are_never_in_each_other(store: Store) {
        let (engine, admin, clock) = start(&store).await;
        let place = engine.create_site(&admin, site("Building A", "BA")).await.unwrap();
        let elsewhere = engine.create_site(&admin, site("Building B", "BB")).await.unwrap();
        let floor = engine.create_facility(&admin, thing(place.id, "Floor 2")).await.unwrap();
        let within = |parent: &str| FacilityFields { parent_id: set(parent), ..FacilityFields::default() };
        let inside = FacilityFields { parent_id: set(floor.id.to_string()), ..thing(place.id, "Room 201") };
        let room = engine.create_facility(&admin, inside).await.unwrap();
        for (id, parent) in [(floor.id, floor.id), (floor.id, room.id)] {
            let refused = engine.update_facility(&admin, id, within(&parent.to_string())).await;
            assert_eq!(fields(refused), ["parent_id"]);
        }
        let far = engine.create_facility(&admin, thing(elsewhere.id, "Hall")).await.unwrap();
        assert_eq!(fields(engine.update_facility(&admin, far.id, within(&floor.id.to_string())).await), ["parent_id"]);
        let away = |site: &str| FacilityFields { site_id: set(site), ..FacilityFields::default() };
        let refused = engine.update_facility(&admin, floor.id, away(&elsewhere.id.to_string())).await;
        assert_eq!(fields(refused), ["site_id"], "what is in it would stay behind");
        let moved = engine.update_facility(&admin, room.id, away(&elsewhere.id.to_string())).await.unwrap();
        assert_eq!((moved.site_id, moved.parent_id), (elsewhere.id, None));
        let other = harness::admin(&clock, organisation(&store, &clock).await);
        assert_eq!(fields(engine.create_facility(&other, thing(place.id, "Mine")).await), ["site_id"]);
    }

    async fn every_organisation_begins_with_categories_and_keeps_its_own(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let first = async |admin: &Principal| {
            let page = engine.list_categories(admin, PlaceQuery::default(), &page()).await.unwrap();
            (page.total, page.items.into_iter().next())
        };
        assert_eq!(first(&admin).await.0, 0, "made by an earlier version");
        let _running = engine.start().await.unwrap();
        let (total, hvac) = first(&admin).await;
        let hvac = hvac.unwrap();
        assert_eq!(hvac.key.as_deref(), Some("hvac"));
        assert_eq!(hvac.names.id.as_deref(), Some("AC dan tata udara"));
        let change = CategoryFields { archived: Some(true), ..CategoryFields::default() };
        engine.update_category(&admin, hvac.id, change).await.unwrap();
        let again = harness::engine(&store, engine.clock(), "http://127.0.0.1:9");
        let _again = again.start().await.unwrap();
        assert_eq!(first(&admin).await.0, total - 1, "what people removed stays removed");
        let new = CreateOrganisation {
            name: Some("New".into()),
            slug: Some("new-one".into()),
            timezone: Some("UTC".into()),
            ..CreateOrganisation::default()
        };
        let new = engine.create_organisation(&admin, new).await.unwrap();
        let of_new = Principal { organisation_id: new.id, ..admin.clone() };
        assert_eq!(first(&of_new).await.0, total);
    }

    async fn a_vocabulary_follows_every_change(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let see = async || {
            let mut db = store.reader().await.unwrap();
            engine.vocabulary(&mut db, admin.organisation_id).await.unwrap()
        };
        assert!(see().await.locations.is_empty());
        let a = engine.create_site(&admin, site("Building A", "BA")).await.unwrap();
        let b = engine.create_site(&admin, site("Building B", "BB")).await.unwrap();
        let built = see().await;
        assert!(Arc::ptr_eq(&built, &see().await), "built once for each version");
        let found = built.locations.find("building a", 5).best.unwrap();
        assert_eq!(built.place(found.key), Some(Place::Site(a.id)));

        let floor = engine.create_facility(&admin, thing(a.id, "Floor 2")).await.unwrap();
        assert!(see().await.locations.find("floor 2", 5).best.is_none());
        let inside = FacilityFields { parent_id: set(floor.id.to_string()), ..thing(a.id, "Genset 2") };
        engine.create_facility(&admin, inside).await.unwrap();
        engine.create_facility(&admin, thing(b.id, "Genset 2")).await.unwrap();
        let built = see().await;
        let found = built.locations.find("floor 2", 5).best.unwrap();
        assert_eq!(built.place(found.key).unwrap().site_id(), a.id, "with things in it, it is a place");
        assert!(built.things.find("genset 2", 5).best.is_none(), "two are as likely");
        let at_b = built.things_at(b.id).unwrap();
        let found = at_b.find("genset 2", 5).best.unwrap();
        assert_eq!(built.thing(found.key).unwrap().site_id, b.id);

        let archive = SiteFields { archived: Some(true), ..SiteFields::default() };
        engine.update_site(&admin, b.id, archive).await.unwrap();
        let built = see().await;
        assert!(built.locations.find("building b", 5).best.is_none());
        assert!(built.things.find("genset 2", 5).best.is_some());
    }

    async fn an_import_does_what_it_can_and_nothing_twice(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let file = "name,code,aliases,latitude,longitude\n\
            Building A,BA,Gedung A;Gd. A,\"-6,2\",106.8\n\
            ,,x,,\n\
            Building B,,,91,0\n\
            building a,ba,,,\n";
        let tried = engine.import_sites(&admin, file.as_bytes(), true).await.unwrap();
        assert_eq!(actions(&tried), ["created", "failed", "failed", "updated"]);
        assert!(tried.rows.iter().all(|row| row.id.is_none()));
        let all = async || engine.list_sites(&admin, PlaceQuery::default(), &page()).await.unwrap().items;
        assert!(all().await.is_empty(), "a dry run changes nothing");
        let done = engine.import_sites(&admin, file.as_bytes(), false).await.unwrap();
        assert_eq!(actions(&done), actions(&tried));
        assert_eq!(done.rows[1].invalid.errors.keys().collect::<Vec<_>>(), ["name"]);
        assert_eq!((done.rows[2].row, done.rows[2].invalid.errors.contains_key("latitude")), (4, true));
        let [site] = &all().await[..] else { panic!("one site") };
        assert_eq!((site.name.as_str(), site.code.as_deref()), ("building a", Some("ba")));
        assert_eq!((site.latitude, site.aliases.len()), (Some(-6.2), 2), "what is left empty stays");
        let again = engine.import_sites(&admin, b"code;name\nBA;building a".as_slice(), false).await.unwrap();
        assert_eq!(actions(&again), ["updated"], "the code's case is as it was given last");
        let again = engine.import_sites(&admin, b"code;name\nBA;building a".as_slice(), false).await.unwrap();
        assert_eq!(actions(&again), ["unchanged"]);
        assert_eq!(again.rows[0].id, Some(site.id.uuid()));
    }

    async fn facilities_find_their_site_parent_and_category_by_name(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let _running = engine.start().await.unwrap();
        engine.create_site(&admin, site("Building A", "BA")).await.unwrap();
        engine.create_site(&admin, site("Building B", "BB")).await.unwrap();
        let file = "site,name,code,category,parent\n\
            BA,AC 1,AC-01,Kelistrikan,Floor 2\n\
            building a,Floor 2,,,\n\
            BB,Floor 2,,,\n\
            BB,Pump,P-1,no such thing,\n\
            BB,Valve,,,Floor 9\n\
            Building C,Lift,,,\n";
        let done = engine.import_facilities(&admin, file.as_bytes(), false).await.unwrap();
        assert_eq!(actions(&done), ["created", "created", "created", "failed", "failed", "failed"]);
        let failed: Vec<_> = done.rows.iter().flat_map(|row| row.invalid.errors.keys()).collect();
        assert_eq!(failed, ["category", "parent", "site"]);
        let all = engine.list_facilities(&admin, FacilityQuery::default(), &page()).await.unwrap().items;
        let ac = all.iter().find(|facility| facility.name == "AC 1").unwrap();
        let parent = all.iter().find(|facility| Some(facility.id) == ac.parent_id).unwrap();
        assert_eq!((parent.name.as_str(), parent.site_id), ("Floor 2", ac.site_id), "made by a later row");
        let category = engine.get_category(&admin, ac.category_id.unwrap()).await.unwrap();
        assert_eq!(category.key.as_deref(), Some("electrical"));
        let again = engine.import_facilities(&admin, file.as_bytes(), false).await.unwrap();
        assert_eq!(actions(&again)[..3], ["unchanged"; 3]);
        let circle = "site,name,code,parent\nBA,Floor 2,,AC-01\n";
        let circle = engine.import_facilities(&admin, circle.as_bytes(), false).await.unwrap();
        assert_eq!(actions(&circle), ["failed"]);
        let large: String = (0..10_000).fold("site,name\n".into(), |file, n| format!("{file}BA,Unit {n}\n"));
        let large = engine.import_facilities(&admin, large.as_bytes(), false).await.unwrap();
        assert_eq!(large.count(ImportAction::Created), 10_000);
    }

    async fn what_a_correction_taught_is_matched_from_then_on(store: Store) {
        let (engine, admin, _) = start(&store).await;
        let organisation = admin.organisation_id;
        let place = engine.create_site(&admin, site("Warehouse North", "WN")).await.unwrap();
        let meant = Meant::Site(place.id);
        for (text, expected) in [("si gudang besar", true), ("Si Gudang Besar", false), ("warehouse north", false), ("gudang", false)] {
            let mut tx = store.begin().await.unwrap();
            assert_eq!(engine.learn_alias(&mut tx, organisation, meant, text).await.unwrap(), expected, "{text}");
            tx.commit().await.unwrap();
        }
        let mut db = store.reader().await.unwrap();
        let vocabulary = engine.vocabulary(&mut db, organisation).await.unwrap();
        let found = vocabulary.locations.find("si gudang besar", 1).best.unwrap();
        assert_eq!(vocabulary.place(found.key), Some(Place::Site(place.id)));
        let change = SiteFields { aliases: names(&["North"]), ..SiteFields::default() };
        let kept = engine.update_site(&admin, place.id, change).await.unwrap();
        assert_eq!(kept.learned, ["si gudang besar"], "people's names and learned ones are kept apart");
    }
}
