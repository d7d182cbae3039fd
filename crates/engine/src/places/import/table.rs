//! A table as people's programs write it: with commas, semicolons or tabs, with or without a byte order mark.

use std::borrow::Cow;
use std::collections::HashMap;

use super::ROWS;
use crate::error::{Invalid, Result};

/// One row: what stands in the columns that mean something. Empty cells count as not there.
#[derive(Debug)]
pub(super) struct Line {
    /// As a spreadsheet counts: the header is row 1.
    pub number: usize,
    /// There are more cells than the header names.
    pub is_longer: bool,
    cells: HashMap<String, String>,
}

impl Line {
    pub fn get(&self, column: &str) -> Option<&str> {
        self.cells.get(column).map(String::as_str)
    }

    /// A list in one cell, separated by `;`, `|` or lines.
    pub fn list(&self, column: &str) -> Option<Vec<String>> {
        let parts = self.get(column)?.split([';', '|', '\n']);
        Some(parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub lines: Vec<Line>,
    /// Columns that mean nothing here.
    pub ignored: Vec<String>,
}

fn unfit(message: impl Into<String>) -> crate::Error {
    Invalid::one("file", message)
}

/// UTF-8, or UTF-16 with a byte order mark: Excel's "Unicode Text". `None` for anything else.
fn decoded(file: &[u8]) -> Option<Cow<'_, str>> {
    let unit: fn([u8; 2]) -> u16 = match file {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
            return std::str::from_utf8(file).ok().map(Cow::Borrowed);
        }
    };
    let (units, []) = file[2..].as_chunks::<2>() else { return None };
    char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect::<Result<_, _>>().ok()
}

/// A cell without the apostrophe that keeps a spreadsheet from taking it for a formula, as our exports write it.
fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(cell)
}

/// Excel's first line `sep=;`: the character between the cells, and what follows.
fn announced(text: &str) -> Option<(u8, &str)> {
    let (line, rest) = text.split_once('\n')?;
    match line.trim_end().strip_prefix("sep=")?.as_bytes() {
        [delimiter] => Some((*delimiter, rest)),
        _ => None,
    }
}

/// The character between the cells: the one the header has most of.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// The line on which a cell's quote begins that nothing ends.
fn unclosed(text: &str, delimiter: u8) -> Option<usize> {
    let (mut line, mut begins, mut quoted) = (1, true, None);
    for byte in text.bytes() {
        line += usize::from(byte == b'\n');
        match quoted {
            // Two in a row are one in the text: it ends, and begins again.
            Some(_) if byte == b'"' => (quoted, begins) = (None, true),
            Some(_) => {}
            None if byte == b'"' && begins => quoted = Some(line),
            None => begins = byte == delimiter || byte == b'\n' || (begins && byte == b' '),
        }
    }
    quoted
}

