//! One partition in memory behind the routes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;
use yardmaster_state::{Batch, Checkpoint, MemoryStore, NextOffset, Store, Txn, read_row};
use yardmaster_topologies::driver::{BatchInput, CommandInput, Grid};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{AttemptRef, Local, Status, StatusKind};
use yardmaster_topologies::id::{Incarnation, Pool, TaskId, WorkerName};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::tables::{HistoryKey, HistoryTable, TaskTable, WindowTable};
use yardmaster_topologies::task::{EndedTask, Json, Report, TaskRow};
use yardmaster_topologies::time::{Now, ProcessorMs, WallMs};
use yardmaster_topologies::window::{Happened, Tally, WindowKey, WindowRow, WindowSize};
use yardmaster_topologies::wire::{Defaults, Refusal, RefusedReason, ToWorker, decode_command};

use crate::config::Config;
use crate::http::guard::Guard;
use crate::http::parts::{
    Access, CommandSink, EventFeed, EventStream, FeedError, Later, OwnedPartition, Parts, Position, Registry,
    Shared, TailRecord,
};
use crate::http::routes;
use crate::runtime::Committed;

/// What a processor would be.
struct Inside {
    grid: Grid,
    committed: Committed,
    assigned: Vec<AttemptRef>,
    sent: Vec<Vec<u8>>,
}

pub(super) struct Cluster {
    /// The one that is here.
    partition: i32,
    inside: Mutex<Inside>,
    store: Arc<MemoryStore>,
    registry: Arc<Registry>,
    told: watch::Sender<Committed>,
    settings: Settings,
    pub(super) instance_timeout: Duration,
    /// What is sent waits: nothing is decided.
    pub(super) is_stalled: AtomicBool,
    /// What is decided is committed, but who waits isn't told: as when the processor breaks right after its commit.
    pub(super) is_mute: AtomicBool,
    /// The broker takes so many commands more, then doesn't answer any more.
    pub(super) takes: AtomicUsize,
    /// Commands that are on their way at once, and the most of them so far.
    pub(super) on_the_way: [AtomicUsize; 2],
    /// The broker doesn't answer.
    pub(super) is_away: AtomicBool,
}

/// The row of an hour in which a task of the pool was submitted.
pub(super) fn put_window(txn: &mut Txn<'_>, start: u64) {
    let (size, start) = (WindowSize::Hour, WallMs(start));
    let key = WindowKey { pool: pool(), queue: None, size, slot: size.slot_of(start) };
    let mut tally = Tally::default();
    tally.count(Happened::Submitted);
    txn.put::<WindowTable>(&key, &WindowRow { start, tally }).unwrap();
}

pub(super) fn pool() -> Pool {
    Pool::parse("default").unwrap()
}

impl Cluster {
    pub(super) fn new() -> Arc<Self> {
        Self::of(1)
    }

    /// Of a namespace with so many partitions: the first one is here.
    pub(super) fn of(partitions: i32) -> Arc<Self> {
        Self::at(0, partitions)
    }

    /// Of a namespace with so many partitions: this one is here.
    pub(super) fn at(partition: i32, partitions: i32) -> Arc<Self> {
        let committed = Committed { tasks: NextOffset(0), status: NextOffset(0), sequence: 0, at_ms: 0 };
        let (told, _) = watch::channel(committed);
        let settings = Config::load(None, &[]).unwrap().settings;
        let inside = Inside { grid: Grid::new(), committed, assigned: Vec::new(), sent: Vec::new() };
        let cluster = Arc::new(Self {
            partition,
            inside: Mutex::new(inside),
            store: Arc::new(MemoryStore::new()),
            registry: Arc::new(Registry::new(partitions)),
            told,
            settings,
            instance_timeout: Duration::from_secs(3_600),
            is_stalled: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            takes: AtomicUsize::new(usize::MAX),
            on_the_way: [AtomicUsize::new(0), AtomicUsize::new(0)],
            is_away: AtomicBool::new(false),
        });
        cluster.own();
        cluster.batch(vec![Local::Configured(Box::new(cluster.settings.clone()))], vec![], vec![]);
        cluster
    }

    pub(super) fn own(&self) {
        let store: Arc<dyn Store> = self.store.clone();
        self.registry.add(OwnedPartition::new(self.partition, store, self.told.subscribe()));
        self.registry.place_elsewhere(BTreeMap::new());
    }

