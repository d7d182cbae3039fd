//! A WhatsApp number, as Meta knows it.

use std::time::Duration;

use kabar_providers::whatsapp::{App, TokenFacts};
use kabar_store::accounts::Account;

use super::{Check, asked, token_of, update_with};
use crate::credentials::Credentials;
use crate::engine::Engine;

/// A token that ends sooner is warned of.
const SOON: Duration = Duration::from_hours(7 * 24);
const SCOPES: &[&str] = &["whatsapp_business_management", "whatsapp_business_messaging"];
const DASHBOARD: &str = "in Meta's App Dashboard under WhatsApp > Configuration > Webhook";

impl Engine {
    pub(super) async fn look_at_number(&self, account: &Account, credentials: &Credentials) -> Vec<Check> {
        let token = token_of(credentials);
        // An account with an app secret of its own is another app's.
        let app = self.meta_app().filter(|_| credentials.app_secret.is_none());
        let mut facts = match &app {
            Some(app) => asked(self.whatsapp.debug_token(token, &app.token())).await,
            None => Err(String::new()),
        };
        if facts.is_err() {
            // With a wrong app secret the token can still speak for itself.
            facts = asked(self.whatsapp.debug_token(token, token)).await;
        }
        let mut checks = self.check_token(account, &facts);
        let number = asked(self.whatsapp.number(&account.external_id, token)).await;
        let Ok(number) = number.map_err(|why| {
            checks.push(Check::failed(
                "number",
                format!("Meta says of the number {}: {why}", account.external_id),
                format!(
                    "Compare the phone number id with WhatsApp Manager's, and give a token that reaches it. {}.",
                    update_with(account.id, "access_token")
                ),
            ));
        }) else {
            return checks;
        };
        let name = number.display_phone_number.as_deref().unwrap_or(&account.external_id);
        checks.push(match number.status.as_deref() {
            None | Some("CONNECTED") => Check::ok("number", format!("{name} is connected.")),
            Some(status) => Check::failed(
                "number",
                format!("WhatsApp reports {name} as {status}."),
                "See WhatsApp Manager under Phone numbers for what it wants. A number that is PENDING has to be registered: \
                 connect it again over embedded signup, or POST /{phone number id}/register at Meta with its PIN.",
            ),
        });
        checks.push(self.check_business_account(account, token).await);
        checks.push(self.check_subscription(account, token, facts.ok().and_then(|facts| facts.app_id)).await);
        checks.push(self.check_app_secret(account, credentials, token).await);
        checks.push(self.check_webhook(account, token, app.as_ref()).await);
        checks
    }

    fn check_token(&self, account: &Account, facts: &Result<TokenFacts, String>) -> Vec<Check> {
        const NAME: &str = "access_token";
        let fix = format!(
            "Make a system user's token in Meta's Business settings under Users > System users, with {}. {}. A number of \
             embedded signup is connected again instead.",
            SCOPES.join(" and "),
            update_with(account.id, "access_token")
        );
        let facts = match facts {
            Ok(facts) if facts.is_valid => facts,
            Ok(facts) => {
                let why = facts.error.as_deref().unwrap_or("Meta gives no reason");
                return Vec::from([Check::failed(NAME, format!("The token is not valid: {why}."), fix)]);
            }
            Err(why) => {
                let detail = format!("Meta does not say what the token is: {why}");
                return Vec::from([Check::failed(NAME, detail, fix)]);
            }
        };
        let now = self.clock.now();
        let token = match facts.expires_at {
            None => Check::ok(NAME, "The token is valid and does not expire."),
            Some(at) if at > now.plus(SOON) => Check::ok(NAME, format!("The token is valid until {at}.")),
            Some(at) => Check::warning(NAME, format!("The token expires at {at}."), fix.clone()),
        };
        let lacks: Vec<_> = SCOPES
            .iter()
            .filter(|wanted| !facts.scopes.iter().any(|scope| scope == *wanted))
            .copied()
            .collect();
        let scopes = if lacks.is_empty() {
            Check::ok("permissions", "The token has the permissions it needs.")
        } else {
            Check::failed("permissions", format!("The token lacks {}.", lacks.join(" and ")), fix)
        };
        Vec::from([token, scopes])
    }

    async fn check_business_account(&self, account: &Account, token: &str) -> Check {
        const NAME: &str = "business_account";
        let Some(waba_id) = &account.waba_id else {
            return Check::warning(
                NAME,
                "The account names no WhatsApp business account: neither webhooks are subscribed to nor templates read.",
                format!(
                    "Copy the WhatsApp Business Account ID from WhatsApp > API Setup in Meta's App Dashboard. {}.",
                    update_with(account.id, "waba_id")
                ),
            );
        };
        match asked(self.whatsapp.waba_numbers(waba_id, token)).await {
            Ok(numbers) if numbers.iter().any(|number| number.id == account.external_id) => {
                Check::ok(NAME, format!("The number is one of the business account {waba_id}."))
            }
            Ok(_) => Check::failed(
                NAME,
                format!("The business account {waba_id} has no number {}.", account.external_id),
                format!(
                    "Copy the WhatsApp Business Account ID that WhatsApp > API Setup shows beside this number. {}.",
                    update_with(account.id, "waba_id")
                ),
            ),
            Err(why) => Check::failed(
                NAME,
                format!("Meta says of the business account {waba_id}: {why}"),
                format!(
                    "Give the token's system user access to the business account in Meta's Business settings, or correct \
                     the id. {}.",
                    update_with(account.id, "waba_id")
                ),
            ),
        }
    }

