//! Two instances, each with one of two partitions: either answers everything, once, and asks nobody that it must not ask.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use yardmaster_topologies::id::Pool;

use super::cluster::{Cluster, Reply, Silence, ask};
use crate::http::ask::PASSED_ON;
use crate::http::parts::partition_of;
use crate::http::{Access, HttpError, Peers, bind, serve};

/// One of them, behind a listener of its own.
pub(super) struct Instance {
    pub(super) cluster: Arc<Cluster>,
    pub(super) url: String,
    access: Access,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), HttpError>>,
}

impl Instance {
    pub(super) async fn start(partition: i32, access: Access) -> Self {
        let cluster = Cluster::at(partition, 2);
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let access = Access { advertise: url.clone(), ..access };
        let (stop, stopped) = watch::channel(false);
        let parts = cluster.parts(access.clone(), Arc::new(Silence));
        let serving = tokio::spawn(serve(parts, listener, stopped));
        Self { cluster, url, access, stop, serving }
    }

    async fn end(&mut self) {
        self.stop.send_replace(true);
        (&mut self.serving).await.unwrap().unwrap();
    }

    pub(super) fn place(&self, partition: i32, url: &str) {
        self.cluster.registry().place_elsewhere(BTreeMap::from([(partition, url.to_owned())]));
    }

