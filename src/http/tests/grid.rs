//! Every route over a grid in memory: what is sent is decided at once, so answers can be compared with rows.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;
use yardmaster_state::{Checkpoint, MemoryStore, NextOffset, Store};
use yardmaster_topologies::driver::{BatchInput, CommandInput, Grid};
use yardmaster_topologies::event::Local;
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::time::{Now, ProcessorMs};
use yardmaster_topologies::wire::{Defaults, decode_command};

use crate::config::Config;
use crate::http::guard::Guard;
use crate::http::lookup::wall_now;
use crate::http::parts::{CommandSink, EventFeed, EventStream, FeedError, Later, Position, Shared};
use crate::http::{Access, Parts, routes};
use crate::runtime::{Committed, OwnedPartition, Registry};

/// A processor of one partition, without Kafka.
struct Fake {
    store: Arc<MemoryStore>,
    state: Mutex<(Grid, i64)>,
    committed: watch::Sender<Committed>,
    registry: Arc<Registry>,
    settings: Settings,
}

impl Fake {
    fn decide(&self, value: &[u8]) -> Position {
        let mut state = self.state.lock().unwrap();
        let (grid, next) = &mut *state;
        let command = decode_command(value, &Defaults::from(&self.settings)).unwrap();
        let wall = wall_now();
        let input = BatchInput {
            local: vec![Local::Configured(Box::new(self.settings.clone()))],
            commands: vec![CommandInput::Command(command)],
            now: Now { processor: ProcessorMs(wall.0), wall },
            ..BatchInput::default()
        };
        let asked = self.registry.asked(&input.commands);
        let mut decided = grid.decide(self.store.as_ref(), input).unwrap();
        decided.batch.checkpoint = Some(Checkpoint { wall_ms: wall.0, ..Checkpoint::default() });
        self.store.commit(&decided.batch).unwrap();
        let position = Position { partition: 0, offset: *next };
        *next += 1;
        let tasks = NextOffset(*next);
        self.committed.send_modify(|at| at.tasks = tasks);
        self.registry.answer(asked, &decided.effects);
        position
    }
}

impl CommandSink for Fake {
    fn send<'a>(&'a self, _: &'a Pool, value: Vec<u8>) -> Later<'a, Result<Position, String>> {
        Box::pin(async move { Ok(self.decide(&value)) })
    }
}

struct NoFeed;

impl EventFeed for NoFeed {
    fn open(&self, _: Vec<i64>) -> Result<Box<dyn EventStream>, FeedError> {
        Err(FeedError::Away("no broker".into()))
    }

    fn ends(&self) -> Result<Vec<i64>, FeedError> {
        Err(FeedError::Away("no broker".into()))
    }
}

fn router_with(access: Access, is_here: bool) -> Router {
    let registry = Arc::new(Registry::new(1));
    let store = Arc::new(MemoryStore::new());
    let zero = NextOffset(0);
    let (committed, receiver) =
        watch::channel(Committed { tasks: zero, status: zero, sequence: 0, at_ms: 0 });
    if is_here {
        registry.add(OwnedPartition::new(0, store.clone(), receiver));
    }
    registry.place_elsewhere(std::collections::BTreeMap::new());
    let settings = Config::load(None, &[]).unwrap().settings;
    let state = Mutex::new((Grid::new(), 0));
    let fake = Fake { store, state, committed, registry: registry.clone(), settings: settings.clone() };
    let guard = Guard::new(&access, ([127, 0, 0, 1], 9733).into()).unwrap();
    let parts = Parts {
        registry,
        sink: Arc::new(fake),
        feed: Arc::new(NoFeed),
        metrics: Arc::new(|| "# metrics\n".to_owned()),
        requests: crate::metrics::Requests::default(),
        settings,
        access,
        instance_timeout: std::time::Duration::from_secs(3_600),
    };
    let (_, shutdown) = watch::channel(false);
    routes::router(&Shared::new(parts, shutdown), guard)
}

