//! Where files' bytes are kept: a folder, or a bucket that speaks S3.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;
use url::Url;

use crate::hex::hex;

/// A smaller object is written by one request, a larger one in parts of this size: the smallest S3 takes.
const PART: usize = 5 << 20;
/// Parts on their way at once. With the one that fills they bound the memory of one upload.
const PARTS: usize = 2;
/// Bytes read from or written to a disk at once.
const BLOCK: usize = 256 << 10;

/// Which store.
#[derive(Clone)]
pub enum Place {
    Folder(PathBuf),
    S3(S3),
}

/// A bucket. What is not given comes from the surroundings, as on a machine with a role.
#[derive(Clone, Default)]
pub struct S3 {
    pub bucket: String,
    /// Before every key; may be empty.
    pub prefix: String,
    pub endpoint: Option<Url>,
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            Self::S3(s3) => write!(f, "S3({}/{})", s3.bucket, s3.prefix),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the object is not there")]
    NotFound,
    /// The store is away, full or refuses.
    #[error("the object store failed: {0}")]
    Unavailable(String),
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::NotFound {
            Self::NotFound
        } else {
            Self::Unavailable(error.to_string())
        }
    }
}

/// An open store. Clones share it.
#[derive(Clone, Debug)]
pub struct Storage(Store);

#[derive(Clone, Debug)]
enum Store {
    Folder(PathBuf),
    Bucket { bucket: Arc<dyn ObjectStore>, prefix: Path },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Lowercase hexadecimal.
    pub sha256: String,
    pub size: u64,
}

fn path(prefix: &Path, key: &str) -> Path {
    prefix.parts().chain(Path::from(key).parts()).collect()
}

/// Under this name a folder's object is written before it is whole.
fn unfinished(folder: &FilePath, key: &str) -> PathBuf {
    folder.join(format!("{key}.part"))
}

impl Storage {
    /// Neither makes the folder nor calls the bucket yet.
    pub fn open(place: &Place) -> Result<Self, Error> {
        Ok(Self(match place {
            Place::Folder(folder) => Store::Folder(folder.clone()),
            Place::S3(s3) => {
                let prefix = Path::parse(&s3.prefix).map_err(object_store::Error::from)?;
                Store::Bucket { bucket: Arc::new(bucket(s3)?), prefix }
            }
        }))
    }

    /// Begins a new object. It is there, whole, once [`Writer::finish`] says so.
    pub fn writer(&self, key: &str) -> Writer {
        let sink = match &self.0 {
            Store::Folder(folder) => Sink::File(Disk::new(unfinished(folder, key), folder.join(key))),
            Store::Bucket { bucket, prefix } => {
                let writer = BufWriter::with_capacity(Arc::clone(bucket), path(prefix, key), PART);
                Sink::Object(Some(writer.with_max_concurrency(PARTS)))
            }
        };
        Writer { sink, hash: digest::Context::new(&digest::SHA256), size: 0 }
    }

