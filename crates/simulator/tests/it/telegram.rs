use serde_json::json;

use crate::harness::{BOT, Harness};

#[tokio::test]
async fn calls_are_case_insensitive_and_tokens_checked() {
    let harness = Harness::start().await;
    let me = harness.request("GET", &format!("/bot{BOT}/GETME"), None, None).await;
    assert_eq!((&me.body["ok"], &me.body["result"]["id"]), (&json!(true), &json!(123_456)));
    let test = harness.request("GET", &format!("/bot{BOT}/test/getMe"), None, None).await;
    assert_eq!(test.body["result"]["username"], "acme_bot");
    let wrong = harness.request("GET", "/bot1:x/getMe", None, None).await;
    assert_eq!(wrong.body, json!({"ok": false, "error_code": 401, "description": "Unauthorized"}));
    let unknown = harness.bot("sendDance", json!({})).await;
    assert_eq!((unknown.status, &unknown.body["description"]), (404, &json!("Not Found: method not found")));
}

#[tokio::test]
async fn refusals_have_telegrams_words() {
    let harness = Harness::start().await;
    let long_data = json!({"inline_keyboard": [[{"text": "a", "callback_data": "x".repeat(65)}]]});
    for (method, body, description) in [
        ("sendMessage", json!({"text": "a"}), "Bad Request: chat_id is empty"),
        ("sendMessage", json!({"chat_id": 7}), "Bad Request: message text is empty"),
        ("sendMessage", json!({"chat_id": 7, "text": "a".repeat(4097)}), "Bad Request: message is too long"),
        ("sendMessage", json!({"chat_id": "x", "text": "a"}), "Bad Request: chat not found"),
        (
            "sendMessage",
            json!({"chat_id": 7, "text": "a", "reply_markup": long_data}),
            "Bad Request: BUTTON_DATA_INVALID",
        ),
        (
            "sendMessage",
            json!({"chat_id": 7, "text": "a", "reply_parameters": {"message_id": 99}}),
            "Bad Request: message to be replied not found",
        ),
        (
            "sendPhoto",
            json!({"chat_id": 7, "photo": "nope"}),
            "Bad Request: wrong file identifier/HTTP URL specified",
        ),
        (
            "answerCallbackQuery",
            json!({"callback_query_id": "1"}),
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        ),
        (
            "setWebhook",
            json!({"url": "http://example.com/x"}),
            "Bad Request: bad webhook: An HTTPS URL must be provided for webhook",
        ),
        (
            "setWebhook",
            json!({"url": "https://example.com:9000/x"}),
            "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
        ),
        (
            "setWebhook",
            json!({"url": "https://example.com/x", "secret_token": "no spaces"}),
            "Bad Request: secret token contains unallowed characters",
        ),
    ] {
        let answer = harness.bot(method, body).await;
        assert_eq!((answer.status, answer.body["description"].as_str()), (400, Some(description)));
    }
}

#[tokio::test]
async fn messages_are_edited_reacted_to_and_deleted() {
    let harness = Harness::start().await;
    let sent =
        harness.bot("sendMessage", json!({"chat_id": 7, "text": "<b>a</b>", "parse_mode": "HTML"})).await;
    assert_eq!(sent.body["result"]["text"], "a");
    assert_eq!(sent.body["result"]["entities"][0]["type"], "bold");
    let id = sent.body["result"]["message_id"].as_i64().unwrap();
    let edit = json!({"chat_id": 7, "message_id": id, "text": "b"});
    assert_eq!(harness.bot("editMessageText", edit.clone()).await.body["result"]["text"], "b");
    let again = harness.bot("editMessageText", edit).await;
    assert!(again.body["description"].as_str().unwrap().starts_with("Bad Request: message is not modified"));
    let react = |emoji: &str| json!({"chat_id": 7, "message_id": id, "reaction": [{"type": "emoji", "emoji": emoji}]});
    assert_eq!(harness.bot("setMessageReaction", react("👍")).await.status, 200);
    assert_eq!(harness.bot("setMessageReaction", react("🦖")).await.status, 400);
    assert_eq!(harness.bot("deleteMessage", json!({"chat_id": 7, "message_id": id})).await.status, 200);
    assert_eq!(harness.bot("deleteMessage", json!({"chat_id": 7, "message_id": id})).await.status, 400);
    assert_eq!(harness.simulator.sent()[0].status, "deleted");
}

