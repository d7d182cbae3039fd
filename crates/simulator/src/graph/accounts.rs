//! Numbers, subscriptions and tokens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::paging::page;
use super::{Answer, Caller, GraphError, media, pick, signup, success};
use crate::config::Number;
use crate::params::Params;
use crate::state::Inner;

/// The one app there is.
pub const APP_ID: &str = "100000000000001";

/// What the app hears of unless it says otherwise.
const APP_FIELDS: [&str; 4] = ["messages", "message_template_status_update", "account_update", "history"];

fn describe(inner: &Inner, number: &Number) -> Value {
    let own = inner.graph().overrides.get(&number.phone_number_id).map(ToString::to_string);
    let waba = inner.graph().overrides.get(&number.waba_id).map(ToString::to_string);
    let app = inner.config().webhook_whatsapp.as_ref().map(ToString::to_string);
    let graph = inner.graph();
    let (registered, on_biz_app) = (
        graph.signups.is_registered(&number.phone_number_id),
        graph.signups.is_on_biz_app(&number.phone_number_id),
    );
    let verified = graph.signups.is_verified(&number.phone_number_id);
    drop(graph);
    let mut webhook = serde_json::Map::new();
    for (key, url) in [("phone_number", own), ("whatsapp_business_account", waba), ("application", app)] {
        if let Some(url) = url {
            webhook.insert(key.into(), json!(url));
        }
    }
    json!({
        "id": number.phone_number_id,
        "display_phone_number": number.display_phone_number,
        "verified_name": number.verified_name,
        "quality_rating": "GREEN",
        "code_verification_status": if verified { "VERIFIED" } else { "NOT_VERIFIED" },
        "platform_type": if registered { "CLOUD_API" } else { "NOT_APPLICABLE" },
        "status": if registered { "CONNECTED" } else { "PENDING" },
        "name_status": "APPROVED",
        "account_mode": "LIVE",
        "is_official_business_account": false,
        "is_on_biz_app": on_biz_app,
        "is_pin_enabled": true,
        "messaging_limit_tier": "TIER_100K",
        "whatsapp_business_manager_messaging_limit": "TIER_100K",
        "throughput": {"level": "STANDARD"},
        "webhook_configuration": webhook,
        "health_status": {"can_send_message": "AVAILABLE", "entities": [
            {"entity_type": "PHONE_NUMBER", "id": number.phone_number_id, "can_send_message": "AVAILABLE"},
            {"entity_type": "WABA", "id": number.waba_id, "can_send_message": "AVAILABLE"},
        ]},
    })
}

/// Without `fields`, the answer is short, as Meta's is.
const DEFAULT_FIELDS: &str =
    "verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,throughput";

fn fields(params: &Params) -> Option<String> {
    params.text("fields").or_else(|| Some(DEFAULT_FIELDS.to_owned()))
}

pub(super) fn number(inner: &Inner, number: &Number, params: &Params) -> Value {
    pick(describe(inner, number), fields(params))
}

pub(super) fn numbers(inner: &Inner, caller: &Caller, waba_id: &str, params: &Params) -> Value {
    let items = caller
        .numbers
        .iter()
        .filter(|number| number.waba_id == waba_id)
        .map(|number| pick(describe(inner, number), fields(params)))
        .collect();
    let url = format!("{}/v25.0/{waba_id}/phone_numbers", media::base(inner, caller.host.as_deref()));
    page(items, params, &url)
}

/// `POST /{phone_number_id}`: a webhook of its own, or a two-step PIN.
pub(super) async fn update_number(inner: &Arc<Inner>, number: &Number, params: &Params) -> Answer {
    if params.has("pin") {
        return signup::set_pin(inner, number, params);
    }
    let Some(Ok(configuration)) = params.json("webhook_configuration") else { return Ok(success()) };
    let uri = configuration["override_callback_uri"].as_str().unwrap_or_default();
    let token = configuration["verify_token"].as_str().unwrap_or_default();
    set_override(inner, &number.phone_number_id, uri, token).await
}

async fn set_override(inner: &Arc<Inner>, id: &str, uri: &str, verify_token: &str) -> Answer {
    if uri.is_empty() {
        inner.graph().overrides.remove(id);
        return Ok(success());
    }
    if uri.len() > 200 {
        return Err(GraphError::with(100, "override_callback_uri must be at most 200 characters long"));
    }
    let url = callback_url(uri)?;
    handshake(inner, &url, verify_token).await?;
    inner.graph().overrides.insert(id.to_owned(), url);
    Ok(success())
}

