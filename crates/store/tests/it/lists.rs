//! Accounts, channels, contacts, inbox items and held updates.

use kabar_domain::channel::{ChannelStatus, InboxStatus};
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::Platform;
use kabar_domain::{Clock, ContactId, HeldId, InboxItemId, OrganisationId};
use kabar_store::accounts::{self, Check};
use kabar_store::apply::{self, NewHeld};
use kabar_store::channels::{self, StatusFilter};
use kabar_store::contacts::{self, Contact};
use kabar_store::{Db as _, Window, args, held, inbox, organisations, outbound};
use serde_json::json;

use crate::both;
use crate::place::{Place, account, channel, register};
use crate::support::{clock, organisation};

fn first<P>(limit: i64) -> Window<P> {
    Window { after: None, offset: 0, limit }
}

both! {
    async fn an_account_is_read_back_as_it_was_written(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let written = register(&store, &clock, organisation, "100").await;
        let mut db = store.reader().await.unwrap();
        let found = accounts::find(&mut db, organisation, written.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&written));
        let all = accounts::Filter::default();
        assert_eq!(accounts::list(&mut db, organisation, all, first(9)).await.unwrap(), vec![written]);
        let telegram = accounts::Filter { platform: Some(Platform::Telegram), ..all };
        assert_eq!(accounts::count(&mut db, organisation, telegram).await.unwrap(), 0);
    }

    async fn what_the_provider_says_moves_the_direct_line_too(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let account = register(&store, &clock, organisation, "100").await;
        let mut tx = store.begin().await.unwrap();
        let check = Check {
            status: Some(ChannelStatus::Disconnected),
            phone_number: Some("+1".into()),
            quality: Some("GREEN".into()),
            last_error: Some("The token is wrong.".into()),
            webhook_verified: true,
            ..Check::default()
        };
        accounts::record_check(&mut tx, organisation, account.id, &check, clock.now()).await.unwrap();
        let found = accounts::find(&mut tx, organisation, account.id).await.unwrap().unwrap();
        assert_eq!((found.status, found.quality.as_deref()), (ChannelStatus::Disconnected, Some("GREEN")));
        assert_eq!(found.phone_number, account.phone_number, "what people gave stays");
        assert_eq!(found.webhook_verified_at, Some(clock.now()));
        let direct = channels::find(&mut tx, organisation, account.channel_id.unwrap()).await.unwrap().unwrap();
        assert_eq!(direct.status, ChannelStatus::Disconnected);
        assert_eq!(direct.account.last_error.as_deref(), Some("The token is wrong."));
        let check = Check { status: Some(ChannelStatus::Connected), ..Check::default() };
        accounts::record_check(&mut tx, organisation, account.id, &check, clock.now()).await.unwrap();
        let found = accounts::find(&mut tx, organisation, account.id).await.unwrap().unwrap();
        assert_eq!((found.last_error, found.connected_at), (None, Some(clock.now())));
    }

    async fn one_number_is_registered_once_and_again_when_retired(store: Store) {
        let clock = clock();
        let (here, there) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let account_here = register(&store, &clock, here, "100").await;
        let mut tx = store.begin().await.unwrap();
        assert!(accounts::is_taken(&mut tx, Platform::Whatsapp, "100").await.unwrap());
        assert!(!accounts::is_taken(&mut tx, Platform::Telegram, "100").await.unwrap());
        let error = accounts::insert(&mut tx, &account(&clock, there, "100")).await.unwrap_err();
        assert!(error.is_conflict_on("accounts_external", "accounts.external_id"), "{error}");
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        accounts::retire(&mut tx, here, account_here.id, None, clock.now()).await.unwrap();
        accounts::insert(&mut tx, &account(&clock, there, "100")).await.unwrap();
        assert_eq!(accounts::find(&mut tx, here, account_here.id).await.unwrap(), None);
        let direct = channels::find(&mut tx, here, account_here.channel_id.unwrap()).await.unwrap().unwrap();
        assert_eq!((direct.status, direct.account.retired), (ChannelStatus::Archived, true));
    }

    async fn a_retired_accounts_groups_go_to_its_heir(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let heir = register(&store, &clock, organisation, "100").await;
        let retired = register(&store, &clock, organisation, "200").await;
        let (moves, stays) = (channel(&clock, &retired, "group-1"), channel(&clock, &retired, "group-2"));
        let in_the_way = channel(&clock, &heir, "group-2");
        let mut tx = store.begin().await.unwrap();
        organisations::set_default_account(&mut tx, organisation, Some(heir.id), clock.now()).await.unwrap();
        assert_eq!(accounts::find_default(&mut tx, organisation).await.unwrap().unwrap().id, heir.id);
        for channel in [&moves, &stays, &in_the_way] {
            channels::insert(&mut tx, channel).await.unwrap();
        }
        let moved =
            accounts::retire(&mut tx, organisation, retired.id, Some(heir.id), clock.now()).await.unwrap();
        assert_eq!(moved, [moves.id]);
        let found = channels::find(&mut tx, organisation, moves.id).await.unwrap().unwrap();
        assert_eq!((found.account_id, found.status), (heir.id, ChannelStatus::Connected));
        let found = channels::find(&mut tx, organisation, stays.id).await.unwrap().unwrap();
        assert_eq!((found.account_id, found.status), (retired.id, ChannelStatus::Disconnected));
    }

    async fn what_waited_at_a_retired_account_moves_or_fails(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let heir = register(&store, &clock, place.organisation, "200").await;
        let contact = place.contact("62811", "Budi").await;
        let conversation = place.conversation(contact).await;
        let message = place.message(conversation, contact, "wamid.1", clock.now(), None).await;
        let mut tx = store.begin().await.unwrap();
        tx.execute(
            "UPDATE messages SET status = 10, direction = 2 WHERE organisation_id = $1",
            args![place.organisation],
        )
        .await
        .unwrap();
        tx.execute(
            "INSERT INTO outbound_queue (organisation_id, message_id, account_id, conversation_id, pair_id, is_group,
                 priority, position, attempt, failures, due_at, ready_at, created_at)
             VALUES ($1, $2, $3, $4, $4, $5, 2, $2, 0, 0, 0, 0, 0)",
            args![place.organisation, message, place.account, conversation, false],
        )
        .await
        .unwrap();
        let error = r#"{"code":0,"title":"The account was retired"}"#;
        let (from, to, now) = (place.organisation, Some(heir.id), clock.now());
        let given = outbound::give_over(&mut tx, from, place.account, to, error, now, 9).await.unwrap();
        assert_eq!((given.moved.as_slice(), given.failed.len()), (&[message][..], 0));
        let given = outbound::give_over(&mut tx, from, heir.id, None, error, now, 9).await.unwrap();
        assert_eq!((given.moved.len(), given.failed.as_slice()), (0, &[(message, conversation)][..]));
        let failed =
            kabar_store::messages::find_message(&mut tx, place.organisation, message).await.unwrap().unwrap();
        assert_eq!(failed.failed_at, Some(clock.now()));
        assert_eq!(failed.error.unwrap().title, "The account was retired");
        let left = tx.fetch("SELECT 1 FROM outbound_queue", Vec::new()).await.unwrap();
        assert!(left.is_empty());
    }

    async fn channels_are_filtered_archived_and_deleted(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let account = register(&store, &clock, organisation, "100").await;
        let mut group = channel(&clock, &account, "group-1");
        let mut tx = store.begin().await.unwrap();
        channels::insert(&mut tx, &group).await.unwrap();
        let found = channels::find(&mut tx, organisation, group.id).await.unwrap().unwrap();
        assert_eq!(found, group);
        let error = channels::insert(&mut tx, &channel(&clock, &account, "group-1")).await.unwrap_err();
        assert!(error.is_conflict_on("channels_external", "channels.external_id"), "{error}");
        drop(tx);

        let mut tx = store.begin().await.unwrap();
        channels::insert(&mut tx, &group).await.unwrap();
        group.status = ChannelStatus::Archived;
        group.archived_at = Some(clock.now());
        channels::update(&mut tx, &group).await.unwrap();
        let direct = account.channel_id.unwrap();
        for (status, expected) in [
            (None, vec![direct, group.id]),
            (Some(StatusFilter::Active), vec![direct]),
            (Some(StatusFilter::Is(ChannelStatus::Archived)), vec![group.id]),
            (Some(StatusFilter::Is(ChannelStatus::Pending)), vec![]),
        ] {
            let filter = channels::Filter { status, ..channels::Filter::default() };
            let rows = channels::list(&mut tx, organisation, filter, first(9)).await.unwrap();
            assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected);
            let total = channels::count(&mut tx, organisation, filter).await.unwrap();
            assert_eq!(total, expected.len() as i64);
        }
        assert!(!channels::delete(&mut tx, organisation, direct, clock.now()).await.unwrap());
        assert!(channels::delete(&mut tx, organisation, group.id, clock.now()).await.unwrap());
        assert!(!channels::lock(&mut tx, organisation, group.id).await.unwrap());
        assert_eq!(channels::find(&mut tx, organisation, group.id).await.unwrap(), None);
        channels::insert(&mut tx, &channel(&clock, &account, "group-1")).await.unwrap();
    }

    async fn a_search_takes_wildcards_as_they_are_written(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        for (wa_id, name) in [("62811", "Siti 100%_ok"), ("62812", "Ali \\ Umar"), ("62813", "أحمد ÉMILE")] {
            place.contact(wa_id, name).await;
        }
        let mut db = store.reader().await.unwrap();
        for (search, expected) in
            [("%", 1), ("_", 1), ("0%_o", 1), ("\\", 1), ("6281", 3), ("émile", 1), ("أحمد", 1), ("nobody", 0)]
        {
            let filter = contacts::Filter { search: Some(search), ..contacts::Filter::default() };
            let rows = contacts::list(&mut db, place.organisation, filter, first(9)).await.unwrap();
            assert_eq!(rows.len() as i64, expected, "{search}");
            let total = contacts::count(&mut db, place.organisation, filter).await.unwrap();
            assert_eq!(total, expected, "{search}");
        }
        let all = contacts::Filter::default();
        assert_eq!(contacts::count(&mut db, place.organisation, all).await.unwrap(), 3);
        let window = Window { after: None, offset: 1, limit: 1 };
        let [second] = &contacts::list(&mut db, place.organisation, all, window).await.unwrap()[..] else {
            panic!("one row")
        };
        assert_eq!(second.wa_id.as_deref(), Some("62812"));
        assert_eq!(second.identities, [Identity::new(IdentityKind::WaId, "62812")]);
    }

    async fn two_who_claim_an_identity_at_once_get_one_contact(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let claims = (0..12).map(|_| {
            let (store, clock) = (store.clone(), clock.clone());
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                let identity = Identity::new(IdentityKind::WaId, "62811");
                let new = ContactId::new(&clock);
                let (id, is_new) =
                    contacts::claim_identity(&mut tx, organisation, &identity, new).await.unwrap();
                if is_new {
                    contacts::insert(&mut tx, &Contact::new(organisation, id, clock.now())).await.unwrap();
                } else {
                    assert!(contacts::find_for_update(&mut tx, organisation, id).await.unwrap().is_some());
                }
                tx.commit().await.unwrap();
                (id, is_new)
            })
        });
        let mut made = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            made.push(claim.await.unwrap());
        }
        assert!(made.iter().all(|(id, _)| *id == made[0].0));
        assert_eq!(made.iter().filter(|(_, is_new)| *is_new).count(), 1);
        let mut db = store.reader().await.unwrap();
        let all = contacts::Filter::default();
        assert_eq!(contacts::count(&mut db, organisation, all).await.unwrap(), 1);
    }

    async fn an_inbox_item_shows_its_messages_text(store: Store) {
        let clock = clock();
        let place = Place::new(&store, &clock, "100").await;
        let contact = place.contact("62811", "Budi").await;
        let conversation = place.conversation(contact).await;
        let message = place.message(conversation, contact, "wamid.1", clock.now(), None).await;
        let all = inbox::Filter::default();
        let mut tx = store.begin().await.unwrap();
        let [item] = &inbox::list(&mut tx, place.organisation, all, first(9)).await.unwrap()[..] else {
            panic!("one item")
        };
        assert_eq!((item.message_id, item.text.as_deref()), (Some(message), Some("said as wamid.1")));
        assert_eq!((item.media.len(), item.contact_name.as_deref()), (1, Some("Budi")));

        let mut given = item.clone();
        given.id = InboxItemId::new(&clock);
        given.external_id = Some("crm-1".into());
        given.message_id = None;
        given.text = Some("Lampu mati".into());
        given.sender = Some(json!({"name": "Ibu Rina"}));
        given.metadata = Some(json!({"ticket": 7}));
        assert!(inbox::insert(&mut tx, &given).await.unwrap());
        let again = inbox::Item { id: InboxItemId::new(&clock), ..given.clone() };
        assert!(!inbox::insert(&mut tx, &again).await.unwrap());
        assert_eq!(inbox::find(&mut tx, place.organisation, given.id).await.unwrap(), Some(given.clone()));
        let found = inbox::find_external(&mut tx, place.organisation, "crm-1").await.unwrap();
        assert_eq!(found, Some(given));
        tx.commit().await.unwrap();
        let mut tx = store.reader().await.unwrap();
        for (filter, expected) in [
            (all, 2),
            (inbox::Filter { status: Some(InboxStatus::New), ..all }, 2),
            (inbox::Filter { status: Some(InboxStatus::Converted), ..all }, 0),
            (inbox::Filter { channel: Some(place.channel), ..all }, 2),
        ] {
            assert_eq!(inbox::count(&mut tx, place.organisation, filter).await.unwrap(), expected);
            let rows = inbox::list(&mut tx, place.organisation, filter, first(9)).await.unwrap();
            assert_eq!(rows.len() as i64, expected, "{filter:?}");
        }
    }

    async fn held_updates_of_nobody_are_the_operators(store: Store) {
        let clock = clock();
        let (operator, other) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let held_for = |organisation_id: Option<OrganisationId>, item, clock: &Clock| NewHeld {
            id: HeldId::new(clock),
            organisation_id,
            stream: 0,
            seq: 7,
            item,
            pointer: "/entry/0".into(),
            platform: Platform::Whatsapp,
            account_key: "100".into(),
            unclaimed: organisation_id.is_none(),
            error: "nobody has registered it".into(),
            received_at: clock.now(),
        };
        let (mine, nobodys) = (held_for(Some(other), 0, &clock), held_for(None, 1, &clock));
        let (mine_id, nobodys_id) = (mine.id, nobodys.id);
        let mut tx = store.begin().await.unwrap();
        assert!(held::is_operator(&mut tx, operator).await.unwrap());
        assert!(!held::is_operator(&mut tx, other).await.unwrap());
        apply::hold(&mut tx, vec![mine, nobodys]).await.unwrap();
        for (organisation, unowned, expected) in
            [(other, false, vec![mine_id]), (operator, true, vec![nobodys_id]), (operator, false, vec![])]
        {
            let filter = held::Filter { resolved: Some(false), reason: None, unowned };
            let rows = held::list(&mut tx, organisation, &filter, first(9)).await.unwrap();
            assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected);
            let total = held::count(&mut tx, organisation, &filter).await.unwrap();
            assert_eq!(total, expected.len() as i64);
        }
        let filter = held::Filter { resolved: None, reason: Some("quarantined"), unowned: true };
        assert_eq!(held::count(&mut tx, other, &filter).await.unwrap(), 1);
        assert!(held::find(&mut tx, operator, mine_id, true).await.unwrap().is_none());
        assert!(held::find(&mut tx, operator, nobodys_id, false).await.unwrap().is_none());
    }
}
