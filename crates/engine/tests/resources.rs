//! Accounts, channels, contacts and inbox items, on both databases. The providers cannot be reached here.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use kabar_domain::channel::{ChannelStatus, InboxClass, InboxStatus};
use kabar_domain::inbound::IdentityKind;
use kabar_domain::message::{MessageKind, Platform};
use kabar_domain::{Abilities, Ability, Clock, OrganisationId, Reach, Role, UserId};
use kabar_engine::accounts::{Account, AccountChange, NewAccount};
use kabar_engine::channels::{ChannelChange, ChannelQuery, NewChannel};
use kabar_engine::contacts::ContactUpsert;
use kabar_engine::crypto::MasterKey;
use kabar_engine::inbox::{InboxQuery, NewItem, NewMedia, NewSender};
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::{Config, Engine, Error, Principal};
use kabar_store::{Db as _, Store, args};
use serde_json::json;
use support::{clock, organisation};

#[path = "../../store/tests/it/support.rs"]
mod support;

fn engine(store: &Store, clock: &Clock) -> Engine {
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let nowhere = url::Url::parse("http://127.0.0.1:9").unwrap();
    let config = Config::new(
        std::env::temp_dir(),
        url::Url::parse("https://kabar.example.com/").unwrap(),
        nowhere.clone(),
        nowhere,
    );
    Engine::new(store.clone(), clock.clone(), key, config).unwrap()
}

fn caller(clock: &Clock, organisation_id: OrganisationId, abilities: &[Ability]) -> Principal {
    Principal {
        user_id: UserId::new(clock),
        token_id: 1,
        organisation_id,
        role: Role::Owner,
        abilities: Abilities::of(abilities),
        token_abilities: Abilities::of(abilities),
        bound: true,
        session: false,
        reach: Reach::default(),
        unpaid: None,
    }
}

/// An administrator of a new organisation.
async fn admin(store: &Store, clock: &Clock) -> Principal {
    caller(clock, organisation(store, clock).await, &[Ability::Admin])
}

fn whatsapp(phone_number_id: &str) -> NewAccount {
    NewAccount {
        platform: Some("whatsapp".into()),
        display_name: Some("Sales line".into()),
        phone_number_id: Some(phone_number_id.into()),
        access_token: Some("EAAG-token".into()),
        app_secret: Some("app-secret".into()),
        ..NewAccount::default()
    }
}

async fn register(engine: &Engine, admin: &Principal, phone_number_id: &str) -> Account {
    engine.create_messaging_account(admin, whatsapp(phone_number_id)).await.unwrap().row
}

fn group(account: &Account, external_id: &str) -> NewChannel {
    NewChannel {
        messaging_account_id: Some(account.id.to_string()),
        kind: Some("group".into()),
        external_id: Some(external_id.into()),
        display_name: Some("Tim Gedung A".into()),
        ..NewChannel::default()
    }
}

fn page() -> PageRequest {
    PageRequest::new(None, None, None, None, 25).unwrap()
}

/// The fields an error names.
fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(invalid)) => invalid.errors.into_keys().collect(),
        other => panic!("not refused for its fields: {other:?}"),
    }
}

async fn events(store: &Store, organisation: OrganisationId) -> Vec<String> {
    let sql = "SELECT kind FROM events WHERE organisation_id = $1 ORDER BY seq";
    let rows = store.reader().await.unwrap().fetch(sql, args![organisation]).await.unwrap();
    rows.into_iter().map(|mut row| row.get(0).unwrap()).collect()
}

