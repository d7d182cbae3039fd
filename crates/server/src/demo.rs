//! `kabar demo`: the server, the simulated providers and sample data in one process.

use std::sync::Arc;
use std::time::Duration;

use kabar_api::{ApiState, DemoPhone, with_demo};
use kabar_domain::Ability;
use kabar_domain::message::Platform;
use kabar_engine::accounts::{AccountQuery, NewAccount};
use kabar_engine::crypto::random_text;
use kabar_engine::organisations::UpdateOrganisation;
use kabar_engine::page::PageRequest;
use kabar_engine::patch::Patch;
use kabar_engine::places::{FacilityFields, SiteFields};
use kabar_engine::users::TokenRequest;
use kabar_engine::{Engine, Principal};
use kabar_simulator::{Bot, Config, Number, NumberState, Simulator};
use serde_json::json;
use url::Url;

use crate::cli::Outcome;
use crate::serve;
use crate::settings::Settings;

const NUMBER: &str = "106540352242922";
const WABA: &str = "102290129340398";
const PHONE: &str = "6281234567890";
/// Good for the simulated providers of this process only.
const ACCESS_TOKEN: &str = "EAADemoOnly";
/// A number that nobody has connected: to try Meta's dialog with.
const BRANCH: &str = "106540352242923";
const BRANCH_WABA: &str = "102290129340399";
const BOT: &str = "7001001001";
const BOT_TOKEN: &str = "7001001001:demo-only";

pub async fn demo(mut settings: Settings) -> Outcome {
    serve::start_log(&Settings {
        log_level: settings.log_level.clone().or(Some("warn".into())),
        ..settings.clone()
    });
    // Sample data is thrown away, unless somebody says where to keep it.
    let scratch = match settings.data_dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("kabar-demo-").tempdir()?),
    };
    if let Some(scratch) = &scratch {
        settings.data_dir = Some(scratch.path().display().to_string());
    }
    let listen = settings.listen.clone().unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = serve::bind(&listen).await?;
    let address = listener.local_addr()?;
    let base = format!("http://{address}");
    let app_secret = random_text(32)?;
    let provider = Config {
        webhook_whatsapp: Some(Url::parse(&format!("{base}/webhooks/whatsapp"))?),
        app_secret: app_secret.clone(),
        // Slow enough to be seen.
        status_delays_ms: [400, 1_200, 2_500],
        numbers: Vec::from([
            Number {
                phone_number_id: NUMBER.into(),
                waba_id: WABA.into(),
                display_phone_number: "+62 21 5550 100".into(),
                verified_name: "Facility desk".into(),
                access_token: ACCESS_TOKEN.into(),
            },
            Number {
                phone_number_id: BRANCH.into(),
                waba_id: BRANCH_WABA.into(),
                display_phone_number: "+62 21 5550 200".into(),
                verified_name: "Branch office".into(),
                access_token: format!("{ACCESS_TOKEN}Branch"),
            },
        ]),
        bots: Vec::from([Bot {
            token: BOT_TOKEN.into(),
            username: "facility_desk_bot".into(),
            first_name: "Facility desk".into(),
        }]),
        ..Config::default()
    };
    // The server calls the providers here; the page reaches the same ones through the server's own address.
    let (simulator, providers, _task) = Simulator::start(provider, ([127, 0, 0, 1], 0).into()).await?;
    settings.listen = Some(address.to_string());
    settings.public_url = settings.public_url.or(Some(base.clone()));
    settings.meta_base_url = Some(format!("http://{providers}"));
    settings.telegram_base_url = Some(format!("http://{providers}"));
    settings.meta_app_secret = Some(app_secret);
    settings.whatsapp_verify_token = settings.whatsapp_verify_token.or(Some("kabar-demo".into()));
    settings.meta_app_id = Some(kabar_simulator::APP_ID.into());
    settings.meta_config_id = Some("1".into());
    simulator.set_number_state(NumberState {
        phone_number_id: BRANCH.into(),
        registered: Some(false),
        ..NumberState::default()
    })?;

    let is_scratch = scratch.is_some() && settings.database_url.is_none();
    let resolved = settings.resolve()?;
    let lock = serve::lock(&resolved)?;
    let engine = serve::open(&resolved).await?;
    let admin = engine.bootstrap(resolved.admin_email.as_deref(), resolved.admin_password.as_deref()).await?;
    let email = admin.as_ref().map_or("admin@localhost", |admin| admin.email.as_str());
    let email = resolved.admin_email.as_deref().unwrap_or(email).to_owned();
    let phone = seed(&engine, &email).await?;
    let state = ApiState::new(Arc::clone(&engine)).with_trusted_proxies(resolved.trusted_proxies);
    let router = kabar_api::router(state);
    let router = with_demo(router, simulator.router(), &phone);

    println!("Kabar demo: open {base}/demo for a phone, {base}/app for the web app");
    if let Some(admin) = admin {
        println!("Administrator: {}    password (shown once): {}", admin.email, admin.password);
    }
    println!(
        "API: {base}/api/v1, described at {base}/docs. Ctrl-C ends the demo{}",
        if is_scratch { " and throws its data away." } else { "." }
    );
    serve::run(engine, listener, router).await?;
    drop(lock);
    Ok(())
}

