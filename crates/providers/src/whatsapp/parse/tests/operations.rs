use kabar_domain::channel::MemberStatus;
use kabar_domain::clock::Timestamp;
use kabar_domain::inbound::{
    AccountChange, AccountKey, Chat, Event, GroupChange, GroupFacts, Identity, IdentityKind, StatusUpdate,
    TemplateChange,
};
use kabar_domain::message::{MessageKind, MessageStatus};
use serde_json::{Value, json};

use super::{NUMBER, body, event, notice, one, read};

fn status(own: Value) -> Event {
    let mut report =
        json!({"id": "wamid.S", "status": "sent", "timestamp": "1750030073", "recipient_id": "16505551234"});
    if let (Value::Object(report), Value::Object(own)) = (&mut report, own) {
        report.extend(own);
    }
    event(&body("messages", json!({"statuses": [report]})))
}

fn report(own: Value) -> StatusUpdate {
    match status(own) {
        Event::Status(report) => report,
        other => panic!("{other:?}"),
    }
}

fn wa_id(digits: &str) -> Identity {
    Identity::new(IdentityKind::WaId, digits)
}

#[test]
fn a_delivery_report_is_read() {
    let pricing =
        json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "marketing"});
    let read = report(json!({"status": "delivered", "pricing": pricing, "biz_opaque_callback_data": "01JX"}));
    assert_eq!(
        read,
        StatusUpdate {
            provider_message_id: "wamid.S".to_owned(),
            status: MessageStatus::Delivered,
            occurred_at: Timestamp::from_unix(1_750_030_073),
            callback_data: Some("01JX".to_owned()),
            recipient: Some(wa_id("16505551234")),
            is_group: false,
            error: None,
            pricing: Some(pricing),
        }
    );
    let words = [
        ("sent", MessageStatus::Sent),
        ("read", MessageStatus::Read),
        ("played", MessageStatus::Played),
        ("failed", MessageStatus::Failed),
    ];
    for (word, expected) in words {
        assert_eq!(report(json!({"status": word})).status, expected);
    }
    let old = report(json!({"conversation": {"id": "c", "origin": {"type": "service"}}}));
    assert_eq!(old.pricing, Some(json!({"conversation": {"id": "c", "origin": {"type": "service"}}})));
}

#[test]
fn a_report_without_a_number_names_the_user_id() {
    let read = report(json!({"recipient_id": null, "recipient_user_id": "US.1349"}));
    assert_eq!(read.recipient, Some(Identity::new(IdentityKind::Bsuid, "US.1349")));
}

#[test]
fn a_groups_report_names_the_participant_in_either_spelling() {
    for key in ["recipient_participant_id", "participant_recipient_id"] {
        let read = report(json!({"recipient_id": "Y2FwaV9", "recipient_type": "group", key: "16505551234"}));
        assert_eq!((read.is_group, read.recipient), (true, Some(wa_id("16505551234"))), "{key}");
    }
    let read = report(json!({"recipient_id": "Y2FwaV9", "recipient_type": "group"}));
    assert_eq!((read.is_group, read.recipient), (true, None));
}

#[test]
fn a_failure_says_why_and_what_to_do() {
    let error = json!({"code": 131_047, "title": "Re-engagement message",
        "error_data": {"details": "More than 24 hours have passed."}});
    let error = report(json!({"status": "failed", "errors": [error]})).error.unwrap();
    assert_eq!((error.code, error.title.as_str()), (131_047, "Re-engagement message"));
    assert_eq!(error.detail.as_deref(), Some("More than 24 hours have passed."));
    assert!(error.action.unwrap().contains("template"));
}

#[test]
fn what_is_no_delivery_is_another_event() {
    let named = |event: Event| match event {
        Event::Other { name, .. } => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(status(json!({"status": "deleted"}))), "whatsapp.status");
    assert_eq!(named(status(json!({"status": "warning"}))), "whatsapp.status");
    assert_eq!(named(status(json!({"type": "payment", "status": "captured"}))), "whatsapp.payment_status");
    let ringing = json!({"id": "wacid.X", "timestamp": "1749416383", "type": "call", "status": "RINGING"});
    assert_eq!(named(event(&body("calls", json!({"statuses": [ringing]})))), "whatsapp.call_status");
    let errors = json!({"errors": [{"code": 131_000, "title": "Something went wrong"}]});
    assert_eq!(named(event(&body("messages", errors))), "whatsapp.error");
    for field in ["user_preferences", "smb_app_state_sync", "flows", "standby", "something_new"] {
        assert_eq!(named(event(&body(field, json!({"k": 1})))), field);
    }
}

