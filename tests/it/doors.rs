//! Who is let in, on the real program: flags, tokens, addresses, and a stop that releases before it falls silent.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::cluster::{Server, ServerOptions, free_port, guarded_program, run_dir};

/// Nobody is there: a server that asks it fails with another exit code.
const NO_KAFKA: &str = "127.0.0.1:1";

/// Starts a server that must end by itself; its exit code and what it said.
fn ends(flags: &[&str]) -> (Option<i32>, String) {
    let mut command = guarded_program();
    command.args(["server", "--kafka", NO_KAFKA, "--state-dir"]).arg(run_dir().join("doors"));
    let output = command.args(flags).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_must_not_be_served_is_refused_before_kafka_is_asked() {
    let port = free_port();
    let (all, advertise) = (format!("0.0.0.0:{port}"), format!("http.advertise=http://127.0.0.1:{port}"));
    let (code, words) = ends(&["--http", &all, "--set", &advertise]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("--token-file") && words.contains("--insecure"), "{words}");
    let (code, words) = ends(&["--http", &all, "--insecure"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("http.listen") && words.contains("set http.advertise"), "{words}");
    let (code, words) = ends(&["--http", "127.0.0.1:0"]);
    assert_eq!(code, Some(2), "{words}");
    let (code, words) = ends(&["--token-file", "/nowhere/tokens"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("/nowhere/tokens"), "{words}");
    // An address that no machine has: --insecure lets it pass, and then it can't be bound.
    let nowhere = "192.0.2.1:9733";
    assert_eq!(ends(&["--http", nowhere]).0, Some(2));
    let (code, words) = ends(&["--http", nowhere, "--insecure"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains(nowhere), "{words}");
}

/// The status of a GET with a token, and the body.
fn get(server: &Server, path: &str, token: Option<&str>) -> (u16, String) {
    let address = server.http.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let token = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or_default(), body.unwrap_or_default())
}

#[test]
fn tokens() {
    let tokens = run_dir().join("tokens");
    fs::write(&tokens, "# ours\na-token-0123456789\n").unwrap();
    let options = ServerOptions::new("tokens").flag("--token-file", tokens.to_str().unwrap());
    let mut server = Server::start(&options);
    assert_eq!(get(&server, "/v1/pools", None).0, 401);
    assert_eq!(get(&server, "/metrics", Some("wrong-token-0123456789")).0, 401);
    assert_eq!(get(&server, "/v1/pools", Some("a-token-0123456789")).0, 200);
    let (status, body) = get(&server, "/readyz", None);
    assert_eq!((status, body.contains("owned")), (200, false), "{body}");
    assert!(get(&server, "/readyz", Some("a-token-0123456789")).1.contains("owned"));
    let refused = server.http.post("/v1/tasks", &json!({"id":"t-1"}));
    assert_eq!(refused.status, 401, "{refused:?}");
    // Clients that say half of it, or don't read what they asked for, don't hold the stop up.
    let address = server.http.url.trim_start_matches("http://");
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(b"POST /v1/tasks HTTP/1.1\r\nHost: local").unwrap();
    let mut deaf = TcpStream::connect(address).unwrap();
    let head =
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a-token-0123456789\r\n\r\n";
    deaf.write_all(head.as_bytes()).unwrap();
    assert_eq!(server.stop(), Some(0));
}
