//! Configuration: flag, then environment, then TOML file, then default.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kabar_engine::Config;
use kabar_engine::billing::Settings as Billing;
use kabar_engine::config::{
    GatewayConfig, GatewayKey, IpNet, ModelService, Place, S3, SmsConfig, SmtpClient,
};
use kabar_engine::crypto::MasterKey;
use tracing_subscriber::EnvFilter;
use url::Url;

/// Declares every setting once: field, environment variable, help.
macro_rules! settings {
    ($($(#[$attribute:meta])* $field:ident, $env:literal, $help:literal;)*) => {
        /// What can be set, as it was given.
        #[derive(Args, Clone, Default)]
        pub struct Settings {
            /// A TOML file with any of these settings, named as the flags with `_` for `-`; `kabar.toml` in the
            /// working directory is read when it is there.
            #[arg(long, global = true, env = "KABAR_CONFIG", value_name = "FILE", help_heading = "Settings")]
            pub config: Option<PathBuf>,
            $(
                #[doc = $help]
                $(#[$attribute])*
                #[arg(long, global = true, env = $env, hide_env_values = true, help_heading = "Settings")]
                pub $field: Option<String>,
            )*
        }

        const KEYS: &[&str] = &[$(stringify!($field)),*];
        const VARIABLES: &[&str] = &["KABAR_CONFIG", $($env),*];

        impl Settings {
            fn get(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($field) => self.$field.clone(),)*
                    _ => None,
                }
            }

            /// Fills what is not set yet from the file's table.
            fn fill(&mut self, table: &toml::Table) {
                $(
                    if self.$field.is_none() {
                        self.$field = table.get(stringify!($field)).map(plain);
                    }
                )*
            }
        }
    };
}

settings! {
    listen, "KABAR_LISTEN", "Address and port to listen on [default: 127.0.0.1:8080]";
    database_url, "KABAR_DATABASE_URL", "sqlite://FILE or postgres://USER:PASSWORD@HOST:PORT/NAME [default: kabar.db in the data directory]";
    data_dir, "KABAR_DATA_DIR", "Folder for the master key, media and the SQLite files [default: ./data]";
    public_url, "KABAR_PUBLIC_URL", "The server's address as providers and browsers see it [default: http://LISTEN]";
    master_key, "KABAR_MASTER_KEY", "Encrypts provider credentials: 64 hexadecimal digits [default: the file master.key in the data directory, made at the first start]";
    admin_email, "KABAR_ADMIN_EMAIL", "First start only: the first administrator [default: admin@localhost]";
    admin_password, "KABAR_ADMIN_PASSWORD", "First start only: their password [default: one is made and printed once]";
    whatsapp_verify_token, "WHATSAPP_VERIFY_TOKEN", "The verify token given to Meta for the webhook";
    meta_app_secret, "META_APP_SECRET", "Meta's app secret; several, separated by commas, during a rotation or for several apps";
    meta_app_id, "META_APP_ID", "Meta's app id; needed for embedded signup, and to give Meta files of the media library as samples of templates";
    meta_config_id, "META_CONFIG_ID", "The configuration of Facebook Login for Business that embedded signup's dialog uses";
    telegram_webhook_secret, "TELEGRAM_WEBHOOK_SECRET", "The secret token of the common address /webhooks/telegram; each bot also has its own";
    meta_base_url, "KABAR_META_BASE_URL", "Meta's Graph API [default: https://graph.facebook.com]";
    telegram_base_url, "KABAR_TELEGRAM_BASE_URL", "Telegram's Bot API [default: https://api.telegram.org]";
    allowed_networks, "KABAR_ALLOWED_NETWORKS", "Private networks that addresses given by users (webhook endpoints, files) may lead to, separated by commas, as 10.0.0.0/8 [default: none]";
    trusted_proxies, "KABAR_TRUSTED_PROXIES", "Proxies whose X-Forwarded-For or Forwarded is believed: addresses and networks, separated by commas, as 127.0.0.1,10.0.0.0/8 [default: none]";
    smtp_url, "KABAR_SMTP_URL", "The mail server for notifications: smtps://USER:PASSWORD@HOST, or smtp://…?tls=required [default: none]";
    smtp_from, "KABAR_SMTP_FROM", "The sender of e-mails, as Acme <ops@example.com> [default: USER of smtp_url, or kabar at the public URL's host]";
    sms_url, "KABAR_SMS_URL", "The SMS service for notifications, Twilio or one that speaks as it does [default: https://api.twilio.com]";
    sms_account, "KABAR_SMS_ACCOUNT", "The SMS service's account SID";
    sms_token, "KABAR_SMS_TOKEN", "The SMS service's token";
    sms_from, "KABAR_SMS_FROM", "The sender of SMS: a number, as +6281234567890, or a messaging service's SID";
    media_url, "KABAR_MEDIA_URL", "Where files are kept: a folder, or s3://BUCKET/PREFIX [default: media in the data directory]";
    media_max_bytes, "KABAR_MEDIA_MAX_BYTES", "Bytes of the largest file [default: 2147483648]";
    s3_endpoint, "KABAR_S3_ENDPOINT", "The address of an S3-compatible store [default: Amazon's]";
    s3_region, "KABAR_S3_REGION", "Its region [default: us-east-1]";
    s3_access_key_id, "KABAR_S3_ACCESS_KEY_ID", "Its access key [default: the machine's own role]";
    s3_secret_access_key, "KABAR_S3_SECRET_ACCESS_KEY", "The secret of its access key";
    inbound_retention_days, "KABAR_INBOUND_RETENTION_DAYS", "Days that applied webhook bodies are kept for replay [default: 30]";
    event_retention_days, "KABAR_EVENT_RETENTION_DAYS", "Days that events are kept for streams and webhook endpoints that come back [default: 90]";
    outbound_concurrency, "KABAR_OUTBOUND_CONCURRENCY", "Messages sent at the same time [default: 512]";
    uncertain_after_minutes, "KABAR_UNCERTAIN_AFTER_MINUTES", "Minutes after which a message whose answer was lost is listed for a person to decide, unless a delivery report settles it [default: 15]";
    webhook_retention_days, "KABAR_WEBHOOK_RETENTION_DAYS", "Days that deliveries to webhook endpoints are kept in their log [default: 30]";
    webhook_concurrency, "KABAR_WEBHOOK_CONCURRENCY", "Webhooks delivered at the same time [default: 256]";
    database_connections, "KABAR_DATABASE_CONNECTIONS", "Connections to PostgreSQL at most [default: 16]";
    log_level, "KABAR_LOG", "error, warn, info, debug or trace, also per module (kabar_engine=debug) [default: info]";
    log_format, "KABAR_LOG_FORMAT", "text or json [default: text]";
    ai_base_url, "KABAR_AI_BASE_URL", "An OpenAI-compatible service that reads messages again for organisations that want it, as https://api.openai.com/v1 [default: none]";
    ai_api_key, "KABAR_AI_API_KEY", "Its key";
    ai_model, "KABAR_AI_MODEL", "Its model";
    ai_timeout_seconds, "KABAR_AI_TIMEOUT_SECONDS", "Seconds that one answer of a model service may take [default: 10]";
    ai_input_price, "KABAR_AI_INPUT_PRICE", "What a million tokens of questions cost, for the figure kabar_ai_cost_total [default: 0]";
    ai_output_price, "KABAR_AI_OUTPUT_PRICE", "What a million tokens of answers cost [default: 0]";
    billing, "KABAR_BILLING", "neoleap: organisations pay for the use of this server; off: they do not [default: neoleap once the tranportal id is set]";
    billing_trial_days, "KABAR_BILLING_TRIAL_DAYS", "Days that a new organisation need not pay [default: 14]";
    billing_grace_days, "KABAR_BILLING_GRACE_DAYS", "Days that an organisation goes on after its time has run out, before it is read-only [default: 7]";
    billing_seller, "KABAR_BILLING_SELLER", "Who sells, as printed on invoices: name, address, tax number, line by line";
    neoleap_base_url, "KABAR_NEOLEAP_BASE_URL", "The payment gateway's pages [default: https://digitalpayments.alrajhibank.com.sa/pg/payment/]";
    neoleap_tranportal_id, "KABAR_NEOLEAP_TRANPORTAL_ID", "The terminal's tranportal id";
    neoleap_tranportal_password, "KABAR_NEOLEAP_TRANPORTAL_PASSWORD", "The terminal's tranportal password";
    neoleap_resource_key, "KABAR_NEOLEAP_RESOURCE_KEY", "The terminal's resource key: 32 characters; alone it lets callbacks in, and nothing has to be paid";
    neoleap_response_key, "KABAR_NEOLEAP_RESPONSE_KEY", "The terminal's second key, when the bank gave it two [default: the resource key]";
}

const SECRETS: &[&str] = &[
    "master_key",
    "admin_password",
    "whatsapp_verify_token",
    "meta_app_secret",
    "telegram_webhook_secret",
    "ai_api_key",
    "smtp_url",
    "sms_token",
    "s3_secret_access_key",
    "neoleap_tranportal_password",
    "neoleap_resource_key",
    "neoleap_response_key",
];

/// Checked settings.
pub struct Resolved {
    pub listen: String,
    pub database_url: String,
    pub database_connections: u32,
    pub data_dir: PathBuf,
    pub master_key: Option<String>,
    pub admin_email: Option<String>,
    pub admin_password: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub engine: Config,
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        // A list, as of app secrets.
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The name in `known` that `name` was probably meant to be.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(2))
        .min()
        .map(|(_, candidate)| candidate)
}