#[test]
fn a_template_changes_by_status_quality_and_category() {
    let template = |field: &str, own: Value| {
        let mut value = json!({"message_template_id": 1_689_556_908_129_832_u64,
            "message_template_name": "order_confirmation", "message_template_language": "en-US"});
        if let (Value::Object(value), Value::Object(own)) = (&mut value, own) {
            value.extend(own);
        }
        match event(&notice(field, &value)) {
            Event::Template(change) => change,
            other => panic!("{other:?}"),
        }
    };
    let base = TemplateChange {
        provider_id: "1689556908129832".to_owned(),
        name: "order_confirmation".to_owned(),
        language: "en_US".to_owned(),
        occurred_at: Some(Timestamp::from_unix(1_739_321_024)),
        ..TemplateChange::default()
    };
    let some = |text: &str| Some(text.to_owned());
    let field = "message_template_status_update";
    assert_eq!(
        template(
            field,
            json!({"event": "APPROVED", "reason": "NONE", "message_template_category": "UTILITY"})
        ),
        TemplateChange { status: some("APPROVED"), category: some("UTILITY"), ..base.clone() }
    );
    assert_eq!(
        template(
            field,
            json!({"event": "REJECTED", "reason": "INVALID_FORMAT", "rejection_info": {"reason": "Too many variables."}})
        ),
        TemplateChange {
            status: some("REJECTED"),
            reason: some("INVALID_FORMAT: Too many variables."),
            ..base.clone()
        }
    );
    let paused = json!({"event": "PAUSED", "reason": null, "other_info": {"title": "FIRST_PAUSE"}});
    assert_eq!(
        template(field, paused),
        TemplateChange { status: some("PAUSED"), reason: some("FIRST_PAUSE"), ..base.clone() }
    );
    assert_eq!(template(field, json!({"event": "REINSTATED"})).status, some("APPROVED"));
    let quality = json!({"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"});
    for field in ["message_template_quality_update", field] {
        let expected = TemplateChange { quality: some("YELLOW"), ..base.clone() };
        assert_eq!(template(field, quality.clone()), expected);
    }
    let field = "template_category_update";
    let done = template(field, json!({"previous_category": "UTILITY", "new_category": "MARKETING"}));
    assert_eq!(done, TemplateChange { category: some("MARKETING"), ..base.clone() });
    let ahead = template(
        field,
        json!({"new_category": "UTILITY", "correct_category": "MARKETING",
            "category_update_timestamp": 1_746_169_200}),
    );
    assert_eq!(ahead.category, some("UTILITY"));
    assert_eq!(
        ahead.reason,
        some("Meta will change the category from UTILITY to MARKETING on 2025-05-02T07:00:00+00:00.")
    );
}

fn account(field: &str, value: &Value) -> AccountChange {
    match event(&notice(field, value)) {
        Event::Account(change) => change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_accounts_standing_is_told_in_sentences() {
    let update = |value: Value| account("account_update", &value);
    let gone = [
        json!({"event": "ACCOUNT_DELETED"}),
        json!({"event": "ACCOUNT_OFFBOARDED"}),
        json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "May 1, 2026"}}),
        json!({"event": "PARTNER_REMOVED", "disconnection_info": {"reason": "PRIMARY_INACTIVITY"}}),
        json!({"event": "PARTNER_REMOVED"}),
    ];
    for value in gone {
        let change = update(value);
        assert_eq!(change.connected, Some(false), "{change:?}");
        assert!(change.problem.unwrap().ends_with('.'));
        assert!(change.name.starts_with("account_update:"));
    }
    for value in [
        json!({"event": "ACCOUNT_RECONNECTED"}),
        json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}),
    ] {
        assert_eq!(update(value).connected, Some(true));
    }
    let restricted = update(json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [
        {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1_746_169_200}]}));
    assert_eq!(restricted.connected, None);
    assert_eq!(
        restricted.problem.as_deref(),
        Some("Meta restricted the account: it cannot start conversations until 2025-05-02T07:00:00+00:00.")
    );
    let unknown = json!({"event": "SOMETHING_NEW", "detail": 1});
    let change = update(unknown.clone());
    assert_eq!(
        (change.name.as_str(), change.problem, change.value),
        ("account_update:SOMETHING_NEW", None, unknown)
    );
}

