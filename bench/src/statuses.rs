//! Plays the provider's part after it took a message: reports that it is `sent`, `delivered` and `read`, one webhook
//! each, as often as it takes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

use crate::Outcome;
use crate::body::{SentMessage, Source};
use crate::graph_stub::GraphStub;
use crate::http::Connection;
use crate::load::{PAUSE, Tally, on_its_own_thread, reopen};

/// What is reported, and how long after the message came.
const REPORTS: [(&str, Duration); 3] = [
    ("sent", Duration::from_millis(50)),
    ("delivered", Duration::from_millis(550)),
    ("read", Duration::from_millis(1_050)),
];
/// How often it is looked for messages that came.
const LOOK: Duration = Duration::from_millis(2);

pub struct Player {
    pub address: SocketAddr,
    pub source: Source,
    pub graph: GraphStub,
    pub connections: usize,
    /// No message comes any more.
    pub over: Arc<AtomicBool>,
    /// Reports acknowledged.
    pub acknowledged: Arc<AtomicU64>,
}

/// A message, and when its report is due.
type Report = (Instant, Rc<SentMessage>);

struct Line {
    player: Rc<Player>,
    status: &'static str,
    reports: Mutex<mpsc::UnboundedReceiver<Report>>,
    tally: Rc<RefCell<Tally>>,
}

impl Player {
    /// Reports on every message that reaches the stub until it is over. Latencies count from when a report was due.
    pub async fn play(self) -> Outcome<Tally> {
        on_its_own_thread("statuses", move || Rc::new(self).run()).await
    }

    async fn run(self: Rc<Self>) -> Outcome<Tally> {
        let started = Instant::now();
        let tally = Rc::new(RefCell::new(Tally::default()));
        let mut lines = Vec::new();
        let mut lanes = Vec::new();
        for (status, lag) in REPORTS {
            let (line, reports) = mpsc::unbounded_channel();
            lines.push((line, lag));
            let line = Rc::new(Line {
                player: Rc::clone(&self),
                status,
                reports: Mutex::new(reports),
                tally: Rc::clone(&tally),
            });
            for _ in 0..self.connections.div_ceil(REPORTS.len()) {
                lanes.push(tokio::task::spawn_local(Rc::clone(&line).drive()));
            }
        }
        let mut known = 0;
        loop {
            let over = self.over.load(Ordering::Relaxed);
            for accepted in self.graph.accepted_after(known) {
                known += 1;
                let message = Rc::new(accepted.message);
                for (line, lag) in &lines {
                    // When its lanes have failed, waiting for them below says why.
                    let _failed = line.send((accepted.at + *lag, Rc::clone(&message)));
                }
            }
            if over {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        drop(lines);
        for lane in lanes {
            lane.await??;
        }
        let mut tally = tally.take();
        tally.elapsed = started.elapsed();
        Ok(tally)
    }
}

impl Line {
    async fn next(&self) -> Option<Report> {
        self.reports.lock().await.recv().await
    }

    async fn drive(self: Rc<Self>) -> Outcome<()> {
        let player = &self.player;
        let mut connection = Connection::open(player.address).await?;
        let (mut body, mut request) = (Vec::new(), Vec::new());
        while let Some((due, message)) = self.next().await {
            tokio::time::sleep_until(due.into()).await;
            player.source.write_status_request(&message, self.status, &mut body, &mut request);
            loop {
                let answer = connection.send(&request).await;
                let acknowledged = self.tally.borrow_mut().count(&answer, body.len(), due.elapsed());
                if answer.map_or(true, |answer| answer.closes) {
                    connection = reopen(player.address).await?;
                }
                if acknowledged {
                    player.acknowledged.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}