fn read_file(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the configuration file {} cannot be read: {error}", path.display()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| format!("the configuration file {} is not TOML: {error}", path.display()))?;
    for key in table.keys() {
        if !KEYS.contains(&key.as_str()) {
            let hint = nearest(key, KEYS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("unknown key `{key}` in {}{hint}", path.display()));
        }
    }
    Ok(table)
}

/// A variable that is nearly one of ours is a mistake that would otherwise go unnoticed.
fn check_environment(names: impl Iterator<Item = String>) -> Result<(), String> {
    for name in names.filter(|name| name.starts_with("KABAR_")) {
        if VARIABLES.contains(&name.as_str()) {
            continue;
        }
        if let Some(near) = VARIABLES.iter().find(|known| strsim::damerau_levenshtein(&name, known) <= 2) {
            return Err(format!("unknown environment variable `{name}`; did you mean `{near}`?"));
        }
    }
    Ok(())
}

fn url(name: &str, text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(format!(
            "`{name}` must be an http or https URL, as https://kabar.example.com; it is `{text}`"
        )),
    }
}

/// Networks, and single addresses.
fn networks(name: &str, text: Option<&str>) -> Result<Vec<IpNet>, String> {
    let all = text.unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty());
    all.map(|one| {
        let address = || one.parse::<IpAddr>().map(IpNet::from);
        one.parse().or_else(|_| address()).map_err(|_| {
            format!("`{name}` must be networks or addresses, as 10.0.0.0/8 or 192.0.2.1; it has `{one}`")
        })
    })
    .collect()
}