#[test]
fn an_account_event_finds_its_account() {
    let partner =
        json!({"event": "PARTNER_ADDED", "waba_info": {"waba_id": "777", "owner_business_id": "1"}});
    assert_eq!(
        one(&notice("account_update", &partner)).account,
        AccountKey::BusinessAccount { waba_id: "777".to_owned(), display_phone_number: None }
    );
    let quality =
        json!({"display_phone_number": "+1 555-078-3881", "event": "FLAGGED", "current_limit": "TIER_2K"});
    let update = one(&notice("phone_number_quality_update", &quality));
    assert_eq!(
        update.account,
        AccountKey::BusinessAccount {
            waba_id: "102290129340398".to_owned(),
            display_phone_number: Some("15550783881".to_owned()),
        }
    );
    let alert = json!({"entity_type": "PHONE_NUMBER", "entity_id": 106, "alert_info": {
        "alert_severity": "CRITICAL", "alert_status": "ACTIVE", "alert_type": "OBA_REJECTED",
        "alert_description": "The application was rejected."}});
    let update = one(&notice("account_alerts", &alert));
    assert_eq!(update.account, AccountKey::PhoneNumber("106".to_owned()));
    let Ok(Event::Account(change)) = update.event else { panic!() };
    assert_eq!(change.problem.as_deref(), Some("Meta warns: The application was rejected."));
}

#[test]
fn a_numbers_facts_are_taken_over() {
    let flagged =
        account("phone_number_quality_update", &json!({"event": "FLAGGED", "current_limit": "TIER_2K"}));
    assert_eq!(flagged.quality.as_deref(), Some("RED"));
    assert_eq!(flagged.messaging_limit.as_deref(), Some("TIER_2K"));
    assert!(flagged.problem.is_some());
    for (written, read) in [
        (json!(2000), "TIER_2K"),
        (json!("TIER_10K"), "TIER_10K"),
        (json!(-1), "TIER_UNLIMITED"),
        (json!(250), "TIER_250"),
        (json!("100000"), "TIER_100K"),
    ] {
        let change =
            account("business_capability_update", &json!({"max_daily_conversations_per_business": written}));
        assert_eq!(change.messaging_limit.as_deref(), Some(read));
    }
    let name = |decision: &str| {
        account(
            "phone_number_name_update",
            &json!({"display_phone_number": "15550783881", "decision": decision,
                "requested_verified_name": "Lucky Shrub", "rejection_reason": "NAME_FORMAT"}),
        )
    };
    assert_eq!(name("APPROVED").verified_name.as_deref(), Some("Lucky Shrub"));
    let rejected = name("REJECTED");
    assert_eq!(rejected.verified_name, None);
    assert!(rejected.problem.unwrap().contains("NAME_FORMAT"));
    let pin =
        account("security", &json!({"display_phone_number": "15550783881", "event": "PIN_RESET_REQUEST"}));
    assert_eq!(pin.name, "security:PIN_RESET_REQUEST");
    assert!(pin.problem.unwrap().contains("+15550783881"));
}

#[test]
fn a_user_id_update_is_an_identity_change() {
    let updates = read(&body(
        "user_id_update",
        json!({"wa_id": "16505551234", "user_id": {"previous": "US.1", "current": "US.2"},
            "parent_user_id": {"previous": "US.ENT.1", "current": "US.ENT.2"}, "timestamp": 1_750_000_000}),
    ));
    assert_eq!(updates.len(), 2);
    let Ok(Event::IdentityChange { old, new, .. }) = &updates[0].event else { panic!() };
    assert_eq!((old.value.as_str(), new.value.as_str()), ("US.1", "US.2"));
    assert!(matches!(event(&body("user_id_update", json!({}))), Event::Other { .. }));
}

fn group(field: &str, own: Value) -> Vec<Event> {
    let mut value = json!({"timestamp": "1749416383", "group_id": "G1", "request_id": "R1"});
    if let (Value::Object(value), Value::Object(own)) = (&mut value, own) {
        value.extend(own);
    }
    let updates = read(&body(field, json!({"groups": [value]})));
    updates.into_iter().map(|update| update.event.unwrap()).collect()
}

#[test]
fn a_groups_life_and_settings_are_facts_about_it() {
    let change = |field: &str, own: Value| match group(field, own).remove(0) {
        Event::Group { chat: Chat::Group { external_id, .. }, change, .. } => {
            assert_eq!(external_id, "G1");
            Some(change)
        }
        Event::Other { name, .. } => {
            assert_eq!(name, field);
            None
        }
        other => panic!("{other:?}"),
    };
    let titled = || GroupFacts { title: Some("Plants".to_owned()), ..GroupFacts::default() };
    let life = "group_lifecycle_update";
    let created = json!({"type": "group_create", "subject": "Plants", "description": "Green",
        "invite_link": "https://chat.whatsapp.com/x", "join_approval_mode": "auto_approve"});
    let facts = GroupFacts {
        description: Some("Green".to_owned()),
        invite_link: Some("https://chat.whatsapp.com/x".to_owned()),
        join_approval_mode: Some("auto_approve".to_owned()),
        ..titled()
    };
    let request_id = Some("R1".to_owned());
    assert_eq!(change(life, created), Some(GroupChange::Created { request_id, facts }));
    assert_eq!(change(life, json!({"type": "group_delete"})), Some(GroupChange::Deleted));
    assert_eq!(change(life, json!({"type": "group_delete", "errors": [{"code": 131_000}]})), None);
    let settings = "group_settings_update";
    let subject = |ok: bool| json!({"type": "group_settings_update", "group_subject": {"text": "Plants", "update_successful": ok}});
    assert_eq!(change(settings, subject(true)), Some(GroupChange::Settings(titled())));
    assert_eq!(change(settings, subject(false)), None);
    let status = "group_status_update";
    assert_eq!(change(status, json!({"type": "group_suspend"})), Some(GroupChange::Suspended(true)));
    assert_eq!(change(status, json!({"type": "group_suspend_cleared"})), Some(GroupChange::Suspended(false)));
}

