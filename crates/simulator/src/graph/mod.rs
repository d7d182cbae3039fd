//! Meta's Graph API: what a WhatsApp business account can ask of it.

mod accounts;
mod error;
mod groups;
mod interactive;
mod media;
mod messages;
mod paging;
mod signup;
mod templates;
mod uploads;
mod validate;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use url::Url;

pub use accounts::APP_ID;
pub(crate) use accounts::handshake;
pub(crate) use error::GraphError;
pub(crate) use groups::{act as act_in_group, id_of as group_id};
pub(crate) use media::MediaFile;
pub use signup::{NumberState, TokenState};

use crate::config::Number;
use crate::faults::Fault;
use crate::params::Params;
use crate::state::Inner;
use crate::statuses::Message;

/// A request's place in the API: the object, the edge below it, and the name the request log uses.
pub(crate) struct Call {
    pub http_method: Method,
    pub id: String,
    pub edge: String,
    pub name: String,
}

impl Call {
    pub(crate) fn parse(http_method: &Method, path: &str, params: &Params) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty()).peekable();
        segments.next_if(|segment| is_version(segment));
        let id = segments.next().unwrap_or_default().to_owned();
        let edge = segments.collect::<Vec<_>>().join("/");
        let name = match (id.as_str(), edge.as_str()) {
            ("whatsapp_business", "attachments") => "media_download".to_owned(),
            ("oauth", "access_token") => "access_token".to_owned(),
            ("debug_token", "") => "debug_token".to_owned(),
            ("dialog", "oauth") => "dialog".to_owned(),
            (_, "messages") if params.has("status") => "read".to_owned(),
            (_, "") => "object".to_owned(),
            (_, edge) => edge.to_owned(),
        };
        Self { http_method: http_method.clone(), id, edge, name }
    }

    fn unknown(&self) -> GraphError {
        GraphError::unknown_object(self.http_method.as_str(), &self.id)
    }
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[derive(Default)]
pub(crate) struct GraphState {
    media: HashMap<String, MediaFile>,
    templates: templates::Templates,
    groups: HashMap<String, groups::Group>,
    uploads: uploads::Uploads,
    /// Accounts whose app was unsubscribed: they get no webhooks. Everyone starts subscribed.
    unsubscribed: HashSet<String>,
    /// Callback URLs set for an account or a number, by its id.
    overrides: HashMap<String, Url>,
    signups: signup::Signups,
    /// What the app's webhooks are about; `None`: the usual.
    app_fields: Option<Vec<String>>,
    /// When someone last wrote: (phone number id, sender) to milliseconds.
    pub last_inbound: HashMap<(String, String), u64>,
    /// The profile name of those who wrote.
    pub names: HashMap<String, String>,
    /// Accepted messages by wamid, for statuses sent by hand.
    accepted: HashMap<String, Arc<Message>>,
    accepted_order: VecDeque<String>,
}

impl GraphState {
    pub(crate) fn remember(&mut self, message: &Arc<Message>, keep: usize) {
        self.accepted.insert(message.wamid.clone(), Arc::clone(message));
        self.accepted_order.push_back(message.wamid.clone());
        if self.accepted_order.len() > keep.max(1)
            && let Some(oldest) = self.accepted_order.pop_front()
        {
            self.accepted.remove(&oldest);
        }
    }

    pub(crate) fn accepted(&self, wamid: &str) -> Option<Arc<Message>> {
        self.accepted.get(wamid).cloned()
    }

    pub(crate) fn add_media(&mut self, id: String, file: MediaFile) {
        self.media.insert(id, file);
    }

    /// Changes a stored template's status; its id and category when it exists.
    pub(crate) fn set_template_status(
        &mut self,
        waba_id: &str,
        name: &str,
        language: &str,
        status: &str,
    ) -> Option<(String, String)> {
        self.templates.set_status(waba_id, name, language, status)
    }
}

impl Inner {
    /// Where a number's webhooks go: its own override, its account's, or the app's.
    pub(crate) fn webhook_of(&self, number: &Number) -> Option<Url> {
        let graph = self.graph();
        if graph.unsubscribed.contains(&number.waba_id) {
            return None;
        }
        let own = graph.overrides.get(&number.phone_number_id);
        let url = own.or_else(|| graph.overrides.get(&number.waba_id)).cloned();
        drop(graph);
        url.or_else(|| self.config().webhook_whatsapp.clone())
    }
}

type Answer = Result<Value, GraphError>;

fn success() -> Value {
    json!({"success": true})
}

/// What the token may act on.
struct Caller {
    numbers: Vec<Number>,
    host: Option<String>,
}

impl Caller {
    fn number(&self, id: &str) -> Option<&Number> {
        self.numbers.iter().find(|number| number.phone_number_id == id)
    }

    fn waba(&self, id: &str) -> bool {
        self.numbers.iter().any(|number| number.waba_id == id)
    }
}

