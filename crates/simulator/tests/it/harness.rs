//! A running simulator, and a webhook that keeps what it gets.

#![expect(clippy::unwrap_used, reason = "a harness that cannot start fails its test")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use kabar_simulator::{Bot, Config, Number, Simulator, signature};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const SECRET: &str = "test_app_secret";
pub const VERIFY_TOKEN: &str = "verify-me";
pub const NUMBER: &str = "106540352242922";
pub const WABA: &str = "102290129340398";
pub const TOKEN: &str = "EAAsimulated";
pub const BOT: &str = "123456:simulated-secret";
pub const PERSON: &str = "6281234567890";

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Meta's error code.
    pub fn code(&self) -> i64 {
        self.body["error"]["code"].as_i64().unwrap_or_default()
    }
}

pub struct Harness {
    pub simulator: Simulator,
    pub base: String,
    pub client: Client,
    pub webhook: Webhook,
}

#[derive(Clone, Default)]
pub struct Webhook {
    calls: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// Statuses to answer before 200.
    pub refusals: Arc<Mutex<Vec<u16>>>,
}

impl Webhook {
    pub async fn start(&self) -> String {
        async fn receive(State(webhook): State<Webhook>, headers: HeaderMap, body: Bytes) -> StatusCode {
            webhook.calls.lock().unwrap().push((headers, body));
            let refusal = webhook.refusals.lock().unwrap().pop();
            refusal.map_or(StatusCode::OK, |status| StatusCode::from_u16(status).unwrap())
        }
        async fn verify(Query(query): Query<HashMap<String, String>>) -> (StatusCode, String) {
            if query["hub.mode"] == "subscribe" && query["hub.verify_token"] == VERIFY_TOKEN {
                (StatusCode::OK, query["hub.challenge"].clone())
            } else {
                (StatusCode::FORBIDDEN, String::new())
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive).get(verify)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub fn calls(&self) -> Vec<(HeaderMap, Bytes)> {
        self.calls.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Waits until `count` calls arrived; what they carried, signatures checked.
    pub async fn bodies(&self, count: usize) -> Vec<Value> {
        for _ in 0..200 {
            if self.count() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let calls = self.calls();
        assert_eq!(calls.len(), count, "webhook calls");
        calls
            .iter()
            .map(|(headers, body)| {
                if let Some(header) = headers.get("x-hub-signature-256") {
                    assert_eq!(header.to_str().unwrap(), signature(SECRET, body));
                }
                serde_json::from_slice(body).unwrap()
            })
            .collect()
    }

    /// The `status` of each status called back, in order of arrival.
    pub async fn statuses(&self, count: usize) -> Vec<String> {
        let bodies = self.bodies(count).await;
        let statuses = bodies.iter().flat_map(|body| {
            body["entry"][0]["changes"][0]["value"]["statuses"].as_array().cloned().unwrap_or_default()
        });
        statuses.map(|status| status["status"].as_str().unwrap().to_owned()).collect()
    }
}

impl Harness {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let webhook = Webhook::default();
        let url = webhook.start().await;
        let mut config = Config {
            webhook_whatsapp: Some(url.parse().unwrap()),
            app_secret: SECRET.to_owned(),
            verify_token: Some(VERIFY_TOKEN.to_owned()),
            status_delays_ms: [5, 25, 45],
            retry_delays_ms: vec![0, 20, 40],
            numbers: vec![Number {
                phone_number_id: NUMBER.to_owned(),
                waba_id: WABA.to_owned(),
                display_phone_number: "+62 811-1111-1111".to_owned(),
                verified_name: "Acme".to_owned(),
                access_token: TOKEN.to_owned(),
            }],
            bots: vec![Bot {
                token: BOT.to_owned(),
                username: "acme_bot".to_owned(),
                first_name: "Acme".to_owned(),
            }],
            ..Config::default()
        };
        change(&mut config);
        let (simulator, address, _server) =
            Simulator::start(config, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { simulator, base: format!("http://{address}"), client, webhook }
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
        Answer { status, headers, body }
    }

    /// Sends a WhatsApp message; `fields` are added to the common ones.
    pub async fn send(&self, fields: Value) -> Answer {
        let mut body = json!({"messaging_product": "whatsapp", "to": format!("+{PERSON}")});
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.request("POST", &format!("/v25.0/{NUMBER}/messages"), Some(TOKEN), Some(body)).await
    }

    pub async fn send_text(&self, text: &str) -> Answer {
        self.send(json!({"type": "text", "text": {"body": text}})).await
    }

    pub async fn bot(&self, method: &str, body: Value) -> Answer {
        self.request("POST", &format!("/bot{BOT}/{method}"), None, Some(body)).await
    }

    pub async fn control(&self, path: &str, body: Value) -> Answer {
        self.request("POST", &format!("/_sim{path}"), None, Some(body)).await
    }
}
