use std::time::Duration;

use serde_json::json;

use crate::harness::{Harness, PERSON};

#[tokio::test]
async fn consumed_in_order() {
    let harness = Harness::start().await;
    harness
        .control(
            "/faults",
            json!([
                {"kind": "throttle"},
                {"kind": "error", "code": 131_026},
                {"kind": "server_error", "http_status": 503},
                {"kind": "error", "code": 131_042, "to": "+999"},
            ]),
        )
        .await;
    let throttled = harness.send_text("1").await;
    assert_eq!((throttled.status, throttled.code()), (400, 130_429));
    assert_eq!(harness.send_text("2").await.code(), 131_026);
    assert_eq!(harness.send_text("3").await.status, 503);
    assert_eq!(harness.send_text("4").await.status, 200);
    assert_eq!(harness.simulator.sent().len(), 1);
    let received = harness.simulator.received();
    let answered: Vec<_> = received.iter().map(|received| received.answered).collect();
    assert_eq!(answered, [Some(400), Some(400), Some(503), Some(200)]);
    assert_eq!(harness.simulator.faults().len(), 1);
    harness.request("DELETE", "/_sim/faults", None, None).await;
    assert!(harness.simulator.faults().is_empty());
}

#[tokio::test]
async fn a_dropped_answer_was_sent_all_the_same() {
    let harness = Harness::start().await;
    harness.control("/faults", json!({"kind": "drop_answer"})).await;
    let url = format!("{}/v25.0/{}/messages", harness.base, crate::harness::NUMBER);
    let body = json!({"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "a"},
        "biz_opaque_callback_data": "attempt-1"});
    let outcome = harness.client.post(url).bearer_auth(crate::harness::TOKEN).json(&body).send().await;
    assert!(outcome.is_err(), "the connection closes without an answer");
    assert_eq!(harness.simulator.sent().len(), 1);
    assert_eq!(harness.simulator.received().len(), 1);
    assert_eq!(harness.simulator.received()[0].answered, None);
    let bodies = harness.webhook.bodies(3).await;
    let status = &bodies[0]["entry"][0]["changes"][0]["value"]["statuses"][0];
    assert_eq!(status["biz_opaque_callback_data"], "attempt-1");
    assert_eq!(status["id"], harness.simulator.sent()[0].id);
}

#[tokio::test]
async fn a_timeout_is_not_sent() {
    let harness = Harness::start().await;
    harness.control("/faults", json!({"kind": "timeout", "delay_ms": 5000})).await;
    let send = tokio::time::timeout(Duration::from_millis(100), harness.send_text("a")).await;
    assert!(send.is_err());
    assert!(harness.simulator.sent().is_empty());
    assert_eq!(harness.simulator.received().len(), 1);
}

#[tokio::test]
async fn statuses_fail_double_and_turn_around() {
    let harness = Harness::start().await;
    harness
        .control(
            "/faults",
            json!([{"kind": "fail_status", "code": 131_049}, {"kind": "duplicate_status"}, {"kind": "reorder_statuses"}]),
        )
        .await;
    harness.send_text("1").await;
    let bodies = harness.webhook.bodies(1).await;
    let status = &bodies[0]["entry"][0]["changes"][0]["value"]["statuses"][0];
    assert_eq!(status["status"], "failed");
    assert_eq!(status["errors"][0]["code"], 131_049);
    assert!(status["errors"][0]["error_data"]["details"].is_string());
    harness.send_text("2").await;
    let statuses = harness.webhook.statuses(7).await;
    assert_eq!(statuses[1..], ["sent", "sent", "delivered", "delivered", "read", "read"]);
    harness.send_text("3").await;
    assert_eq!(harness.webhook.statuses(10).await[7..], ["read", "delivered", "sent"]);
}

#[tokio::test]
async fn telegram_faults_speak_telegram() {
    let harness = Harness::start().await;
    harness
        .control(
            "/faults",
            json!([
                {"provider": "telegram", "kind": "throttle", "retry_after": 7},
                {"provider": "telegram", "kind": "error", "code": 403},
                {"provider": "telegram", "kind": "error", "code": 400, "migrate_to_chat_id": -1001,
                    "description": "Bad Request: group chat was upgraded to a supergroup chat"},
            ]),
        )
        .await;
    let message = json!({"chat_id": 7, "text": "hi"});
    let throttled = harness.bot("sendMessage", message.clone()).await;
    assert_eq!(throttled.status, 429);
    assert_eq!(throttled.headers["retry-after"], "7");
    assert_eq!(
        throttled.body,
        json!({"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 7",
            "parameters": {"retry_after": 7}})
    );
    let blocked = harness.bot("sendMessage", message.clone()).await;
    assert_eq!(blocked.body["description"], "Forbidden: bot was blocked by the user");
    let migrated = harness.bot("sendMessage", message.clone()).await;
    assert_eq!(migrated.body["parameters"]["migrate_to_chat_id"], -1001);
    assert_eq!(harness.bot("sendMessage", message).await.status, 200);
}

#[tokio::test]
async fn limits_hold_when_switched_on() {
    let harness = Harness::with(|config| config.auto_statuses = false).await;
    harness.control("/config", json!({"pair_burst": 2, "chat_burst": 1})).await;
    assert_eq!(harness.send_text("1").await.status, 200);
    assert_eq!(harness.send_text("2").await.status, 200);
    assert_eq!(harness.send_text("3").await.code(), 131_056);
    let message = json!({"chat_id": 7, "text": "hi"});
    assert_eq!(harness.bot("sendMessage", message.clone()).await.status, 200);
    let flood = harness.bot("sendMessage", message).await;
    assert_eq!((flood.status, &flood.body["parameters"]["retry_after"]), (429, &json!(1)));
    harness.control("/config", json!({"pair_burst": 0, "messages_per_second": 1})).await;
    assert_eq!(harness.send_text("4").await.status, 200);
    assert_eq!(harness.send_text("5").await.code(), 130_429);
}
