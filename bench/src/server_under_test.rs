//! Starts and stops the servers that are measured: `kabar serve` as an operator would, and the baseline.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::body::Number;
use crate::context::{Context, Database, free_port};
use crate::http::{Api, Connection};
use crate::metrics::Metrics;

pub const SECRET: &str = "bench-app-secret-3f6c1d7e";
const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "a-long-password-for-the-bench-91";
/// A first start may migrate; anything longer is a hang.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_mins(1);

pub fn number() -> Number {
    Number {
        phone_number_id: "106540352242922".into(),
        phone: "6281200000001".into(),
        waba_id: "102290129340398".into(),
    }
}

/// A running server. Dropped, it is killed; `stop` lets it finish.
pub struct Server {
    child: Child,
    pid: u32,
    pub address: SocketAddr,
    /// From the start of the process to the first 200 of `/healthz`.
    pub startup: Duration,
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub resident: f64,
    /// The highest `resident` has been since the process began.
    pub peak: f64,
}

impl Server {
    async fn launch(mut command: Command, address: SocketAddr, log: &Path) -> Outcome<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let pid = child.id().ok_or("the server ended at once")?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        loop {
            if is_healthy(address, request.as_bytes()).await {
                return Ok(Self { child, pid, address, startup: started.elapsed() });
            }
            if let Some(status) = child.try_wait()? {
                return Err(
                    format!("the server ended with {status} before it was healthy: {}", tail(log)).into()
                );
            }
            if started.elapsed() > START_LIMIT {
                let limit = START_LIMIT.as_secs();
                return Err(format!("/healthz did not answer 200 within {limit} s: {}", tail(log)).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let mebibytes = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim_start_matches(':').split_ascii_whitespace().next());
            kib.and_then(|digits| digits.parse().ok()).map_or(0.0, |kib: f64| kib / 1024.0)
        };
        Memory { resident: mebibytes("VmRSS"), peak: mebibytes("VmHWM") }
    }

    /// What it has used of the processors since it began, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // After the name, which may hold anything: `utime` and `stime` are the 12th and 13th, in hundredths.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks =
            fields.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok());
        f64::from(ticks.sum::<u32>()) / 100.0
    }

    /// Lets `Memory::peak` begin anew from what is resident now.
    pub fn forget_peak(&self) -> Outcome<()> {
        let path = format!("/proc/{}/clear_refs", self.pid);
        std::fs::write(&path, "5").map_err(|error| format!("{path}: {error}").into())
    }

    /// Asks it to end as an operator would, and waits for it.
    pub async fn stop(mut self) -> Outcome<()> {
        Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await?;
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => {
                status?;
                Ok(())
            }
            Err(_) => {
                Err(format!("the server did not end within {} s of SIGTERM", STOP_LIMIT.as_secs()).into())
            }
        }
    }
}

async fn is_healthy(address: SocketAddr, request: &[u8]) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    connection.send(request).await.is_ok_and(|answer| answer.status == 200)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n  ")
}

/// The baseline over a fresh file in `directory`.
pub async fn start_baseline(directory: &Path) -> Outcome<Server> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["baseline", "--listen", &address.to_string(), "--secret", SECRET, "--database"]);
    command.arg(directory.join("baseline.db"));
    Server::launch(command, address, &directory.join("log")).await
}

/// A data directory and a database of Kabar's; they outlive its process and are removed with this value.
pub struct Installation<'a> {
    context: &'a Context,
    database: Database,
    name: String,
    directory: PathBuf,
    url: String,
}

impl<'a> Installation<'a> {
    pub fn new(context: &'a Context, database: Database, name: &str) -> Outcome<Self> {
        let name = name.replace('-', "_");
        let directory = context.scratch.path().join(format!("{}_{name}", database.name()));
        std::fs::create_dir(&directory)?;
        let url = match database {
            Database::Sqlite => format!("sqlite://{}", directory.join("kabar.db").display()),
            Database::Postgres => {
                let cluster = context.cluster()?;
                cluster.create_database(&name)?;
                cluster.url(&name)
            }
        };
        Ok(Self { context, database, name, directory, url })
    }

    pub async fn start(&self) -> Outcome<Server> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(&self.context.kabar);
        // The figures must not depend on what the caller's shell happens to set.
        for (name, _) in std::env::vars_os() {
            let known = ["KABAR_", "META_", "WHATSAPP_", "TELEGRAM_", "RUST_LOG"];
            if name.to_str().is_some_and(|name| known.iter().any(|prefix| name.starts_with(prefix))) {
                command.env_remove(name);
            }
        }
        let graph = self.context.graph.url();
        command
            .arg("serve")
            .current_dir(&self.directory)
            .env("KABAR_LISTEN", address.to_string())
            .env("KABAR_DATABASE_URL", &self.url)
            .env("KABAR_DATA_DIR", &self.directory)
            .env("META_APP_SECRET", SECRET)
            .env("WHATSAPP_VERIFY_TOKEN", "bench-verify-token")
            .env("KABAR_ADMIN_EMAIL", EMAIL)
            .env("KABAR_ADMIN_PASSWORD", PASSWORD)
            .env("KABAR_META_BASE_URL", &graph)
            .env("KABAR_TELEGRAM_BASE_URL", &graph)
            .env("KABAR_ALLOWED_NETWORKS", "127.0.0.0/8")
            .envs(self.context.environment.iter().map(|(name, value)| (name, value)));
        Server::launch(command, address, &self.directory.join("log")).await
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        if self.database == Database::Postgres {
            let dropped = self.context.cluster().and_then(|cluster| cluster.drop_database(&self.name));
            if let Err(error) = dropped {
                eprintln!("kabar-bench: database {} was not dropped: {error}", self.name);
            }
        }
        // What remains goes with the run's own directory.
        let _left = std::fs::remove_dir_all(&self.directory);
    }
}

/// A client with the administrator's token.
pub async fn log_in(server: &Server) -> Outcome<Api> {
    let mut api = Api::new(server.address, None);
    let answer = api.post("/api/v1/auth/login", &json!({"email": EMAIL, "password": PASSWORD})).await?;
    let token = answer["data"]["access_token"].as_str().ok_or("the login answer has no data.access_token")?;
    api.set_token(token.to_owned());
    Ok(api)
}

/// Registers the bench's WhatsApp number; returns the id of its direct channel.
pub async fn register_number(api: &mut Api) -> Outcome<String> {
    let number = number();
    let account = json!({
        "platform": "whatsapp",
        "display_name": "Bench",
        "phone_number_id": number.phone_number_id,
        "phone_number": format!("+{}", number.phone),
        "waba_id": number.waba_id,
        "access_token": "EAAbenchToken",
    });
    let answer = api.post("/api/v1/messaging-accounts", &account).await?;
    let channel = answer["data"]["channel_id"].as_str();
    Ok(channel.ok_or("the new messaging account has no data.channel_id")?.to_owned())
}

pub async fn scrape(api: &mut Api) -> Outcome<Metrics> {
    Ok(Metrics::new(api.text("/metrics").await?))
}
