//! Puts what `scripts/web-build` made of `web/` into the program. What was not built is left out, and the routes say so.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs;
use std::hash::Hasher;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let web = env("CARGO_MANIFEST_DIR")? + "/../../web";
    let mut files = BTreeMap::new();
    // `watched` is in the repository: cargo would take a folder that is missing for one that changed.
    for (watched, folder, part) in [("dist", "dist/app", "app"), ("widget/dist", "widget/dist", "widget")] {
        println!("cargo::rerun-if-changed={web}/{watched}");
        collect(&Path::new(&web).join(folder), part, &mut files)?;
    }
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        if path.extension().is_some_and(|it| it == "br" || it == "gz") {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&fs::read(path)?);
        let include = |path: &PathBuf| format!("include_bytes!({:?})", path.display().to_string());
        let packed = |suffix: &str| match files.get(&format!("{name}.{suffix}")) {
            Some(path) => format!("Some({})", include(path)),
            None => "None".to_owned(),
        };
        let (plain, brotli, gzip) = (include(path), packed("br"), packed("gz"));
        let etag = format!("\"{:016x}\"", hasher.finish());
        let _ = writeln!(
            table,
            "    ({name:?}, File {{ plain: {plain}, brotli: {brotli}, gzip: {gzip}, etag: {etag:?} }}),"
        );
    }
    table.push(']');
    fs::write(Path::new(&env("OUT_DIR")?).join("web_files.rs"), table)
}

fn env(name: &str) -> Result<String> {
    std::env::var(name).map_err(Error::other)
}

/// All files in `folder`, by their names with `part` before them.
fn collect(folder: &Path, part: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{part}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &name, files)?;
        } else if !name.contains("/.") {
            files.insert(name, entry.path().canonicalize()?);
        }
    }
    Ok(())
}
