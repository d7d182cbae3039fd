//! Softmax regression by AdaGrad, one thread, fixed seed: the same phrases give the same bytes.

use std::collections::{HashMap, HashSet};

use crate::classify::Class;
use crate::features::{Part, SLOTS, Sink, extract};
use crate::model::{CLASSES, COLUMNS, MAGIC, PARTS, SEVERITIES, TONGUE, part_values, softmax};
use crate::text::Text;
use crate::train::augment::vary;
use crate::train::phrases::{Phrase, Split};
use crate::train::random::Random;
use crate::vocabulary::Vocabulary;

const SEED: u64 = 20_260_301;

/// What training may be told; the defaults were chosen on the dev split.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub epochs: usize,
    pub rate: f32,
    pub decay: f32,
    pub smoothing: f32,
    /// A feature is kept if it is seen in this many meanings.
    pub meanings: usize,
    /// Chance that a feature of letters and words is left out of an example.
    pub dropout: f64,
    /// How many runs from different seeds the weights are the mean of.
    pub runs: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { epochs: 30, rate: 0.05, decay: 2e-4, smoothing: 0.15, meanings: 1, dropout: 0.45, runs: 4 }
    }
}

#[derive(Default)]
struct Collector {
    features: Vec<(Part, u32)>,
}

impl Sink for Collector {
    fn add(&mut self, part: Part, slot: usize, _: usize) {
        self.features.push((part, slot as u32));
    }
}

fn collect(text: &str) -> Vec<(Part, u32)> {
    let text = Text::new(text);
    let mut collector = Collector::default();
    extract(&text, &Vocabulary::get().scan(&text), &mut collector);
    collector.features
}

struct Learner {
    weights: Vec<[f32; COLUMNS]>,
    squares: Vec<[f32; COLUMNS]>,
    biases: [f32; COLUMNS],
    settings: Settings,
}

/// What an example should score: a target per column, and whether its head takes part.
struct Target {
    class: [f32; 3],
    severity: Option<[f32; 4]>,
    english: Option<f32>,
}

impl Target {
    fn of(phrase: &Phrase, smoothing: f32) -> Self {
        let mut class = [smoothing / 3.0; 3];
        class[column(phrase.class)] += 1.0 - smoothing;
        let severity = phrase.severity.map(|severity| {
            let level = severity as usize;
            let mut target = [0.01; 4];
            for (at, chance) in target.iter_mut().enumerate() {
                *chance += match at.abs_diff(level) {
                    0 => 0.84,
                    1 => 0.06,
                    _ => 0.0,
                };
            }
            let total: f32 = target.iter().sum();
            target.map(|chance| chance / total)
        });
        let english = match phrase.language.as_str() {
            "en" => Some(1.0),
            "id" => Some(0.0),
            _ => None,
        };
        Target { class, severity, english }
    }
}

pub(super) fn column(class: Class) -> usize {
    match class {
        Class::WorkUpdate => 0,
        Class::Problem => 1,
        Class::General => 2,
    }
}

impl Learner {
    fn learn(&mut self, features: &[(Part, u32)], target: &Target) {
        let mut counts = [0; PARTS];
        for (part, _) in features {
            counts[*part as usize] += 1;
        }
        let values = part_values(counts);
        let mut scores = self.biases;
        for (part, slot) in features {
            for (score, weight) in scores.iter_mut().zip(&self.weights[*slot as usize]) {
                *score += weight * values[*part as usize];
            }
        }
        let mut slope = [0.0_f32; COLUMNS];
        let classes: [f32; 3] = softmax(&scores[CLASSES], 1.0);
        for at in 0..3 {
            slope[at] = classes[at] - target.class[at];
        }
        if let Some(wanted) = target.severity {
            let severities: [f32; 4] = softmax(&scores[SEVERITIES], 1.0);
            for at in 0..4 {
                slope[SEVERITIES.start + at] = severities[at] - wanted[at];
            }
        }
        if let Some(wanted) = target.english {
            slope[TONGUE] = 1.0 / (1.0 + (-scores[TONGUE]).exp()) - wanted;
        }
        for (bias, slope) in self.biases.iter_mut().zip(slope) {
            *bias -= 0.01 * slope;
        }
        let Settings { rate, decay, .. } = self.settings;
        for (part, slot) in features {
            let value = values[*part as usize];
            let weights = &mut self.weights[*slot as usize];
            let squares = &mut self.squares[*slot as usize];
            for at in 0..COLUMNS {
                let step = slope[at] * value + decay * weights[at];
                squares[at] += step * step;
                weights[at] -= rate * step / (squares[at].sqrt() + 1e-4);
            }
        }
    }
}

/// Weights out of the phrases of the train split, calibrated on those of the dev split, as `data/model.bin` holds
/// them.
pub fn train(phrases: &[Phrase], fingerprint: u64, settings: Settings) -> Vec<u8> {
    let taught: Vec<&Phrase> = phrases.iter().filter(|phrase| phrase.split() == Split::Train).collect();
    let mut meanings: HashMap<u32, HashSet<&str>> = HashMap::new();
    for phrase in &taught {
        for (_, slot) in collect(&phrase.text) {
            meanings.entry(slot).or_default().insert(&phrase.meaning);
        }
    }
    let mut kept = vec![false; SLOTS];
    for (slot, of) in meanings {
        kept[slot as usize] = of.len() >= settings.meanings;
    }
    let mut sums = vec![[0.0_f32; COLUMNS]; SLOTS];
    let mut biases = [0.0_f32; COLUMNS];
    for run in 0..settings.runs {
        let share = 1.0 / settings.runs as f32;
        let of_run = learn(&taught, &kept, run, settings, &mut sums);
        for (bias, of_run) in biases.iter_mut().zip(of_run) {
            *bias += of_run * share;
        }
    }
    let dev: Vec<&Phrase> = phrases.iter().filter(|phrase| phrase.split() == Split::Dev).collect();
    let temperatures = calibrate(&dev, &sums, &mut biases);
    pack(&sums, &biases, temperatures, fingerprint)
}

