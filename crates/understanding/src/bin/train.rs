//! `train` writes `data/model.bin` and prints its figures on the dev split; `train report` prints the figures of the committed weights on the test split;
//! `train dev` prints those of the dev split with every phrase that came out wrong.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use kabar_understanding::train::phrases::{Split, fingerprint, home, read};
use kabar_understanding::train::{Settings, install, report, train};

fn run() -> io::Result<()> {
    let phrases_home = env::var_os("KABAR_PHRASES").map_or_else(home, PathBuf::from);
    let phrases = read(&phrases_home)?;
    match env::args().nth(1).as_deref() {
        None => {
            let bytes = train(&phrases, fingerprint(&phrases_home)?, Settings::default());
            fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/model.bin"), &bytes)?;
            install(bytes);
            println!("{}", report::measure(&phrases, Split::Dev).page());
            Ok(())
        }
        Some("report") => {
            println!("{}", report::page(&phrases));
            Ok(())
        }
        Some("dev") => {
            let figures = report::measure(&phrases, Split::Dev);
            println!("{}\n{}", figures.page(), figures.wrong.join("\n"));
            Ok(())
        }
        Some(other) => Err(io::Error::other(format!("{other}: neither `report` nor `dev`"))),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
