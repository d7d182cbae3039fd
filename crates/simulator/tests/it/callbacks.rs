use serde_json::{Value, json};

use crate::harness::{Harness, NUMBER, PERSON, TOKEN, VERIFY_TOKEN, WABA};

#[tokio::test]
async fn statuses_come_back_in_metas_shape() {
    let harness = Harness::start().await;
    let answer =
        harness.send(json!({"type": "text", "text": {"body": "a"}, "biz_opaque_callback_data": "m-1"})).await;
    let wamid = &answer.body["messages"][0]["id"];
    let bodies = harness.webhook.bodies(3).await;
    for (body, expected) in bodies.iter().zip(["sent", "delivered", "read"]) {
        assert_eq!(body["object"], "whatsapp_business_account");
        assert_eq!(body["entry"][0]["id"], WABA);
        let change = &body["entry"][0]["changes"][0];
        assert_eq!(change["field"], "messages");
        assert_eq!(
            change["value"]["metadata"],
            json!({"display_phone_number": "6281111111111", "phone_number_id": NUMBER})
        );
        let status = &change["value"]["statuses"][0];
        assert_eq!((&status["id"], &status["status"]), (wamid, &json!(expected)));
        assert_eq!(status["recipient_id"], PERSON);
        assert_eq!(change["value"]["contacts"][0]["wa_id"], PERSON);
        assert_eq!(change["value"]["contacts"][0]["user_id"], status["recipient_user_id"]);
        assert_eq!(status["biz_opaque_callback_data"], "m-1");
        assert!(status["timestamp"].as_str().unwrap().parse::<u64>().is_ok());
        assert!(status.get("conversation").is_none());
        assert_eq!(status.get("pricing").is_some(), expected != "read");
    }
    assert_eq!(harness.simulator.sent()[0].status, "read");
}

#[tokio::test]
async fn refused_callbacks_are_tried_again() {
    let harness = Harness::with(|config| config.auto_statuses = false).await;
    harness.webhook.refusals.lock().unwrap().extend([500, 204]);
    let answer = harness.control("/whatsapp/inbound", json!({"from": PERSON, "text": "hi"})).await;
    assert_eq!(answer.body["webhook_status"], 204);
    let bodies = harness.webhook.bodies(3).await;
    assert_eq!(bodies[0], bodies[2]);
    assert_eq!(bodies[2]["entry"][0]["changes"][0]["value"]["messages"][0]["id"], answer.body["wamid"]);
}

#[tokio::test]
async fn statuses_share_a_body_when_allowed() {
    let harness = Harness::with(|config| {
        config.status_batch = 100;
        config.status_delays_ms = [100, 100, 100];
    })
    .await;
    for at in 0..5 {
        assert_eq!(harness.send_text(&format!("{at}")).await.status, 200);
    }
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let calls = harness.webhook.calls();
    assert!(calls.len() < 15, "{} calls", calls.len());
    let statuses: usize = calls
        .iter()
        .map(|(_, body)| {
            let body: Value = serde_json::from_slice(body).unwrap();
            body["entry"][0]["changes"][0]["value"]["statuses"].as_array().unwrap().len()
        })
        .sum();
    assert_eq!(statuses, 15);
}

#[tokio::test]
async fn inbound_messages_have_metas_envelope() {
    let harness = Harness::start().await;
    harness
        .control(
            "/whatsapp/inbound",
            json!({"phone_number_id": NUMBER, "from": PERSON, "name": "Sari", "text": "مرحبا / hi"}),
        )
        .await;
    let location = json!({"from": PERSON, "message": {"location": {"latitude": -6.2, "longitude": 106.8}}});
    harness.control("/whatsapp/inbound", location).await;
    let bodies = harness.webhook.bodies(2).await;
    let value = &bodies[0]["entry"][0]["changes"][0]["value"];
    let user = value["messages"][0]["from_user_id"].as_str().unwrap();
    assert!(user.starts_with("ID."), "{user}");
    assert_eq!(value["contacts"], json!([{"profile": {"name": "Sari"}, "wa_id": PERSON, "user_id": user}]));
    assert_eq!(value["messages"][0]["text"]["body"], "مرحبا / hi");
    assert_eq!(value["messages"][0]["type"], "text");
    assert!(value["messages"][0]["timestamp"].is_string());
    let raw = String::from_utf8(harness.webhook.calls()[0].1.to_vec()).unwrap();
    assert!(raw.is_ascii() && raw.contains(r"\u0645") && raw.contains(r" \/ "), "{raw}");
    assert_eq!(bodies[1]["entry"][0]["changes"][0]["value"]["messages"][0]["type"], "location");
    let hidden = json!({"user_id": "ID.5", "name": "Budi", "text": "hi"});
    harness.control("/whatsapp/inbound", hidden).await;
    let value = &harness.webhook.bodies(3).await[2]["entry"][0]["changes"][0]["value"];
    assert_eq!(value["contacts"], json!([{"profile": {"name": "Budi"}, "user_id": "ID.5"}]));
    assert!(value["messages"][0].get("from").is_none());
}

