//! What benchmarks that send have in common: people who may be written to, and messages queued through the API.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::body::{Mix, Order, Source, SourceOptions, phone_of};
use crate::context::Context;
use crate::graph_stub::Accepted;
use crate::http::Api;
use crate::load::{Load, Until};
use crate::observe::observe;
use crate::server_under_test::{SECRET, Server, number};

const SENDERS: usize = 16;
/// No message sent for so long: the rest will not be.
pub const STALLED: Duration = Duration::from_secs(20);

/// A message as the API created it.
pub struct Created {
    pub message: String,
    pub conversation: String,
}

pub fn source(server: &Server, contacts: u64, seed: u64, mix: Mix) -> Source {
    Source::new(SourceOptions {
        number: &number(),
        secret: SECRET,
        host: &server.address.to_string(),
        path: "/webhooks/whatsapp",
        contacts,
        order: Order::NewThenRandom,
        seed,
        mix,
    })
}

/// Everyone writes once, so that a free-form answer may be sent to them.
pub async fn hear_everyone(
    context: &Context,
    label: &str,
    server: &Server,
    api: &mut Api,
    contacts: u64,
) -> Outcome<()> {
    let load = Load {
        address: server.address,
        source: source(server, contacts, 1, Mix::Text),
        connections: context.connections,
        until: Until::Count(contacts),
        rate: None,
        insist: true,
    };
    let opened = observe(context, &format!("{label}, contacts write"), server, api, load).await?;
    if opened.tally.contacts_used() < contacts {
        return Err("not every contact could write once".into());
    }
    Ok(())
}

/// Sends up to `wanted` messages through the API as fast as it takes them, and waits for them at the provider; ends
/// early when they are not passed on in time.
pub async fn send_messages(
    context: &Context,
    label: &str,
    api: &Api,
    channel: &str,
    contacts: u64,
    wanted: u64,
) -> Outcome<(HashMap<u64, Created>, Vec<Accepted>)> {
    let limit = if context.quick { Duration::from_mins(1) } else { Duration::from_mins(10) };
    let started = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let created = Arc::new(Mutex::new(HashMap::new()));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (mut api, channel) = (api.another(), channel.to_owned());
        let (next, created) = (Arc::clone(&next), Arc::clone(&created));
        senders.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= wanted || started.elapsed() > limit {
                    return Ok(());
                }
                let made = send(&mut api, &channel, index, contacts).await?;
                created.lock().unwrap_or_else(PoisonError::into_inner).insert(index, made);
            }
        });
    }
    let (mut highest, mut moved) = (0, Instant::now());
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    loop {
        tokio::select! {
            Some(sender) = senders.join_next() => {
                let outcome: Outcome<()> = sender?;
                outcome?;
                continue;
            }
            _ = ticks.tick() => {}
        }
        let sent = context.graph.accepted_count();
        let made = created.lock().unwrap_or_else(PoisonError::into_inner).len();
        context.say(&format!("{label}: {made} messages created, {sent} sent, {wanted} wanted"));
        if sent > highest {
            (highest, moved) = (sent, Instant::now());
        }
        let all_sent = senders.is_empty() && sent >= made;
        if all_sent || started.elapsed() > limit || moved.elapsed() > STALLED {
            break;
        }
    }
    senders.shutdown().await;
    let created = std::mem::take(&mut *created.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((created, context.graph.take_accepted()))
}

pub async fn send(api: &mut Api, channel: &str, index: u64, contacts: u64) -> Outcome<Created> {
    let request = request(api, channel, index, contacts);
    let mut status = api.send(&request).await?;
    while is_busy(status) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        status = api.send(&request).await?;
    }
    created(status, api.body())
}

/// The request that queues message `index`, to one of the contacts in turn.
pub fn request(api: &Api, channel: &str, index: u64, contacts: u64) -> Vec<u8> {
    let message = json!({
        "channel_id": channel,
        "wa_id": phone_of(index % contacts),
        "type": "text",
        "body": format!("Terima kasih, laporan Anda sudah kami terima dan sedang kami kerjakan. Ref {index:09}"),
    });
    api.request("POST", "/api/v1/messages", Some(&message))
}

/// The server took nothing and asks for time.
pub const fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// The message as the answer to its request shows it.
pub fn created(status: u16, body: &[u8]) -> Outcome<Created> {
    let answer: Value = serde_json::from_slice(body)?;
    let field = |name: &str| answer["data"][name].as_str().map(str::to_owned);
    match (field("id"), field("conversation_id")) {
        (Some(message), Some(conversation)) if status < 300 => Ok(Created { message, conversation }),
        _ => Err(format!("POST /api/v1/messages answered {status}: {answer}").into()),
    }
}
