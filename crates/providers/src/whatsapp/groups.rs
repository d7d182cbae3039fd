//! The Groups API. A group's making, changing and end are asked for here and confirmed by webhook.

use std::collections::BTreeMap;

use kabar_domain::Timestamp;
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::message::ProviderError;
use kabar_domain::outbound::SendFailure;
use serde_json::{Map, Value, json};

use super::client::{Client, call, lost, repeatable};
use super::describe;
use crate::http::Upload;

/// Meta's limit on the people in a group.
pub const MAX_PARTICIPANTS: usize = 8;

/// A group to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// At most 128 characters.
    pub subject: String,
    /// At most 2,048 characters.
    pub description: Option<String>,
    /// `auto_approve` or `approval_required`.
    pub join_approval_mode: Option<String>,
}

/// What WhatsApp says of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupInfo {
    pub subject: Option<String>,
    pub description: Option<String>,
    pub join_approval_mode: Option<String>,
    pub suspended: Option<bool>,
    /// Everybody but the business; `None` when it was not said.
    pub participants: Option<Vec<Identity>>,
}

/// Somebody asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    pub id: String,
    pub identity: Identity,
    pub requested_at: Option<Timestamp>,
}

/// What could not be done for some of those named, by their names.
pub type Failed = BTreeMap<String, ProviderError>;

impl Client {
    /// Asks for a group. The answer is the request's id; the group itself comes by webhook under that id. An answer
    /// that was lost is [`Verdict::Uncertain`](kabar_domain::outbound::Verdict): the group may come all the same.
    pub async fn create_group(
        &self,
        phone_number_id: &str,
        access_token: &str,
        group: &NewGroup,
    ) -> Result<String, SendFailure> {
        let mut body = json!({"messaging_product": "whatsapp", "subject": group.subject});
        for (key, text) in
            [("description", &group.description), ("join_approval_mode", &group.join_approval_mode)]
        {
            if let Some(text) = text {
                body[key] = json!(text);
            }
        }
        let request = self.http.post(self.url(&[phone_number_id, "groups"])).json(&body);
        let answer = call(request, access_token).await?;
        text(&answer, "request_id").ok_or_else(|| {
            lost("The answer names no request", "WhatsApp answered, but without a request id.".to_owned())
        })
    }

    pub async fn group(&self, group: &str, access_token: &str) -> Result<GroupInfo, SendFailure> {
        let mut url = self.url(&[group]);
        url.query_pairs_mut()
            .append_pair("fields", "subject,description,participants,join_approval_mode,suspended");
        let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
        Ok(GroupInfo {
            subject: text(&answer, "subject"),
            description: text(&answer, "description"),
            join_approval_mode: text(&answer, "join_approval_mode").map(|mode| mode.to_lowercase()),
            suspended: answer.get("suspended").and_then(Value::as_bool),
            participants: list(&answer, "participants")
                .map(|people| people.iter().filter_map(|person| identity(person.as_object()?)).collect()),
        })
    }

    /// Gives a group another subject or description. Whether that worked comes by webhook.
    pub async fn change_group(
        &self,
        group: &str,
        access_token: &str,
        subject: Option<&str>,
        description: Option<&str>,
    ) -> Result<(), SendFailure> {
        let mut body = json!({"messaging_product": "whatsapp"});
        for (key, text) in [("subject", subject), ("description", description)] {
            if let Some(text) = text {
                body[key] = json!(text);
            }
        }
        let request = self.http.post(self.url(&[group])).json(&body);
        call(request, access_token).await.map(drop).map_err(repeatable)
    }

    /// Gives a group another picture, a JPEG. Whether that worked comes by webhook.
    pub async fn set_group_picture(
        &self,
        group: &str,
        access_token: &str,
        picture: Upload,
    ) -> Result<(), SendFailure> {
        let time = picture.time();
        let unusable = |_| lost("The picture cannot be given to WhatsApp", "Its type is no type.".to_owned());
        let form = reqwest::multipart::Form::new()
            .text("messaging_product", "whatsapp")
            .part("file", picture.part().map_err(unusable).map_err(repeatable)?);
        let request = self.http.post(self.url(&[group])).timeout(time).multipart(form);
        call(request, access_token).await.map(drop).map_err(repeatable)
    }