/// Registers the sample number and bot, unless the data directory has them from an earlier demo.
async fn seed(engine: &Engine, email: &str) -> Result<DemoPhone, Box<dyn std::error::Error + Send + Sync>> {
    let token = engine
        .create_token(TokenRequest {
            email,
            organisation: None,
            name: "demo",
            abilities: &[Ability::Admin],
            expires_in: Some(Duration::from_mins(5)),
        })
        .await?;
    let principal = engine.authenticate(&token.token, None).await?;
    let known = engine
        .list_messaging_accounts(
            &principal,
            AccountQuery::default(),
            &PageRequest::new(None, None, None, None, 100)?,
        )
        .await?;
    if known.items.iter().any(|account| ![NUMBER, BRANCH, BOT].contains(&account.row.external_id.as_str())) {
        return Err("this database has accounts of its own, and the demo would answer for their providers; \
                    run `kabar serve`, or the demo on another database"
            .into());
    }
    if known.items.is_empty() {
        let number = NewAccount {
            platform: Some("whatsapp".into()),
            display_name: Some("Facility desk".into()),
            phone_number_id: Some(NUMBER.into()),
            phone_number: Some("+62215550100".into()),
            waba_id: Some(WABA.into()),
            access_token: Some(ACCESS_TOKEN.into()),
            ..NewAccount::default()
        };
        engine.create_messaging_account(&principal, number).await?;
        furnish(engine, &principal).await?;
    }
    if known.items.len() < 2 {
        let bot = NewAccount {
            platform: Some("telegram".into()),
            display_name: Some("Facility desk bot".into()),
            bot_token: Some(BOT_TOKEN.into()),
            ..NewAccount::default()
        };
        engine.create_messaging_account(&principal, bot).await?;
    }
    let known = engine
        .list_messaging_accounts(
            &principal,
            AccountQuery::default(),
            &PageRequest::new(None, None, None, None, 100)?,
        )
        .await?;
    let channel = |platform| {
        let account = known.items.iter().find(|account| account.row.platform == platform);
        account.and_then(|account| account.row.channel_id).map(|id| id.to_string()).unwrap_or_default()
    };
    Ok(DemoPhone {
        phone_number_id: NUMBER.into(),
        wa_id: PHONE.into(),
        name: "Sari (technician)".into(),
        bot_token: BOT_TOKEN.into(),
        whatsapp_channel: channel(Platform::Whatsapp),
        telegram_channel: channel(Platform::Telegram),
    })
}

/// Places to speak of, and everything on that an organisation may want said in its chats.
async fn furnish(engine: &Engine, principal: &Principal) -> kabar_engine::Result<()> {
    let text = |text: &str| Patch::Set(Some(text.to_owned()));
    let names = |names: &[&str]| Patch::Set(Some(names.iter().map(|name| (*name).to_owned()).collect()));
    for (name, code, aliases, things) in [
        ("Building A", "A", ["Gedung A", "gd A", "مبنى أ"], ["AC lantai 2", "Lift 1"]),
        ("Building B", "B", ["Gedung B", "gd B", "مبنى ب"], ["Genset 1", "Genset 2"]),
    ] {
        let site = SiteFields {
            name: text(name),
            code: text(code),
            aliases: names(&aliases),
            ..SiteFields::default()
        };
        let site = engine.create_site(principal, site).await?;
        for thing in things {
            let thing = FacilityFields {
                site_id: text(&site.id.to_string()),
                name: text(thing),
                ..FacilityFields::default()
            };
            engine.create_facility(principal, thing).await?;
        }
    }
    let said = json!({ "acknowledge": true, "confirm": true, "commands": true, "closing_notes": true });
    let settings = Patch::Set(Some(json!({ "operations": said })));
    let change = UpdateOrganisation { settings, ..UpdateOrganisation::default() };
    engine.update_organisation(principal, principal.organisation_id, change).await?;
    Ok(())
}
