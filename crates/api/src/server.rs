//! Connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::state::Limits;

/// Serves until `shutdown` is ready, then lets requests under way end. HTTP/1.1; a proxy in front may speak more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let stopping = CancellationToken::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection =
                    Connection { stream, peer, router: router.clone(), limits, stopping: stopping.clone() };
                tokio::spawn(connection.run(graceful.watcher()));
            }
            // A client that left before it was served.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                // Most likely too many open files: those who leave make room.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    stopping.cancel();
    if tokio::time::timeout(limits.drain_time, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.drain_time.as_secs(), "requests still under way were cut off");
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stopping: CancellationToken,
}

impl Connection {
    async fn run(self, watcher: Watcher) {
        // A connection that says nothing costs no buffers until it does.
        let mut first = [0];
        let spoke = tokio::select! {
            peeked = tokio::time::timeout(self.limits.idle_time, self.stream.peek(&mut first)) => {
                matches!(peeked, Ok(Ok(1)))
            }
            () = self.stopping.cancelled() => false,
        };
        if !spoke {
            return;
        }
        // Small answers leave at once.
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection is gone already");
            return;
        }
        let Self { stream, peer, router, limits, .. } = self;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut router = router.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .serve_connection(TokioIo::new(stream), service);
        // Boxed: an idle task stays small.
        if let Err(error) = Box::pin(watcher.watch(connection)).await {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}
