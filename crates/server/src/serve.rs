//! Starting and stopping the server.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use kabar_domain::Clock;
use kabar_engine::Engine;
use kabar_engine::crypto::MasterKey;
use kabar_store::{Options, Store};
use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;

use crate::cli::Outcome;
use crate::settings::{Resolved, Settings};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub async fn serve(settings: Settings) -> Outcome {
    start_log(&settings);
    let resolved = settings.resolve()?;
    let listener = bind(&resolved.listen).await?;
    let lock = lock(&resolved)?;
    let engine = open(&resolved).await?;
    announce_admin(&engine, &resolved).await?;
    let state = kabar_api::ApiState::new(Arc::clone(&engine)).with_trusted_proxies(resolved.trusted_proxies);
    let router = kabar_api::router(state);
    let address = listener.local_addr()?;
    println!(
        "Kabar listens on http://{address} (web app at /app, API at /api/v1, its description at /docs)."
    );
    run(engine, listener, router).await?;
    drop(lock);
    Ok(())
}

pub async fn migrate(settings: Settings) -> Outcome {
    start_log(&settings);
    let resolved = settings.resolve()?;
    let store = open_store(&resolved).await?;
    store.close().await;
    println!("The database is up to date.");
    Ok(())
}

/// Connections the kernel may hold until they are accepted: providers come in bursts.
const BACKLOG: u32 = 4096;

pub async fn bind(listen: &str) -> Result<TcpListener, BoxError> {
    let open = async {
        let address = tokio::net::lookup_host(listen).await?.next();
        let address = address.ok_or_else(|| std::io::Error::other("no such address"))?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let listener: std::io::Result<TcpListener> = open.await;
    listener.map_err(|error| {
        format!("cannot listen on {listen}: {error}; choose another address with --listen").into()
    })
}

/// Serves until the process is told to stop; then finishes what was accepted.
pub async fn run(engine: Arc<Engine>, listener: TcpListener, router: kabar_api::Router) -> Outcome {
    let running = engine.start().await?;
    kabar_api::serve(listener, router, stop_signal(), kabar_api::Limits::default()).await?;
    tracing::info!("no more requests; finishing what was accepted");
    running.stop(engine).await;
    tracing::info!("stopped");
    Ok(())
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        tracing::error!("SIGTERM cannot be listened for; only Ctrl-C stops the server");
        tokio::signal::ctrl_c().await.unwrap_or_default();
        return;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        result = tokio::signal::ctrl_c() => {
            if let Err(error) = result {
                tracing::warn!(%error, "Ctrl-C cannot be listened for");
                terminate.recv().await;
            }
            tracing::info!("stopping");
        }
    }
}

/// Logs to stderr. Levels come from `--log-level`.
pub fn start_log(settings: &Settings) {
    let level = settings.log_level.clone().unwrap_or_else(|| "info".into());
    // PostgreSQL's notices about what is there already are of no use to anybody.
    let filter = EnvFilter::try_new(format!("sqlx=warn,{level}")).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if settings.log_format.as_deref() == Some("json") {
        builder.json().init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

/// An engine for a command or a server, its database up to date.
pub async fn open(resolved: &Resolved) -> Result<Arc<Engine>, BoxError> {
    let store = open_store(resolved).await?;
    let mut db = store.reader().await?;
    let mut sealed: Vec<_> =
        kabar_store::accounts::credentials(&mut db).await?.into_iter().map(|row| row.credentials).collect();
    sealed.extend(kabar_store::webhooks::any_secrets(&mut db).await?);
    drop(db);
    let key = master_key(resolved, !sealed.is_empty())?;
    if sealed.iter().any(|sealed| !key.sealed(sealed)) {
        return Err("the database holds credentials that another master key encrypted; start with that key \
                    (KABAR_MASTER_KEY, or master.key in the data directory)"
            .into());
    }
    let engine = Engine::new(store, Clock::system(), key, resolved.engine.clone())?;
    Ok(Arc::new(engine))
}

async fn open_store(resolved: &Resolved) -> Result<Store, BoxError> {
    make_folder(&resolved.data_dir)?;
    let options = Options { url: resolved.database_url.clone(), connections: resolved.database_connections };
    Store::open(&options)
        .await
        .map_err(|error| format!("the database cannot be opened: {error}; check --database-url").into())
}

fn make_folder(folder: &Path) -> Result<(), BoxError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| format!("the data directory {} cannot be made: {error}", folder.display()).into())
}

/// The configured key, or the key file's, made at the first start. `needed`: something is encrypted already.
fn master_key(resolved: &Resolved, needed: bool) -> Result<MasterKey, BoxError> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(text) = &resolved.master_key {
        return Ok(MasterKey::parse(text)?);
    }
    let path = resolved.data_dir.join("master.key");
    let unreadable =
        |error: std::io::Error| format!("the key file {} cannot be used: {error}", path.display());
    if path.exists() {
        return Ok(MasterKey::parse(&fs::read_to_string(&path).map_err(unreadable)?)?);
    }
    if needed {
        return Err(format!(
            "the key file {} is missing, and the database holds credentials encrypted with it; put it back, or give \
             the key as KABAR_MASTER_KEY",
            path.display()
        )
        .into());
    }
    let text = MasterKey::generate()?;
    // Written aside and linked into place: no other start ever reads half a key, and the first one wins.
    let aside = resolved.data_dir.join(format!("master.key.{}", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(unreadable)?;
    file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(unreadable)?;
    let linked = fs::hard_link(&aside, &path);
    fs::remove_file(&aside).map_err(unreadable)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(unreadable(error).into()),
        _ => {
            tracing::info!(file = %path.display(), "made the master key; keep a copy: without it credentials are lost");
            Ok(MasterKey::parse(&fs::read_to_string(&path).map_err(unreadable)?)?)
        }
    }
}

/// One server at a time works on SQLite files.
pub fn lock(resolved: &Resolved) -> Result<Option<File>, BoxError> {
    let Some(path) = resolved.database_url.strip_prefix("sqlite:") else { return Ok(None) };
    let database = Path::new(path.strip_prefix("//").unwrap_or(path));
    if let Some(folder) = database.parent() {
        make_folder(folder)?;
    }
    let path = database.with_extension("lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| format!("{} cannot be opened: {error}", path.display()))?;
    file.try_lock()
        .map_err(|_| format!("another kabar runs on the database {}; stop it first", database.display()))?;
    Ok(Some(file))
}

/// First start: makes the first administrator, and says their password once.
pub async fn announce_admin(engine: &Engine, resolved: &Resolved) -> Outcome {
    let made = engine.bootstrap(resolved.admin_email.as_deref(), resolved.admin_password.as_deref()).await?;
    if let Some(admin) = made {
        println!("First start: the administrator is {} with the password {}", admin.email, admin.password);
        println!("It is not shown again; change it with `kabar user password --email {}`.", admin.email);
    }
    Ok(())
}