    /// What was sent and is not decided is refused as a whole, as a command that names no single task.
    pub(super) fn refuse_sent(&self) {
        let sent = std::mem::take(&mut self.inside.lock().unwrap().sent);
        let refused = sent.into_iter().map(|value| {
            let command = decode_command(&value, &Defaults::from(&self.settings)).unwrap();
            let refusal = Refusal {
                action: "submit".to_owned(),
                id: None,
                job: None,
                worker: None,
                reason: RefusedReason::Limit,
                field: Some("tasks".to_owned()),
                detail: "too many tasks".to_owned(),
            };
            CommandInput::Refused { pool: command.pool, request_id: command.request_id, refusal }
        });
        self.batch(vec![], vec![], refused.collect());
    }

    /// Says how far the store is, as the runtime does with every batch.
    pub(super) fn write_checkpoint(&self, checkpoint: Checkpoint) {
        self.store.commit(&Batch { checkpoint: Some(checkpoint), ..Batch::default() }).unwrap();
    }

    /// Writes rows that no command would bring.
    pub(super) fn write(&self, rows: impl FnOnce(&mut Txn<'_>)) {
        let mut txn = Txn::new(self.store.as_ref());
        rows(&mut txn);
        let batch = txn.finish();
        self.store.commit(&batch).unwrap();
    }

    /// Its rows, as another instance would have a copy of them.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// How many hold the store: more than two are reads.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.store)
    }

    /// The record of a task that has ended.
    pub(super) fn record(&self, id: &str) -> EndedTask {
        let id = TaskId::parse(id).unwrap();
        let row = read_row::<TaskTable>(self.store.as_ref(), &(pool(), id.clone())).unwrap();
        let Some(TaskRow::Done(marker)) = row else { panic!("{id} has not ended") };
        let key = HistoryKey::of((&pool(), &id), marker.generation, marker.state, marker.at);
        read_row::<HistoryTable>(self.store.as_ref(), &key).unwrap().unwrap()
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How many commands were sent.
    pub(super) fn sent(&self) -> usize {
        self.inside.lock().unwrap().sent.len()
    }

    fn batch(&self, local: Vec<Local>, status: Vec<Status>, commands: Vec<CommandInput>) {
        let mut inside = self.inside.lock().unwrap();
        inside.committed.sequence += 1;
        inside.committed.at_ms += 1;
        inside.committed.tasks.0 += i64::try_from(commands.len()).unwrap();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let now = Now {
            processor: ProcessorMs(inside.committed.at_ms),
            wall: WallMs(u64::try_from(wall).unwrap()),
        };
        let input = BatchInput { local, status, commands, now, rewrite: vec![] };
        let asked = self.registry.asked(&input.commands);
        let decided = inside.grid.decide(self.store.as_ref(), input).unwrap();
        self.store.commit(&decided.batch).unwrap();
        self.told.send_replace(inside.committed);
        if !self.is_mute.load(Ordering::Relaxed) {
            self.registry.answer(asked, &decided.effects);
        }
        for effect in decided.effects {
            match effect {
                Effect::Send { message: ToWorker::Assign { attempt, .. }, .. } => {
                    inside.assigned.push(attempt)
                }
                Effect::Publish { .. }
                | Effect::Send { .. }
                | Effect::Reply { .. }
                | Effect::Bury { .. }
                | Effect::EnsureChannel { .. }
                | Effect::ForgetChannel { .. }
                | Effect::EnsureReply { .. }
                | Effect::Count { .. } => {}
            }
        }
    }

    /// A worker says something.
    pub(super) fn say(&self, worker: &str, kind: StatusKind) {
        let worker = WorkerName::parse(worker).unwrap();
        let incarnation = Incarnation::parse("one").unwrap();
        self.batch(vec![], vec![Status { pool: pool(), worker, incarnation, kind }], vec![]);
    }

    /// A worker comes, and its channel exists.
    pub(super) fn join(&self, worker: &str, slots: u32) {
        self.say(
            worker,
            StatusKind::Hello {
                protocols: vec![1],
                slots,
                labels: [("gpu".into(), "a100".into())].into(),
                running: vec![],
            },
        );
        let worker = WorkerName::parse(worker).unwrap();
        self.batch(vec![Local::ChannelReady { pool: pool(), worker }], vec![], vec![]);
    }

    /// The attempts given out since the last call.
    pub(super) fn assigned(&self) -> Vec<AttemptRef> {
        std::mem::take(&mut self.inside.lock().unwrap().assigned)
    }

    /// Everything that a worker was given ends well.
    pub(super) fn complete_all(&self, worker: &str) {
        for attempt in self.assigned() {
            self.say(worker, StatusKind::Started { attempt: attempt.clone() });
            let report = Report {
                exit_code: Some(0),
                result: Some(Json("{\"price\":1.5}".into())),
                ..Report::default()
            };
            self.say(worker, StatusKind::Completed { attempt, report });
        }
    }

    pub(super) fn router_with(
        self: &Arc<Self>,
        access: Access,
        feed: Arc<dyn EventFeed>,
        at: &str,
    ) -> Router {
        let guard = Guard::new(&access, at.parse().unwrap()).unwrap();
        let parts = self.parts(access, feed);
        routes::router(&Shared::new(parts, watch::channel(false).1), guard)
    }

    pub(super) fn parts(self: &Arc<Self>, access: Access, feed: Arc<dyn EventFeed>) -> Parts {
        Parts {
            registry: Arc::clone(&self.registry),
            sink: Arc::new(Sink(Arc::clone(self))),
            feed,
            metrics: Arc::new(|| "yardmaster_up 1\n".to_owned()),
            requests: crate::metrics::Requests::default(),
            settings: self.settings.clone(),
            access,
            instance_timeout: self.instance_timeout,
        }
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        self.router_with(Access::default(), Arc::new(Silence), "127.0.0.1:9733")
    }

    pub(super) async fn get(self: &Arc<Self>, path: &str) -> Reply {
        let request = Request::get(path).header(header::HOST, "localhost:9733").body(Body::empty());
        ask(self.router(), request.unwrap()).await
    }

    pub(super) async fn post(self: &Arc<Self>, path: &str, body: &str) -> Reply {
        let request = Request::post(path)
            .header(header::HOST, "localhost:9733")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()));
        ask(self.router(), request.unwrap()).await
    }
}

