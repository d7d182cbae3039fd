//! The linear model: eight columns of weights per row, compiled in.

use std::sync::OnceLock;

use crate::features::{Part, SLOTS, Sink, extract};
use crate::text::Text;
use crate::vocabulary::Scanned;

/// Three classes, four severities, and English over Indonesian.
pub(crate) const COLUMNS: usize = 8;
pub(crate) const CLASSES: std::ops::Range<usize> = 0..3;
pub(crate) const SEVERITIES: std::ops::Range<usize> = 3..7;
#[cfg(any(test, feature = "train"))]
pub(crate) const TONGUE: usize = 7;

pub(crate) const MAGIC: [u8; 8] = *b"kabar-u1";
/// Magic, fingerprint, temperatures of classes and severities, biases, scales.
pub(crate) const HEADER: usize = 8 + 8 + 8 + COLUMNS * 4 * 2;

#[repr(align(64))]
struct Aligned<B: ?Sized>(B);

static BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!("../data/model.bin"));

/// What the weights say of one text.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    pub columns: [f32; COLUMNS],
    /// What each token adds to each column.
    pub tokens: Vec<[f32; COLUMNS]>,
}

static MODEL: OnceLock<Model> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Model {
    /// Of the data that the weights were trained on.
    pub fingerprint: u64,
    pub class_temperature: f32,
    pub severity_temperature: f32,
    pub biases: [f32; COLUMNS],
    scales: [f32; COLUMNS],
    rows: &'static [u8],
}

impl Model {
    /// Takes other weights than those compiled in, if none were used yet.
    #[cfg(feature = "train")]
    pub(crate) fn install(bytes: Vec<u8>) {
        let _ = MODEL.set(Model::read(bytes.leak()));
    }

    pub(crate) fn get() -> &'static Self {
        MODEL.get_or_init(|| Model::read(&BYTES.0))
    }

    /// Without weights of the right shape the word lists decide alone.
    fn read(bytes: &'static [u8]) -> Self {
        let none = Model {
            fingerprint: 0,
            class_temperature: 1.0,
            severity_temperature: 1.0,
            biases: [0.0; COLUMNS],
            scales: [0.0; COLUMNS],
            rows: &[],
        };
        if bytes.len() != HEADER + SLOTS * COLUMNS || bytes[..8] != MAGIC {
            return none;
        }
        let float = |at: usize| bytes[at..at + 4].try_into().map(f32::from_le_bytes).unwrap_or_default();
        Model {
            fingerprint: bytes[8..16].try_into().map(u64::from_le_bytes).unwrap_or_default(),
            class_temperature: float(16),
            severity_temperature: float(20),
            biases: std::array::from_fn(|column| float(24 + column * 4)),
            scales: std::array::from_fn(|column| float(24 + (COLUMNS + column) * 4)),
            rows: &bytes[HEADER..],
        }
    }

    pub(crate) fn score(&self, text: &Text<'_>, scanned: &Scanned) -> Scores {
        let tokens = text.tokens().len();
        let mut adder =
            Adder { rows: self.rows, sums: vec![[[0; COLUMNS]; PARTS]; tokens + 1], counts: [0; PARTS] };
        extract(text, scanned, &mut adder);
        let values = part_values(adder.counts);
        let mut scores = Scores { columns: self.biases, tokens: Vec::with_capacity(tokens) };
        for sums in &adder.sums {
            let token: [f32; COLUMNS] = std::array::from_fn(|column| {
                let sum: f32 = (0..PARTS).map(|part| sums[part][column] as f32 * values[part]).sum();
                sum * self.scales[column]
            });
            for (total, of_token) in scores.columns.iter_mut().zip(token) {
                *total += of_token;
            }
            scores.tokens.push(token);
        }
        scores
    }
}

pub(crate) const PARTS: usize = 3;

/// What one feature of each part counts, by how many there are of it.
pub(crate) fn part_values(counts: [u32; PARTS]) -> [f32; PARTS] {
    let of = |weight: f32, count: u32| weight / (count.max(4) as f32).sqrt();
    [of(1.0, counts[0]), of(1.5, counts[1]), of(1.5, counts[2])]
}

struct Adder {
    rows: &'static [u8],
    sums: Vec<[[i32; COLUMNS]; PARTS]>,
    counts: [u32; PARTS],
}

impl Sink for Adder {
    fn add(&mut self, part: Part, slot: usize, token: usize) {
        self.counts[part as usize] += 1;
        let from = slot * COLUMNS;
        let Some(row) = self.rows.get(from..from + COLUMNS) else { return };
        if let Some(sums) = self.sums.get_mut(token) {
            for (sum, weight) in sums[part as usize].iter_mut().zip(row) {
                *sum += i32::from(weight.cast_signed());
            }
        }
    }
}

/// Probabilities of scores, at a temperature.
pub(crate) fn softmax<const N: usize>(scores: &[f32], temperature: f32) -> [f32; N] {
    let most = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut chances: [f32; N] = std::array::from_fn(|at| ((scores[at] - most) / temperature).exp());
    let total: f32 = chances.iter().sum();
    for chance in &mut chances {
        *chance /= total;
    }
    chances
}
