use kabar_simulator::Provider;
use serde_json::{Value, json};

use crate::harness::{Harness, NUMBER, PERSON, TOKEN, WABA};

#[tokio::test]
async fn a_send_is_accepted_and_shown_on_the_phone() {
    let harness = Harness::start().await;
    let answer = harness
        .send(json!({"type": "text", "text": {"body": "مرحبا"}, "biz_opaque_callback_data": "job-1"}))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["contacts"][0], json!({"input": format!("+{PERSON}"), "wa_id": PERSON}));
    let wamid = answer.body["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(wamid.starts_with("wamid."));
    let sent = harness.simulator.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].id.as_str(), sent[0].to.as_str()), (wamid.as_str(), PERSON));
    assert_eq!((sent[0].body.as_str(), sent[0].provider), ("مرحبا", Provider::Whatsapp));
    assert_eq!(sent[0].callback_data.as_deref(), Some("job-1"));
}

#[tokio::test]
async fn each_rule_answers_its_code() {
    let harness = Harness::start().await;
    let buttons = |count: usize, title: &str| {
        let buttons: Vec<Value> = (0..count)
            .map(|at| json!({"type": "reply", "reply": {"id": format!("b{at}"), "title": format!("{title}{at}")}}))
            .collect();
        json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "Pick"},
            "action": {"buttons": buttons}}})
    };
    let list = |rows: usize| {
        let rows: Vec<Value> = (0..rows).map(|at| json!({"id": format!("r{at}"), "title": "Row"})).collect();
        json!({"type": "interactive", "interactive": {"type": "list", "body": {"text": "Pick"},
            "action": {"button": "Open", "sections": [{"title": "All", "rows": rows}]}}})
    };
    let cases = [
        (json!({"messaging_product": null, "type": "text", "text": {"body": "a"}}), 100),
        (json!({"messaging_product": "sms", "type": "text", "text": {"body": "a"}}), 100),
        (json!({"to": "", "type": "text", "text": {"body": "a"}}), 100),
        (json!({"to": "not a phone", "type": "text", "text": {"body": "a"}}), 131_009),
        (json!({"to": null, "recipient": "nonsense", "type": "text", "text": {"body": "a"}}), 131_009),
        (json!({"to": "+6281111111111", "type": "text", "text": {"body": "a"}}), 131_021),
        (json!({"recipient_type": "crowd", "type": "text", "text": {"body": "a"}}), 100),
        (json!({"recipient_type": "group", "to": "1", "type": "text", "text": {"body": "a"}}), 131_041),
        (json!({"type": "poll", "poll": {}}), 100),
        (json!({"type": "text"}), 131_008),
        (json!({"type": "text", "text": "hello"}), 100),
        (json!({"type": "text", "text": {}}), 131_008),
        (json!({"type": "text", "text": {"body": 5}}), 100),
        (json!({"type": "text", "text": {"body": "a".repeat(4097)}}), 100),
        (json!({"type": "text", "text": {"body": "a"}, "context": {}}), 131_008),
        (json!({"type": "image", "image": {}}), 131_008),
        (json!({"type": "image", "image": {"id": "404"}}), 100),
        (json!({"type": "image", "image": {"link": "nowhere"}}), 100),
        (json!({"type": "image", "image": {"link": "https://a.b/c.jpg", "caption": "a".repeat(1025)}}), 100),
        (json!({"type": "audio", "audio": {"link": "https://a.b/c.ogg", "caption": "a"}}), 100),
        (json!({"type": "location", "location": {"latitude": 1.0}}), 131_008),
        (json!({"type": "location", "location": {"latitude": 91.0, "longitude": 0}}), 131_009),
        (json!({"type": "contacts", "contacts": []}), 131_008),
        (json!({"type": "contacts", "contacts": [{"name": {}}]}), 131_008),
        (json!({"type": "reaction", "reaction": {"emoji": "👍"}}), 131_008),
        (json!({"type": "reaction", "reaction": {"message_id": "x", "emoji": "👍"}}), 131_009),
        (json!({"type": "interactive", "interactive": {"type": "button"}}), 131_008),
        (json!({"type": "interactive", "interactive": {"type": "dance"}}), 100),
        (buttons(4, "B"), 131_009),
        (buttons(1, &"B".repeat(20)), 131_009),
        (list(11), 131_009),
        (json!({"type": "template", "template": {"name": "hello_world"}}), 131_008),
        (json!({"type": "template", "template": {"name": "nope", "language": {"code": "en_US"}}}), 132_001),
        (
            json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"},
                "components": [{"type": "body", "parameters": [{"type": "text", "text": "x"}]}]}}),
            132_000,
        ),
    ];
    for (fields, code) in cases {
        let answer = harness.send(fields.clone()).await;
        assert_eq!(answer.code(), code, "{fields}: {}", answer.body);
        assert_eq!(answer.status, if code == 132_001 { 404 } else { 400 }, "{fields}");
        assert!(answer.body["error"]["fbtrace_id"].is_string());
        assert_eq!(answer.body["error"]["type"], "OAuthException");
    }
    assert!(harness.simulator.sent().is_empty());
    for fields in [
        buttons(3, "B"),
        list(10),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}}),
        json!({"to": null, "recipient": "ID.123abc", "type": "text", "text": {"body": "a"}}),
    ] {
        let answer = harness.send(fields).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn tokens_and_objects_are_told_apart() {
    let harness = Harness::start().await;
    let path = format!("/{NUMBER}/messages");
    let body = json!({"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "a"}});
    let without = harness.request("POST", &path, None, Some(body.clone())).await;
    assert_eq!((without.status, without.code()), (401, 104));
    let wrong = harness.request("POST", &path, Some("other"), Some(body.clone())).await;
    assert_eq!((wrong.status, wrong.code()), (401, 190));
    let unknown = harness.request("POST", "/v25.0/999/messages", Some(TOKEN), Some(body.clone())).await;
    assert_eq!((unknown.status, unknown.code()), (400, 100));
    assert_eq!(unknown.body["error"]["error_subcode"], 33);
    assert_eq!(unknown.body["error"]["type"], "GraphMethodException");
    let replaced =
        harness.control("/tokens", json!({"phone_number_id": NUMBER, "access_token": "EAAnew"})).await;
    assert_eq!(replaced.status, 200);
    assert_eq!(harness.request("POST", &path, Some(TOKEN), Some(body.clone())).await.code(), 190);
    assert_eq!(harness.request("POST", &path, Some("EAAnew"), Some(body)).await.status, 200);
}

#[tokio::test]
async fn the_window_closes_when_asked_to() {
    let harness = Harness::with(|config| config.enforce_window = true).await;
    assert_eq!(harness.send_text("hello?").await.code(), 131_047);
    harness.control("/whatsapp/inbound", json!({"from": PERSON, "text": "hi"})).await;
    assert_eq!(harness.send_text("hello!").await.status, 200);
}

#[tokio::test]
async fn receipts_are_not_messages() {
    let harness = Harness::start().await;
    let receipt = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x",
        "typing_indicator": {"type": "text"}});
    let path = format!("/v25.0/{NUMBER}/messages");
    let answer = harness.request("POST", &path, Some(TOKEN), Some(receipt)).await;
    assert_eq!(answer.body, json!({"success": true}));
    assert!(harness.simulator.sent().is_empty());
    assert_eq!(harness.simulator.received()[0].method, "read");
}

#[tokio::test]
async fn templates_are_created_paged_sent_and_deleted() {
    let harness = Harness::start().await;
    let path = format!("/v25.0/{WABA}/message_templates");
    for name in ["order_ready", "order_late"] {
        let template = json!({"name": name, "category": "UTILITY", "language": "id", "components": [
            {"type": "BODY", "text": "Halo {{1}}, pesanan {{2}} ok."}]});
        let answer = harness.request("POST", &path, Some(TOKEN), Some(template)).await;
        assert_eq!(answer.body["status"], "APPROVED", "{}", answer.body);
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = harness.request("GET", &format!("{path}?limit=2{after}"), Some(TOKEN), None).await;
        names.extend(page.body["data"].as_array().unwrap().iter().map(|item| item["name"].clone()));
        if page.body["paging"].get("next").is_none() {
            break;
        }
        after = format!("&after={}", page.body["paging"]["cursors"]["after"].as_str().unwrap());
    }
    assert_eq!(names, ["hello_world", "order_ready", "order_late"]);
    let send = json!({"type": "template", "template": {"name": "order_ready", "language": {"code": "id"},
        "components": [{"type": "body", "parameters": [
            {"type": "text", "text": "Sari"}, {"type": "text", "text": "A7"}]}]}});
    assert_eq!(harness.send(send.clone()).await.status, 200);
    assert_eq!(harness.simulator.sent()[0].body, "Halo Sari, pesanan A7 ok.");
    let deleted = harness.request("DELETE", &format!("{path}?name=order_ready"), Some(TOKEN), None).await;
    assert_eq!(deleted.body, json!({"success": true}));
    assert_eq!(harness.send(send).await.code(), 132_001);
}

#[tokio::test]
async fn media_needs_its_token_at_every_step() {
    let harness = Harness::start().await;
    let part = reqwest::multipart::Part::bytes(vec![0xff, 0xd8, 0xff])
        .file_name("photo.jpg")
        .mime_str("image/jpeg")
        .unwrap();
    let form = reqwest::multipart::Form::new()
        .text("messaging_product", "whatsapp")
        .text("type", "image/jpeg")
        .part("file", part);
    let url = format!("{}/v25.0/{NUMBER}/media", harness.base);
    let answer = harness.client.post(url).bearer_auth(TOKEN).multipart(form).send().await.unwrap();
    let uploaded: Value = answer.json().await.unwrap();
    let id = uploaded["id"].as_str().unwrap();
    let media = harness.request("GET", &format!("/v25.0/{id}"), Some(TOKEN), None).await;
    assert_eq!((&media.body["mime_type"], &media.body["file_size"]), (&json!("image/jpeg"), &json!(3)));
    let url = media.body["url"].as_str().unwrap();
    assert_eq!(harness.client.get(url).send().await.unwrap().status(), 401);
    let file = harness.client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/jpeg");
    assert_eq!(file.bytes().await.unwrap().as_ref(), [0xff, 0xd8, 0xff]);
    assert_eq!(harness.send(json!({"type": "image", "image": {"id": id}})).await.status, 200);
    assert_eq!(harness.send(json!({"type": "audio", "audio": {"id": id}})).await.code(), 131_053);
    let deleted = harness.request("DELETE", &format!("/v25.0/{id}"), Some(TOKEN), None).await;
    assert_eq!(deleted.body, json!({"success": true}));
    assert_eq!(harness.request("GET", &format!("/v25.0/{id}"), Some(TOKEN), None).await.code(), 100);
}

#[tokio::test]
async fn accounts_tokens_and_subscriptions() {
    let harness = Harness::start().await;
    let number = harness
        .request("GET", &format!("/v25.0/{NUMBER}?fields=verified_name,status"), Some(TOKEN), None)
        .await;
    assert_eq!(number.body, json!({"id": NUMBER, "verified_name": "Acme", "status": "CONNECTED"}));
    let numbers = harness.request("GET", &format!("/{WABA}/phone_numbers"), Some(TOKEN), None).await;
    assert_eq!(numbers.body["data"][0]["id"], NUMBER);
    let exchange = format!(
        "/v25.0/oauth/access_token?client_id=100000000000001&client_secret=test_app_secret&code=sim-{NUMBER}"
    );
    assert_eq!(harness.request("GET", &exchange, None, None).await.body["access_token"], TOKEN);
    assert_eq!(harness.request("GET", &exchange, None, None).await.body["error"]["error_subcode"], 36_009);
    let debug = format!("/debug_token?input_token={TOKEN}");
    let debug = harness.request("GET", &debug, Some("1|test_app_secret"), None).await;
    assert_eq!(debug.body["data"]["granular_scopes"][0]["target_ids"], json!([WABA]));
    let register = json!({"messaging_product": "whatsapp", "pin": "123456"});
    let register = harness.request("POST", &format!("/{NUMBER}/register"), Some(TOKEN), Some(register)).await;
    assert_eq!(register.body, json!({"success": true}));
    let apps = format!("/{WABA}/subscribed_apps");
    harness.request("DELETE", &apps, Some(TOKEN), None).await;
    assert_eq!(harness.request("GET", &apps, Some(TOKEN), None).await.body, json!({"data": []}));
    let unheard = harness.control("/whatsapp/inbound", json!({"from": PERSON, "text": "hi"})).await;
    assert_eq!(unheard.body["webhook_status"], Value::Null);
    harness.request("POST", &apps, Some(TOKEN), None).await;
    let heard = harness.control("/whatsapp/inbound", json!({"from": PERSON, "text": "hi"})).await;
    assert_eq!(heard.body["webhook_status"], 200);
}

#[tokio::test]
async fn groups_are_announced_by_webhook() {
    let harness = Harness::start().await;
    let body = json!({"messaging_product": "whatsapp", "subject": "Site A"});
    let path = format!("/v25.0/{NUMBER}/groups");
    let created = harness.request("POST", &path, Some(TOKEN), Some(body)).await;
    let bodies = harness.webhook.bodies(1).await;
    let change = &bodies[0]["entry"][0]["changes"][0];
    assert_eq!(change["field"], "group_lifecycle_update");
    let group = &change["value"]["groups"][0];
    assert_eq!(group["request_id"], created.body["request_id"]);
    let id = group["group_id"].as_str().unwrap();
    let sent = harness
        .send(json!({"recipient_type": "group", "to": id, "type": "text", "text": {"body": "hi"}}))
        .await;
    assert_eq!(sent.body["messages"][0]["group_id"], id);
    let link = harness.request("GET", &format!("/v25.0/{id}/invite_link"), Some(TOKEN), None).await;
    assert_eq!(link.body["invite_link"], group["invite_link"]);
}

#[tokio::test]
async fn people_join_through_the_link_ask_and_are_put_out() {
    let harness = Harness::start().await;
    let body =
        json!({"messaging_product": "whatsapp", "subject": "A", "join_approval_mode": "approval_required"});
    harness.request("POST", &format!("/v25.0/{NUMBER}/groups"), Some(TOKEN), Some(body)).await;
    let group = |bodies: &[serde_json::Value]| {
        bodies.last().unwrap()["entry"][0]["changes"][0]["value"]["groups"][0].clone()
    };
    let id = group(&harness.webhook.bodies(1).await)["group_id"].as_str().unwrap().to_owned();
    let act = |action: &str| {
        let body = json!({"group_id": id, "from": PERSON, "action": action});
        harness.control("/whatsapp/groups", body)
    };
    assert_eq!(act("join").await.status, 200);
    let asked = group(&harness.webhook.bodies(2).await);
    assert_eq!((&asked["type"], &asked["wa_id"]), (&json!("group_join_request_created"), &json!(PERSON)));
    let requests = format!("/v25.0/{id}/join_requests");
    let listed = harness.request("GET", &requests, Some(TOKEN), None).await;
    assert_eq!(listed.body["data"][0]["join_request_id"], asked["join_request_id"]);
    let approve =
        json!({"messaging_product": "whatsapp", "join_requests": [asked["join_request_id"], "404"]});
    let approved = harness.request("POST", &requests, Some(TOKEN), Some(approve)).await;
    assert_eq!(approved.body["approved_join_requests"], json!([asked["join_request_id"]]));
    assert_eq!(approved.body["failed_join_requests"][0]["errors"][0]["code"], 131_213);
    assert_eq!(group(&harness.webhook.bodies(3).await)["added_participants"][0]["wa_id"], PERSON);
    let info = harness.request("GET", &format!("/v25.0/{id}?fields=participants"), Some(TOKEN), None).await;
    assert_eq!(info.body["participants"][0]["wa_id"], PERSON);

    let remove =
        json!({"messaging_product": "whatsapp", "participants": [{"user": PERSON}, {"user": "404"}]});
    harness.request("DELETE", &format!("/v25.0/{id}/participants"), Some(TOKEN), Some(remove)).await;
    let removed = group(&harness.webhook.bodies(4).await);
    assert_eq!(removed["removed_participants"][0]["wa_id"], PERSON);
    assert_eq!(removed["failed_participants"][0]["errors"][0]["code"], 131_212);
    assert_eq!(act("join").await.status, 422, "who was removed cannot come back");
    assert_eq!(act("suspend").await.status, 200);
    let refused = harness.request("DELETE", &format!("/v25.0/{id}"), Some(TOKEN), None).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &json!(131_207)));
}

#[tokio::test]
async fn a_group_can_fail_after_it_was_asked_for() {
    let harness = Harness::start().await;
    harness.control("/faults", json!({"kind": "fail_status", "method": "groups", "code": 131_211})).await;
    let body = json!({"messaging_product": "whatsapp", "subject": "A"});
    let asked = harness.request("POST", &format!("/v25.0/{NUMBER}/groups"), Some(TOKEN), Some(body)).await;
    let bodies = harness.webhook.bodies(1).await;
    let change = &bodies[0]["entry"][0]["changes"][0]["value"]["groups"][0];
    assert_eq!(change["request_id"], asked.body["request_id"]);
    assert_eq!((&change["group_id"], &change["errors"][0]["code"]), (&json!(null), &json!(131_211)));
}
