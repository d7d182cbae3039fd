//! The server as providers see it: its address, its certificate, its verify token, its clock.

use std::time::Duration;

use kabar_domain::message::Platform;
use kabar_providers::http::Guard;
use kabar_providers::reach::{Answer, Unreached};
use url::Url;

use super::Check;
use crate::crypto::random_text;
use crate::engine::Engine;

const PROXY: &str = "Put a proxy with a certificate of a public authority in front, as the manual shows under \"Reverse \
                     proxy and TLS\", and set KABAR_PUBLIC_URL to its https:// address.";
/// Providers' times of messages are off by no more.
const SKEW: Duration = Duration::from_secs(30);
const GREAT_SKEW: Duration = Duration::from_mins(5);

/// Whether only this machine, or its network, can reach the address.
fn is_private(url: &Url) -> bool {
    Guard::default().check(url).is_err() || url.host_str().is_some_and(|host| host == "localhost")
}

/// What our own address was asked.
struct Probe {
    url: Url,
    /// What it must answer.
    challenge: Option<String>,
}

impl Engine {
    pub(super) async fn look_at_server(&self, platform: Option<Platform>) -> Vec<Check> {
        let probe = self.webhook_address(platform);
        let (answer, clock) = tokio::join!(self.reach.get(probe.url.clone()), self.look_at_clock(platform));
        let mut checks = Vec::from([self.check_address(&probe, &answer), self.check_certificate(&answer)]);
        if platform != Some(Platform::Telegram) {
            checks.push(check_verify_token(&probe, &answer));
        }
        checks.push(clock);
        checks
    }

    /// The question Meta asks when a webhook is set up; without a verify token a plainer one.
    fn webhook_address(&self, platform: Option<Platform>) -> Probe {
        let mut url = self.config.public_url.clone();
        let token = self.config.whatsapp_verify_token.as_deref();
        let challenge = token.filter(|_| platform != Some(Platform::Telegram)).and(random_text(20).ok());
        let path: &[&str] = if challenge.is_some() { &["webhooks", "whatsapp"] } else { &["healthz"] };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if let (Some(challenge), Some(token)) = (&challenge, token) {
            url.query_pairs_mut()
                .append_pair("hub.mode", "subscribe")
                .append_pair("hub.challenge", challenge)
                .append_pair("hub.verify_token", token);
        }
        Probe { url, challenge }
    }

    fn check_address(&self, probe: &Probe, answer: &Result<Answer, Unreached>) -> Check {
        const NAME: &str = "public_url";
        let base = &self.config.public_url;
        let answer = match answer {
            Ok(answer) => answer,
            Err(Unreached::Tls(_)) => {
                return Check::skipped(NAME, format!("{base} answers, but its certificate does not hold."));
            }
            Err(unreached) => {
                let why = match unreached {
                    Unreached::Slow => "no answer in time",
                    Unreached::Tls(why) | Unreached::Other(why) => why,
                };
                return Check::failed(
                    NAME,
                    format!("{base} cannot be reached from this machine: {why}."),
                    "See that the server runs, that the name leads to it and that the firewall lets it through; set \
                     KABAR_PUBLIC_URL to the address that providers can reach.",
                );
            }
        };
        // 403 is our own answer to another verify token.
        let is_ours = match &probe.challenge {
            Some(challenge) => answer.body == *challenge || answer.status == 403,
            None => answer.status == 200,
        };
        if let Some(location) = &answer.location {
            return Check::failed(
                NAME,
                format!("{base} leads on to {location}, and providers do not follow."),
                "Set KABAR_PUBLIC_URL to the address that answers itself.",
            );
        }
        if !is_ours {
            return Check::failed(
                NAME,
                format!("Something other than Kabar answers at {base}: status {}.", answer.status),
                "Have the proxy pass everything below the public URL on to Kabar unchanged, or set KABAR_PUBLIC_URL to \
                 Kabar's address.",
            );
        }
        if is_private(base) {
            return Check::warning(
                NAME,
                format!("{base} answers, but only this machine or its network can reach it."),
                "Set KABAR_PUBLIC_URL to an address on the internet that leads here.",
            );
        }
        Check::ok(NAME, format!("{base} answers."))
    }

    fn check_certificate(&self, answer: &Result<Answer, Unreached>) -> Check {
        const NAME: &str = "tls";
        let base = &self.config.public_url;
        match answer {
            _ if base.scheme() != "https" && is_private(base) => {
                Check::warning(NAME, "The public URL is not https; providers deliver over https only.", PROXY)
            }
            _ if base.scheme() != "https" => {
                Check::failed(NAME, "The public URL is not https; providers deliver over https only.", PROXY)
            }
            Ok(_) => Check::ok(NAME, "The certificate holds."),
            Err(Unreached::Tls(why)) => Check::failed(
                NAME,
                format!("The certificate does not hold: {why}."),
                "Give the proxy a certificate of a public authority for this name, with the whole chain (fullchain.pem).",
            ),
            Err(_) => Check::skipped(NAME, "The public URL cannot be reached."),
        }
    }

    async fn look_at_clock(&self, platform: Option<Platform>) -> Check {
        const NAME: &str = "clock";
        let base = match platform {
            Some(Platform::Telegram) => &self.config.telegram_base_url,
            _ => &self.config.meta_base_url,
        };
        let Some(theirs) = self.reach.time(base.clone()).await else {
            return Check::skipped(NAME, format!("{base} does not say what time it is."));
        };
        let ours = self.clock.now();
        let (skew, side) =
            if ours >= theirs { (ours.since(theirs), "ahead") } else { (theirs.since(ours), "behind") };
        let fix = "Let the machine's clock be set by NTP: timedatectl set-ntp true";
        let detail = format!("The clock is {} seconds {side} of the provider's.", skew.as_secs());
        match skew {
            skew if skew <= SKEW => Check::ok(NAME, "The clock agrees with the provider's."),
            skew if skew <= GREAT_SKEW => Check::warning(NAME, detail, fix),
            _ => Check::failed(NAME, detail, fix),
        }
    }
}

fn check_verify_token(probe: &Probe, answer: &Result<Answer, Unreached>) -> Check {
    const NAME: &str = "verify_token";
    let Some(challenge) = &probe.challenge else {
        return Check::failed(
            NAME,
            "No verify token is set, so Meta cannot verify the webhook.",
            "Set WHATSAPP_VERIFY_TOKEN to any text, restart, and enter the same text in Meta's App Dashboard under \
             WhatsApp > Configuration > Webhook.",
        );
    };
    match answer {
        Ok(answer) if answer.status == 200 && answer.body == *challenge => {
            Check::ok(NAME, "The webhook answers Meta's question for this server's verify token.")
        }
        Ok(answer) if answer.status == 403 => Check::failed(
            NAME,
            "The server at the public URL has another verify token than this one.",
            "Start all servers with the same WHATSAPP_VERIFY_TOKEN, and enter it in Meta's App Dashboard under \
             WhatsApp > Configuration > Webhook.",
        ),
        _ => Check::skipped(NAME, "The webhook's address does not answer."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_network_is_private() {
        for url in ["http://127.0.0.1:8080/", "https://10.0.0.3/", "http://localhost:8080/", "https://[::1]/"]
        {
            assert!(is_private(&Url::parse(url).unwrap()), "{url}");
        }
        assert!(!is_private(&Url::parse("https://kabar.example.com/").unwrap()));
    }
}