/// Where files are kept. Of `s3` bucket and prefix are filled in.
fn media(data_dir: &Path, given: Option<String>, s3: S3) -> Result<Place, String> {
    let Some(given) = given else { return Ok(Place::Folder(data_dir.join("media"))) };
    let Some(rest) = given.strip_prefix("s3://") else {
        if given.contains("://") {
            return Err(format!("`media_url` must be a folder or begin with s3://; it is `{given}`"));
        }
        return Ok(Place::Folder(PathBuf::from(given)));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || bucket.contains(['@', '?', '#']) {
        return Err("`media_url` must name a bucket, as s3://bucket/prefix".into());
    }
    if s3.access_key_id.is_some() != s3.secret_access_key.is_some() {
        return Err("`s3_access_key_id` and `s3_secret_access_key` belong together".into());
    }
    Ok(Place::S3(S3 { bucket: bucket.into(), prefix: prefix.trim_matches('/').into(), ..s3 }))
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    name: &str,
    text: Option<&str>,
    default: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, String> {
    let Some(text) = text else { return Ok(default) };
    match text.trim().parse::<T>() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => {
            let (least, most) = range.into_inner();
            Err(format!("`{name}` must be a number from {least} to {most}; it is `{text}`"))
        }
    }
}

/// The SMS service, when it is set; all of it or nothing.
fn sms(base: Option<&str>, parts: [Option<String>; 3]) -> Result<Option<SmsConfig>, String> {
    if base.is_none() && parts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [Some(account), Some(token), Some(from)] = parts else {
        return Err("SMS need `sms_account`, `sms_token` and `sms_from`, all three".into());
    };
    let base = url("sms_url", base.unwrap_or("https://api.twilio.com"))?;
    Ok(Some(SmsConfig { base, account, token, from }))
}

/// The payment gateway's terminal, as it was given.
struct Terminal {
    base: Option<String>,
    tranportal_id: Option<String>,
    password: Option<String>,
    key: Option<String>,
    response_key: Option<String>,
}

impl Terminal {
    /// The key that opens what the gateway sends, if there is one.
    fn payment_key(&self) -> Result<Option<GatewayKey>, String> {
        match (&self.response_key, &self.key) {
            (Some(text), _) => gateway_key("neoleap_response_key", text).map(Some),
            (None, Some(text)) => gateway_key("neoleap_resource_key", text).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// All of it, when organisations are to pay.
    fn checked(self, billing: Option<&str>) -> Result<Option<GatewayConfig>, String> {
        match billing {
            Some("off") => return Ok(None),
            None if self.tranportal_id.is_none() => return Ok(None),
            None | Some("neoleap") => {}
            Some(other) => return Err(format!("`billing` must be neoleap or off; it is `{other}`")),
        }
        let all_three = || "billing needs `neoleap_tranportal_id`, `neoleap_tranportal_password` and `neoleap_resource_key`, all three";
        let response_key = self.payment_key()?.ok_or_else(all_three)?;
        let (Some(tranportal_id), Some(password), Some(key)) = (self.tranportal_id, self.password, self.key)
        else {
            return Err(all_three().into());
        };
        let default = "https://digitalpayments.alrajhibank.com.sa";
        let mut base = url("neoleap_base_url", self.base.as_deref().unwrap_or(default))?;
        if base.path() == "/" {
            base.set_path("/pg/payment/");
        } else if base.path_segments().and_then(Iterator::last).is_some_and(|last| !last.contains('.')) {
            // A folder, with or without its slash.
            base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        }
        let key = gateway_key("neoleap_resource_key", &key)?;
        Ok(Some(GatewayConfig { base, tranportal_id, password, key, response_key }))
    }
}

fn gateway_key(name: &str, text: &str) -> Result<GatewayKey, String> {
    GatewayKey::parse(text).ok_or_else(|| format!("`{name}` must be 32 characters, as the bank gave it"))
}

/// The model service, when it is set.
fn model_service(
    base: Option<&str>,
    key: Option<String>,
    model: Option<String>,
) -> Result<Option<ModelService>, String> {
    match (base, model) {
        (None, _) if key.is_some() => Err("`ai_api_key` needs `ai_base_url` and `ai_model`".into()),
        (None, _) => Ok(None),
        (Some(_), None) => Err("`ai_base_url` needs `ai_model`".into()),
        (Some(base), Some(model)) => Ok(Some(ModelService { base: url("ai_base_url", base)?, key, model })),
    }
}

impl Settings {
    /// Adds the file's settings to those of flags and environment.
    pub fn load(mut self) -> Result<Self, String> {
        check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        let default = Path::new("kabar.toml");
        let file = self.config.clone().or_else(|| default.exists().then(|| default.to_owned()));
        if let Some(file) = file {
            self.fill(&read_file(&file)?);
        }
        Ok(self)
    }

    pub fn resolve(self) -> Result<Resolved, String> {
        let filled = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
        let listen = filled(self.listen.clone()).unwrap_or_else(|| "127.0.0.1:8080".into());
        if listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(format!("`listen` must be an address and a port, as 0.0.0.0:8080; it is `{listen}`"));
        }
        let data_dir = PathBuf::from(filled(self.data_dir.clone()).unwrap_or_else(|| "data".into()));
        let database_url = filled(self.database_url.clone())
            .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("kabar.db").display()));
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| database_url.starts_with(scheme))
        {
            return Err("`database_url` must begin with sqlite:// or postgres://".into());
        }
        if let Some(key) = filled(self.master_key.clone()) {
            MasterKey::parse(&key).map_err(|error| format!("`master_key`: {error}"))?;
        }
        let format = self.log_format.as_deref().unwrap_or("text");
        if !["text", "json"].contains(&format) {
            return Err(format!("`log_format` must be text or json; it is `{format}`"));
        }
        let level = self.log_level.as_deref().unwrap_or("info");
        EnvFilter::try_new(level).map_err(|error| format!("`log_level` is `{level}`: {error}"))?;
        let public_url =
            url("public_url", &filled(self.public_url).unwrap_or_else(|| format!("http://{listen}")))?;
        let smtp = filled(self.smtp_url)
            .map(|url| SmtpClient::new(&url, filled(self.smtp_from).as_deref(), &public_url))
            .transpose()?;
        let terminal = Terminal {
            base: filled(self.neoleap_base_url),
            tranportal_id: filled(self.neoleap_tranportal_id),
            password: filled(self.neoleap_tranportal_password),
            key: filled(self.neoleap_resource_key),
            response_key: filled(self.neoleap_response_key),
        };
        let payment_key = terminal.payment_key()?;
        let billing = terminal.checked(filled(self.billing).as_deref())?.map(|gateway| {
            let days = |name, text: Option<&str>, default: u64| {
                number(name, text, default, 0..=366).map(|days| Duration::from_hours(24 * days))
            };
            Ok::<_, String>(Billing {
                gateway,
                trial: days("billing_trial_days", self.billing_trial_days.as_deref(), 14)?,
                grace: days("billing_grace_days", self.billing_grace_days.as_deref(), 7)?,
                seller: filled(self.billing_seller),
            })
        });
        let engine = Config {
            billing: billing.transpose()?,
            payment_key,
            data_dir: data_dir.clone(),
            public_url,
            smtp,
            sms: sms(
                filled(self.sms_url).as_deref(),
                [filled(self.sms_account), filled(self.sms_token), filled(self.sms_from)],
            )?,
            ai: model_service(
                filled(self.ai_base_url).as_deref(),
                filled(self.ai_api_key),
                filled(self.ai_model),
            )?,
            ai_timeout: Duration::from_secs(number(
                "ai_timeout_seconds",
                self.ai_timeout_seconds.as_deref(),
                10,
                1..=300,
            )?),
            ai_prices: [
                number("ai_input_price", self.ai_input_price.as_deref(), 0.0, 0.0..=1e9)?,
                number("ai_output_price", self.ai_output_price.as_deref(), 0.0, 0.0..=1e9)?,
            ],
            meta_app_secrets: filled(self.meta_app_secret)
                .map(|all| {
                    all.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
                })
                .unwrap_or_default(),
            meta_app_id: filled(self.meta_app_id).map(|id| id.trim().to_owned()),
            meta_config_id: filled(self.meta_config_id).map(|id| id.trim().to_owned()),
            whatsapp_verify_token: filled(self.whatsapp_verify_token),
            telegram_webhook_secret: filled(self.telegram_webhook_secret),
            meta_base_url: url(
                "meta_base_url",
                filled(self.meta_base_url).as_deref().unwrap_or("https://graph.facebook.com"),
            )?,
            telegram_base_url: url(
                "telegram_base_url",
                filled(self.telegram_base_url).as_deref().unwrap_or("https://api.telegram.org"),
            )?,
            allowed_networks: networks("allowed_networks", self.allowed_networks.as_deref())?,
            media: media(
                &data_dir,
                filled(self.media_url),
                S3 {
                    endpoint: filled(self.s3_endpoint)
                        .map(|endpoint| url("s3_endpoint", &endpoint))
                        .transpose()?,
                    region: filled(self.s3_region),
                    access_key_id: filled(self.s3_access_key_id),
                    secret_access_key: filled(self.s3_secret_access_key),
                    ..S3::default()
                },
            )?,
            media_max_bytes: number(
                "media_max_bytes",
                self.media_max_bytes.as_deref(),
                2 << 30,
                1..=(1 << 40),
            )?,
            inbound_retention_days: number(
                "inbound_retention_days",
                self.inbound_retention_days.as_deref(),
                30,
                1..=3650,
            )?,
            event_retention_days: number(
                "event_retention_days",
                self.event_retention_days.as_deref(),
                90,
                1..=3650,
            )?,
            webhook_retention_days: number(
                "webhook_retention_days",
                self.webhook_retention_days.as_deref(),
                30,
                1..=3650,
            )?,
            webhook_concurrency: number(
                "webhook_concurrency",
                self.webhook_concurrency.as_deref(),
                256,
                2..=4096,
            )?,
            outbound_concurrency: number(
                "outbound_concurrency",
                self.outbound_concurrency.as_deref(),
                512,
                1..=4096,
            )?,
            uncertain_after: Duration::from_mins(number(
                "uncertain_after_minutes",
                self.uncertain_after_minutes.as_deref(),
                15,
                1..=10_080,
            )?),
        };
        Ok(Resolved {
            listen,
            database_url,
            database_connections: number(
                "database_connections",
                self.database_connections.as_deref(),
                16,
                2..=1000,
            )?,
            data_dir,
            master_key: filled(self.master_key),
            admin_email: filled(self.admin_email),
            admin_password: filled(self.admin_password),
            trusted_proxies: networks("trusted_proxies", self.trusted_proxies.as_deref())?,
            engine,
        })
    }

    /// Every setting that has a value, secrets covered.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        KEYS.iter()
            .filter_map(|key| {
                let value = self.get(key)?;
                Some((*key, if SECRETS.contains(key) { "(set)".into() } else { without_password(value) }))
            })
            .collect()
    }
}

