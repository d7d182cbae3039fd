//! `/demo`: a phone in the browser, for whoever tries Kabar without an account anywhere.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use http::header;

/// What the page knows of the sample data.
#[derive(Clone, Debug)]
pub struct DemoPhone {
    /// The number the phone writes to.
    pub phone_number_id: String,
    /// Digits of the phone's own number.
    pub wa_id: String,
    pub name: String,
    pub bot_token: String,
    pub whatsapp_channel: String,
    pub telegram_channel: String,
}

/// Where the simulated providers are mounted.
const DEMO_PROVIDER: &str = "/demo/provider";

/// Adds the phone, and the simulated providers it and the server talk to.
pub fn with_demo(router: Router, provider: Router, phone: &DemoPhone) -> Router {
    let facts = serde_json::json!({
        "provider": DEMO_PROVIDER,
        "phone_number_id": phone.phone_number_id,
        "wa_id": phone.wa_id,
        "name": phone.name,
        "bot_token": phone.bot_token,
        "whatsapp_channel": phone.whatsapp_channel,
        "telegram_channel": phone.telegram_channel,
    });
    // Inside a script element a `<` could end it.
    let facts = facts.to_string().replace('<', "\\u003c");
    let page = include_str!("demo.html").replace("{{facts}}", &facts);
    let policy =
        "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:";
    let answer = move || async move { ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)) };
    Router::new().route("/demo", get(answer)).nest(DEMO_PROVIDER, provider).merge(router)
}
