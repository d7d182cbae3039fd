//! Reads a message a line and prints what is understood of it:
//! `echo 'AC bocor lagi di gd A lt 2' | cargo run --release -p kabar-understanding --example understand`

use std::io::{self, BufRead, Write};

use kabar_understanding::{Context, analyse};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let seen = analyse(&line, &Context::default());
        let severity = seen.severity.map_or_else(|| "-".to_owned(), |found| format!("{:?}", found.severity));
        let why: Vec<_> = seen.classification.reasons.iter().map(|reason| reason.text.as_str()).collect();
        writeln!(
            out,
            "{:?}\t{:.2}\t{severity}\t{line}\t[{}]",
            seen.classification.class,
            seen.classification.confidence,
            why.join(", ")
        )?;
    }
    Ok(())
}
