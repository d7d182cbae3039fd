//! The set-up a figure belongs to, printed before it.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Named facts about the machine, in the order to print them.
pub fn facts(directory: &Path) -> Outcome<Vec<(&'static str, String)>> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    Ok(vec![
        ("cores", cores.to_string()),
        ("processor", field("/proc/cpuinfo", "model name")),
        ("memory", memory()),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("file system", file_system(directory)),
        ("fsync of 4 KiB", format!("{:.0} µs median", fsync(directory)?.as_secs_f64() * 1e6)),
        ("load before", format!("{load} (others' work on the machine; near 0 for figures that count)")),
        ("rustc", output("rustc", &["--version"])),
        ("commit", output("git", &["describe", "--always", "--dirty"])),
        ("SQLite", rusqlite::version().to_owned()),
    ])
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or("unknown".into(), |(_, value)| value.trim().to_owned())
}

fn memory() -> String {
    let total = field("/proc/meminfo", "MemTotal");
    let kib: Option<u64> = total.split(' ').next().and_then(|digits| digits.parse().ok());
    kib.map_or(total, |kib| format!("{} MiB", kib / 1024))
}

fn file_system(directory: &Path) -> String {
    let directory = directory.to_string_lossy();
    let kind = output("findmnt", &["--noheadings", "--output", "FSTYPE", "--target", &directory]);
    if kind == "tmpfs" {
        return format!("{kind} — in memory: fsync costs nothing here, so no figure of this run counts");
    }
    kind
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn fsync(directory: &Path) -> Outcome<Duration> {
    let path = directory.join("fsync-probe");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..101 {
        file.write_all(&[0x5A; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    std::fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