fn callback_url(uri: &str) -> Result<Url, GraphError> {
    Url::parse(uri)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| GraphError::text(100, "(#100) Callback URL is not a valid URL."))
}

/// Meta's proof that the URL wants the webhooks: it must answer 200 and the challenge.
pub(crate) async fn handshake(inner: &Inner, url: &Url, verify_token: &str) -> Result<(), GraphError> {
    let refused = |why: String| {
        GraphError::text(
            2200,
            format!("(#2200) Callback verification failed with the following errors: {why}"),
        )
    };
    let challenge = inner.ids.object();
    let mut url = url.clone();
    url.query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", &challenge)
        .append_pair("hub.verify_token", verify_token);
    let client = inner.callbacks.client().ok_or_else(|| refused("no HTTP client".to_owned()))?;
    let answer = client.get(url).timeout(Duration::from_secs(10)).send().await;
    let answer = answer.map_err(|error| refused(error.to_string()))?;
    let status = answer.status().as_u16();
    let body = answer.text().await.map_err(|error| refused(error.to_string()))?;
    if status == 200 && body == challenge {
        return Ok(());
    }
    Err(refused(format!("HTTP Status Code = {status}; HTTP Message = the challenge was not returned")))
}

pub(super) async fn subscribed_apps(
    inner: &Arc<Inner>,
    method: &str,
    waba_id: &str,
    params: &Params,
) -> Answer {
    match method {
        "POST" => {
            let uri = params.text("override_callback_uri").unwrap_or_default();
            let answer =
                set_override(inner, waba_id, &uri, &params.text("verify_token").unwrap_or_default()).await?;
            inner.graph().unsubscribed.remove(waba_id);
            Ok(answer)
        }
        "DELETE" => {
            inner.graph().unsubscribed.insert(waba_id.to_owned());
            Ok(success())
        }
        _ => {
            let graph = inner.graph();
            if graph.unsubscribed.contains(waba_id) {
                return Ok(json!({"data": []}));
            }
            let mut app = json!({"whatsapp_business_api_data": {
                "id": APP_ID, "name": "Simulated app", "link": "https://www.facebook.com/games/?app_id=1",
            }});
            if let Some(url) = graph.overrides.get(waba_id) {
                app["override_callback_uri"] = json!(url);
            }
            Ok(json!({"data": [app]}))
        }
    }
}

/// `/{app_id}/subscriptions`: the app's own callback URL and the fields it hears of.
pub(super) async fn app_subscriptions(inner: &Arc<Inner>, method: &str, params: &Params) -> Answer {
    if method == "GET" {
        let url = inner.config().webhook_whatsapp.as_ref().map(ToString::to_string);
        let fields =
            inner.graph().app_fields.clone().unwrap_or_else(|| APP_FIELDS.map(str::to_owned).to_vec());
        let fields: Vec<_> = fields.iter().map(|name| json!({"name": name, "version": "v24.0"})).collect();
        let subscription = url.map(|url| {
            json!({"object": "whatsapp_business_account", "callback_url": url, "active": true, "fields": fields})
        });
        return Ok(json!({"data": Vec::from_iter(subscription)}));
    }
    if params.text("object").as_deref() != Some("whatsapp_business_account") {
        return Err(GraphError::missing("object"));
    }
    let uri = params.text("callback_url").ok_or_else(|| GraphError::missing("callback_url"))?;
    let url = callback_url(&uri)?;
    handshake(inner, &url, &params.text("verify_token").unwrap_or_default()).await?;
    inner.config_mut().webhook_whatsapp = Some(url);
    if let Some(fields) = params.text("fields") {
        inner.graph().app_fields = Some(fields.split(',').map(|field| field.trim().to_owned()).collect());
    }
    Ok(success())
}

pub(super) fn profile(method: &str, number: &Number) -> Value {
    if method == "POST" {
        return success();
    }
    json!({"data": [{
        "messaging_product": "whatsapp", "about": number.verified_name, "description": "A simulated business",
        "address": "", "email": "", "websites": [], "vertical": "OTHER",
    }]})
}
