//! Embedded signup: from the code of Meta's dialog to numbers that are ours to use.

use kabar_domain::Timestamp;
use kabar_domain::outbound::SendFailure;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::client::{Client, call, lost, read, repeatable, unsent};
use super::errors::classify;

/// Meta's app in whose name a signup runs.
#[derive(Clone, PartialEq, Eq)]
pub struct App {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

impl App {
    /// The form of Meta's app tokens.
    pub fn token(&self) -> String {
        format!("{}|{}", self.id, self.secret)
    }
}

/// Why a code was not exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// Older than 30 seconds.
    Expired,
    Used,
    /// Not one of Meta's for this app and redirect URI; what Meta says.
    Wrong(String),
    /// The app's secret is another.
    Secret,
    /// There is no such app.
    App,
    Other(SendFailure),
}

/// What a token is, by Meta's own account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    pub is_valid: bool,
    pub app_id: Option<String>,
    /// `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    pub scopes: Vec<String>,
    /// What `whatsapp_business_management` reaches, the newest first; `None`: everything of its owner's.
    pub wabas: Option<Vec<String>>,
    /// Why it is not valid.
    pub error: Option<String>,
}

/// A number of a business account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WabaNumber {
    pub id: String,
    pub display_phone_number: Option<String>,
    pub verified_name: Option<String>,
    /// `CONNECTED`, `PENDING`, …
    pub status: Option<String>,
    /// `CLOUD_API` once it is registered.
    pub platform_type: Option<String>,
    /// It stays in the WhatsApp Business app beside the Cloud API.
    pub is_on_biz_app: bool,
}

impl WabaNumber {
    pub fn is_registered(&self) -> bool {
        self.status.as_deref() == Some("CONNECTED") && self.platform_type.as_deref() == Some("CLOUD_API")
    }

    /// As people know it.
    pub fn name(&self) -> &str {
        self.display_phone_number.as_deref().unwrap_or(&self.id)
    }
}

/// What a WhatsApp Business app hands over, once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppData {
    Contacts,
    History,
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|one| one.as_str().map(str::to_owned).or_else(|| one.as_u64().map(|id| id.to_string())))
        .collect()
}

/// `None` for what has no id.
fn number(value: &Value) -> Option<WabaNumber> {
    let object = value.as_object()?;
    Some(WabaNumber {
        id: text(object, "id")?,
        display_phone_number: text(object, "display_phone_number"),
        verified_name: text(object, "verified_name"),
        status: text(object, "status"),
        platform_type: text(object, "platform_type"),
        is_on_biz_app: object.get("is_on_biz_app") == Some(&Value::Bool(true)),
    })
}

fn token_facts(answer: &Map<String, Value>) -> Option<TokenFacts> {
    let data = answer.get("data")?.as_object()?;
    let granular = data.get("granular_scopes").and_then(Value::as_array).into_iter().flatten();
    let mut management = granular.filter(|scope| scope["scope"] == "whatsapp_business_management");
    let wabas = management.find_map(|scope| scope.get("target_ids")).map(|ids| texts(Some(ids)));
    let error = data.get("error").and_then(|error| error.get("message")?.as_str());
    Some(TokenFacts {
        is_valid: data.get("is_valid") == Some(&Value::Bool(true)),
        app_id: text(data, "app_id"),
        expires_at: data
            .get("expires_at")
            .and_then(Value::as_i64)
            .filter(|at| *at > 0)
            .map(Timestamp::from_unix),
        scopes: texts(data.get("scopes")),
        wabas,
        error: error.map(str::to_owned),
    })
}

/// Graph tells the reasons of a refused code apart by `error_subcode` alone.
fn no_token(status: u16, body: &[u8]) -> NoToken {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &answer["error"];
    let message = error["message"].as_str().unwrap_or_default();
    match (error["code"].as_i64(), error["error_subcode"].as_i64()) {
        (_, Some(36_007)) => NoToken::Expired,
        (_, Some(36_009)) => NoToken::Used,
        (Some(101), _) => NoToken::App,
        (Some(1), _) if message.contains("secret") => NoToken::Secret,
        (_, Some(36_008)) | (Some(100), _) => NoToken::Wrong(message.to_owned()),
        _ => NoToken::Other(classify(status, body)),
    }
}

fn exchange(app: &App, code: &str, redirect_uri: Option<&str>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("client_id", &app.id)
        .append_pair("client_secret", &app.secret)
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", code);
    if let Some(uri) = redirect_uri {
        form.append_pair("redirect_uri", uri);
    }
    form.finish()
}

impl Client {
    /// Exchanges the dialog's code, good for 30 seconds and once, for an access token. A lost answer may have used it
    /// up. `redirect_uri`: the one the dialog was opened with, if it was.
    pub async fn exchange_code(
        &self,
        app: &App,
        code: &str,
        redirect_uri: Option<&str>,
    ) -> Result<String, NoToken> {
        let body = exchange(app, code, redirect_uri);
        // In the body: an address is written down on its way.
        let request = self
            .http
            .post(self.url(&["oauth", "access_token"]))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let clean = |text: &mut String| *text = text.replace(&app.secret, "…").replace(code, "…");
        let exchanged = async {
            let mut response = request.send().await.map_err(unsent)?;
            let status = response.status();
            let body = read(&mut response).await.map_err(|reason| lost("No answer from Meta", reason))?;
            Ok::<_, SendFailure>((status, body))
        };
        let (status, body) = exchanged.await.map_err(|failure| NoToken::Other(repeatable(failure)))?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let token = answer.as_ref().and_then(|answer| answer["access_token"].as_str());
        match token.filter(|token| status.is_success() && !token.is_empty()) {
            Some(token) => Ok(token.to_owned()),
            None => Err(match no_token(status.as_u16(), &body) {
                NoToken::Wrong(mut message) => {
                    clean(&mut message);
                    NoToken::Wrong(message)
                }
                NoToken::Other(mut failure) => {
                    clean(&mut failure.error.title);
                    failure.error.detail.as_mut().map(clean).unwrap_or_default();
                    NoToken::Other(repeatable(failure))
                }
                other => other,
            }),
        }
    }

