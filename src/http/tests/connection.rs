//! The listener itself: real connections, an orderly end, and limits that only a socket shows.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::cluster::{Cluster, Silence};
use crate::http::{Access, HttpError, bind, serve};

/// Sends bytes and reads until the server closes.
async fn exchange(at: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    // The server may answer and close before it has read everything.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_are_served_until_the_end_and_streams_end_with_it() {
    let cluster = Cluster::new();
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let parts = cluster.parts(Access::default(), Arc::new(Silence));
    let server = tokio::spawn(serve(parts, listener, stopped));

    let head = "HTTP/1.1 200 OK";
    let health = exchange(at, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(health.await.starts_with(head));
    let nonsense = exchange(at, b"nonsense\r\n\r\n").await;
    assert!(nonsense.starts_with("HTTP/1.1 400"), "{nonsense}");
    // By its length the body has the whole second request in it; by its encoding it ends before that. Whoever stands in
    // between may have read it the other way: the second one must not be served.
    let hidden = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    let both = format!(
        "POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        hidden.len() + 5
    );
    let smuggled = exchange(at, both.as_bytes()).await;
    assert_eq!(smuggled.matches("HTTP/1.1 ").count(), 1, "{smuggled}");
    assert_eq!(cluster.sent(), 0, "the hidden request was served");
    let many = "X-One: 1\r\n".repeat(100);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    let headers = exchange(at, request.as_bytes()).await;
    assert!(headers.starts_with("HTTP/1.1 431"), "{headers}");
    let large = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(!exchange(at, large.as_bytes()).await.starts_with(head));

    let events = tokio::spawn(exchange(at, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.send_replace(true);
    let ended = tokio::time::timeout(Duration::from_secs(5), server).await;
    ended.unwrap().unwrap().unwrap();
    assert!(events.await.unwrap().starts_with(head));
    assert!(TcpStream::connect(at).await.is_err());
    assert_eq!(cluster.sent(), 0);
}

#[tokio::test]
async fn an_open_listener_is_not_served() {
    let cluster = Cluster::new();
    let listener = bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let parts = cluster.parts(Access::default(), Arc::new(Silence));
    let refused = serve(parts, listener, watch::channel(false).1).await;
    assert!(matches!(refused, Err(HttpError::Open(_))));
}
