//! A throwaway PostgreSQL cluster with the package's own defaults, `fsync` on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::Outcome;
use crate::context::{Scratch, free_port};

const USER: &str = "kabar";
/// PostgreSQL refuses to run as root; the package makes this user.
const SYSTEM_USER: &str = "postgres";

pub struct Cluster {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    as_other_user: bool,
}

impl Cluster {
    /// Makes and starts a cluster below `parent`, where its socket is, too.
    pub fn start(parent: &Path) -> Outcome<Self> {
        let dir = parent.join("postgres");
        std::fs::create_dir(&dir)?;
        let as_other_user = stdout_of(Command::new("id").arg("-u"))?.trim() == "0";
        if as_other_user {
            stdout_of(Command::new("chown").arg(SYSTEM_USER).arg(&dir))?;
        }
        let cluster = Self { bin: find_bin()?, dir, port: free_port()?, as_other_user };
        let data = cluster.data();
        let data_argument = data.to_str().ok_or("the directory's name is not UTF-8")?;
        // `C.UTF-8`, because pg_trgm needs a locale that knows letters beyond ASCII.
        cluster.tool(
            "initdb",
            &["-D", data_argument, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
        )?;
        let mut configuration =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
        write!(
            configuration,
            "\nport = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = on\n",
            cluster.port,
            cluster.dir.display()
        )?;
        let log = cluster.dir.join("log");
        let log_argument = log.to_str().ok_or("the directory's name is not UTF-8")?;
        cluster.tool("pg_ctl", &["-D", data_argument, "-l", log_argument, "-w", "start"])?;
        Ok(cluster)
    }

    pub fn version(&self) -> Outcome<String> {
        Ok(stdout_of(Command::new(self.bin.join("postgres")).arg("--version"))?.trim().to_owned())
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn create_database(&self, name: &str) -> Outcome<()> {
        self.tool("createdb", &["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, name])
    }

    pub fn drop_database(&self, name: &str) -> Outcome<()> {
        self.tool("dropdb", &["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, "--force", name])
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Outcome<()> {
        let program = self.bin.join(name);
        let mut command = if self.as_other_user {
            let mut command = Command::new("runuser");
            command.args(["-u", SYSTEM_USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        stdout_of(command.args(arguments).current_dir(&self.dir)).map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        if let Some(data) = data.to_str()
            && let Err(error) = self.tool("pg_ctl", &["-D", data, "-m", "immediate", "-w", "stop"])
        {
            eprintln!("kabar-bench: the PostgreSQL cluster did not stop: {error}");
        }
    }
}

/// Keeps a cluster until the program is interrupted.
pub async fn hold(parent: &Path) -> Outcome<()> {
    let scratch = Scratch::new(parent)?;
    let cluster = Cluster::start(scratch.path())?;
    cluster.create_database("kabar")?;
    println!("{}", cluster.url("kabar"));
    eprintln!("{}; Ctrl-C stops and removes it", cluster.version()?);
    std::future::pending().await
}

/// The newest installed server's programs, which Debian keeps off the `PATH`.
fn find_bin() -> Outcome<PathBuf> {
    let version = |path: &Path| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let newest = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| version(path))
        .map(|path| path.join("bin"));
    let on_path = || {
        std::env::var_os("PATH")
            .and_then(|paths| std::env::split_paths(&paths).find(|dir| dir.join("initdb").exists()))
    };
    newest.or_else(on_path).ok_or_else(|| "PostgreSQL's server is not installed (no initdb found)".into())
}

fn stdout_of(command: &mut Command) -> Outcome<String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        return Err(format!("{command:?} failed with {status}: {}", said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