    /// What Meta says of an access token. `asking`: the app's token, or the token itself.
    pub async fn debug_token(&self, token: &str, asking: &str) -> Result<TokenFacts, SendFailure> {
        let mut url = self.url(&["debug_token"]);
        url.query_pairs_mut().append_pair("input_token", token);
        let answer = call(self.http.get(url), asking).await.map_err(repeatable)?;
        token_facts(&answer).ok_or_else(|| repeatable(lost("Meta says nothing of the token", String::new())))
    }

    /// All numbers of a business account.
    pub async fn waba_numbers(
        &self,
        waba_id: &str,
        access_token: &str,
    ) -> Result<Vec<WabaNumber>, SendFailure> {
        let mut numbers = Vec::new();
        let mut after: Option<String> = None;
        // No portfolio has near as many: a cursor that leads round ends here.
        for _ in 0..50 {
            let mut url = self.url(&[waba_id, "phone_numbers"]);
            url.query_pairs_mut().append_pair(
                "fields",
                "id,display_phone_number,verified_name,status,platform_type,is_on_biz_app",
            );
            url.query_pairs_mut().append_pair("limit", "100");
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("after", after);
            }
            let answer = call(self.http.get(url), access_token).await.map_err(repeatable)?;
            numbers.extend(
                answer.get("data").and_then(Value::as_array).into_iter().flatten().filter_map(number),
            );
            let paging = answer.get("paging").filter(|paging| paging.get("next").is_some());
            after = paging.and_then(|paging| paging["cursors"]["after"].as_str()).map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        Ok(numbers)
    }

    /// Puts a number on the Cloud API and sets its two-step PIN; the same PIN again changes nothing.
    pub async fn register(
        &self,
        phone_number_id: &str,
        access_token: &str,
        pin: &str,
    ) -> Result<(), SendFailure> {
        let body = json!({ "messaging_product": "whatsapp", "pin": pin });
        let request = self.http.post(self.url(&[phone_number_id, "register"])).json(&body);
        call(request, access_token).await.map(drop).map_err(|mut failure| {
            let error = &mut failure.error;
            for text in [Some(&mut error.title), error.detail.as_mut()].into_iter().flatten() {
                *text = text.replace(pin, "…");
            }
            repeatable(failure)
        })
    }

    /// Asks a number's WhatsApp Business app for its data, which comes by webhook. Good once each, within 24 hours of
    /// the signup.
    pub async fn ask_app_data(
        &self,
        phone_number_id: &str,
        access_token: &str,
        data: AppData,
    ) -> Result<(), SendFailure> {
        let sync_type = match data {
            AppData::Contacts => "smb_app_state_sync",
            AppData::History => "history",
        };
        let body = json!({ "messaging_product": "whatsapp", "sync_type": sync_type });
        let request = self.http.post(self.url(&[phone_number_id, "smb_app_data"])).json(&body);
        call(request, access_token).await.map(drop).map_err(repeatable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kabar_domain::outbound::Verdict;

    #[test]
    fn a_refused_code_says_why() {
        let refused = |code: i64, subcode: i64, message: &str| {
            let error = json!({"error": {"code": code, "error_subcode": subcode, "message": message}});
            no_token(400, error.to_string().as_bytes())
        };
        assert_eq!(refused(100, 36_007, "expired"), NoToken::Expired);
        assert_eq!(refused(100, 36_009, "used"), NoToken::Used);
        assert_eq!(refused(100, 36_008, "no"), NoToken::Wrong("no".into()));
        assert_eq!(refused(1, 0, "Error validating client secret."), NoToken::Secret);
        assert_eq!(refused(101, 0, "no app"), NoToken::App);
        let NoToken::Other(failure) = refused(4, 0, "slower") else { panic!("not told apart") };
        assert!(matches!(failure.verdict, Verdict::Hold { .. }));
    }

    #[test]
    fn a_tokens_reach_is_that_of_management() {
        let answer = json!({"data": {"app_id": 7, "is_valid": true, "expires_at": 1_800_000_000,
            "scopes": ["whatsapp_business_management"], "granular_scopes": [
                {"scope": "business_management", "target_ids": ["1"]},
                {"scope": "whatsapp_business_management", "target_ids": ["2", 3]}]}});
        let facts = token_facts(answer.as_object().unwrap()).unwrap();
        assert_eq!(facts.wabas, Some(vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!(
            (facts.app_id.as_deref(), facts.expires_at),
            (Some("7"), Some(Timestamp::from_unix(1_800_000_000)))
        );
        let all = json!({"data": {"is_valid": true, "expires_at": 0,
            "granular_scopes": [{"scope": "whatsapp_business_management"}]}});
        let facts = token_facts(all.as_object().unwrap()).unwrap();
        assert_eq!((facts.wabas, facts.expires_at), (None, None));
    }
}