impl Table {
    pub fn read(file: &[u8], columns: &[&str], required: &[&str]) -> Result<Self> {
        let text = decoded(file).ok_or_else(|| {
            unfit("The file must be a table (CSV) in UTF-8. In Excel, save it as \u{201c}CSV UTF-8\u{201d}.")
        })?;
        let (text, delimiter, first) = match announced(&text) {
            Some((delimiter, rest)) => (rest, delimiter, 3),
            None => (&*text, delimiter(&text), 2),
        };
        if let Some(line) = unclosed(text, delimiter) {
            return Err(unfit(format!(
                "The quote that begins on line {} of the file is not closed.",
                line + first - 2
            )));
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let broken = |error: csv::Error| unfit(format!("The file cannot be read as a table: {error}."));
        let header = reader.headers().map_err(broken)?.clone();
        let header: Vec<String> =
            header.iter().map(|name| name.to_lowercase().replace([' ', '-'], "_")).collect();
        let missing = required.iter().find(|column| !header.iter().any(|name| name == *column));
        if let Some(column) = missing {
            return Err(unfit(format!(
                "The file has no column `{column}`. Its first row names the columns: {}.",
                columns.join(", ")
            )));
        }
        let mut lines = Vec::new();
        for (index, record) in reader.records().enumerate() {
            let record = record.map_err(broken)?;
            if record.iter().all(str::is_empty) {
                continue;
            }
            if lines.len() == ROWS {
                return Err(unfit(format!("The file must not have more than {ROWS} rows.")));
            }
            let cells = header
                .iter()
                .zip(&record)
                .filter(|(name, cell)| !cell.is_empty() && columns.contains(&name.as_str()));
            let cells = cells.map(|(name, cell)| (name.clone(), plain(cell).to_owned())).collect();
            let is_longer = record.iter().skip(header.len()).any(|cell| !cell.is_empty());
            lines.push(Line { number: index + first, is_longer, cells });
        }
        let ignored = header.into_iter().filter(|name| !columns.contains(&name.as_str())).collect();
        Ok(Self { lines, ignored })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["name", "code", "aliases"];

    #[test]
    fn tables_of_many_programs_are_read() {
        for text in [
            "name,code,aliases\nBuilding A,BA,\"Gedung A; مبنى أ\"\n",
            "\u{feff}Name;Code;Aliases\r\nBuilding A;BA;Gedung A|مبنى أ\r\n\r\n;;\r\n",
            "aliases\tNAME\tcode\tsize of it\nGedung A|مبنى أ\t Building A \tBA\t12",
        ] {
            let table = Table::read(text.as_bytes(), COLUMNS, &["name"]).unwrap();
            assert_eq!(table.lines.len(), 1, "{text}");
            let line = &table.lines[0];
            assert_eq!(
                (line.number, line.get("name"), line.get("code")),
                (2, Some("Building A"), Some("BA"))
            );
            assert_eq!(line.list("aliases").unwrap(), ["Gedung A", "مبنى أ"]);
        }
        let table = Table::read(b"name,floors\nA,2", COLUMNS, &["name"]).unwrap();
        assert_eq!(table.ignored, ["floors"]);
    }

    #[test]
    fn what_was_exported_is_what_it_was() {
        let file = "\u{feff}name,code,aliases\r\n\"'-2 Parkir\",'A1,\"'=B; '@lobby\"\r\n";
        let table = Table::read(file.as_bytes(), COLUMNS, &["name"]).unwrap();
        let line = &table.lines[0];
        assert_eq!((line.get("name"), line.get("code")), (Some("-2 Parkir"), Some("'A1")));
        assert_eq!(line.list("aliases").unwrap(), ["=B", "'@lobby"]);
    }

    #[test]
    fn excel_has_its_own_ways() {
        let text = "Name\tCode\r\nمبنى أ\tBA\r\n";
        let le = text.encode_utf16().flat_map(u16::to_le_bytes);
        let be = text.encode_utf16().flat_map(u16::to_be_bytes);
        let announced = "sep=;\r\nname;code\r\nمبنى أ;BA\r\n";
        for (file, row) in [
            ([0xff, 0xfe].into_iter().chain(le).collect(), 2),
            ([0xfe, 0xff].into_iter().chain(be).collect(), 2),
            (announced.as_bytes().to_vec(), 3),
        ] {
            let file: Vec<u8> = file;
            let table = Table::read(&file, COLUMNS, &["name"]).unwrap();
            let line = &table.lines[0];
            assert_eq!((line.number, line.get("name"), line.get("code")), (row, Some("مبنى أ"), Some("BA")));
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let long = format!("name\n{}", "x\n".repeat(ROWS + 1));
        for open in ["name,code\n\"unclosed,1\nB,2\nC,3", "name\nA\n\"B\"\"", "name;code\nA; \"1\n"] {
            let refused = Table::read(open.as_bytes(), COLUMNS, &["name"]).unwrap_err().to_string();
            assert!(refused.contains("is not closed"), "{open}: {refused}");
        }
        let closed = "name,code\n\"A, \"\"the\"\"\nbig\", \"1\"\n5\" pipe,2\nC,3,,\nD,4,x\n";
        let table = Table::read(closed.as_bytes(), COLUMNS, &["name"]).unwrap();
        assert_eq!(table.lines[0].get("name"), Some("A, \"the\"\nbig"));
        assert_eq!(
            table.lines.iter().map(|line| line.is_longer).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        for wrong in [b"".as_slice(), b"{}", b"code\nBA", b"name\n\xff", b"\xff\xfen\0a", long.as_bytes()] {
            assert!(Table::read(wrong, COLUMNS, &["name"]).is_err());
        }
        assert_eq!(
            Table::read(&long.as_bytes()[..long.len() - 2], COLUMNS, &["name"]).unwrap().lines.len(),
            ROWS
        );
    }
}
