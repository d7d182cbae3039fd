//! How fast and how large: `cargo run --release -p kabar-understanding --example speed`.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use kabar_understanding::{Context, Entry, Index, analyse, classify};

const MESSAGES: [&str; 10] = [
    "AC bocor lagi di gd A lt 2, udah 2x minggu ini",
    "Sudah diganti, normal kembali pak, terima kasih",
    "selamat pagi semua",
    "The lift in Tower Melati 3 is stuck again with two people inside, please send someone urgently!",
    "replace bucket teeth",
    "تسرب مياه في المبنى أ الدور الثاني من أمس، الرجاء الإصلاح",
    "Min jalan kampung kami udah 3 taun kagak pernah diaspal, kalo ujan kayak kubangan kebo",
    "meter 4521 kWh",
    "#problem\nLocation: Building A\nProblem: no water on the 3rd floor",
    "Hi team, chiller 2 tripped on high pressure at 14:30, reset done, running normal now, will monitor tonight",
];

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

fn places(count: usize) -> Vec<Entry> {
    const FIRST: [&str; 20] = [
        "Melati",
        "Mawar",
        "Kenanga",
        "Sudirman",
        "Thamrin",
        "Riyadh",
        "Jeddah",
        "Merdeka",
        "Nusantara",
        "Garuda",
        "Harapan",
        "Sentosa",
        "Makmur",
        "Cempaka",
        "Anggrek",
        "Dahlia",
        "Flamboyan",
        "Bougenville",
        "Teratai",
        "Kamboja",
    ];
    let noun = ["Building", "Gedung", "Tower", "Warehouse", "Kantor"];
    (0..count)
        .map(|at| {
            let (a, b) = (FIRST[at % 20], FIRST[at / 20 % 20]);
            let name = format!("{} {a} {b} {}", noun[at / 400 % 5], at / 2_000 + 1);
            Entry::new(at.to_string(), name).with_code(format!("LOC-{at:05}"))
        })
        .collect()
}

/// Of the best of several batches: what else the machine does is no part of it.
fn analyses_per_second(context: &Context<'_>) -> f64 {
    const ROUNDS: usize = 2_000;
    let batch = |_| {
        let started = Instant::now();
        for round in 0..ROUNDS {
            black_box(analyse(MESSAGES[round % MESSAGES.len()], context));
        }
        ROUNDS as f64 / started.elapsed().as_secs_f64()
    };
    (0..20).map(batch).fold(0.0, f64::max)
}

fn percentile(times: &mut [Duration], of: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * of) as usize]
}

fn main() {
    let started = Instant::now();
    black_box(classify("halo"));
    println!("load: {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
    println!("resident after load: {:.1} MiB", resident_kib() as f64 / 1024.0);

    println!("analyses without lists: {:.0}/s", analyses_per_second(&Context::default()));

    let small = Index::new(places(200));
    let context = Context { locations: Some(&small), things: Some(&small), ..Context::default() };
    println!("analyses with two lists of 200: {:.0}/s", analyses_per_second(&context));

    let started = Instant::now();
    let index = Index::new(places(10_000));
    println!("index of 10,000 names: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    let (mut finds, mut mentions) = (Vec::new(), Vec::new());
    for round in 0..5_000_usize {
        let name = &index.entries()[round * 7 % 10_000].name;
        let typed: String =
            name.chars().enumerate().filter(|(at, _)| *at != 3 + round % 5).map(|(_, c)| c).collect();
        let started = Instant::now();
        black_box(index.find(&typed, 5));
        finds.push(started.elapsed());
        let message = format!(
            "pagi pak, {typed} bocor lagi dari kemarin, tolong dicek segera ya, sudah banjir sampai lorong"
        );
        let started = Instant::now();
        black_box(index.mentions(&message));
        mentions.push(started.elapsed());
    }
    let p99 = percentile(&mut finds, 0.99).as_secs_f64() * 1e3;
    println!(
        "find among 10,000 names: p50 {:.3} ms, p99 {p99:.3} ms",
        percentile(&mut finds, 0.5).as_secs_f64() * 1e3
    );
    let p99 = percentile(&mut mentions, 0.99).as_secs_f64() * 1e3;
    println!(
        "mentions among 10,000 names: p50 {:.3} ms, p99 {p99:.3} ms",
        percentile(&mut mentions, 0.5).as_secs_f64() * 1e3
    );
    println!("resident at the end: {:.1} MiB", resident_kib() as f64 / 1024.0);
}