#[tokio::test]
async fn updates_go_to_the_webhook_or_to_get_updates() {
    let harness = Harness::start().await;
    let queued = harness.control("/telegram/inbound", json!({"chat_id": 7, "text": "hi"})).await;
    assert_eq!(queued.body["queued"], true);
    let updates = harness.bot("getUpdates", json!({})).await;
    let update = &updates.body["result"][0];
    assert_eq!(
        update["message"]["chat"],
        json!({"id": 7, "type": "private", "first_name": "Simulated person"})
    );
    let next = update["update_id"].as_i64().unwrap() + 1;
    assert_eq!(harness.bot("getUpdates", json!({"offset": next})).await.body["result"], json!([]));

    let url = harness.simulator.config().webhook_whatsapp.unwrap();
    let set = harness.bot("setWebhook", json!({"url": url, "secret_token": "s3cret"})).await;
    assert_eq!(set.body["description"], "Webhook was set");
    assert_eq!(harness.bot("getUpdates", json!({})).await.status, 409);
    harness.webhook.refusals.lock().unwrap().push(500);
    let pushed = harness
        .control(
            "/telegram/inbound",
            json!({"token": BOT, "chat_id": -100_200_300_400_500_i64, "from": {"id": 9, "first_name": "Sari"},
                "message": {"photo": []}}),
        )
        .await;
    assert_eq!(pushed.body["webhook_status"], 500);
    let bodies = harness.webhook.bodies(2).await;
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0]["update_id"], next);
    assert_eq!(bodies[0]["message"]["from"]["first_name"], "Sari");
    let headers = &harness.webhook.calls()[0].0;
    assert_eq!(headers["x-telegram-bot-api-secret-token"], "s3cret");
    let info = harness.bot("getWebhookInfo", json!({})).await;
    assert_eq!(info.body["result"]["last_error_message"], "Wrong response from the webhook: 500");
    let unwanted = json!({"update": {"message_reaction": {}}});
    assert_eq!(harness.control("/telegram/inbound", unwanted).await.body["dropped"], true);
    assert_eq!(harness.bot("deleteWebhook", json!({})).await.body["description"], "Webhook was deleted");
}

#[tokio::test]
async fn files_are_uploaded_described_and_downloaded() {
    let harness = Harness::start().await;
    let part =
        reqwest::multipart::Part::bytes(b"%PDF-".to_vec()).file_name("a.pdf").mime_str("application/pdf");
    let form = reqwest::multipart::Form::new().text("chat_id", "7").part("document", part.unwrap());
    let url = format!("{}/bot{BOT}/sendDocument", harness.base);
    let sent: serde_json::Value =
        harness.client.post(url).multipart(form).send().await.unwrap().json().await.unwrap();
    let document = &sent["result"]["document"];
    assert_eq!((&document["file_name"], &document["file_size"]), (&json!("a.pdf"), &json!(5)));
    let file = harness.bot("getFile", json!({"file_id": document["file_id"]})).await;
    let path = file.body["result"]["file_path"].as_str().unwrap();
    let file = harness.client.get(format!("{}/file/bot{BOT}/{path}", harness.base)).send().await.unwrap();
    assert_eq!(file.bytes().await.unwrap().as_ref(), b"%PDF-");
    let album = json!({"chat_id": 7, "media": [
        {"type": "photo", "media": "https://a.b/1.jpg", "caption": "both"},
        {"type": "photo", "media": "https://a.b/2.jpg"}]});
    let album = harness.bot("sendMediaGroup", album).await;
    let messages = album.body["result"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["media_group_id"], messages[1]["media_group_id"]);
}

#[tokio::test]
async fn a_bot_manages_its_groups() {
    let harness = Harness::start().await;
    let url = harness.simulator.config().webhook_whatsapp.unwrap();
    harness.bot("setWebhook", json!({"url": url, "allowed_updates": ["message", "chat_member"]})).await;
    let chat = -1_002_000_000_001_i64;
    let sari = json!({"id": 9, "first_name": "Sari"});
    let said = json!({"chat_id": chat, "from": sari, "text": "hi"});
    harness.control("/telegram/inbound", said).await;
    let link = harness.bot("createChatInviteLink", json!({"chat_id": chat, "member_limit": 2})).await;
    assert!(link.body["result"]["invite_link"].as_str().unwrap().starts_with("https://t.me/+"));
    let primary = harness.bot("exportChatInviteLink", json!({"chat_id": chat})).await;
    let info = harness.bot("getChat", json!({"chat_id": chat})).await;
    assert_eq!(info.body["result"]["invite_link"], primary.body["result"]);
    let stranger = json!({"chat_id": chat, "user_id": 10, "can_invite_users": true});
    let refused = harness.bot("promoteChatMember", stranger).await;
    assert_eq!(refused.body["description"], "Bad Request: USER_NOT_PARTICIPANT");
    let promote = json!({"chat_id": chat, "user_id": 9, "can_invite_users": true});
    assert_eq!(harness.bot("promoteChatMember", promote).await.status, 200);
    let admins = harness.bot("getChatAdministrators", json!({"chat_id": chat})).await;
    assert_eq!(admins.body["result"][0]["user"]["id"], 9);
    assert_eq!(harness.bot("getChatMemberCount", json!({"chat_id": chat})).await.body["result"], 2);
    assert_eq!(harness.bot("banChatMember", json!({"chat_id": chat, "user_id": 9})).await.status, 200);
    let bodies = harness.webhook.bodies(3).await;
    let told =
        |status: &str| bodies.iter().any(|body| body["chat_member"]["new_chat_member"]["status"] == status);
    assert!(told("administrator") && told("kicked"), "{bodies:?}");
    let demoted = json!({"update": {"my_chat_member": {"chat": {"id": chat, "type": "supergroup"},
        "new_chat_member": {"status": "member", "user": {"id": 123_456}}}}});
    harness.control("/telegram/inbound", demoted).await;
    let refused = harness.bot("setChatTitle", json!({"chat_id": chat, "title": "B"})).await;
    assert_eq!(refused.body["description"], "Bad Request: not enough rights to change chat title");
}