#[test]
fn a_group_that_was_not_made_names_its_request_and_why() {
    let refused = json!({"type": "group_create", "group_id": null,
        "errors": [{"code": 131_214, "title": "Paused", "error_data": {"details": "Seven days."}}]});
    let [Event::GroupRefused { request_id, error, .. }] = &group("group_lifecycle_update", refused)[..]
    else {
        panic!();
    };
    assert_eq!((request_id.as_str(), error.code), ("R1", 131_214));
    let unexplained = json!({"type": "group_create", "group_id": null});
    assert!(matches!(group("group_lifecycle_update", unexplained)[..], [Event::Other { .. }]));
}

#[test]
fn members_come_and_go_as_facts_and_as_messages_in_the_group() {
    let said = |own: Value| match &group("group_participants_update", own)[..] {
        [Event::Group { change: GroupChange::Members(changes), .. }, Event::Message(said)] => {
            (changes.clone(), (**said).clone())
        }
        other => panic!("{other:?}"),
    };
    let added = json!({"type": "group_participants_add", "reason": "invite_link",
        "added_participants": [{"wa_id": "16505551234"}, {"user_id": "US.2", "username": "budi"}]});
    let (changes, first) = said(added.clone());
    assert_eq!(first.kind, MessageKind::System);
    assert_eq!(first.chat, Chat::Group { external_id: "G1".to_owned(), title: None, topic: None });
    assert_eq!(first.party.identities, [wa_id("16505551234")]);
    assert_eq!(
        first.payload,
        json!({"event": "group_participants_add", "reason": "invite_link", "request_id": "R1",
            "members": [{"wa_id": "16505551234"}, {"user_id": "US.2", "username": "budi"}]})
    );
    assert!(first.provider_message_id.starts_with("group:G1:group_participants_add:1749416383:"));
    assert_eq!(first.provider_message_id, said(added).1.provider_message_id);
    assert!(changes.iter().all(|change| change.status == MemberStatus::Joined));
    assert_eq!(changes[1].party.identities, [Identity::new(IdentityKind::Bsuid, "US.2")]);
    assert_eq!(changes[1].party.username.as_deref(), Some("budi"));
    let removed =
        json!({"type": "group_remove_participants", "removed_participants": [{"input": "+1 650 555 1234"}]});
    let (changes, other) = said(removed.clone());
    assert_ne!(first.provider_message_id, other.provider_message_id);
    assert_eq!(other.party.identities, first.party.identities);
    assert_eq!(changes[0].status, MemberStatus::Removed);
    let mut left = removed;
    left["initiated_by"] = json!("participant");
    assert_eq!(said(left).0[0].status, MemberStatus::Left);
    let request = |event: &str| json!({"type": event, "join_request_id": "J", "user_id": "US.9"});
    let (changes, asked) = said(request("group_join_request_created"));
    assert_eq!(asked.payload["members"], json!([{"user_id": "US.9"}]));
    assert_eq!((changes[0].status, changes[0].request_id.as_deref()), (MemberStatus::Requested, Some("J")));
    assert_eq!(said(request("group_join_request_revoked")).0[0].status, MemberStatus::Declined);
    let nobody =
        group("group_participants_update", json!({"type": "group_participants_remove", "errors": [{}]}));
    assert!(matches!(nobody[..], [Event::Other { .. }]));
}

#[test]
fn what_stands_beside_a_group_is_taken_with_it() {
    let value = json!({
        "groups": [{"timestamp": "1749416383", "group_id": "G1", "type": "group_participants_remove",
            "removed_participants": [{"wa_id": "1"}]}],
        "initiated_by": "business",
    });
    let updates = read(&body("group_participant_update", value));
    assert!(updates.iter().all(|update| update.account == AccountKey::PhoneNumber(NUMBER.to_owned())));
    let Ok(Event::Message(said)) = &updates[1].event else { panic!() };
    assert_eq!(said.payload["initiated_by"], "business");
}
