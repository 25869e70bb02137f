//! Who is let in, who is sent elsewhere, and what stands around every answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use tokio::sync::watch;

use super::cluster::{Cluster, Silence, ask};
use crate::http::ask::PASSED_ON;
use crate::http::guard::Guard;
use crate::http::parts::{Access, Shared};
use crate::http::routes;
use crate::metrics::{Live, Metrics};

/// Orders that only the owner of the pool can answer.
const ORDERS: [&str; 5] = [
    "/v1/tasks?wait=applied",
    "/v1/pools/default/tasks/t-1/cancel?wait=applied",
    "/v1/pools/default/tasks/t-1/requeue",
    "/v1/pools/default/jobs/j/cancel?wait=applied",
    "/v1/pools/default/workers/w1/drain?wait=applied",
];
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

fn get(path: &str, host: &str) -> axum::http::request::Builder {
    Request::get(path).header(header::HOST, host)
}

#[tokio::test]
async fn on_loopback_only_known_hosts_are_served() {
    let cluster = Cluster::new();
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:9733", 200),
        ("127.0.0.1:9733", 200),
        ("[::1]:9733", 200),
        ("192.168.1.7", 200),
        ("evil.example", 403),
        ("localhost.evil.example:9733", 403),
        ("", 403),
    ] {
        let reply = ask(cluster.router(), get("/v1/pools", host).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), status, "{host}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn what_changes_something_must_be_json() {
    let cluster = Cluster::new();
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        for path in ["/v1/tasks", "/v1/pools/default/tasks/t-1/cancel", "/v1/pools/default/workers/w1/drain"]
        {
            let request =
                Request::post(path).header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind);
            let reply = ask(cluster.router(), request.body(Body::from("{}")).unwrap()).await;
            assert_eq!(reply.problem(415).1, "Content-Type");
        }
    }
    let request = Request::post("/v1/tasks")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "Application/JSON; charset=utf-8");
    assert_eq!(ask(cluster.router(), request.body(Body::from("{}")).unwrap()).await.status.as_u16(), 202);
    assert_eq!(cluster.sent(), 1);
}

#[tokio::test]
async fn with_a_token_file_only_tokens_open_the_door() {
    let cluster = Cluster::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    std::fs::write(&path, "a-token-0123456789\n").unwrap();
    let access = Access { token_file: Some(path), ..Access::default() };
    let router = cluster.router_with(access, Arc::new(Silence), "0.0.0.0:9733");
    for (given, status) in [
        (None, 401),
        (Some("Bearer wrong-token-0123456789"), 401),
        (Some("Basic a-token-0123456789"), 401),
        (Some("Bearer"), 401),
        (Some("Bearer a-token-0123456789"), 200),
        (Some("bearer a-token-0123456789"), 200),
    ] {
        for path in ["/v1/pools", "/metrics", "/v1/pools/default/stats"] {
            let mut request = get(path, "any.example");
            if let Some(given) = given {
                request = request.header(header::AUTHORIZATION, given);
            }
            let reply = ask(router.clone(), request.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.status.as_u16(), status, "{path} {given:?}");
        }
    }
    let reply = ask(router.clone(), get("/healthz", "any.example").body(Body::empty()).unwrap()).await;
    assert_eq!(reply.ok(200)["status"], "ok");
    let reply = ask(router.clone(), get("/readyz", "any.example").body(Body::empty()).unwrap()).await;
    assert_eq!(reply.ok(200), serde_json::json!({ "ready": true }), "a stranger learns nothing else");
    let known = get("/readyz", "any.example").header(header::AUTHORIZATION, "Bearer a-token-0123456789");
    let reply = ask(router.clone(), known.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.ok(200)["owned"][0]["partition"], 0);
    let request = Request::post("/v1/tasks").header(header::CONTENT_TYPE, "application/json");
    assert_eq!(ask(router, request.body(Body::from("{}")).unwrap()).await.problem(401).1, "Authorization");
    assert_eq!(cluster.sent(), 0);
}

#[test]
fn an_open_door_is_refused() {
    let at = "0.0.0.0:9733".parse().unwrap();
    let error = Guard::new(&Access::default(), at).err().unwrap().to_string();
    assert!(error.contains("http.token_file") && error.contains("http.insecure"), "{error}");
    assert!(Guard::new(&Access { insecure: true, ..Access::default() }, at).is_ok());
}

#[tokio::test]
async fn without_tokens_names_are_checked_on_any_address() {
    let cluster = Cluster::new();
    let advertise = "http://grid-1.example:9733".to_owned();
    let access = Access { insecure: true, advertise, ..Access::default() };
    let router = cluster.router_with(access, Arc::new(Silence), "0.0.0.0:9733");
    for (host, status) in [
        ("grid-1.example:9733", 200),
        ("10.0.0.2:9733", 200),
        ("[fe80::1]:9733", 200),
        ("localhost", 200),
        ("evil.example", 403),
        ("grid-1.example.evil.example", 403),
    ] {
        let reply = ask(router.clone(), get("/v1/pools", host).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), status, "{host}");
    }
}

#[tokio::test]
async fn an_instance_that_is_cut_off_is_not_ready() {
    let cluster = Cluster::new();
    let mut parts = cluster.parts(Access::default(), Arc::new(Silence));
    parts.instance_timeout = Duration::ZERO;
    let guard = Guard::new(&Access::default(), "127.0.0.1:9733".parse().unwrap()).unwrap();
    let router = routes::router(&Shared::new(parts, watch::channel(false).1), guard);
    let reply = ask(router, get("/readyz", "localhost").body(Body::empty()).unwrap()).await;
    assert_eq!(reply.ok(503)["following"], false);
    assert_eq!(cluster.get("/readyz").await.ok(200)["following"], true);
}