    /// The bytes of an object from `range.start` to before `range.end`.
    pub async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        match &self.0 {
            Store::Folder(folder) => {
                let mut file = tokio::fs::File::open(folder.join(key)).await?;
                file.seek(std::io::SeekFrom::Start(range.start)).await?;
                let part = file.take(range.end - range.start);
                Ok(ReaderStream::with_capacity(part, BLOCK).map_err(Error::from).boxed())
            }
            Store::Bucket { bucket, prefix } => {
                let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
                let found = bucket.get_opts(&path(prefix, key), options).await?;
                Ok(found.into_stream().map_err(Error::from).boxed())
            }
        }
    }

    /// Removes an object and what an interrupted write of it left. That there is none is no error.
    pub async fn remove(&self, key: &str) -> Result<(), Error> {
        match &self.0 {
            Store::Folder(folder) => {
                for path in [unfinished(folder, key), folder.join(key)] {
                    match tokio::fs::remove_file(path).await {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            Store::Bucket { bucket, prefix } => {
                match bucket.delete(&path(prefix, key)).await.map_err(Error::from) {
                    Ok(()) | Err(Error::NotFound) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

fn bucket(s3: &S3) -> Result<object_store::aws::AmazonS3, Error> {
    let retry =
        RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
    // A large object takes as long as it takes, as long as it moves.
    let options = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(Duration::from_secs(30))
        .with_connect_timeout(Duration::from_secs(5));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&s3.bucket)
        .with_region(s3.region.as_deref().unwrap_or("us-east-1"))
        .with_retry(retry)
        .with_client_options(options);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            .with_allow_http(endpoint.scheme() == "http");
    }
    if let Some(id) = &s3.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = &s3.secret_access_key {
        builder = builder.with_secret_access_key(secret);
    }
    Ok(builder.build()?)
}

/// An object being written. Dropped before its end, it leaves nothing.
pub struct Writer {
    sink: Sink,
    hash: digest::Context,
    size: u64,
}

enum Sink {
    File(Disk),
    /// `None` once it is written or taken back.
    Object(Option<BufWriter>),
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({} bytes)", self.size)
    }
}

impl Writer {
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.sink {
            Sink::File(disk) => disk.write(bytes).await?,
            Sink::Object(writer) => writer.as_mut().ok_or_else(ended)?.write_all(bytes).await?,
        }
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Makes the object durable and visible.
    pub async fn finish(mut self) -> Result<Written, Error> {
        match &mut self.sink {
            Sink::File(disk) => disk.finish().await?,
            Sink::Object(writer) => writer.take().ok_or_else(ended)?.shutdown().await?,
        }
        let sha256 = hex(self.hash.clone().finish().as_ref());
        Ok(Written { sha256, size: self.size })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Sink::Object(writer) = &mut self.sink
            && let (Some(mut writer), Ok(runtime)) = (writer.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                if let Err(error) = writer.abort().await {
                    tracing::debug!(%error, "an unfinished object could not be taken back");
                }
            });
        }
    }
}

fn ended() -> Error {
    Error::Unavailable("it was written to its end already".into())
}

/// A file that is written aside, made durable, and then put in its place.
struct Disk {
    aside: PathBuf,
    place: PathBuf,
    /// The open file, and what is not written to it yet. Away while a thread writes.
    open: Option<(File, Vec<u8>)>,
    begun: bool,
    done: bool,
}

impl Disk {
    const fn new(aside: PathBuf, place: PathBuf) -> Self {
        Self { aside, place, open: None, begun: false, done: false }
    }

    async fn open(&mut self) -> Result<(File, Vec<u8>), Error> {
        if self.begun {
            return self.open.take().ok_or_else(ended);
        }
        self.begun = true;
        let aside = self.aside.clone();
        let file = blocking(move || {
            if let Some(folder) = aside.parent() {
                std::fs::create_dir_all(folder)?;
            }
            File::create_new(aside)
        });
        Ok((file.await?, Vec::with_capacity(BLOCK)))
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (mut file, mut block) = self.open().await?;
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
            block.extend_from_slice(now);
            bytes = rest;
            if block.len() == BLOCK {
                let written = blocking(move || {
                    file.write_all(&block)?;
                    block.clear();
                    Ok((file, block))
                });
                self.open = Some(written.await?);
            } else {
                self.open = Some((file, block));
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Error> {
        let (mut file, block) = self.open().await?;
        let (aside, place) = (self.aside.clone(), self.place.clone());
        blocking(move || {
            file.write_all(&block)?;
            file.sync_all()?;
            std::fs::rename(aside, &place)?;
            // The names of a new organisation's folder and of the file in it.
            for folder in place.ancestors().skip(1).take(2) {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        })
        .await?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.begun
            && !self.done
            && let Err(error) = std::fs::remove_file(&self.aside)
        {
            tracing::debug!(%error, "an unfinished file could not be removed");
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Unavailable(error.to_string()))?
        .map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bytes(storage: &Storage, key: &str, range: Range<u64>) -> Result<Vec<u8>, Error> {
        let parts: Vec<Bytes> = storage.read(key, range).await?.try_collect().await?;
        Ok(parts.concat())
    }

    fn files(folder: &FilePath) -> Vec<String> {
        let inner = std::fs::read_dir(folder.join("a")).into_iter().flatten();
        inner.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn an_object_is_there_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&Place::Folder(folder.path().to_owned())).unwrap();
        let content: Vec<u8> = (0..12_000_000_u32).map(|n| (n % 251) as u8).collect();
        for (key, content) in [("a/small", &content[..1000]), ("a/large", &content[..]), ("a/empty", &[])] {
            let mut writer = storage.writer(key);
            for part in content.chunks(700_001) {
                writer.write(part).await.unwrap();
            }
            assert!(matches!(storage.read(key, 0..1).await, Err(Error::NotFound)));
            let written = writer.finish().await.unwrap();
            assert_eq!(written.size, content.len() as u64);
            assert_eq!(written.sha256, hex(digest::digest(&digest::SHA256, content).as_ref()));
            assert!(bytes(&storage, key, 0..written.size).await.unwrap() == content);
        }
        assert!(
            bytes(&storage, "a/large", 5_242_870..11_000_000).await.unwrap()
                == content[5_242_870..11_000_000]
        );
        storage.remove("a/large").await.unwrap();
        storage.remove("a/large").await.unwrap();
        assert!(matches!(storage.read("a/large", 0..1).await, Err(Error::NotFound)));
    }

    #[tokio::test]
    async fn what_an_interrupted_write_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&Place::Folder(folder.path().to_owned())).unwrap();
        let mut writer = storage.writer("a/half");
        writer.write(&vec![0; 3 * BLOCK]).await.unwrap();
        // As after a crash: nobody takes it back.
        std::mem::forget(writer);
        assert_eq!(files(folder.path()), ["half.part"]);
        storage.remove("a/half").await.unwrap();
        assert_eq!(files(folder.path()), Vec::<String>::new());
    }
}
