//! What every benchmark of a run shares: options, a scratch directory, the PostgreSQL cluster, the stub provider.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::graph_stub::GraphStub;
use crate::postgres::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The machine is given back as it was: fields are dropped in this order, the directory last.
pub struct Context {
    pub databases: Vec<Database>,
    pub kabar: PathBuf,
    /// Extra environment of the server under test.
    pub environment: Vec<(String, String)>,
    pub connections: usize,
    pub seconds: Duration,
    pub rounds: usize,
    pub quick: bool,
    pub graph: GraphStub,
    pub cluster: Option<Cluster>,
    pub scratch: Scratch,
    pub started: Instant,
}

impl Context {
    /// One line of progress, with the seconds since the run began.
    pub fn say(&self, line: &str) {
        eprintln!("[{:7.1} s] {line}", self.started.elapsed().as_secs_f64());
    }

    pub fn cluster(&self) -> Outcome<&Cluster> {
        self.cluster.as_ref().ok_or_else(|| "this run has no PostgreSQL cluster".into())
    }
}

/// A directory that is removed with everything in it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(parent: &Path) -> Outcome<Self> {
        for attempt in 0..1_000 {
            let path = parent.join(format!("kabar-bench-{}-{attempt}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(format!("{}: {error}", path.display()).into()),
            }
        }
        Err(format!("no free name in {}", parent.display()).into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A server killed a moment ago may still be making files in it.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("kabar-bench: {} was not removed", self.0.display());
    }
}

/// A port nobody listens on at this moment.
pub fn free_port() -> Outcome<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