#[tokio::test]
async fn what_moves_is_503_and_never_missing_or_empty() {
    let cluster = Cluster::new();
    cluster.registry().remove(0);
    let reads = [
        "/v1/pools",
        "/v1/tasks/t-1",
        "/v1/pools/default/stats",
        "/v1/pools/default/stats/windows?size=5s",
        "/v1/pools/default/queues",
        "/v1/pools/default/tags",
        "/v1/pools/default/tasks",
        "/v1/pools/default/tasks/t-1",
        "/v1/pools/default/jobs",
        "/v1/pools/default/jobs/j",
        "/v1/pools/default/jobs/j/results",
        "/v1/pools/default/workers",
        "/v1/pools/default/workers/w",
    ];
    for path in reads {
        let reply = cluster.get(path).await;
        assert_eq!(reply.problem(503).0, "moving", "{path}");
        assert_eq!(reply.headers[header::RETRY_AFTER], "1", "{path}");
    }
    for path in ORDERS {
        let reply = cluster.post(path, "{}").await;
        assert_eq!(reply.problem(503).0, "moving", "{path}");
        assert_eq!(reply.headers[header::RETRY_AFTER], "1", "{path}");
    }
    assert_eq!(cluster.get("/readyz").await.ok(503)["moving"][0], 0);
    assert_eq!(cluster.sent(), 0);
}

#[tokio::test]
async fn what_was_passed_on_is_never_passed_on_again() {
    let cluster = Cluster::new();
    cluster.registry().remove(0);
    cluster.registry().place_elsewhere(BTreeMap::from([(0, NOBODY.to_owned())]));
    assert_eq!(cluster.get("/readyz").await.ok(200)["ready"], true);
    for path in ["/v1/pools/default/tasks?state=QUEUED", "/v1/pools/default/jobs/x/results"] {
        let passed_on = get(path, "localhost").header(PASSED_ON, "http://another");
        let reply = ask(cluster.router(), passed_on.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.problem(421).0, "elsewhere");
        assert_eq!(reply.headers[header::LOCATION], format!("{NOBODY}{path}"));
        assert_eq!(reply.json()["owner"], NOBODY);
    }
    for path in ORDERS {
        let passed_on = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(PASSED_ON, "http://another");
        let reply = ask(cluster.router(), passed_on.body(Body::from("{}")).unwrap()).await;
        assert_eq!(reply.problem(421).0, "elsewhere", "{path}");
        assert_eq!(reply.headers[header::LOCATION], format!("{NOBODY}{path}"));
    }
    assert_eq!(cluster.sent(), 0);
    cluster.post("/v1/tasks", "{}").await.ok(202);
}

#[tokio::test]
async fn a_position_that_is_not_reached_is_waited_for() {
    let cluster = Cluster::new();
    let waiting = {
        let cluster = cluster.clone();
        tokio::spawn(async move { cluster.get("/v1/pools/default/tasks/t-1?min_position=p1.0-0").await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    cluster.post("/v1/tasks", r#"{"id":"t-1"}"#).await.ok(202);
    assert_eq!(waiting.await.unwrap().ok(200)["id"], "t-1");
    let reply = cluster.get("/v1/pools/default/tasks/t-1?min_position=p1.0-99").await;
    assert_eq!(reply.problem(503), ("not_applied".into(), "min_position".into()));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let cluster = Cluster::new();
    cluster.get("/nothing").await.problem(404);
    cluster.get("/v1/pools/default/workers/w1/drain").await.problem(405);
    for path in ["/v1/pools/%FF/stats", "/v1/pools/%FF/tasks", "/v1/pools/p/workers/%FF", "/v1/tasks/%FF"] {
        cluster.get(path).await.problem(400);
    }
    let long = format!("/v1/pools/default/tasks/{}", "x".repeat(5_000));
    cluster.get(&long).await.problem(414);
}

#[tokio::test]
async fn requests_are_counted_by_the_template_of_their_route() {
    let (cluster, metrics) = (Cluster::new(), Metrics::new());
    let mut parts = cluster.parts(Access::default(), Arc::new(Silence));
    parts.requests = metrics.requests();
    let guard = Guard::new(&Access::default(), ([127, 0, 0, 1], 9733).into()).unwrap();
    let router = routes::router(&Shared::new(parts, watch::channel(false).1), guard);
    for (path, host) in [
        ("/v1/pools/a/queues", "localhost"),
        ("/v1/pools/b/queues", "localhost"),
        ("/v1/pools", "evil.example"),
        ("/made-up/1", "localhost"),
        ("/made-up/2", "localhost"),
    ] {
        ask(router.clone(), get(path, host).body(Body::empty()).unwrap()).await;
    }
    let text = metrics.render(&Live::default());
    for (code, route, count) in
        [(200, "/v1/pools/{pool}/queues", 2), (403, "/v1/pools", 1), (404, "unmatched", 2)]
    {
        let wanted = format!(
            "yardmaster_http_requests_total{{code=\"{code}\",method=\"GET\",route=\"{route}\"}} {count}\n"
        );
        assert!(text.contains(&wanted), "{wanted}{text}");
    }
    assert!(!text.contains("made-up"), "{text}");
}
