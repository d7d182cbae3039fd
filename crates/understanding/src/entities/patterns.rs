//! What looks like a place, a thing, a person, a time or a quantity, where no list says so.

use super::Span;
use crate::matching::{is_counted, noun_at};
use crate::text::{Kind, Script, Text};
use crate::vocabulary::{List, Scanned, Vocabulary};

fn is_mark(text: &Text<'_>, at: usize, marks: &[&str]) -> bool {
    text.tokens().get(at).is_some_and(|token| token.kind == Kind::Mark && marks.contains(&text.norm(token)))
}

fn kind(text: &Text<'_>, at: usize) -> Option<Kind> {
    text.tokens().get(at).map(|token| token.kind)
}

/// Which entity group each token begins a hit of, and where the hit ends.
fn hits_of<'s>(scanned: &'s Scanned, group: &str) -> impl Iterator<Item = Span> + 's {
    let group = Vocabulary::get().names(List::Entity).iter().position(|name| name == group);
    scanned
        .of(List::Entity)
        .filter(move |hit| Some(usize::from(hit.group)) == group)
        .map(|hit| (hit.first as usize, hit.last as usize))
}

/// Tokens that a list of common words knows, so that they are no name.
fn is_common(scanned: &Scanned, at: usize) -> bool {
    let holds = |list| scanned.of(list).any(|hit| (hit.first as usize..=hit.last as usize).contains(&at));
    holds(List::Language) || holds(List::Signal) || holds(List::Category)
}

/// Where a number, letter, code or ordinal that starts at a token ends.
fn tell(text: &Text<'_>, at: usize) -> Option<usize> {
    let token = text.tokens().get(at)?;
    let glued = |next: usize| text.tokens().get(next).filter(|next| next.glued);
    let single = |at: usize| {
        text.tokens().get(at).is_some_and(|token| token.kind == Kind::Word && token.end - token.start == 1)
    };
    match token.kind {
        Kind::Number => {
            let letter = glued(at + 1).is_some_and(|next| next.kind == Kind::Word) && single(at + 1);
            let ordinal =
                glued(at + 1).is_some_and(|next| matches!(text.norm(next), "st" | "nd" | "rd" | "th"));
            Some(if letter || ordinal { at + 1 } else { at })
        }
        Kind::Word if single(at) || is_counted(text.stem(token)) => {
            let dash = usize::from(is_mark(text, at + 1, &["-"]) && glued(at + 1).is_some());
            let number = glued(at + 1 + dash).is_some_and(|next| next.kind == Kind::Number);
            Some(if number && single(at) { at + 1 + dash } else { at })
        }
        _ => None,
    }
}

/// Names after a noun that begin with capitals: `Gedung Sate`, `Jl. Ahmad Yani`.
fn capitals(text: &Text<'_>, scanned: &Scanned, from: usize) -> Option<usize> {
    if text.is_shouted() {
        return None;
    }
    let is_name = |at: &usize| {
        text.tokens().get(*at).is_some_and(|token| {
            token.kind == Kind::Word
                && token.capital
                && token.end - token.start > 1
                && !is_common(scanned, *at)
        })
    };
    (from..from + 3).take_while(is_name).last()
}

/// A place that starts at a token: where it ends, and whether anything tells which it is.
fn place(text: &Text<'_>, scanned: &Scanned, at: usize) -> Option<(usize, bool)> {
    // `2nd floor`, `third floor`
    let before = tell(text, at).filter(|end| *end > at || is_counted(text.stem(&text.tokens()[at])));
    if let Some(end) = before
        && let Some((noun, length)) = noun_at(text, end + 1)
        && noun.place
    {
        return Some((end + length, true));
    }
    let (noun, length) = noun_at(text, at)?;
    if !noun.place {
        return None;
    }
    let word = &text.tokens()[at];
    let mut next = at + length;
    if is_mark(text, next, &[".", "#", "-"]) {
        next += 1;
    }
    if let Some((side, length)) = noun_at(text, next)
        && side.side
    {
        return Some((next + length - 1, true));
    }
    let told = tell(text, next).or_else(|| capitals(text, scanned, next));
    let number = told
        .filter(|_| {
            text.tokens().get(next + 1).is_some_and(|token| matches!(text.norm(token), "no" | "nomor"))
        })
        .and_then(|_| tell(text, next + 2));
    match number.or(told) {
        Some(end) => Some((end, true)),
        // `l`, `st` and their like are places only with a number.
        None if word.end - word.start > 2 => Some((at + length - 1, false)),
        None => None,
    }
}

