//! What Meta says of a connection, for the doctor.

use aws_lc_rs::hmac;
use kabar_domain::outbound::SendFailure;
use serde_json::{Map, Value};

use super::client::{Client, call, repeatable};
use super::signup::App;
use crate::hex::hex;

/// Where webhooks of a number go: its own address, its business account's, or its app's; the first there is counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    pub number: Option<String>,
    pub waba: Option<String>,
    pub app: Option<String>,
}

impl Callbacks {
    pub fn effective(&self) -> Option<&str> {
        [&self.number, &self.waba, &self.app].into_iter().flatten().next().map(String::as_str)
    }
}

fn text(object: Option<&Value>, key: &str) -> Option<String> {
    object?.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn each(answer: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    answer.get("data").and_then(Value::as_array).into_iter().flatten()
}

fn proof(secret: &str, token: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), token.as_bytes());
    hex(tag.as_ref())
}

impl Client {
    pub async fn callbacks(&self, phone_number_id: &str, token: &str) -> Result<Callbacks, SendFailure> {
        let mut url = self.url(&[phone_number_id]);
        url.query_pairs_mut().append_pair("fields", "webhook_configuration");
        let answer = call(self.http.get(url), token).await.map_err(repeatable)?;
        let webhook = answer.get("webhook_configuration");
        Ok(Callbacks {
            number: text(webhook, "phone_number"),
            waba: text(webhook, "whatsapp_business_account"),
            app: text(webhook, "application"),
        })
    }

    /// Ids of the apps that hear of a business account.
    pub async fn subscribed_apps(&self, waba_id: &str, token: &str) -> Result<Vec<String>, SendFailure> {
        let request = self.http.get(self.url(&[waba_id, "subscribed_apps"]));
        let answer = call(request, token).await.map_err(repeatable)?;
        Ok(each(&answer).filter_map(|app| text(app.get("whatsapp_business_api_data"), "id")).collect())
    }

    /// What an app hears of: fields of its webhooks. `None`: it has no webhook for WhatsApp.
    pub async fn app_fields(&self, app: &App) -> Result<Option<Vec<String>>, SendFailure> {
        let request = self.http.get(self.url(&[&app.id, "subscriptions"]));
        let answer = call(request, &app.token()).await.map_err(repeatable)?;
        let whatsapp = each(&answer).find(|one| one["object"] == "whatsapp_business_account");
        let active = whatsapp.filter(|one| one.get("active") != Some(&Value::Bool(false)));
        Ok(active.map(|one| {
            let fields = one["fields"].as_array().into_iter().flatten();
            // Older versions of the API give bare names.
            fields
                .filter_map(|field| field.as_str().map(str::to_owned).or_else(|| text(Some(field), "name")))
                .collect()
        }))
    }

    /// Whether `secret` is the secret of the token's app: Graph checks a proof made with it.
    pub async fn is_secret_of(&self, secret: &str, token: &str, node: &str) -> Result<bool, SendFailure> {
        let mut url = self.url(&[node]);
        url.query_pairs_mut()
            .append_pair("fields", "id")
            .append_pair("appsecret_proof", &proof(secret, token));
        match call(self.http.get(url), token).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.error.title.contains("appsecret_proof") => Ok(false),
            Err(failure) => Err(repeatable(failure)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_the_hmac_of_the_token() {
        // echo -n token | openssl dgst -sha256 -hmac secret
        assert_eq!(
            proof("secret", "token"),
            "e941110e3d2bfe82621f0e3e1434730d7305d106c5f68c87165d0b27a4611a4a"
        );
    }

    #[test]
    fn the_nearest_callback_counts() {
        let mut callbacks = Callbacks { app: Some("app".into()), ..Callbacks::default() };
        assert_eq!(callbacks.effective(), Some("app"));
        callbacks.number = Some("number".into());
        assert_eq!(callbacks.effective(), Some("number"));
    }
}
