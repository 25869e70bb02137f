//! Simulated workers: they exchange records as `docs/protocol.md` says and run nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::{Rng, Topic, bootstrap};

const CALL: Duration = Duration::from_secs(20);

/// What kind of workers.
#[derive(Debug, Clone)]
pub(crate) struct FleetOptions {
    pub(crate) namespace: String,
    pub(crate) pool: String,
    /// Names are `<prefix>-0` and so on.
    pub(crate) prefix: String,
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    /// Of a hundred attempts so many fail.
    pub(crate) failures: u64,
    /// How long an attempt runs; `None`: until it is cancelled.
    pub(crate) runs: Option<Duration>,
    pub(crate) seed: u64,
}

impl FleetOptions {
    /// Two workers that do everything at once and well.
    pub(crate) fn new(namespace: &str, pool: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            pool: pool.to_owned(),
            prefix: "sim".to_owned(),
            workers: 2,
            slots: 16,
            failures: 0,
            runs: Some(Duration::ZERO),
            seed: 1,
        }
    }
}

/// What can be seen from outside.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    mute: AtomicBool,
    welcomed: AtomicUsize,
    finished: AtomicUsize,
    cancelled: AtomicUsize,
    running: Mutex<BTreeSet<String>>,
}

/// Some workers of one pool, on one thread.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    pub(crate) fn start(options: FleetOptions) -> Self {
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || Loop::new(options, inside).run());
        Self { shared, thread: Some(thread) }
    }

    /// Neither reads nor speaks any more: as if all of its machines were gone.
    pub(crate) fn go_silent(&self) {
        self.shared.mute.store(true, Ordering::SeqCst);
    }

    /// How many welcomes came.
    pub(crate) fn welcomed(&self) -> usize {
        self.shared.welcomed.load(Ordering::SeqCst)
    }

    /// How many attempts were reported as completed or failed.
    pub(crate) fn finished(&self) -> usize {
        self.shared.finished.load(Ordering::SeqCst)
    }

    /// How many attempts were stopped.
    pub(crate) fn cancelled(&self) -> usize {
        self.shared.cancelled.load(Ordering::SeqCst)
    }

    /// The tasks that run now.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        self.shared.running.lock().unwrap().clone()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a simulated worker failed");
        }
    }
}

struct Attempt {
    number: i64,
    token: String,
    ends: Option<Instant>,
}

struct Worker {
    name: String,
    incarnation: String,
    lives: usize,
    said_hello: Instant,
    welcomed: bool,
    beats: Instant,
    /// No sooner than this: the channel may not exist yet.
    beat_interval: Duration,
    read_seq: i64,
    running: BTreeMap<String, Attempt>,
    /// The highest attempt that was ever seen of each task.
    seen: BTreeMap<String, i64>,
    out: Vec<Value>,
}

struct Loop {
    options: FleetOptions,
    shared: Arc<Shared>,
    status: Topic,
    consumer: BaseConsumer,
    rng: Rng,
    workers: Vec<Worker>,
}

impl Loop {
    fn new(options: FleetOptions, shared: Arc<Shared>) -> Self {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap())
            .set("group.id", "simulated-nobody-joins")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .create()
            .expect("a consumer's settings");
        let now = Instant::now();
        let worker = |number: usize| Worker {
            name: format!("{}-{number}", options.prefix),
            incarnation: String::new(),
            lives: 0,
            said_hello: now,
            welcomed: false,
            beats: now,
            beat_interval: Duration::from_secs(2),
            read_seq: 0,
            running: BTreeMap::new(),
            seen: BTreeMap::new(),
            out: Vec::new(),
        };
        Self {
            workers: (0..options.workers).map(worker).collect(),
            status: Topic::new(&format!("{}.status", options.namespace)),
            rng: Rng::new(options.seed),
            consumer,
            options,
            shared,
        }
    }

    fn run(mut self) {
        self.join_all();
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.shared.mute.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let mut wait = Duration::from_millis(10);
            while let Some(read) = self.consumer.poll(wait) {
                wait = Duration::ZERO;
                // A channel that isn't there yet, a broker that is busy: librdkafka goes on by itself.
                let Ok(message) = read else { continue };
                let Some(json) =
                    message.payload().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
                else {
                    continue;
                };
                drop(message);
                self.take(&json);
            }
            self.finish_due();
            self.speak();
        }
        self.leave();
    }

    /// A worker that is gone without a word would be found lost some time later, in the middle of something else.
    fn leave(&mut self) {
        if self.shared.mute.load(Ordering::SeqCst) {
            return;
        }
        for worker in self.workers.iter_mut().filter(|worker| worker.welcomed) {
            worker.out.push(json!({"type":"goodbye"}));
        }
        self.speak();
    }

    /// Steps 1 to 4 of joining, for all at once.
    fn join_all(&mut self) {
        for worker in &mut self.workers {
            worker.new_life(&self.options);
        }
        self.speak();
        self.status.flush();
        let mut list = TopicPartitionList::new();
        for worker in &self.workers {
            let topic = format!("{}.assign.{}.{}", self.options.namespace, self.options.pool, worker.name);
            super::await_some(&format!("the topic {topic}"), String::new, || {
                if self.shared.stop.load(Ordering::SeqCst) {
                    return Some(());
                }
                let metadata = self.consumer.fetch_metadata(Some(&topic), CALL).ok()?;
                metadata.topics().first()?.partitions().first().map(|_| ())
            });
            // Names of workers are new in each test: whatever lies there is for this life.
            list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
        }
        self.consumer.assign(&list).unwrap();
    }

    fn take(&mut self, message: &Value) {
        let name = message["worker"].as_str().unwrap_or_default();
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.name == name) else {
            return;
        };
        if message["incarnation"] != worker.incarnation.as_str() {
            return;
        }
        let kind = message["type"].as_str().unwrap_or_default();
        if kind == "rehello" {
            worker.new_life(&self.options);
            return;
        }
        if kind == "welcome" {
            if !worker.welcomed {
                self.shared.welcomed.fetch_add(1, Ordering::SeqCst);
            }
            worker.welcome(message);
        }
        if !worker.welcomed {
            return;
        }
        worker.read_seq = worker.read_seq.max(message["seq"].as_i64().unwrap_or(0));
        match kind {
            "assign" => worker.assign(message, self.options.runs),
            "cancel" if worker.cancel(message) => {
                self.shared.cancelled.fetch_add(1, Ordering::SeqCst);
            }
            "replaced" => panic!("{name} was replaced, but nobody has its name"),
            _ => {}
        }
    }

    fn finish_due(&mut self) {
        let now = Instant::now();
        let mut running = BTreeSet::new();
        for worker in &mut self.workers {
            let due: Vec<String> = worker
                .running
                .iter()
                .filter(|(_, attempt)| attempt.ends.is_some_and(|ends| ends <= now))
                .map(|(task, _)| task.clone())
                .collect();
            for task in due {
                let fails = self.rng.percent(self.options.failures);
                worker.finish(&task, fails);
                self.shared.finished.fetch_add(1, Ordering::SeqCst);
            }
            running.extend(worker.running.keys().cloned());
        }
        *self.shared.running.lock().unwrap() = running;
    }

    /// Everything that was done since the last time, each worker's in one record; then heartbeats.
    fn speak(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            if !worker.welcomed && now.duration_since(worker.said_hello) > Duration::from_secs(10) {
                worker.hello(&self.options);
            }
            if worker.welcomed && now >= worker.beats {
                worker.beats = now + worker.beat_interval;
                worker.heartbeat(self.options.slots);
            }
            for part in std::mem::take(&mut worker.out).chunks(200) {
                let record = json!({"v":1,"type":"batch","pool":self.options.pool,"worker":worker.name,
                    "incarnation":worker.incarnation,"events":part});
                self.status.send(Some(self.options.pool.as_bytes()), Some(record.to_string().as_bytes()));
            }
        }
        self.status.flush();
    }
}