/// Places; those side by side are one: `gd A lt 2`, `2nd floor of Building B`.
pub(super) fn places(text: &Text<'_>, scanned: &Scanned) -> Vec<Span> {
    let mut found: Vec<(Span, bool)> = Vec::new();
    let mut at = 0;
    while at < text.tokens().len() {
        let Some((end, told)) = place(text, scanned, at) else {
            at += 1;
            continue;
        };
        let joins = found.last().is_some_and(|((_, last), before_told)| {
            let between = last + 1..at;
            let link = |at: usize| {
                let token = &text.tokens()[at];
                matches!(
                    text.norm(token),
                    "," | "/" | "-" | "." | "di" | "in" | "of" | "at" | "the" | "في" | "من" | "no"
                )
            };
            between.len() <= 2 && between.into_iter().all(link) && (told || *before_told)
        });
        match found.last_mut() {
            Some(((_, last), before_told)) if joins => {
                *last = end;
                *before_told = true;
            }
            _ => found.push(((at, end), told)),
        }
        at = end + 1;
    }
    let any_told = found.iter().any(|(_, told)| *told);
    found.into_iter().filter(|(_, told)| *told || !any_told).map(|(span, _)| span).collect()
}

/// Equipment, with the number or letter after it.
pub(super) fn things(text: &Text<'_>, places: &[Span]) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut at = 0;
    while at < text.tokens().len() {
        let inside = places.iter().any(|(first, last)| (*first..=*last).contains(&at));
        let noun = noun_at(text, at).filter(|(noun, _)| !inside && !noun.place && !noun.side);
        let Some((_, length)) = noun else {
            at += 1;
            continue;
        };
        let next = at + length;
        let dash = usize::from(is_mark(text, next, &["-", "#"]));
        let counted = |end: usize| !text.tokens().get(end + 1).is_some_and(|after| is_unit(text.norm(after)));
        let end = tell(text, next + dash).filter(|end| counted(*end)).unwrap_or(next - 1);
        found.push((at, end));
        at = end + 1;
    }
    found
}

fn is_unit(word: &str) -> bool {
    matches!(
        word,
        "x" | "kali"
            | "jam"
            | "hari"
            | "minggu"
            | "bulan"
            | "hours"
            | "hour"
            | "hrs"
            | "days"
            | "am"
            | "pm"
            | "bar"
            | "psi"
            | "kva"
            | "kw"
            | "liter"
            | "kg"
            | "pk"
            | "hp"
    )
}

/// People after a title, and `@name`.
pub(super) fn persons(text: &Text<'_>, scanned: &Scanned) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let is_name = |at: usize| {
        text.tokens().get(at).is_some_and(|token| {
            let lettered = token.kind == Kind::Word && token.end - token.start > 1;
            lettered
                && !is_common(scanned, at)
                && (token.script != Script::Latin || token.capital || text.is_shouted())
        })
    };
    let titles: Vec<Span> = hits_of(scanned, "title").collect();
    for (first, last) in titles.iter().copied() {
        let dot = usize::from(is_mark(text, last + 1, &[".", "/"]));
        let name = last + 1 + dot;
        let title = &text.tokens()[first];
        let short = title.end - title.start < 2;
        let nested = titles.iter().any(|(other, _)| *other == name);
        let lower = matches!(text.norm(title), "pak" | "bu" | "bapak" | "ibu" | "mas" | "mbak" | "bang")
            && kind(text, name) == Some(Kind::Word)
            && text.tokens()[name].end - text.tokens()[name].start > 2
            && !is_common(scanned, name)
            && noun_at(text, name).is_none();
        if nested || (short && dot == 0) || !(is_name(name) || lower) {
            continue;
        }
        let second =
            text.tokens()[name].script == Script::Latin && is_name(name + 1) && text.tokens()[name].capital;
        found.push((first, if second { name + 1 } else { name }));
    }
    for at in 0..text.tokens().len() {
        let name = text.tokens().get(at + 1).is_some_and(|next| next.glued && next.kind != Kind::Mark);
        let mail = at > 0 && text.tokens()[at].glued && kind(text, at - 1) != Some(Kind::Mark);
        if is_mark(text, at, &["@"]) && name && !mail {
            let mut last = at + 1;
            while text.tokens().get(last + 1).is_some_and(|next| next.glued && next.kind != Kind::Mark) {
                last += 1;
            }
            found.push((at, last));
        }
    }
    merged(found)
}