/// A database URL without its password.
fn without_password(text: String) -> String {
    match Url::parse(&text) {
        Ok(mut url) if url.password().is_some() => {
            // Only URLs that cannot have a password refuse this.
            url.set_password(Some("****")).unwrap_or_default();
            url.to_string()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_met_with_the_nearest() {
        assert_eq!(nearest("lisen", KEYS), Some("listen"));
        assert_eq!(nearest("databse_url", KEYS), Some("database_url"));
        assert_eq!(nearest("frobnicate", KEYS), None);
        let wrong = check_environment(["KABAR_LISTN".to_owned()].into_iter()).unwrap_err();
        assert!(wrong.contains("KABAR_LISTEN"), "{wrong}");
        assert!(check_environment(["KABAR_TEST_POSTGRES_URL".to_owned()].into_iter()).is_ok());
    }

    #[test]
    fn the_file_only_fills_what_is_not_set() {
        let mut settings = Settings { listen: Some("127.0.0.1:1".into()), ..Settings::default() };
        settings.fill(&"listen = '127.0.0.1:2'\nmeta_app_secret = ['a', 'b']".parse().unwrap());
        assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:1"));
        let resolved = settings.resolve().unwrap();
        assert_eq!(resolved.engine.meta_app_secrets, ["a", "b"]);
        assert_eq!(resolved.database_url, "sqlite://data/kabar.db");
    }

    #[test]
    fn files_go_to_a_folder_or_a_bucket() {
        let place = |given: &str| media(Path::new("data"), Some(given.to_owned()), S3::default());
        assert!(
            matches!(place("/srv/media"), Ok(Place::Folder(folder)) if folder == Path::new("/srv/media"))
        );
        let Ok(Place::S3(s3)) = place("s3://files/kabar/") else { panic!("no bucket") };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("files", "kabar"));
        assert!(place("s3:///x").is_err() && place("gs://x").is_err());
        let half = S3 { access_key_id: Some("id".into()), ..S3::default() };
        assert!(media(Path::new("data"), Some("s3://files".into()), half).is_err());
    }

    #[test]
    fn networks_may_be_single_addresses() {
        let found = networks("trusted_proxies", Some(" 10.0.0.0/8, 127.0.0.1,,::1 ")).unwrap();
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "127.0.0.1/32", "::1/128"]
        );
        let wrong = networks("trusted_proxies", Some("10.0.0.0/8,proxy")).unwrap_err();
        assert!(wrong.contains("trusted_proxies") && wrong.contains("`proxy`"), "{wrong}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = Settings {
            database_url: Some("postgres://kabar:hunter2@db/kabar".into()),
            meta_app_secret: Some("hunter2".into()),
            ..Settings::default()
        };
        assert!(!format!("{:?}", settings.shown()).contains("hunter2"));
    }

    #[test]
    fn billing_is_off_until_the_whole_terminal_is_there() {
        let terminal = |id: Option<&str>, key: Option<&str>| Terminal {
            base: Some("https://pay.example/pg/payment".into()),
            tranportal_id: id.map(str::to_owned),
            password: Some("hunter2".into()),
            key: key.map(str::to_owned),
            response_key: None,
        };
        let key = "12345678901234567890123456789012";
        assert!(terminal(None, Some(key)).checked(None).unwrap().is_none());
        assert!(terminal(None, Some(key)).payment_key().unwrap().is_some(), "callbacks are taken");
        assert!(terminal(None, Some("short")).payment_key().is_err());
        assert!(terminal(Some("id"), Some(key)).checked(Some("off")).unwrap().is_none());
        let found = terminal(Some("id"), Some(key)).checked(None).unwrap().unwrap();
        assert_eq!(found.base.join("tranportal.htm").unwrap().path(), "/pg/payment/tranportal.htm");
        for (wrong, billing) in [
            (terminal(None, Some(key)), "neoleap"),
            (terminal(Some("id"), Some("short")), "neoleap"),
            (terminal(None, None), "on"),
        ] {
            assert!(wrong.checked(Some(billing)).is_err());
        }
    }
}
