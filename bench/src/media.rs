//! A file of two gigabytes into the media library and out again: how fast, and how much of it is ever in memory.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::body::scramble;
use crate::context::{Context, Database};
use crate::http::{Api, Connection};
use crate::report::Report;
use crate::server_under_test::{Installation, Server, log_in};

const SIZE: u64 = 2_000_000_000;
const BLOCK: usize = 1024 * 1024;
/// Written at a time.
const PART: usize = 64 * 1024;
const BOUNDARY: &str = "kabar-bench-7f3a";
const TARGET_MIB: f64 = 32.0;
/// Longer than any disk takes.
const LIMIT: Duration = Duration::from_mins(10);

pub async fn measure(context: &Context, database: Database, report: &mut Report) -> Outcome<()> {
    let name = database.name();
    let size = if context.quick { SIZE / 20 } else { SIZE };
    let installation = Installation::new(context, database, "media")?;
    let server = installation.start().await?;
    let api = log_in(&server).await?;
    let stretch = |label: &str| context.say(&format!("media {name}: {label}"));

    let up = Stretch::begin(&server)?;
    let url = tokio::time::timeout(LIMIT, upload(&api, server.address, size)).await??;
    let up = up.end(&server, size);
    stretch(&format!("uploaded, {}", up.line()));
    let down = Stretch::begin(&server)?;
    tokio::time::timeout(LIMIT, download(&api, server.address, &url, size)).await??;
    let down = down.end(&server, size);
    stretch(&format!("downloaded, {}", down.line()));
    server.stop().await?;

    for (what, done) in [("up", &up), ("down", &down)] {
        report.judge(
            "media",
            name,
            format!("{:.1} GB {what}, memory", size as f64 / 1e9),
            done.line(),
            ("< 32 MiB more", done.growth < TARGET_MIB),
        );
    }
    report.detail("media", name, "a large file", &json!({ "up": up.json(), "down": down.json() }));
    Ok(())
}

/// A transfer under way.
struct Stretch {
    began: Instant,
    resident: f64,
}

/// A transfer as it was.
struct Done {
    megabytes_per_second: f64,
    before: f64,
    /// Of the peak over `before`, in MiB.
    growth: f64,
    after: f64,
}

impl Stretch {
    fn begin(server: &Server) -> Outcome<Self> {
        server.forget_peak()?;
        Ok(Self { began: Instant::now(), resident: server.memory().resident })
    }

    fn end(self, server: &Server, size: u64) -> Done {
        let memory = server.memory();
        Done {
            megabytes_per_second: size as f64 / 1e6 / self.began.elapsed().as_secs_f64(),
            before: self.resident,
            growth: memory.peak - self.resident,
            after: memory.resident,
        }
    }
}

impl Done {
    fn line(&self) -> String {
        format!(
            "{:+.1} MiB at the highest (before {:.1}, after {:.1}), {:.0} MB/s",
            self.growth, self.before, self.after, self.megabytes_per_second
        )
    }

    fn json(&self) -> Value {
        json!({
            "megabytes_per_second": self.megabytes_per_second,
            "resident_before_mib": self.before, "resident_growth_mib": self.growth,
            "resident_after_mib": self.after,
        })
    }
}

/// What the file holds: the same noise again and again, each block with its number in front.
struct Noise(Vec<u8>);

impl Noise {
    fn new() -> Self {
        Self((0..BLOCK as u64 / 8).flat_map(|at| scramble(at).to_le_bytes()).collect())
    }

    /// From `offset` on, up to the end of the block and of the file.
    fn at(&mut self, offset: u64, size: u64) -> &[u8] {
        let (number, within) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
        self.0[..8].copy_from_slice(&number.to_le_bytes());
        let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
        &self.0[within..BLOCK.min(within.saturating_add(left))]
    }
}

/// Returns the file's signed URL.
async fn upload(api: &Api, address: std::net::SocketAddr, size: u64) -> Outcome<String> {
    let before = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"noise.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let length = before.len() as u64 + size + after.len() as u64;
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let mut connection = Connection::open(address).await?;
    let head = api.request_head("POST", "/api/v1/media", &content_type, length);
    connection.write(format!("{head}{before}").as_bytes()).await?;
    let mut noise = Noise::new();
    let mut offset = 0;
    while offset < size {
        let part = noise.at(offset, size);
        let part = &part[..part.len().min(PART)];
        connection.write(part).await?;
        offset += part.len() as u64;
    }
    connection.write(after.as_bytes()).await?;
    let status = connection.answer().await?.status;
    let answer: Value = serde_json::from_slice(connection.body()).unwrap_or_default();
    match answer["data"]["url"].as_str() {
        Some(url) if status == 201 && answer["data"]["size"].as_u64() == Some(size) => Ok(url.to_owned()),
        _ => Err(format!("POST /api/v1/media answered {status}: {answer}").into()),
    }
}

async fn download(api: &Api, address: std::net::SocketAddr, url: &str, size: u64) -> Outcome<()> {
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let path = path.ok_or_else(|| format!("not a URL: {url}"))?;
    let mut connection = Connection::open(address).await?;
    connection.write(&api.request("GET", path, None)).await?;
    let mut noise = Noise::new();
    let mut offset = 0;
    let answer = connection.stream(|mut part| {
        while !part.is_empty() {
            let expected = if offset < size { noise.at(offset, size) } else { &[] };
            let length = expected.len().min(part.len());
            if length == 0 || part[..length] != expected[..length] {
                return Err(format!("the file differs from what was uploaded, after {offset} bytes").into());
            }
            offset += length as u64;
            part = &part[length..];
        }
        Ok(())
    });
    let status = answer.await?.status;
    if status != 200 || offset != size {
        return Err(format!("the file answered {status} with {offset} bytes").into());
    }
    Ok(())
}