impl Worker {
    fn new_life(&mut self, options: &FleetOptions) {
        self.lives += 1;
        self.incarnation = format!("{}.{}.{}", self.name, options.seed, self.lives);
        self.welcomed = false;
        self.read_seq = 0;
        // What was not sent yet speaks for the old life.
        self.out.clear();
        self.hello(options);
    }

    fn hello(&mut self, options: &FleetOptions) {
        self.said_hello = Instant::now();
        let running = self.list();
        self.out.push(
            json!({"type":"hello","protocols":[1],"slots":options.slots,"labels":{},"running":running}),
        );
    }

    fn welcome(&mut self, message: &Value) {
        self.welcomed = true;
        self.beat_interval = Duration::from_millis(message["heartbeat_ms"].as_u64().unwrap_or(2_000));
        self.beats = Instant::now() + self.beat_interval;
        let adopted: BTreeMap<String, String> = message["adopt"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| (text(one, "task"), text(one, "token")))
            .collect();
        self.running.retain(|task, attempt| match adopted.get(task) {
            Some(token) => {
                attempt.token.clone_from(token);
                true
            }
            None => false,
        });
    }

    fn assign(&mut self, message: &Value, runs: Option<Duration>) {
        let (task, number) = (text(message, "task"), message["attempt"].as_i64().unwrap());
        let seen = self.seen.entry(task.clone()).or_default();
        assert!(number > *seen, "{task}: attempt {number} was assigned after {seen}");
        *seen = number;
        let token = text(message, "token");
        self.out.push(json!({"type":"started","task":task,"attempt":number,"token":token}));
        let ends = runs.map(|runs| Instant::now() + runs);
        self.running.insert(task, Attempt { number, token, ends });
    }

    fn cancel(&mut self, message: &Value) -> bool {
        let task = text(message, "task");
        let is_that = |attempt: &Attempt| message["attempt"].as_i64() == Some(attempt.number);
        if !self.running.get(&task).is_some_and(is_that) {
            return false;
        }
        let Some(attempt) = self.running.remove(&task) else {
            return false;
        };
        let (number, token) = (attempt.number, attempt.token);
        self.out.push(json!({"type":"cancelled","task":task,"attempt":number,"token":token,"signal":15}));
        true
    }

    fn finish(&mut self, task: &str, fails: bool) {
        let Some(attempt) = self.running.remove(task) else {
            return;
        };
        let (number, token) = (attempt.number, attempt.token);
        self.out.push(if fails {
            json!({"type":"failed","task":task,"attempt":number,"token":token,"exit_code":3,
                "error":{"kind":"exit","message":"as told","retryable":true}})
        } else {
            json!({"type":"completed","task":task,"attempt":number,"token":token,"exit_code":0,
                "result":{"of":task}})
        });
    }

    fn heartbeat(&mut self, slots: usize) {
        let free = slots.saturating_sub(self.running.len());
        let running = self.list();
        self.out.push(json!({"type":"heartbeat","read_seq":self.read_seq,"free_slots":free,"draining":false,
            "running":running}));
    }

    fn list(&self) -> Vec<Value> {
        let name = |(task, attempt): (&String, &Attempt)| json!({"task":task,"attempt":attempt.number,"token":attempt.token});
        self.running.iter().map(name).collect()
    }
}

fn text(message: &Value, field: &str) -> String {
    message[field].as_str().unwrap_or_default().to_owned()
}
