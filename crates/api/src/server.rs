//! Connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::state::Limits;

/// Tells handlers of long answers that the server stops.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub CancellationToken);

/// How long a stream may take to end when the server stops, however slowly its client reads.
const STREAM_END: Duration = Duration::from_secs(1);

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
        let Self { stream, peer, router, limits, stopping } = self;
        let streams = Arc::new(AtomicBool::new(false));
        let (handlers, marks) = (stopping.clone(), Arc::clone(&streams));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut router = router.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(Stopping(handlers.clone()));
            let marks = Arc::clone(&marks);
            async move {
                let response = router.call(request).await.unwrap_or_else(|never| match never {});
                let kind = response.headers().get(header::CONTENT_TYPE);
                let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
                marks.store(is_stream, Ordering::Relaxed);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .serve_connection(TokioIo::new(stream), service);
        // A stream has no end of its own, and a client that does not read would not see one.
        let overdue = async {
            stopping.cancelled().await;
            tokio::time::sleep(STREAM_END).await;
            if !streams.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        // Boxed: an idle task stays small.
        tokio::select! {
            served = Box::pin(watcher.watch(connection)) => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection broke off");
                }
            }
            () = overdue => {}
        }
    }
}