/// A token sees the numbers of every account in which it is some number's token.
fn authenticate(inner: &Inner, params: &Params) -> Result<Caller, GraphError> {
    let token = params
        .bearer
        .clone()
        .or_else(|| params.text("access_token"))
        .ok_or_else(|| GraphError::text(104, "An access token is required to request this resource."))?;
    let config = inner.config();
    let accounts: HashSet<&str> = config
        .numbers
        .iter()
        .filter(|number| number.access_token == token)
        .map(|number| number.waba_id.as_str())
        .collect();
    let numbers: Vec<Number> =
        config.numbers.iter().filter(|number| accounts.contains(number.waba_id.as_str())).cloned().collect();
    drop(config);
    if (numbers.is_empty() && !is_app_token(inner, &token)) || inner.graph().signups.is_expired(&token) {
        return Err(GraphError::bad_token());
    }
    signup::check_proof(inner, &token, params)?;
    Ok(Caller { numbers, host: params.host.clone() })
}

/// `<app id>|<app secret>`: the form of Meta's app tokens.
fn is_app_token(inner: &Inner, token: &str) -> bool {
    token.split_once('|').is_some_and(|(_, secret)| secret == inner.config().app_secret)
}

pub(crate) async fn handle(
    inner: &Arc<Inner>,
    call: Call,
    params: Params,
    raw: Arc<RawValue>,
    fault: Option<&Fault>,
) -> Response {
    if call.name == "media_download" {
        return media::download(inner, &params).unwrap_or_else(|error| error.respond(&inner.ids));
    }
    if call.name == "dialog" {
        return signup::dialog(inner, &params);
    }
    match route(inner, &call, &params, raw, fault).await {
        Ok(value) => Json(value).into_response(),
        Err(error) => error.respond(&inner.ids),
    }
}

async fn route(
    inner: &Arc<Inner>,
    call: &Call,
    params: &Params,
    raw: Arc<RawValue>,
    fault: Option<&Fault>,
) -> Answer {
    if call.name == "access_token" {
        return signup::access_token(inner, params);
    }
    let caller = authenticate(inner, params)?;
    if call.name == "debug_token" {
        return signup::debug_token(inner, params);
    }
    let method = call.http_method.as_str();
    if let Some(number) = caller.number(&call.id) {
        return match (method, call.edge.as_str()) {
            ("POST", "messages" | "marketing_messages")
                if !inner.graph().signups.is_registered(&number.phone_number_id) =>
            {
                Err(GraphError::of(133_010, None))
            }
            ("POST", "messages" | "marketing_messages") => messages::send(inner, number, params, raw, fault),
            ("POST", "media") => media::upload(inner, number, params),
            ("GET", "") => Ok(accounts::number(inner, number, params)),
            ("POST", "") => accounts::update_number(inner, number, params).await,
            ("POST", "register") => signup::register(inner, number, params),
            ("POST", "smb_app_data") => signup::app_data(inner, number, params),
            ("POST", "deregister" | "request_code" | "verify_code") => Ok(success()),
            ("GET" | "POST", "whatsapp_business_profile") => Ok(accounts::profile(method, number)),
            ("POST", "groups") => groups::create(inner, number, params, fault),
            ("GET", "groups") => Ok(groups::list(inner, number)),
            _ => Err(call.unknown()),
        };
    }
    if caller.waba(&call.id) {
        return match (method, call.edge.as_str()) {
            ("GET", "") => Ok(json!({"id": call.id, "name": "Simulated business", "currency": "USD",
                "timezone_id": "1", "message_template_namespace": "simulated_namespace"})),
            ("GET", "phone_numbers") => Ok(accounts::numbers(inner, &caller, &call.id, params)),
            (_, "subscribed_apps") => accounts::subscribed_apps(inner, method, &call.id, params).await,
            ("GET", "message_templates") => Ok(templates::list(inner, &call.id, params, &caller)),
            ("POST", "message_templates") => templates::create(inner, &call.id, params),
            ("DELETE", "message_templates") => templates::delete(inner, &call.id, params),
            _ => Err(call.unknown()),
        };
    }
    if method == "POST" && call.edge == "uploads" {
        return uploads::begin(inner, call, params);
    }
    if call.id.starts_with("upload:") {
        return uploads::session(inner, call, params);
    }
    if call.edge == "subscriptions" && matches!(call.id.as_str(), accounts::APP_ID | "app") {
        return accounts::app_subscriptions(inner, method, params).await;
    }
    if let Some(answer) = media::object(inner, &caller, call, params) {
        return answer;
    }
    if let Some(answer) = templates::object(inner, &caller, call, params) {
        return answer;
    }
    if let Some(answer) = groups::object(inner, &caller, call, params) {
        return answer;
    }
    Err(call.unknown())
}

/// Keeps the fields named in `fields=`, and the id; everything when there is no such parameter.
fn pick(value: Value, fields: Option<String>) -> Value {
    let (Value::Object(object), Some(fields)) = (&value, fields) else { return value };
    let wanted: HashSet<&str> = fields
        .split(',')
        .map(|field| field.split(['{', '.']).next().unwrap_or_default().trim())
        .chain(["id"])
        .collect();
    Value::Object(
        object
            .iter()
            .filter(|(key, _)| wanted.contains(key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}