fn router() -> Router {
    router_with(Access::default(), true)
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(router: &Router, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).header(header::HOST, "localhost:9733").body(Body::empty()).unwrap();
    let (status, text) = ask(router, request).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn post(router: &Router, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header(header::HOST, "127.0.0.1")
        .header(header::CONTENT_TYPE, "application/json");
    let (status, text) = ask(router, request.body(Body::from(body.to_string())).unwrap()).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn a_task_is_submitted_read_cancelled_and_requeued() {
    let router = router();
    let task = json!({"id": "a/b", "job": "j/1", "command": ["true"], "tags": {"k": "v"}});
    let (status, sent) = post(&router, "/v1/tasks", &task).await;
    assert_eq!((status, &sent["tasks"][0]["outcome"]), (StatusCode::ACCEPTED, &json!("sent")), "{sent}");
    assert_eq!(sent["warnings"][0]["code"], "no_live_worker");
    let position = sent["position"].as_str().unwrap();
    let (status, read) = get(&router, &format!("/v1/pools/default/tasks/a/b?min_position={position}")).await;
    assert_eq!((status, &read["state"]), (StatusCode::OK, &json!("QUEUED")), "{read}");
    for filter in ["state=QUEUED", "queue=default", "job=j/1", "tag=k%3Dv", ""] {
        let (_, list) = get(&router, &format!("/v1/pools/default/tasks?{filter}")).await;
        assert_eq!(list["tasks"][0]["id"], "a/b", "{filter}: {list}");
    }
    assert_eq!(get(&router, "/v1/tasks/a%2Fb").await.0, StatusCode::OK);
    let (status, done) =
        post(&router, "/v1/pools/default/tasks/a%2Fb/cancel?wait=applied", &json!({"reason": "x"})).await;
    assert_eq!((status, &done["outcome"]), (StatusCode::OK, &json!("applied")), "{done}");
    assert_eq!(get(&router, "/v1/pools/default/tasks/a/b").await.1["state"], "CANCELLED");
    let (_, lines) = get(&router, "/v1/pools/default/jobs/j%2F1/results").await;
    assert_eq!(lines["id"], "a/b", "{lines}");
    let (status, again) = post(&router, "/v1/pools/default/tasks/a/b/requeue?wait=applied", &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{again}");
    let (_, read) = get(&router, "/v1/pools/default/tasks/a/b").await;
    assert_eq!((&read["state"], &read["generation"]), (&json!("QUEUED"), &json!(1)));
    let (status, _) = post(&router, "/v1/pools/default/tasks/a/b/requeue", &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn wait_applied_tells_new_from_repeated_from_different() {
    let router = router();
    let path = "/v1/tasks?wait=applied";
    assert_eq!(post(&router, path, &json!({"id": "t", "command": ["true"]})).await.0, StatusCode::CREATED);
    let (status, answer) = post(&router, path, &json!({"id": "t", "command": ["true"]})).await;
    assert_eq!((status, &answer["tasks"][0]["outcome"]), (StatusCode::OK, &json!("repeated")));
    let (status, problem) = post(&router, path, &json!({"id": "t", "command": ["false"]})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:yardmaster:problem:conflict")));
    let (status, problem) =
        post(&router, "/v1/tasks", &json!([{"id": "u"}, {"id": "v", "priority": "high"}])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(problem["field"], "[1].priority", "{problem}");
}

#[tokio::test]
async fn pages_go_on_where_they_stopped() {
    let router = router();
    let tasks: Vec<Value> =
        (0..25).map(|n| json!({"id": format!("t-{n:02}"), "command": ["true"]})).collect();
    assert_eq!(post(&router, "/v1/tasks", &json!({"tasks": tasks})).await.0, StatusCode::ACCEPTED);
    for n in 0..10 {
        post(&router, &format!("/v1/pools/default/tasks/t-{n:02}/cancel"), &json!({})).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = get(&router, &format!("/v1/pools/default/tasks?limit=4{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(
            page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, (0..25).map(|n| format!("t-{n:02}")).collect::<Vec<_>>());
    let (_, stats) = get(&router, "/v1/pools/default/stats").await;
    assert_eq!(
        (&stats["counts"]["QUEUED"], &stats["counts"]["CANCELLED"]),
        (&json!(15), &json!(10)),
        "{stats}"
    );
}

#[tokio::test]
async fn the_guard_asks_for_host_type_and_token() {
    let router = router();
    let request = Request::get("/v1/pools").header(header::HOST, "evil.example").body(Body::empty()).unwrap();
    assert_eq!(ask(&router, request).await.0, StatusCode::FORBIDDEN);
    let request =
        Request::post("/v1/tasks").header(header::HOST, "localhost").body(Body::from("{}")).unwrap();
    assert_eq!(ask(&router, request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (_dir, path) = {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "a-token-0123456789\n").unwrap();
        (dir, path)
    };
    let access = Access { token_file: Some(path), ..Access::default() };
    let router = router_with(access, true);
    assert_eq!(get(&router, "/v1/pools").await.0, StatusCode::UNAUTHORIZED);
    let request = Request::get("/v1/pools").header(header::HOST, "localhost");
    let request =
        request.header(header::AUTHORIZATION, "Bearer a-token-0123456789").body(Body::empty()).unwrap();
    assert_eq!(ask(&router, request).await.0, StatusCode::OK);
    assert!(Guard::new(&Access::default(), ([0, 0, 0, 0], 9733).into()).is_err());
}

#[tokio::test]
async fn a_partition_that_moves_is_not_ready() {
    let router = router_with(Access::default(), false);
    assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
    assert_eq!(get(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&router, "/v1/pools/default/stats").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn documents_and_probes_answer() {
    let router = router();
    let (status, document) = get(&router, "/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/v1/pools/{pool}/tasks/{id}"].is_object());
    for path in ["/swagger/", "/readyz", "/metrics", "/v1/pools", "/v1/pools/p/queues", "/v1/pools/p/workers"]
    {
        assert_eq!(get(&router, path).await.0, StatusCode::OK, "{path}");
    }
    assert_eq!(get(&router, "/v1/events").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&router, "/v1/pools/p/tasks/none").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/v1/pools/p/tasks?stat=QUEUED").await.0, StatusCode::BAD_REQUEST);
}
