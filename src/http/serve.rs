//! The listener: connections with timeouts and limits, and an orderly end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::HttpError;
use super::guard::Guard;
use super::parts::{Parts, Shared};
use super::patient::Patient;
use super::routes;

/// Connections at once.
const CONNECTIONS_MAX: usize = 512;
/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of the request line and all headers together.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long a client may take to send a request's head, idle time between requests included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may take nothing of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open requests have when the server stops.
pub const END_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after an accept failed, which usually means that there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens a listener.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn bind(at: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(at).await
}

/// Serves until `shutdown` becomes true, then ends what is open, within [`END_TIMEOUT`].
///
/// # Errors
/// [`HttpError::Open`] when the listener is not on loopback and nothing says who may come in; [`HttpError::Tokens`] when
/// the token file is no good; [`HttpError::Io`] when the listener is broken.
pub async fn serve(
    parts: Parts,
    listener: TcpListener,
    shutdown: watch::Receiver<bool>,
) -> Result<(), HttpError> {
    let at = listener.local_addr().map_err(HttpError::Io)?;
    let guard = Guard::new(&parts.access, at)?;
    let router = routes::router(&Shared::new(parts, shutdown.clone()), guard);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = shutdown.clone();
    // The guard that `wait_for` returns must not live across another await.
    let mut stop = pin!(async move { drop(stop.wait_for(|stopping| *stopping).await) });
    tracing::info!(%at, "HTTP is served");
    loop {
        // Who comes when all places are taken waits in the listener's backlog.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            (place, accepted) = next => match (place, accepted) {
                (Some(place), Ok((stream, _))) => open(stream, &router, place, shutdown.clone()),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (None, Ok(_)) => break,
            },
        }
    }
    drop(listener);
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    if tokio::time::timeout(END_TIMEOUT, places.acquire_many(all)).await.is_err() {
        tracing::warn!("some requests were cut off when the server stopped");
    }
    Ok(())
}

/// Serves one connection in the background; `place` is given back at its end.
fn open(stream: TcpStream, router: &Router, place: OwnedSemaphorePermit, shutdown: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router.clone());
    tokio::spawn(async move {
        // Answers are small: waiting to fill a packet only makes them late.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay was refused");
        }
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        let mut connection =
            pin!(http.serve_connection(TokioIo::new(Patient::new(stream, WRITE_TIMEOUT)), service));
        let mut stop = shutdown;
        // What `wait_for` gives holds a lock, which must not live on while the connection ends.
        let stopped = async move { stop.wait_for(|stopping| *stopping).await.is_ok() };
        let served = tokio::select! {
            served = connection.as_mut() => Some(served),
            _ = stopped => None,
        };
        let served = match served {
            Some(served) => served,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(END_TIMEOUT, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}
