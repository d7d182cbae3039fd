//! Groups over simulated providers: made once, kept by webhooks, their people invited. On both databases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use desk::{BUDI, Desk};
use harness::{ANI, NUMBER, Server, TELEGRAM_SECRET, change, column, count, report, until};
use kabar_domain::Timestamp;
use kabar_domain::channel::{ChannelStatus, GroupState, MemberRole, MemberStatus};
use kabar_domain::message::MessageStatus;
use kabar_engine::Error;
use kabar_engine::accounts::NewAccount;
use kabar_engine::contacts::ContactUpsert;
use kabar_engine::groups::{
    Group, GroupChange, GroupName, Member, NewGroup, Participant, Participants, status,
};
use kabar_engine::patch::Patch;
use kabar_simulator::{Fault, FaultKind, GroupAction, GroupPerson};
use kabar_store::{Store, args};
use serde_json::{Value, json};

#[expect(dead_code, reason = "each test uses its part")]
#[path = "harness/desk.rs"]
mod desk;
mod harness;
#[path = "../../store/tests/it/reopen.rs"]
mod reopen;
#[path = "../../store/tests/it/support.rs"]
mod support;

const CHAT: i64 = -1_001_234_567_890;

fn fault(kind: FaultKind) -> Fault {
    Fault { method: Some("groups".into()), ..desk::fault(kind) }
}

/// A change of groups, as Meta posts it.
fn groups(field: &str, group: &Value) -> Value {
    let mut body = change(NUMBER, json!({ "groups": [group] }));
    body["entry"][0]["changes"][0]["field"] = json!(field);
    body
}

fn people(names: &[&str]) -> Participants {
    let people = names.iter().map(|name| Participant((*name).to_owned())).collect();
    Participants { people, ..Participants::default() }
}

impl Desk {
    async fn create(&self, server: &Server, subject: &str) -> Result<Group, Error> {
        let new = NewGroup { subject: Some(subject.into()), ..NewGroup::default() };
        server.engine.create_group(&self.admin, new).await
    }

    async fn group(&self, server: &Server, group: &Group) -> (Group, Vec<Member>) {
        server.engine.get_group(&self.admin, &name(group), false).await.unwrap()
    }

    /// The provider's id of the group that was made.
    fn made(&self, subject: &str) -> String {
        self.simulator.whatsapp_group_id(subject).unwrap()
    }

    async fn announce(&self, server: &Server, id: &str, request_id: &str, subject: &str) {
        let created = json!({"timestamp": "1700000001", "group_id": id, "type": "group_create",
            "request_id": request_id, "subject": subject, "invite_link": "https://chat.whatsapp.com/x",
            "join_approval_mode": "auto_approve"});
        server.deliver(&groups("group_lifecycle_update", &created)).await;
    }

    async fn request_id(&self, group: &Group) -> String {
        column(&self.store, "SELECT request_id FROM groups WHERE id = $1", args![group.id]).await.remove(0)
    }

    /// A group that is there.
    async fn ready(&self, server: &Server) -> (Group, String) {
        let group = self.create(server, "Building A").await.unwrap();
        let external = self.made("Building A");
        let request = self.request_id(&group).await;
        self.announce(server, &external, &request, "Building A").await;
        (self.group(server, &group).await.0, external)
    }

    async fn members(&self, server: &Server, group: &Group) -> Vec<(String, MemberStatus)> {
        let (_, members) = self.group(server, group).await;
        members.into_iter().map(|member| (member.identity.value, member.status)).collect()
    }

    /// Creations the provider was asked for.
    fn asked(&self) -> usize {
        let received = self.simulator.received();
        received.iter().filter(|call| call.method == "groups" && call.http_method == "POST").count()
    }
}

fn name(group: &Group) -> GroupName {
    group.id.to_string().parse().unwrap()
}