    async fn ask(&self, request: axum::http::request::Builder, body: &str) -> Reply {
        let router = self.cluster.router_with(self.access.clone(), Arc::new(Silence), "127.0.0.1:9733");
        let request =
            request.header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json");
        ask(router, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask(Request::get(path), "").await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Reply {
        self.ask(Request::post(path), body).await
    }
}

/// Both, knowing of each other.
pub(super) async fn two() -> [Instance; 2] {
    let both = [Instance::start(0, Access::default()).await, Instance::start(1, Access::default()).await];
    both[0].place(1, &both[1].url);
    both[1].place(0, &both[0].url);
    both
}

/// The n-th pool of a partition.
pub(super) fn pool_of(partition: i32, n: usize) -> String {
    let names = (0..).map(|number| format!("p{number}"));
    names.filter(|name| partition_of(&Pool::parse(name).unwrap(), 2) == partition).nth(n).unwrap()
}

/// An answer as far as two instances must agree on it.
fn seen(reply: &Reply) -> (u16, Value) {
    let body = serde_json::from_str(&reply.text).unwrap_or(Value::String(reply.text.clone()));
    (reply.status.as_u16(), body)
}

#[tokio::test]
async fn every_pool_is_answered_by_both() {
    let [here, there] = two().await;
    let pool = pool_of(1, 0);
    let body =
        format!(r#"{{"tasks":[{{"id":"a/b","pool":"{pool}","job":"j"}},{{"id":"c","pool":"{pool}"}}]}}"#);
    let submitted = here.post("/v1/tasks?wait=applied", &body).await;
    assert_eq!(submitted.ok(201)["tasks"][0]["outcome"], "accepted");
    assert_eq!(submitted.headers["yardmaster-answered-by"], there.url.as_str());
    assert_eq!((here.cluster.sent(), there.cluster.sent()), (0, 1));
    let cancel = format!("/v1/pools/{pool}/tasks/a%2Fb/cancel?wait=applied&wait_ms=3000");
    let cancelled = here.post(&cancel, r#"{"reason":"wrong"}"#).await.ok(200);
    assert_eq!(cancelled["outcome"], "applied");
    assert_eq!(here.post(&cancel, "").await.problem(409).0, "already_terminal");
    let position = cancelled["position"].as_str().unwrap();
    for path in [
        "stats",
        "queues",
        "tags",
        "workers",
        "jobs",
        "jobs/j",
        "jobs/j/results",
        "jobs/none",
        "tasks",
        "tasks/a%2Fb",
        "tasks?limit=1",
        "tasks/none",
        "tasks?limit=0",
        "workers/none",
        "stats/windows?size=7s",
        "nothing",
    ] {
        let glue = if path.contains('?') { '&' } else { '?' };
        let path = format!("/v1/pools/{pool}/{path}{glue}min_position={position}");
        let (one, other) = (here.get(&path).await, there.get(&path).await);
        assert_eq!(seen(&one), seen(&other), "{path}");
        assert_eq!(one.headers[header::CONTENT_TYPE], other.headers[header::CONTENT_TYPE], "{path}");
    }
    // Its rates depend on the moment.
    here.get(&format!("/v1/pools/{pool}/stats/windows?size=5s")).await.ok(200);
    let late = here.get(&format!("/v1/pools/{pool}/stats?min_position=p1.1-99")).await;
    assert_eq!(late.problem(503), ("not_applied".into(), "min_position".into()));
}

#[tokio::test]
async fn lists_are_whole_wherever_they_are_asked_for() {
    let [here, there] = two().await;
    let mut all = Vec::new();
    for (partition, instance) in [(0, &here), (1, &there)] {
        for n in 0..3 {
            let pool = pool_of(partition, n);
            let body = format!(r#"{{"id":"only-{pool}"}}"#);
            instance.post(&format!("/v1/tasks?wait=applied&pool={pool}"), &body).await.ok(201);
            all.push(pool);
        }
    }
    all.sort_by_key(|pool| (pool.len(), pool.clone()));
    for instance in [&here, &there] {
        for limit in [1, 2, 100] {
            let (mut met, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = instance.get(&format!("/v1/pools?limit={limit}&cursor={cursor}")).await.ok(200);
                let rows = page["pools"].as_array().unwrap();
                assert!(rows.len() <= limit && rows.iter().all(|row| row["live"] == 1), "{page}");
                met.extend(rows.iter().map(|row| row["pool"].as_str().unwrap().to_owned()));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = next.to_owned();
            }
            assert_eq!(met, all, "pages of {limit}");
        }
        for pool in &all {
            assert_eq!(instance.get(&format!("/v1/tasks/only-{pool}")).await.ok(200)["pool"], pool.as_str());
        }
        instance.get("/v1/tasks/none").await.problem(404);
        let late = instance.get("/v1/tasks/none?min_position=p1.0-99_1-99").await;
        assert!(
            late.problem(503).0 == "not_applied" || late.text.contains("has applied up to"),
            "{}",
            late.text
        );
        assert_eq!(instance.get("/v1/tasks/none?min_position=p1.2-0").await.problem(400).1, "min_position");
    }
    for (partition, instance) in [(0, &here), (1, &there)] {
        let path = format!("/v1/tasks?wait=applied&pool={}", pool_of(partition, 0));
        instance.post(&path, r#"{"id":"twice"}"#).await.ok(201);
    }
    for instance in [&here, &there] {
        let reply = instance.get("/v1/tasks/twice").await;
        assert_eq!(reply.problem(409).0, "ambiguous");
        assert_eq!(reply.json()["matches"].as_array().unwrap().len(), 2, "{}", reply.text);
    }
}

#[tokio::test]
async fn an_owner_that_is_gone_is_named_and_nothing_is_left_out_unsaid() {
    let [here, mut there] = two().await;
    let [mine, theirs] = [pool_of(0, 0), pool_of(1, 0)];
    here.post(&format!("/v1/tasks?wait=applied&pool={mine}"), r#"{"id":"t"}"#).await.ok(201);
    there.end().await;
    for path in [
        format!("/v1/pools/{theirs}/stats"),
        format!("/v1/pools/{theirs}/tasks/t"),
        "/v1/pools".to_owned(),
        "/v1/tasks/t".to_owned(),
        "/v1/tasks/none?partial=ok".to_owned(),
    ] {
        let reply = here.get(&path).await;
        assert_eq!(reply.problem(503).0, "unreachable", "{path}");
        assert_eq!(reply.headers[header::RETRY_AFTER], "1");
        assert_eq!(reply.json()["owner"], there.url.as_str());
    }
    let reply = here.post(&format!("/v1/tasks?wait=applied&pool={theirs}"), "{}").await;
    assert_eq!(reply.problem(503).0, "unreachable");
    let page = here.get("/v1/pools?partial=ok").await;
    assert_eq!(page.headers["yardmaster-missing-partitions"], "1");
    assert_eq!(page.ok(200)["pools"][0]["pool"], mine.as_str());
    assert_eq!(page.json()["elsewhere"], serde_json::json!([{"partition": 1, "url": there.url}]));
    let task = here.get("/v1/tasks/t?partial=ok").await;
    assert_eq!(task.headers["yardmaster-missing-partitions"], "1");
    assert_eq!(task.ok(200)["pool"], mine.as_str());
    here.cluster.registry().place_elsewhere(BTreeMap::new());
    let reply = here.get("/v1/pools").await;
    assert_eq!(
        (reply.problem(503).0.as_str(), &reply.json()["missing"]),
        ("moving", &serde_json::json!([1]))
    );
    assert_eq!(here.get("/v1/pools?partial=ok").await.ok(200)["moving"], serde_json::json!([1]));
    assert_eq!(here.get("/v1/pools?partial=yes").await.problem(400).1, "partial");
}

#[tokio::test]
async fn instances_that_send_each_other_on_answer_503() {
    let [here, there] = two().await;
    let theirs = pool_of(1, 0);
    there.cluster.registry().remove(1);
    there.cluster.registry().place_elsewhere(BTreeMap::from([(0, here.url.clone()), (1, here.url.clone())]));
    let reply = here.get(&format!("/v1/pools/{theirs}/tasks")).await;
    assert_eq!(reply.problem(503).0, "moving");
    assert!(reply.headers.contains_key(header::RETRY_AFTER));
    let reply = here.get("/v1/pools").await;
    assert_eq!(reply.problem(503).0, "unreachable");
    assert!(reply.text.contains("has given it away"), "{}", reply.text);
    here.get("/v1/tasks/t").await.problem(503);
    // What it says of pools that are somebody else's is not believed: those are asked for where they are.
    let direct = there.ask(Request::get("/v1/pools").header(PASSED_ON, "x"), "").await;
    assert_eq!(direct.headers["yardmaster-partitions"], "");
}

#[tokio::test]
async fn a_submit_for_pools_of_several_instances_can_t_be_waited_for() {
    let [here, there] = two().await;
    let body =
        format!(r#"[{{"id":"a","pool":"{}"}},{{"id":"b","pool":"{}"}}]"#, pool_of(0, 0), pool_of(1, 0));
    for instance in [&here, &there] {
        let reply = instance.post("/v1/tasks?wait=applied", &body).await;
        assert_eq!(reply.problem(421), ("several_owners".into(), "wait".into()));
    }
    assert_eq!((here.cluster.sent(), there.cluster.sent()), (0, 0));
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_not_asked() {
    let [here, _there] = two().await;
    let theirs = pool_of(1, 0);
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    let peers = Peers::parse("10.0.0.0/8, 127.0.0.7").unwrap();
    let careful = Instance { access: Access { peers, ..here.access.clone() }, ..here };
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://10.0.0.1@127.0.0.1:{port}"),
        format!("ftp://127.0.0.7:{port}"),
        format!("http://127.0.0.7:{port}/containers?all="),
        format!("https://127.0.0.1:{port}"),
    ] {
        careful.place(1, &url);
        for path in [format!("/v1/pools/{theirs}/stats"), "/v1/pools".to_owned(), "/v1/tasks/t".to_owned()] {
            let reply = careful.get(&path).await;
            assert_eq!(reply.problem(503).0, "unreachable", "{url} {path}");
            assert!(!reply.headers.contains_key(header::LOCATION), "{url} {path}");
        }
    }
    assert!(trap.accept().is_err(), "somebody was asked");
    // One that is allowed but speaks TLS is for the client to ask.
    careful.place(1, "https://127.0.0.7:9733");
    let reply = careful.get(&format!("/v1/pools/{theirs}/stats")).await;
    assert_eq!(reply.problem(421).0, "elsewhere");
}

#[tokio::test]
async fn an_owner_that_hangs_is_given_up_when_its_partition_moves() {
    let [here, _there] = two().await;
    let theirs = pool_of(1, 0);
    // Nobody reads what comes.
    let hanging = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    here.place(1, &format!("http://{}", hanging.local_addr().unwrap()));
    let asked = async {
        let order = format!("/v1/tasks?wait=applied&pool={theirs}");
        tokio::join!(here.get("/v1/pools"), here.post(&order, "{}"))
    };
    let moved = async {
        let both = (hanging.accept().await.unwrap(), hanging.accept().await.unwrap());
        here.cluster.registry().place_elsewhere(BTreeMap::new());
        both
    };
    let ((list, order), _both) = tokio::join!(asked, moved);
    assert_eq!(list.problem(503).0, "unreachable");
    assert_eq!(order.problem(504).0, "unanswered");
    assert!(!order.headers.contains_key(header::RETRY_AFTER), "it may have been done");
}

/// A token file of one token.
fn token_file(dir: &tempfile::TempDir, token: &str) -> Option<PathBuf> {
    let path = dir.path().join(token);
    std::fs::write(&path, format!("{token}\n")).unwrap();
    Some(path)
}

#[tokio::test]
async fn a_token_goes_along_if_it_was_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = token_file(&dir, "a-token-0123456789");
    let asks = Access { token_file: tokens, ..Access::default() };
    let theirs = pool_of(1, 0);
    let there = Instance::start(1, asks.clone()).await;
    for (access, token, pool, pools) in [
        (asks.clone(), "a-token-0123456789", 200, 200),
        (asks, "wrong-token-0123456789", 401, 401),
        // Here nobody has looked at it: it may be meant for something else.
        (Access::default(), "a-token-0123456789", 401, 503),
    ] {
        let here = Instance::start(0, access).await;
        here.place(1, &there.url);
        let get = |path: &str| Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let stats = format!("/v1/pools/{theirs}/stats");
        let reply = here.ask(get(&stats), "").await;
        assert_eq!(reply.status.as_u16(), pool, "{}", reply.text);
        let reply = here.ask(get("/v1/pools"), "").await;
        assert_eq!(reply.status.as_u16(), pools, "{}", reply.text);
    }
}