both! {
    async fn an_account_is_registered_even_when_its_provider_is_away(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let admin = admin(&store, &clock).await;
        let shown = engine.create_messaging_account(&admin, whatsapp("100")).await.unwrap();
        assert_eq!(shown.webhook_url, "https://kabar.example.com/webhooks/whatsapp");
        let account = shown.row;
        assert_eq!((account.status, account.is_default), (ChannelStatus::Pending, true));
        assert!(account.last_error.is_some(), "people are told why");
        for secret in ["EAAG-token", "app-secret"] {
            assert!(!account.credentials.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
        assert!(account.signed_by.is_some());
        let channel = engine.get_channel(&admin, account.channel_id.unwrap()).await.unwrap().row;
        assert!(channel.is_direct_line());
        assert_eq!((channel.account_id, channel.platform), (account.id, Platform::Whatsapp));
        assert_eq!(events(&store, admin.organisation_id).await, ["messaging_account.created", "channel.created"]);

        let bot = NewAccount {
            platform: Some("telegram".into()),
            display_name: Some("Bot".into()),
            bot_token: Some("123:AAE".into()),
            ..NewAccount::default()
        };
        let bot = engine.create_messaging_account(&admin, bot).await.unwrap();
        assert_eq!(bot.webhook_url, format!("https://kabar.example.com/webhooks/telegram/{}", bot.row.id));
        assert_eq!((bot.row.external_id.as_str(), bot.row.is_default), ("123", false));
    }

    async fn only_an_admin_changes_accounts_and_nobody_anothers(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let (owner, stranger) = (admin(&store, &clock).await, admin(&store, &clock).await);
        let account = register(&engine, &owner, "100").await;
        let writer = caller(&clock, owner.organisation_id, &[Ability::Read, Ability::Write, Ability::Send]);
        let refused = engine.create_messaging_account(&writer, whatsapp("200")).await;
        assert!(matches!(refused, Err(Error::MissingAbility(Ability::Admin))));
        assert!(matches!(engine.get_messaging_account(&stranger, account.id).await, Err(Error::NotFound(_))));
        let change = AccountChange::default();
        let foreign = engine.update_messaging_account(&stranger, account.id, change).await;
        assert!(matches!(foreign, Err(Error::NotFound(_))));
        assert!(matches!(engine.retire_messaging_account(&stranger, account.id).await, Err(Error::NotFound(_))));
        assert!(matches!(
            engine.get_channel(&stranger, account.channel_id.unwrap()).await,
            Err(Error::NotFound(_))
        ));
        assert_eq!(fields(engine.create_channel(&stranger, group(&account, "g")).await), ["messaging_account_id"]);
        let taken = engine.create_messaging_account(&stranger, whatsapp("100")).await;
        assert_eq!(fields(taken), ["phone_number_id"]);
    }

    async fn there_is_one_default_and_it_is_not_retired_from_under_the_others(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let admin = admin(&store, &clock).await;
        let first = register(&engine, &admin, "100").await;
        let second = register(&engine, &admin, "200").await;
        assert!(first.is_default && !second.is_default);
        assert!(matches!(engine.retire_messaging_account(&admin, first.id).await, Err(Error::Conflict(_))));
        let no = AccountChange { is_default: Some(false), ..AccountChange::default() };
        assert_eq!(fields(engine.update_messaging_account(&admin, first.id, no).await), ["is_default"]);
        let linked = engine.create_channel(&admin, group(&first, "group-1")).await.unwrap().row;
        let yes = AccountChange { is_default: Some(true), ..AccountChange::default() };
        assert!(engine.update_messaging_account(&admin, second.id, yes).await.unwrap().row.is_default);
        assert!(!engine.get_messaging_account(&admin, first.id).await.unwrap().row.is_default);
        engine.retire_messaging_account(&admin, first.id).await.unwrap();
        let moved = engine.get_channel(&admin, linked.id).await.unwrap().row;
        assert_eq!((moved.account_id, moved.status), (second.id, ChannelStatus::Connected));
        let restore = ChannelChange { archived: Some(false), ..ChannelChange::default() };
        let line = engine.update_channel(&admin, first.channel_id.unwrap(), restore).await;
        assert!(matches!(line, Err(Error::Conflict(_))), "its account is gone");
        engine.retire_messaging_account(&admin, second.id).await.unwrap();
        register(&engine, &admin, "100").await;
    }

    async fn a_rotated_app_secret_leaves_the_one_before_valid(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let admin = admin(&store, &clock).await;
        let account = register(&engine, &admin, "100").await;
        let before = account.signed_by.clone().unwrap();
        let rotate = |secret: Option<&str>| AccountChange {
            app_secret: Patch::Set(secret.map(str::to_owned)),
            ..AccountChange::default()
        };
        let rotated = engine.update_messaging_account(&admin, account.id, rotate(Some("new"))).await.unwrap().row;
        let after = rotated.signed_by.unwrap();
        assert!(after.ends_with(&before) && after != before);
        let again = engine.update_messaging_account(&admin, account.id, rotate(Some("new"))).await.unwrap().row;
        assert_eq!(again.signed_by, Some(after), "the same secret again is no rotation");
        let cleared = engine.update_messaging_account(&admin, account.id, rotate(None)).await.unwrap().row;
        assert_eq!(cleared.signed_by, None);
    }

    async fn a_channel_is_linked_archived_moved_and_deleted(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let admin = admin(&store, &clock).await;
        let first = register(&engine, &admin, "100").await;
        let second = register(&engine, &admin, "200").await;
        let refused = engine.create_channel(&admin, NewChannel::default()).await;
        assert_eq!(fields(refused), ["display_name", "external_id", "kind", "messaging_account_id"]);
        let created = engine.create_channel(&admin, group(&first, "group-1")).await.unwrap().row;
        assert_eq!(fields(engine.create_channel(&admin, group(&first, "group-1")).await), ["external_id"]);
        let change = ChannelChange {
            allow_issues: Some(false),
            status: Some("archived".into()),
            messaging_account_id: Some(second.id.to_string()),
            ..ChannelChange::default()
        };
        let changed = engine.update_channel(&admin, created.id, change).await.unwrap().row;
        assert_eq!((changed.account_id, changed.status), (second.id, ChannelStatus::Archived));
        assert!(!changed.allow_issues && changed.allow_routine_logs && changed.archived_at.is_some());
        let query = ChannelQuery { status: Some("active".into()), ..ChannelQuery::default() };
        let active = engine.list_channels(&admin, query, &page()).await.unwrap();
        assert_eq!((active.total, active.items.len()), (2, 2));
        engine.delete_channel(&admin, created.id).await.unwrap();
        assert!(matches!(engine.delete_channel(&admin, created.id).await, Err(Error::NotFound(_))));
        let line = engine.delete_channel(&admin, first.channel_id.unwrap()).await;
        assert!(matches!(line, Err(Error::Conflict(_))));
    }

    async fn a_pending_group_is_approved_by_linking_it(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let admin = admin(&store, &clock).await;
        let account = register(&engine, &admin, "100").await;
        let created = engine.create_channel(&admin, group(&account, "group-1")).await.unwrap().row;
        let mut tx = store.begin().await.unwrap();
        tx.execute("UPDATE channels SET status = 2 WHERE id = $1", args![created.id]).await.unwrap();
        tx.commit().await.unwrap();
        let linked = engine.create_channel(&admin, group(&account, "group-1")).await.unwrap().row;
        assert_eq!((linked.id, linked.status), (created.id, ChannelStatus::Connected));
    }

    async fn a_contact_written_by_many_at_once_is_one(store: Store) {
        let clock = clock();
        let engine = std::sync::Arc::new(engine(&store, &clock));
        let admin = admin(&store, &clock).await;
        let calls: Vec<_> = (0..8)
            .map(|n| {
                let (engine, admin) = (std::sync::Arc::clone(&engine), admin.clone());
                tokio::spawn(async move {
                    let upsert = ContactUpsert {
                        wa_id: Some("+966 50-000 0000".into()),
                        name: Patch::Set(Some(format!("Ali {n}"))),
                        ..ContactUpsert::default()
                    };
                    engine.create_or_update_contact(&admin, upsert).await.unwrap()
                })
            })
            .collect();
        let mut ids = Vec::new();
        for call in calls {
            ids.push(call.await.unwrap().id);
        }
        ids.dedup();
        let [id] = ids[..] else { panic!("several contacts: {ids:?}") };
        let all = engine.list_contacts(&admin, None, &page()).await.unwrap();
        assert_eq!((all.total, all.items.len()), (1, 1));
        let contact = engine.get_contact(&admin, id).await.unwrap();
        assert_eq!(contact.wa_id.as_deref(), Some("966500000000"));
        assert_eq!(contact.identities[0].kind, IdentityKind::WaId);
        let found = engine.list_contacts(&admin, Some("ALI"), &page()).await.unwrap();
        assert_eq!(found.total, 1);
        let stranger = support::organisation(&store, &clock).await;
        let stranger = caller(&clock, stranger, &[Ability::Admin]);
        assert!(matches!(engine.get_contact(&stranger, id).await, Err(Error::NotFound(_))));
        let cleared = ContactUpsert {
            wa_id: Some("966500000000".into()),
            name: Patch::Set(None),
            ..ContactUpsert::default()
        };
        assert_eq!(engine.create_or_update_contact(&admin, cleared).await.unwrap().name, None);
    }

    async fn an_item_given_twice_is_one_and_its_sender_a_contact(store: Store) {
        let clock = clock();
        let engine = engine(&store, &clock);
        let admin = admin(&store, &clock).await;
        let sender = |phone: Option<&str>| NewSender {
            name: Some("Ibu Rina".into()),
            phone: phone.map(str::to_owned),
            external_id: Some("rina".into()),
        };
        let given = NewItem {
            external_id: Some("crm-1".into()),
            sender: Some(sender(None)),
            kind: Some("sensor_alarm".into()),
            media: vec![NewMedia { id: Some("m-1".into()), ..NewMedia::default() }],
            metadata: Some(json!({"celsius": 41.5})),
            ..NewItem::default()
        };
        let first = engine.create_inbox_item(&admin, given.clone()).await.unwrap();
        let again = engine.create_inbox_item(&admin, given).await.unwrap();
        assert_eq!((first.created, again.created), (true, false));
        assert_eq!(again.item, first.item);
        let item = first.item;
        assert_eq!((item.class, item.status), (InboxClass::Unknown, InboxStatus::New));
        assert_eq!((item.kind, item.platform), (MessageKind::Unknown, Platform::Other));
        assert_eq!(item.metadata.unwrap(), json!({"celsius": 41.5, "type": "sensor_alarm"}));

        // A number that comes with a known reference belongs to the same person.
        let more = NewItem {
            text: Some("Lampu mati".into()),
            sender: Some(sender(Some("+62 811-000"))),
            ..NewItem::default()
        };
        let more = engine.create_inbox_item(&admin, more).await.unwrap().item;
        assert_eq!(more.contact_id, item.contact_id);
        let contact = engine.get_contact(&admin, item.contact_id.unwrap()).await.unwrap();
        assert_eq!((contact.wa_id.as_deref(), contact.identities.len()), (Some("62811000"), 2));
        assert_eq!(engine.list_inbox(&admin, InboxQuery::default(), &page()).await.unwrap().total, 2);

        assert_eq!(fields(engine.create_inbox_item(&admin, NewItem::default()).await), ["text"]);
        let foreign = NewItem {
            text: Some("x".into()),
            channel_id: Some(item.id.to_string()),
            ..NewItem::default()
        };
        assert_eq!(fields(engine.create_inbox_item(&admin, foreign).await), ["channel_id"]);
    }
}