    /// Ends a group. That it is gone comes by webhook.
    pub async fn delete_group(&self, group: &str, access_token: &str) -> Result<(), SendFailure> {
        call(self.http.delete(self.url(&[group])), access_token).await.map(drop).map_err(repeatable)
    }

    /// The link that lets people in; with `reset` a new one, and the old one is void.
    pub async fn group_invite_link(
        &self,
        group: &str,
        access_token: &str,
        reset: bool,
    ) -> Result<String, SendFailure> {
        let url = self.url(&[group, "invite_link"]);
        let request = if reset {
            self.http.post(url).json(&json!({"messaging_product": "whatsapp"}))
        } else {
            self.http.get(url)
        };
        let answer = call(request, access_token).await.map_err(repeatable)?;
        text(&answer, "invite_link").ok_or_else(|| {
            repeatable(lost("The answer has no link", "WhatsApp answered, but without a link.".to_owned()))
        })
    }

    /// Puts people out; at most eight. Whether that worked comes by webhook.
    pub async fn remove_participants(
        &self,
        group: &str,
        access_token: &str,
        people: &[Identity],
    ) -> Result<(), SendFailure> {
        let named = |person: &Identity| {
            let key = if person.kind == IdentityKind::Bsuid { "user_id" } else { "user" };
            json!({key: person.value})
        };
        let people: Vec<Value> = people.iter().map(named).collect();
        let body = json!({"messaging_product": "whatsapp", "participants": people});
        let request = self.http.delete(self.url(&[group, "participants"])).json(&body);
        call(request, access_token).await.map(drop).map_err(repeatable)
    }

    /// Who asks to be let in; the first hundred.
    pub async fn join_requests(
        &self,
        group: &str,
        access_token: &str,
    ) -> Result<Vec<JoinRequest>, SendFailure> {
        let mut url = self.url(&[group, "join_requests"]);
        url.query_pairs_mut().append_pair("limit", "100");
        let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
        let read = |value: &Value| {
            let request = value.as_object()?;
            let at = text(request, "creation_timestamp").and_then(|at| at.parse().ok());
            Some(JoinRequest {
                id: text(request, "join_request_id")?,
                identity: identity(request)?,
                requested_at: at.map(Timestamp::from_unix),
            })
        };
        Ok(list(&answer, "data").unwrap_or_default().iter().filter_map(read).collect())
    }

    /// Lets people in, or not. What comes back are those for whom it did not work.
    pub async fn answer_join_requests(
        &self,
        group: &str,
        access_token: &str,
        requests: &[String],
        approve: bool,
    ) -> Result<Failed, SendFailure> {
        let url = self.url(&[group, "join_requests"]);
        let request = if approve { self.http.post(url) } else { self.http.delete(url) };
        let body = json!({"messaging_product": "whatsapp", "join_requests": requests});
        let answer = call(request.json(&body), access_token).await.map_err(repeatable)?;
        let read = |value: &Value| {
            let failed = value.as_object()?;
            let error = list(failed, "errors").unwrap_or_default().first().and_then(Value::as_object);
            let code = error.and_then(|error| error.get("code")?.as_i64()).unwrap_or_default();
            let known = describe(code);
            let title = error.and_then(|error| text(error, "title").or_else(|| text(error, "message")));
            let title = title.or_else(|| known.map(|known| known.title.to_owned()));
            let error = ProviderError {
                code,
                title: title.unwrap_or_else(|| "WhatsApp could not do it".to_owned()),
                detail: error.and_then(|error| text(error.get("error_data")?.as_object()?, "details")),
                action: known.map(|known| known.action.to_owned()),
            };
            Some((text(failed, "join_request_id")?, error))
        };
        Ok(list(&answer, "failed_join_requests").unwrap_or_default().iter().filter_map(read).collect())
    }
}

/// A text, or a number as one: Meta writes ids and times either way.
fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn list<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a [Value]> {
    object.get(key)?.as_array().map(Vec::as_slice)
}

fn identity(person: &Map<String, Value>) -> Option<Identity> {
    let phone = text(person, "wa_id").map(|id| Identity::new(IdentityKind::WaId, id));
    phone.or_else(|| text(person, "user_id").map(|id| Identity::new(IdentityKind::Bsuid, id)))
}