struct Sink(Arc<Cluster>);

impl CommandSink for Sink {
    fn send<'a>(&'a self, _: &'a Pool, value: Vec<u8>) -> Later<'a, Result<Position, String>> {
        Box::pin(async move {
            let [now, most] = &self.0.on_the_way;
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::Relaxed);
            let is_full =
                self.0.takes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if self.0.is_away.load(Ordering::Relaxed) || is_full.is_err() {
                return Err("no broker".to_owned());
            }
            let command = decode_command(&value, &Defaults::from(&self.0.settings)).unwrap();
            self.0.inside.lock().unwrap().sent.push(value);
            let offset = self.0.inside.lock().unwrap().committed.tasks.0;
            if !self.0.is_stalled.load(Ordering::Relaxed) {
                self.0.batch(vec![], vec![], vec![CommandInput::Command(command)]);
            }
            Ok(Position { partition: self.0.partition, offset })
        })
    }
}

/// No events ever.
pub(super) struct Silence;

impl EventFeed for Silence {
    fn open(&self, _: Vec<i64>) -> Result<Box<dyn EventStream>, FeedError> {
        Ok(Box::new(Self))
    }

    fn ends(&self) -> Result<Vec<i64>, FeedError> {
        Ok(vec![0])
    }
}

impl EventStream for Silence {
    fn poll(&mut self, wait: Duration) -> Result<Option<TailRecord>, FeedError> {
        std::thread::sleep(wait);
        Ok(None)
    }

    fn position(&self, _: i32) -> Option<i64> {
        Some(0)
    }
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The problem that it must be: its code and its field.
    pub(super) fn problem(&self, status: u16) -> (String, String) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        assert!(status >= 500 || body["remedy"].is_string(), "the way out is not named: {body}");
        let code = body["type"].as_str().unwrap().strip_prefix("urn:yardmaster:problem:").unwrap().to_owned();
        (code, body["field"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }
}

pub(super) async fn ask(router: Router, request: Request<Body>) -> Reply {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 64 << 20).await.unwrap();
    Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}