    async fn check_subscription(&self, account: &Account, token: &str, app_id: Option<String>) -> Check {
        const NAME: &str = "subscription";
        let Some(waba_id) = &account.waba_id else {
            return Check::skipped(NAME, "There is no business account to subscribe to.");
        };
        let fix = format!(
            "Send an empty object, {{}}, by PUT to /api/v1/messaging-accounts/{}: Kabar subscribes again.",
            account.id
        );
        match asked(self.whatsapp.subscribed_apps(waba_id, token)).await {
            Ok(apps) if apps.is_empty() => Check::failed(NAME, "No app hears of the business account.", fix),
            Ok(apps) if app_id.as_ref().is_some_and(|id| !apps.contains(id)) => {
                let detail =
                    format!("Other apps hear of the business account ({}), not this one.", apps.join(", "));
                Check::failed(NAME, detail, fix)
            }
            Ok(_) => Check::ok(NAME, "The app hears of the business account."),
            Err(why) => Check::failed(NAME, format!("Meta says: {why}"), fix),
        }
    }

    /// Whether webhooks that Meta signs will be taken for Meta's.
    async fn check_app_secret(&self, account: &Account, credentials: &Credentials, token: &str) -> Check {
        const NAME: &str = "app_secret";
        let own = credentials.app_secret.as_ref().map(std::slice::from_ref);
        let secrets = own.unwrap_or(&self.config.meta_app_secrets);
        let fix = if own.is_some() {
            format!(
                "Copy the app secret from App settings > Basic in Meta's App Dashboard. {}.",
                update_with(account.id, "app_secret")
            )
        } else {
            "Copy the app secret from App settings > Basic in Meta's App Dashboard to META_APP_SECRET and restart, or give \
             the account an app_secret of its own when its app is another."
                .to_owned()
        };
        if secrets.is_empty() {
            return Check::failed(NAME, "No app secret is set: every webhook of the number is refused.", fix);
        }
        for secret in secrets {
            match asked(self.whatsapp.is_secret_of(secret, token, &account.external_id)).await {
                Ok(true) => return Check::ok(NAME, "The app secret is that of the token's app."),
                Ok(false) => {}
                Err(why) => return Check::skipped(NAME, format!("Meta does not say: {why}")),
            }
        }
        Check::failed(NAME, "The app secret is not that of the token's app: its webhooks are refused.", fix)
    }

    /// Whether Meta delivers here, and what.
    async fn check_webhook(&self, account: &Account, token: &str, app: Option<&App>) -> Check {
        const NAME: &str = "webhook";
        let wanted = self.webhook_url(account.platform, account.id);
        let paste = format!(
            "Enter {wanted} as the callback URL and WHATSAPP_VERIFY_TOKEN as the verify token {DASHBOARD}, and subscribe \
             to the field messages."
        );
        let callbacks = match asked(self.whatsapp.callbacks(&account.external_id, token)).await {
            Ok(callbacks) => callbacks,
            Err(why) => {
                return Check::skipped(NAME, format!("Meta does not say where it delivers to: {why}"));
            }
        };
        match callbacks.effective() {
            None => return Check::failed(NAME, "Meta has no webhook for the number.", paste),
            Some(url) if url.trim_end_matches('/') == wanted => {}
            Some(url) => {
                let whose = if callbacks.number.is_some() {
                    " That address is set for the number alone; clear it at Meta."
                } else if callbacks.waba.is_some() {
                    " That address is set for the business account alone; clear it at Meta."
                } else {
                    ""
                };
                let detail = format!("Meta delivers to {url}, not to {wanted}.{whose}");
                return Check::failed(NAME, detail, paste);
            }
        }
        let Some(app) = app else { return Check::ok(NAME, format!("Meta delivers to {wanted}.")) };
        match asked(self.whatsapp.app_fields(app)).await {
            Ok(Some(fields)) if fields.iter().any(|field| field == "messages") => {
                Check::ok(NAME, format!("Meta delivers to {wanted}: {}.", fields.join(", ")))
            }
            Ok(_) => Check::failed(
                NAME,
                "The app is not subscribed to the field messages.",
                format!("Subscribe to messages {DASHBOARD}, under Webhook fields."),
            ),
            Err(why) => Check::ok(NAME, format!("Meta delivers to {wanted}. It does not say what: {why}")),
        }
    }
}
