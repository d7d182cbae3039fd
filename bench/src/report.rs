//! The table at the end, and the same figures for programs.

use serde_json::{Value, json};

/// One figure, beside what it should be.
pub struct Row {
    pub benchmark: &'static str,
    pub database: &'static str,
    pub measure: String,
    pub figure: String,
    /// Of the baseline of the same run.
    pub ratio: Option<f64>,
    /// Empty when there is none.
    pub target: String,
    pub met: Option<bool>,
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    details: Vec<Value>,
}

impl Report {
    /// A figure for comparison only.
    pub fn note(
        &mut self,
        benchmark: &'static str,
        database: &'static str,
        measure: impl Into<String>,
        figure: impl Into<String>,
    ) {
        self.rows.push(Row {
            benchmark,
            database,
            measure: measure.into(),
            figure: figure.into(),
            ratio: None,
            target: String::new(),
            met: None,
        });
    }

    /// A figure with a target.
    pub fn judge(
        &mut self,
        benchmark: &'static str,
        database: &'static str,
        measure: impl Into<String>,
        figure: impl Into<String>,
        (target, met): (&str, bool),
    ) {
        self.rows.push(Row {
            benchmark,
            database,
            measure: measure.into(),
            figure: figure.into(),
            ratio: None,
            target: target.into(),
            met: Some(met),
        });
    }

    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Everything known about one measurement.
    pub fn detail(&mut self, benchmark: &str, database: &str, what: &str, value: &Value) {
        self.details
            .push(json!({"benchmark": benchmark, "database": database, "what": what, "value": value}));
    }

    pub fn json(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "benchmark": row.benchmark, "database": row.database, "measure": row.measure,
                    "figure": row.figure, "ratio": row.ratio, "target": row.target, "met": row.met,
                })
            })
            .collect();
        json!({"rows": rows, "details": self.details})
    }

    pub fn table(&self) -> String {
        let head = ["benchmark", "database", "measure", "figure", "ratio", "target", ""].map(str::to_owned);
        let body = self.rows.iter().map(|row| {
            [
                row.benchmark.to_owned(),
                row.database.to_owned(),
                row.measure.clone(),
                row.figure.clone(),
                row.ratio.map_or(String::new(), |ratio| format!("{ratio:.3}")),
                row.target.clone(),
                row.met.map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
            ]
        });
        let lines: Vec<[String; 7]> = std::iter::once(head).chain(body).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        let mut table = String::new();
        for (at, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            table.push('\n');
            if at == 0 {
                table.push_str(&widths.map(|width| "-".repeat(width)).join("  "));
                table.push('\n');
            }
        }
        table
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
    }

    #[test]
    fn columns_are_aligned() {
        let mut report = Report::default();
        report.note("ingest", "sqlite", "baseline", "26000/s");
        report.note("start", "postgres", "on an empty database", "120 ms");
        let table = report.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[2].find("26000/s"), lines[3].find("120 ms"));
    }
}