/// Adds one run's share of the weights to `sums`, the mean over the later half of its epochs; answers its biases.
fn learn(
    taught: &[&Phrase],
    kept: &[bool],
    run: u64,
    settings: Settings,
    sums: &mut [[f32; COLUMNS]],
) -> [f32; COLUMNS] {
    let mut learner = Learner {
        weights: vec![[0.0; COLUMNS]; SLOTS],
        squares: vec![[0.0; COLUMNS]; SLOTS],
        biases: [0.0; COLUMNS],
        settings,
    };
    let mut random = Random::new(SEED + run);
    let mut order: Vec<usize> = (0..taught.len()).collect();
    let averaged = settings.epochs / 2;
    let share = 1.0 / ((settings.epochs - averaged) as u64 * settings.runs) as f32;
    for epoch in 0..settings.epochs {
        random.shuffle(&mut order);
        for at in &order {
            let phrase = taught[*at];
            let text = if epoch % 3 == 0 { phrase.text.clone() } else { vary(phrase, &mut random) };
            let mut features = collect(&text);
            features.retain(|(part, slot)| {
                kept[*slot as usize] && (*part == Part::Lists || !random.chance(settings.dropout))
            });
            learner.learn(&features, &Target::of(phrase, settings.smoothing));
        }
        if epoch >= averaged {
            for (sum, weights) in sums.iter_mut().zip(&learner.weights) {
                for (sum, weight) in sum.iter_mut().zip(weights) {
                    *sum += weight * share;
                }
            }
        }
    }
    learner.biases
}

/// The temperatures of classes and severities that make the dev split likeliest, once their biases are moved so.
fn calibrate(dev: &[&Phrase], weights: &[[f32; COLUMNS]], biases: &mut [f32; COLUMNS]) -> [f32; 2] {
    let scored: Vec<([f32; COLUMNS], &Phrase)> = dev
        .iter()
        .map(|phrase| {
            let features = collect(&phrase.text);
            let mut counts = [0; PARTS];
            for (part, _) in &features {
                counts[*part as usize] += 1;
            }
            let values = part_values(counts);
            let mut scores = [0.0; COLUMNS];
            for (part, slot) in features {
                for (score, weight) in scores.iter_mut().zip(&weights[slot as usize]) {
                    *score += weight * values[part as usize];
                }
            }
            (scores, *phrase)
        })
        .collect();
    let class_loss = |biases: &[f32; COLUMNS], temperature: f32| -> f32 {
        let loss = |(scores, phrase): &([f32; COLUMNS], &Phrase)| {
            let moved: [f32; 3] = std::array::from_fn(|at| scores[at] + biases[at]);
            -softmax::<3>(&moved, temperature)[column(phrase.class)].ln()
        };
        scored.iter().map(loss).sum()
    };
    let severity_loss = |biases: &[f32; COLUMNS], temperature: f32| -> f32 {
        let loss = |(scores, phrase): &([f32; COLUMNS], &Phrase)| {
            let moved: [f32; 4] =
                std::array::from_fn(|at| scores[SEVERITIES.start + at] + biases[SEVERITIES.start + at]);
            phrase.severity.map(|level| -softmax::<4>(&moved, temperature)[level as usize].ln())
        };
        scored.iter().filter_map(loss).sum()
    };
    [fit(biases, CLASSES, class_loss), fit(biases, SEVERITIES, severity_loss)]
}

/// Moves the biases of `columns` and finds the temperature, one after the other, to the least loss.
fn fit(
    biases: &mut [f32; COLUMNS],
    columns: std::ops::Range<usize>,
    loss: impl Fn(&[f32; COLUMNS], f32) -> f32,
) -> f32 {
    let mut temperature = 1.0;
    for _ in 0..3 {
        let temperatures = (10..200).map(|part| part as f32 / 50.0);
        temperature =
            temperatures.min_by(|a, b| loss(biases, *a).total_cmp(&loss(biases, *b))).unwrap_or(temperature);
        for at in columns.clone() {
            let moved = |step: i32| {
                let mut moved = *biases;
                moved[at] += step as f32 * 0.05;
                moved
            };
            let best = (-20..=20)
                .min_by(|a, b| loss(&moved(*a), temperature).total_cmp(&loss(&moved(*b), temperature)));
            *biases = moved(best.unwrap_or(0));
        }
    }
    temperature
}

fn pack(
    weights: &[[f32; COLUMNS]],
    biases: &[f32; COLUMNS],
    temperatures: [f32; 2],
    fingerprint: u64,
) -> Vec<u8> {
    let mut scales = [0.0_f32; COLUMNS];
    for row in weights {
        for (scale, weight) in scales.iter_mut().zip(row) {
            *scale = scale.max(weight.abs() / 127.0);
        }
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(fingerprint.to_le_bytes());
    for float in temperatures.iter().chain(biases).chain(&scales) {
        bytes.extend(float.to_le_bytes());
    }
    for row in weights {
        for (weight, scale) in row.iter().zip(scales) {
            let whole = if scale > 0.0 { (weight / scale).round() } else { 0.0 };
            bytes.push((whole as i8).cast_unsigned());
        }
    }
    bytes
}
