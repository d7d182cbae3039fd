//! The phrases that teach and judge, and their split by meaning.

use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use crate::classify::Class;
use crate::features;
use crate::lexicon::Fnv;
use crate::severity::Severity;

/// Which part of the phrases a meaning belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    /// For choosing and calibrating.
    Dev,
    /// For the report only.
    Test,
}

/// A phrase with its labels.
#[derive(Clone, Debug)]
pub struct Phrase {
    /// The directory it is in: `en`, `id`, `ar`, `mixed`.
    pub language: String,
    pub class: Class,
    pub severity: Option<Severity>,
    pub meaning: String,
    pub text: String,
}

impl Phrase {
    /// Eight tenths, one, one: by a hash of the meaning, so that all paraphrases of it share a split.
    pub fn split(&self) -> Split {
        let mut hash = Fnv::of(self.meaning.as_bytes());
        hash = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        match hash % 10 {
            0..=7 => Split::Train,
            8 => Split::Dev,
            _ => Split::Test,
        }
    }
}

/// Where the phrases are in the source tree.
pub fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/phrases")
}

fn files(home: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for language in fs::read_dir(home)? {
        let language = language?.path();
        if language.is_dir() {
            for file in fs::read_dir(language)? {
                files.push(file?.path());
            }
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "tsv"));
    files.sort();
    Ok(files)
}

/// Reads every phrase under `home`.
pub fn read(home: &Path) -> io::Result<Vec<Phrase>> {
    let mut phrases = Vec::new();
    for file in files(home)? {
        let language =
            file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let phrase = read_line(line, &language).ok_or_else(|| {
                io::Error::other(format!("{}:{}: not a phrase: {line}", file.display(), number + 1))
            })?;
            phrases.push(phrase);
        }
    }
    Ok(phrases)
}

fn read_line(line: &str, language: &str) -> Option<Phrase> {
    let mut columns = line.split('\t');
    let (class, severity, meaning, text) =
        (columns.next()?, columns.next()?, columns.next()?, columns.next()?.trim());
    let class = match class.trim() {
        "update" => Class::WorkUpdate,
        "problem" => Class::Problem,
        "general" => Class::General,
        _ => return None,
    };
    let severity = match severity.trim() {
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        "critical" => Some(Severity::Critical),
        "-" => None,
        _ => return None,
    };
    let whole =
        severity.is_some() == (class == Class::Problem) && !text.is_empty() && columns.next().is_none();
    whole.then(|| Phrase {
        language: language.to_owned(),
        class,
        severity,
        meaning: meaning.trim().to_owned(),
        text: text.to_owned(),
    })
}

/// Of everything that weights depend on: phrases, word lists, the shape of features.
pub fn fingerprint(home: &Path) -> io::Result<u64> {
    let mut hash = Fnv::default();
    hash.write(&features::VERSION.to_le_bytes());
    for file in files(home)? {
        hash.write(&fs::read(file)?);
    }
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for list in ["spellings", "signals", "concepts", "severity", "categories", "language"] {
        hash.write(&fs::read(lists.join(list).with_extension("txt"))?);
    }
    Ok(hash.0)
}
