//! Hints to the other nodes on a database that there are new events: PostgreSQL's NOTIFY, one for many commits and in
//! no transaction that others wait for. What a lost hint would have told is found by the next look. Who is typing is told
//! the same way, and lost with its hint.
//!
//! A hint is the node it comes from, and the conversation if somebody types there: `0198… 01J…`.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::args;
use crate::error::Result;
use crate::postgres;
use crate::store::{Backend, Store};

const CHANNEL: &str = "kabar_events";
/// Between two hints.
const PAUSE: Duration = Duration::from_millis(50);

impl Store {
    /// Hints when this process has recorded events, and looks for those of others when they hint, over a connection of
    /// its own. Ends only with an error; on SQLite, which has no other nodes, not at all. `node` is this process.
    pub async fn exchange_hints(&self, node: Uuid) -> Result<Infallible> {
        let Backend::Postgres(pool) = &*self.0 else { return std::future::pending().await };
        tokio::select! {
            ended = self.give_hints(pool, node) => ended,
            ended = self.take_hints(pool, node) => ended,
        }
    }

    async fn give_hints(&self, pool: &PgPool, node: Uuid) -> Result<Infallible> {
        let mut recorded = self.1.own();
        // For what was recorded before anybody could be told.
        recorded.mark_changed();
        let mut typing = self.1.own_typing();
        loop {
            let hint = tokio::select! {
                changed = recorded.changed() => match changed {
                    Ok(()) => node.to_string(),
                    Err(_) => return std::future::pending().await,
                },
                typing = typing.recv() => match typing {
                    Ok(conversation) => format!("{node} {conversation}"),
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
            };
            let mut connection = pool.acquire().await?;
            let hint = args![CHANNEL, hint];
            postgres::fetch(&mut connection, "SELECT 1 FROM pg_notify($1, $2)", &hint).await?;
            drop(connection);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn take_hints(&self, pool: &PgPool, node: Uuid) -> Result<Infallible> {
        let options = (*pool.connect_options()).clone();
        let one = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&one).await?;
        listener.listen(CHANNEL).await?;
        let own = node.to_string();
        loop {
            // What was recorded while nobody listened.
            self.look_for_events().await?;
            loop {
                let hint = listener.recv().await?;
                match hint.payload().split_once(' ') {
                    Some((node, _)) if node == own => {}
                    Some((_, typing)) => {
                        typing.parse().into_iter().for_each(|conversation| self.1.heard_typing(conversation));
                    }
                    None if hint.payload() == own => {}
                    None => break,
                }
            }
        }
    }
}
