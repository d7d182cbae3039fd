//! A bot, as Telegram knows it.

use std::time::Duration;

use kabar_store::accounts::Account;

use super::{Check, asked, token_of, update_with};
use crate::credentials::Credentials;
use crate::engine::Engine;

/// A delivery that failed longer ago is history.
const RECENT: Duration = Duration::from_hours(1);
/// What messages, reactions, members and buttons come as.
const NEEDED: &[&str] =
    &["message", "edited_message", "callback_query", "message_reaction", "my_chat_member", "chat_member"];

impl Engine {
    pub(super) async fn look_at_bot(&self, account: &Account, credentials: &Credentials) -> Vec<Check> {
        let token = token_of(credentials);
        let again = format!(
            "Send an empty object, {{}}, by PUT to /api/v1/messaging-accounts/{}: Kabar sets the webhook again.",
            account.id
        );
        let bot = match asked(self.telegram.me(token)).await {
            Ok(bot) => bot,
            Err(why) => {
                let fix = format!(
                    "Have BotFather show the token (/mybots > API Token). {}.",
                    update_with(account.id, "bot_token")
                );
                return Vec::from([Check::failed("bot_token", format!("Telegram says: {why}"), fix)]);
            }
        };
        let name = bot.username.as_deref().unwrap_or(&bot.first_name);
        let mut checks = Vec::from([Check::ok("bot_token", format!("It is the token of @{name}."))]);
        checks.push(if bot.can_read_all_group_messages {
            Check::ok("privacy_mode", "The bot sees everything that is said in its groups.")
        } else {
            Check::warning(
                "privacy_mode",
                "Privacy mode is on: in groups the bot sees commands and answers to itself only.",
                format!(
                    "Write /setprivacy to BotFather, choose @{name} and Disable; then remove the bot from its groups and \
                     add it again. Administrators of a group see everything in any case."
                ),
            )
        });
        let info = match asked(self.telegram.webhook_info(token)).await {
            Ok(info) => info,
            Err(why) => {
                checks.push(Check::failed("webhook", format!("Telegram says: {why}"), again));
                return checks;
            }
        };
        let wanted = self.webhook_url(account.platform, account.id);
        checks.push(if info.url == wanted {
            Check::ok("webhook", format!("Telegram delivers to {wanted}."))
        } else if info.url.is_empty() {
            Check::failed("webhook", "Telegram has no webhook for the bot.", again.clone())
        } else {
            Check::failed(
                "webhook",
                format!("Telegram delivers to {}, not to {wanted}.", info.url),
                again.clone(),
            )
        });
        let lacks: Vec<_> = match &info.allowed_updates {
            Some(allowed) => {
                NEEDED.iter().filter(|kind| !allowed.iter().any(|one| one == *kind)).copied().collect()
            }
            // Telegram's default leaves these out.
            None => Vec::from(["message_reaction", "chat_member"]),
        };
        checks.push(if lacks.is_empty() {
            Check::ok("update_kinds", "Telegram delivers every kind of update.")
        } else {
            let detail = format!("Telegram does not deliver {}.", lacks.join(", "));
            Check::warning("update_kinds", detail, again.clone())
        });
        let recent = self.clock.now().minus(RECENT);
        let waiting = info.pending_update_count;
        checks.push(match (info.last_error_at(), &info.last_error_message) {
            (Some(at), why) if at >= recent => {
                let why = why.as_deref().unwrap_or("no reason given");
                Check::failed(
                    "deliveries",
                    format!("Telegram could not deliver at {at}: {why}. {waiting} updates wait."),
                    format!(
                        "Mend what the reason names: the public URL, its certificate, or the secret. {again}"
                    ),
                )
            }
            _ if waiting > 100 => Check::warning(
                "deliveries",
                format!("{waiting} updates wait at Telegram."),
                "See whether the server keeps up: kabar_inbound_backlog at /metrics.",
            ),
            _ => Check::ok("deliveries", "Telegram delivers without errors."),
        });
        checks
    }
}