#[tokio::test]
async fn a_body_of_ones_own_goes_out_as_it_is() {
    let harness = Harness::start().await;
    let exact = r#"{"b":1,  "a":"\u0645"}"#;
    assert_eq!(
        harness.control("/whatsapp/webhook", json!({"body": exact})).await.body["webhook_status"],
        200
    );
    harness.control("/whatsapp/webhook", json!({"body": {}, "signature": ""})).await;
    harness.webhook.bodies(2).await;
    let calls = harness.webhook.calls();
    assert_eq!(calls[0].1, exact);
    assert!(calls[0].0.contains_key("x-hub-signature-256"));
    assert!(!calls[1].0.contains_key("x-hub-signature-256"));
}

#[tokio::test]
async fn statuses_and_templates_by_hand() {
    let harness = Harness::with(|config| config.auto_statuses = false).await;
    let wamid = harness.send_text("a").await.body["messages"][0]["id"].clone();
    let status =
        harness.control("/status", json!({"wamid": wamid, "status": "failed", "code": 131_047})).await;
    assert_eq!(status.body["webhook_status"], 200);
    assert_eq!(harness.control("/status", json!({"wamid": "x", "status": "sent"})).await.status, 422);
    let paused = json!({"waba_id": WABA, "name": "hello_world", "language": "en_US", "status": "PAUSED"});
    assert_eq!(harness.control("/templates", paused).await.body["webhook_status"], 200);
    let send =
        json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    assert_eq!(harness.send(send).await.code(), 132_015);
    let bodies = harness.webhook.bodies(2).await;
    assert_eq!(bodies[1]["entry"][0]["changes"][0]["field"], "message_template_status_update");
}

/// `SIMULATOR_SENDS=20000 cargo test --release …` measures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_send_under_load_gets_its_three_statuses_in_order() {
    let sends: usize = std::env::var("SIMULATOR_SENDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let harness = std::sync::Arc::new(Harness::start().await);
    let started = std::time::Instant::now();
    let senders: Vec<_> = (0..20)
        .map(|sender| {
            let harness = std::sync::Arc::clone(&harness);
            tokio::spawn(async move {
                for at in (sender..sends).step_by(20) {
                    let to = format!("62812{at:07}");
                    let answer = harness.send(json!({"to": to, "type": "text", "text": {"body": "a"}})).await;
                    assert_eq!(answer.status, 200);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let sent = started.elapsed();
    while harness.webhook.count() < 3 * sends {
        assert!(started.elapsed().as_secs() < 120, "{} calls", harness.webhook.count());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("{sends} sends in {sent:?}, their statuses after {:?}", started.elapsed());
    let mut seen = std::collections::HashMap::<String, Vec<String>>::new();
    for (_, body) in harness.webhook.calls() {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let status = &body["entry"][0]["changes"][0]["value"]["statuses"][0];
        let text = |key: &str| status[key].as_str().unwrap().to_owned();
        seen.entry(text("id")).or_default().push(text("status"));
    }
    assert_eq!(seen.len(), sends);
    assert!(seen.values().all(|statuses| *statuses == ["sent", "delivered", "read"]));
}

#[tokio::test]
async fn a_webhook_proves_itself_before_it_is_used() {
    let harness = Harness::start().await;
    assert_eq!(harness.control("/whatsapp/verify", json!({})).await.status, 200);
    harness.control("/config", json!({"verify_token": "other"})).await;
    let refused = harness.control("/whatsapp/verify", json!({})).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body["error"].as_str().unwrap().starts_with("(#2200) Callback verification failed"));

    let own = crate::harness::Webhook::default();
    let url = own.start().await;
    let apps = format!("/v25.0/{WABA}/subscribed_apps");
    let wrong = json!({"override_callback_uri": url, "verify_token": "other"});
    assert_eq!(harness.request("POST", &apps, Some(TOKEN), Some(wrong)).await.code(), 2200);
    let right = json!({"override_callback_uri": url, "verify_token": VERIFY_TOKEN});
    assert_eq!(harness.request("POST", &apps, Some(TOKEN), Some(right)).await.status, 200);
    harness.control("/whatsapp/inbound", json!({"from": PERSON, "text": "hi"})).await;
    assert_eq!(own.bodies(1).await.len(), 1);
    assert_eq!(harness.webhook.count(), 0);
}