/// Spans in order, without those inside others.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|(first, last)| (*first, usize::MAX - last));
    let mut kept: Vec<Span> = Vec::new();
    for span in spans {
        if kept.last().is_none_or(|(_, last)| span.0 > *last) {
            kept.push(span);
        }
    }
    kept
}

/// Where a time of day or a date of digits that starts at a number ends: `9`, `9:30`, `12/3/2026`.
fn digits(text: &Text<'_>, at: usize) -> usize {
    let mut last = at;
    while is_mark(text, last + 1, &[":", "/"])
        && text.tokens()[last + 1].glued
        && kind(text, last + 2) == Some(Kind::Number)
        && text.tokens()[last + 2].glued
    {
        last += 2;
    }
    last
}

/// Times of day, dates, days, and how long something has lasted.
pub(super) fn times(text: &Text<'_>, scanned: &Scanned) -> Vec<Span> {
    let mut found: Vec<Span> = hits_of(scanned, "time").collect();
    let dayparts: Vec<Span> = hits_of(scanned, "daypart").collect();
    let spans: Vec<Span> = hits_of(scanned, "span").collect();
    let after = |of: &[Span], at: usize| of.iter().find(|(first, _)| *first == at).map(|(_, last)| *last);
    for (first, last) in hits_of(scanned, "clock") {
        if kind(text, last + 1) == Some(Kind::Number) {
            let end = digits(text, last + 1);
            let clocked = text.norm(&text.tokens()[first]) != "at";
            let daypart = after(&dayparts, end + 1);
            if clocked || daypart.is_some() || end > last + 1 {
                found.push((if clocked { first } else { last + 1 }, daypart.unwrap_or(end)));
            }
        }
    }
    for at in 0..text.tokens().len() {
        if kind(text, at) != Some(Kind::Number) {
            continue;
        }
        let end = digits(text, at);
        let part = after(&dayparts, end + 1).or_else(|| after(&spans, end + 1));
        if part.is_some() || end > at {
            found.push((at, part.unwrap_or(end)));
        }
    }
    merged(found)
}

/// Numbers with a measure: `2x`, `1200 L`, `37 °C`, `٣ لتر`.
pub(super) fn quantities(text: &Text<'_>, scanned: &Scanned, times: &[Span]) -> Vec<Span> {
    let measures: Vec<Span> = hits_of(scanned, "measure").collect();
    let mut found = Vec::new();
    for at in 0..text.tokens().len() {
        let timed = times.iter().any(|(first, last)| (*first..=*last).contains(&at));
        if kind(text, at) != Some(Kind::Number) || timed {
            continue;
        }
        let mut next = at + 1;
        if is_mark(text, next, &["%"]) {
            found.push((at, next));
            continue;
        }
        if is_mark(text, next, &["°"]) {
            next += 1;
        }
        if let Some((_, last)) = measures.iter().find(|(first, _)| *first == next) {
            let letter = text.tokens()[next].end - text.tokens()[next].start == 1;
            if !letter || text.tokens()[next].glued || text.tokens()[next].capital || next > at + 1 {
                found.push((at, *last));
            }
        } else if next > at + 1 {
            found.push((at, next - 1));
        }
    }
    found
}