fn participants(kind: &str, key: &str, phone: &str, at: i64) -> Value {
    json!({"timestamp": at.to_string(), "group_id": "G", "type": kind, key: [{"wa_id": phone}],
        "reason": "invite_link"})
}

both! {
    async fn a_group_is_pending_until_its_webhook_and_then_the_channel_of_that_id(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let asked = desk.create(&server, "Building A").await.unwrap();
        assert_eq!((status(&asked), asked.invite_link.as_deref()), ("pending", None));
        let external = desk.made("Building A");
        let request = desk.request_id(&asked).await;
        for _ in 0..2 {
            desk.announce(&server, &external, &request, "Building A").await;
        }
        let (group, _) = desk.group(&server, &asked).await;
        assert_eq!((group.id, status(&group)), (asked.id, "connected"));
        assert_eq!(group.invite_link.as_deref(), Some("https://chat.whatsapp.com/x"));
        let channel = server.engine.get_channel(&desk.admin, asked.id).await.unwrap().row;
        assert_eq!((channel.external_id.as_str(), channel.status), (external.as_str(), ChannelStatus::Connected));
        let by_theirs = server.engine.get_group(&desk.admin, &external.parse().unwrap(), false).await.unwrap();
        assert_eq!(by_theirs.0.id, asked.id);
        assert_eq!((desk.asked(), count(&store, "groups").await), (1, 1));
        server.stop().await;
    }

    async fn a_refusal_by_webhook_is_told_with_its_reason(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let asked = desk.create(&server, "Building A").await.unwrap();
        let refused = json!({"timestamp": "1700000001", "type": "group_create",
            "request_id": desk.request_id(&asked).await, "errors": [{"code": 131_214, "title": "Paused"}]});
        server.deliver(&groups("group_lifecycle_update", &refused)).await;
        let (group, _) = desk.group(&server, &asked).await;
        assert_eq!((status(&group), group.error.as_ref().unwrap().code), ("failed", 131_214));
        let invited = server.engine.add_group_participants(&desk.admin, &name(&group), people(&[ANI])).await;
        assert!(matches!(invited, Err(Error::Conflict(_))));
        server.engine.delete_group(&desk.admin, &name(&group)).await.unwrap();
        assert_eq!(count(&store, "groups").await, 0);
        server.stop().await;
    }

    async fn a_refusal_at_once_leaves_nothing_behind(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        for (code, conflict) in [(131_211, false), (131_215, false), (190, true)] {
            desk.simulator.push_fault(Fault { code: Some(code), ..fault(FaultKind::Error) });
            match desk.create(&server, "Building A").await {
                Err(Error::Refused { error, .. }) if !conflict => assert_eq!(error.code, code),
                Err(Error::Conflict(_)) if conflict => {}
                other => panic!("{code}: {other:?}"),
            }
        }
        desk.simulator.push_fault(fault(FaultKind::Throttle));
        assert!(matches!(desk.create(&server, "Building A").await, Err(Error::Unavailable(_))));
        assert_eq!(count(&store, "groups").await, 0);
        server.stop().await;
    }

    async fn a_lost_answer_is_settled_by_the_webhook_and_asked_for_once(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        desk.simulator.push_fault(fault(FaultKind::DropAnswer));
        let asked = desk.create(&server, "Building A").await.unwrap();
        assert_eq!(status(&asked), "uncertain");
        let external = desk.made("Building A");
        desk.announce(&server, &external, "R1", "Building A").await;
        let (group, _) = desk.group(&server, &asked).await;
        assert_eq!((status(&group), group.external_id.as_deref()), ("connected", Some(external.as_str())));
        assert_eq!((desk.asked(), count(&store, "groups").await), (1, 1));
        server.stop().await;
    }

    async fn a_webhook_that_overtook_the_answer_is_found_by_it(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        // The group is announced before anybody here knows of its request.
        desk.announce(&server, "G7", "R7", "Building A").await;
        let known = server.engine.get_group(&desk.admin, &"G7".parse().unwrap(), false).await.unwrap().0;
        assert_eq!(status(&known), "pending");
        desk.simulator.push_fault(fault(FaultKind::DropAnswer));
        let asked = desk.create(&server, "Building A").await.unwrap();
        assert_eq!((asked.id, status(&asked)), (known.id, "connected"));
        // Nobody else's request takes it as well.
        desk.simulator.push_fault(fault(FaultKind::DropAnswer));
        let other = desk.create(&server, "Building A").await.unwrap();
        assert_eq!((status(&other), other.state), ("uncertain", GroupState::Uncertain));
        server.stop().await;
    }

    async fn a_request_whose_maker_died_is_uncertain_and_not_made_again(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        desk.simulator.push_fault(Fault { delay_ms: Some(60_000), ..fault(FaultKind::Timeout) });
        let engine = std::sync::Arc::clone(&server.engine);
        let admin = desk.admin.clone();
        let new = NewGroup { subject: Some("Building A".into()), ..NewGroup::default() };
        let task = tokio::spawn(async move { engine.create_group(&admin, new).await });
        until("it is asked for", async || desk.asked() == 1).await;
        task.abort();
        drop(task.await);
        let options = reopen::options(&store).await;
        server.stop().await;
        desk.clock.advance(Duration::from_mins(2));
        let store = Store::open(&options).await.unwrap();
        let server = Server::start(&store, &desk.clock, &desk.providers).await;
        let state = async || column::<i64>(&store, "SELECT state FROM groups", args![]).await;
        until("it is uncertain", async || state().await == [GroupState::Uncertain.code()]).await;
        assert_eq!(desk.asked(), 1);
        server.stop().await;
    }

    async fn members_follow_the_webhooks_in_the_order_of_their_times(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let (group, external) = desk.ready(&server).await;
        let tell = async |kind: &str, key: &str, at: i64| {
            let mut update = participants(kind, key, ANI, at);
            update["group_id"] = json!(external);
            server.deliver(&groups("group_participants_update", &update)).await;
        };
        let (add, remove) = ("group_participants_add", "group_participants_remove");
        tell(add, "added_participants", 100).await;
        tell(add, "added_participants", 100).await;
        let joined = vec![(ANI.to_owned(), MemberStatus::Joined)];
        assert_eq!(desk.members(&server, &group).await, joined);
        let told = "events WHERE kind = 'channel.members_updated'";
        assert_eq!(count(&store, told).await, 1, "the same news is told once");
        tell(remove, "removed_participants", 300).await;
        assert_eq!(desk.members(&server, &group).await, []);
        // It came late: she has gone since.
        tell(add, "added_participants", 200).await;
        assert_eq!(desk.members(&server, &group).await, []);
        tell(add, "added_participants", 400).await;
        let (group, members) = desk.group(&server, &group).await;
        assert_eq!((group.participants, members[0].status), (1, MemberStatus::Joined));
        assert_eq!((members[0].joined_at, members[0].left_at), (Some(Timestamp::from_unix(400)), None));
        server.stop().await;
    }

    async fn a_suspended_group_comes_back_and_a_deleted_one_does_not(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let (group, external) = desk.ready(&server).await;
        let tell = async |field: &str, kind: &str| {
            let update = json!({"timestamp": "1700000002", "group_id": external, "type": kind});
            server.deliver(&groups(field, &update)).await;
            desk.group(&server, &group).await.0
        };
        let suspended = tell("group_status_update", "group_suspend").await;
        assert_eq!((suspended.suspended, status(&suspended)), (true, "disconnected"));
        let cleared = tell("group_status_update", "group_suspend_cleared").await;
        assert_eq!((cleared.suspended, status(&cleared)), (false, "connected"));
        let mut joined = participants("group_participants_add", "added_participants", ANI, 100);
        joined["group_id"] = json!(external);
        server.deliver(&groups("group_participants_update", &joined)).await;
        assert_eq!(status(&tell("group_lifecycle_update", "group_delete").await), "deleted");
        assert_eq!(desk.members(&server, &group).await, [], "everybody is out of it");
        server.stop().await;
    }

    async fn people_are_invited_by_message_and_never_beyond_eight(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let (group, external) = desk.ready(&server).await;
        let invite = async |people| server.engine.add_group_participants(&desk.admin, &name(&group), people).await;
        let budi = ContactUpsert { wa_id: Some(BUDI.into()), ..ContactUpsert::default() };
        let contact = server.engine.create_or_update_contact(&desk.admin, budi).await.unwrap().id.to_string();
        // From then on it is known who has not written for a day.
        desk.clock.advance(Duration::from_hours(25));
        let closed = invite(people(&[ANI])).await.unwrap();
        assert_eq!((closed[0].status, closed[0].message_id), ("failed", None));
        for who in [ANI, BUDI] {
            let wrote = json!({"from": who, "id": format!("wamid.{who}"), "timestamp": desk.clock.now().as_unix().to_string(), "type": "text",
                "text": {"body": "Halo"}});
            server.deliver(&change(NUMBER, json!({ "messages": [wrote] }))).await;
        }
        let answers = invite(people(&[&format!("+{ANI}"), &contact, ANI])).await.unwrap();
        assert_eq!(answers.len(), 2, "each once");
        for answer in &answers {
            assert_eq!(answer.status, "invited", "{answer:?}");
            let id = answer.message_id.unwrap();
            until("it is sent", async || {
                server.engine.get_message(&desk.admin, id).await.unwrap().status == MessageStatus::Sent
            })
            .await;
        }
        // An invitation is a message like any other.
        let sent = server.engine.get_message(&desk.admin, answers[0].message_id.unwrap()).await.unwrap();
        let delivered = report(&sent.provider_message_id.unwrap(), "delivered", 1_700_000_005);
        server.deliver(&change(NUMBER, json!({ "statuses": [delivered] }))).await;
        let sent = server.engine.get_message(&desk.admin, sent.id).await.unwrap();
        assert_eq!(sent.status, MessageStatus::Delivered);
        let texts: Vec<String> = desk.simulator.sent().into_iter().map(|sent| sent.body).collect();
        let text = "You are invited to the group \"Building A\": https://chat.whatsapp.com/x";
        assert_eq!(texts, [text, text]);
        let mut expected = vec![(ANI.to_owned(), MemberStatus::Invited), (BUDI.to_owned(), MemberStatus::Invited)];
        let mut members = desk.members(&server, &group).await;
        members.sort();
        assert_eq!(members, { expected.sort(); expected });
        let mut joined = participants("group_participants_add", "added_participants", ANI, 1);
        joined["group_id"] = json!(external);
        server.deliver(&groups("group_participants_update", &joined)).await;
        let again = invite(people(&[ANI])).await.unwrap();
        assert_eq!((again[0].status, again[0].message_id), ("joined", None));
        let many: Vec<String> = (0..8).map(|n| format!("62811100000{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(invite(people(&many)).await, Err(Error::Invalid(_))), "one is in already");
        assert!(matches!(invite(people(&["nobody"])).await, Err(Error::Invalid(_))));
        server.stop().await;
    }

    async fn whatsapp_is_asked_to_change_remove_and_delete(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let (group, external) = desk.ready(&server).await;
        let engine = &server.engine;
        let named = name(&group);
        let act = async |action, from: &str| {
            let person = GroupPerson { group_id: external.clone(), from: from.into(), action };
            desk.simulator.whatsapp_group(person).await.unwrap();
        };
        act(GroupAction::Join, ANI).await;
        let (refreshed, members) = engine.get_group(&desk.admin, &named, true).await.unwrap();
        assert_eq!((refreshed.participants, members[0].identity.value.as_str()), (1, ANI));
        let change = GroupChange { subject: Some("B".into()), description: Patch::Set(None), ..GroupChange::default() };
        let still = engine.update_group(&desk.admin, &named, change).await.unwrap();
        assert_eq!(still.subject, "Building A", "the webhook has not confirmed it");
        let removing = engine.remove_group_participants(&desk.admin, &named, people(&[ANI])).await.unwrap();
        assert_eq!(removing[0].status, "removing");
        let (refreshed, members) = engine.get_group(&desk.admin, &named, true).await.unwrap();
        assert_eq!((refreshed.subject.as_str(), members.len()), ("B", 0));
        let reset = engine.group_invite_link(&desk.admin, &named, true).await.unwrap();
        assert_ne!(reset.invite_link, group.invite_link);
        let same = engine.group_invite_link(&desk.admin, &named, false).await.unwrap();
        assert_eq!(same.invite_link, reset.invite_link);
        let promoted = engine.promote_group_participants(&desk.admin, &named, people(&[ANI])).await;
        assert!(matches!(promoted, Err(Error::CapabilityMissing { .. })));
        act(GroupAction::Suspend, "").await;
        assert!(matches!(engine.delete_group(&desk.admin, &named).await, Err(Error::Conflict(_))));
        act(GroupAction::Clear, "").await;
        engine.delete_group(&desk.admin, &named).await.unwrap();
        server.stop().await;
    }

    async fn requests_to_join_a_whatsapp_group_are_answered(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let new = NewGroup {
            subject: Some("A".into()),
            join_approval_mode: Some("approval_required".into()),
            ..NewGroup::default()
        };
        let group = server.engine.create_group(&desk.admin, new).await.unwrap();
        let (external, request) = (desk.made("A"), desk.request_id(&group).await);
        desk.announce(&server, &external, &request, "A").await;
        let named = name(&group);
        for from in [ANI, BUDI] {
            let person = GroupPerson { group_id: external.clone(), from: from.into(), action: GroupAction::Join };
            desk.simulator.whatsapp_group(person).await.unwrap();
        }
        let asked = server.engine.list_join_requests(&desk.admin, &named).await.unwrap();
        let id = |who: &str| {
            let member = asked.iter().find(|member| member.identity.value == who).unwrap();
            member.request_id.clone().unwrap()
        };
        let answer = async |ids: Vec<String>, approve| {
            let decisions = server.engine.answer_join_requests(&desk.admin, &named, ids, approve).await.unwrap();
            decisions.into_iter().map(|decision| decision.status).collect::<Vec<_>>()
        };
        assert_eq!(answer(vec![id(ANI), "404".into()], true).await, ["approved", "failed"]);
        assert_eq!(answer(vec![id(BUDI)], false).await, ["rejected"]);
        assert_eq!(desk.members(&server, &group).await, [(ANI.to_owned(), MemberStatus::Joined)]);
        assert_eq!(server.engine.list_join_requests(&desk.admin, &named).await.unwrap(), []);
        server.stop().await;
    }

    async fn a_telegram_group_has_what_telegram_has(store: Store) {
        let (desk, server, _) = Desk::start(&store).await;
        let new = NewAccount {
            platform: Some("telegram".into()),
            display_name: Some("Bot".into()),
            bot_token: Some("123456:AAE".into()),
            ..NewAccount::default()
        };
        let engine = &server.engine;
        let account = engine.create_messaging_account(&desk.admin, new).await.unwrap().row;
        let tell = async |update: Value| {
            let mut body = json!({"update_id": 900 + desk.clock.now().as_unix()});
            body.as_object_mut().unwrap().extend(update.as_object().unwrap().clone());
            desk.clock.advance(Duration::from_secs(1));
            let (account, body) = (account.id.to_string(), body.to_string().into_bytes());
            engine.accept_telegram(Some(&account), Some(TELEGRAM_SECRET), body).await.unwrap();
            server.caught_up().await;
        };
        let chat = json!({"id": CHAT, "type": "supergroup", "title": "Site"});
        let sari = json!({"id": 9, "is_bot": false, "first_name": "Sari"});
        let bot = json!({"id": 123_456, "is_bot": true, "first_name": "Acme"});
        let said = json!({"message_id": 5, "from": sari, "chat": chat, "date": 100, "new_chat_members": [sari, bot]});
        tell(json!({ "message": said })).await;
        let named: GroupName = CHAT.to_string().parse().unwrap();
        let (group, members) = engine.get_group(&desk.admin, &named, false).await.unwrap();
        assert_eq!((group.subject.as_str(), members.len()), ("Site", 1), "the bot is no member");
        desk.simulator.telegram_inbound(serde_json::from_value(json!({"update": {"message": said}})).unwrap()).await.unwrap();

        let by = |names: &[&str]| people(names);
        let promoted = engine.promote_group_participants(&desk.admin, &named, by(&["9", "10"])).await.unwrap();
        assert_eq!((promoted[0].status, promoted[1].status), ("promoted", "failed"));
        assert!(promoted[1].error.as_ref().unwrap().contains("USER_NOT_PARTICIPANT"));
        let (_, members) = engine.get_group(&desk.admin, &named, false).await.unwrap();
        assert_eq!(members[0].role, MemberRole::Admin);
        let change = GroupChange { subject: Some("Site B".into()), description: Patch::Set(Some("Pumps".into())), ..GroupChange::default() };
        let changed = engine.update_group(&desk.admin, &named, change).await.unwrap();
        assert_eq!((changed.subject.as_str(), changed.description.as_deref()), ("Site B", Some("Pumps")));
        let linked = engine.group_invite_link(&desk.admin, &named, false).await.unwrap();
        assert!(linked.invite_link.unwrap().starts_with("https://t.me/+"));

        let asks = json!({"chat_join_request": {"chat": chat, "from": {"id": 11, "is_bot": false, "first_name": "Adi"}, "user_chat_id": 11, "date": 200}});
        tell(asks.clone()).await;
        desk.simulator.telegram_inbound(serde_json::from_value(json!({ "update": asks })).unwrap()).await.unwrap();
        let requests = engine.list_join_requests(&desk.admin, &named).await.unwrap();
        assert_eq!(requests[0].request_id.as_deref(), Some("11"));
        let ids = vec!["11".to_owned(), "12".to_owned()];
        let decided = engine.answer_join_requests(&desk.admin, &named, ids, true).await.unwrap();
        assert_eq!((decided[0].status, decided[1].status), ("approved", "failed"));

        let invited = engine.add_group_participants(&desk.admin, &named, by(&["9", "11", "12"])).await.unwrap();
        assert_eq!(invited.iter().map(|answer| answer.status).collect::<Vec<_>>(), ["joined", "joined", "failed"]);
        let removed = engine.remove_group_participants(&desk.admin, &named, by(&["9"])).await.unwrap();
        assert_eq!(removed[0].status, "removed");
        let invited = engine.add_group_participants(&desk.admin, &named, by(&["9"])).await.unwrap();
        assert_eq!(invited[0].status, "invited");
        until("the link arrives", async || {
            desk.simulator.sent().iter().any(|sent| sent.to == "9" && sent.body.contains("https://t.me/+"))
        })
        .await;
        assert!(matches!(engine.delete_group(&desk.admin, &named).await, Err(Error::CapabilityMissing { .. })));
        let channel = account.channel_id.map(|id| id.to_string());
        let new = NewGroup { channel_id: channel, subject: Some("A".into()), ..NewGroup::default() };
        assert!(matches!(engine.create_group(&desk.admin, new).await, Err(Error::CapabilityMissing { .. })));
        server.stop().await;
    }
}
