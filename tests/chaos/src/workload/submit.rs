//! Submitters: commands on the topic from one thread, requests over HTTP from another. What was acknowledged must be done.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Client, Outbox};
use crate::cluster::Http;
use crate::history::{History, Kind};
use crate::rng::Rng;

/// How much, to whom.
#[derive(Clone)]
pub(crate) struct SubmitterOptions {
    pub(crate) pools: Vec<String>,
    /// Tasks in each command.
    pub(crate) each: usize,
    /// Between two rounds over all pools.
    pub(crate) every: Duration,
    /// Instances that are asked over HTTP.
    pub(crate) https: Vec<Http>,
    /// Of a hundred tasks on the topic so many are submitted twice, and so many are cancelled.
    pub(crate) doubled: u64,
    pub(crate) cancelled: u64,
    /// Of a hundred commands so many are followed by a record that nobody can read.
    pub(crate) poison: u64,
}

/// `pool/id` of what the broker, or an instance for it, has acknowledged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged(Arc<Mutex<BTreeSet<String>>>);

impl Acknowledged {
    pub(crate) fn extend(&self, names: impl IntoIterator<Item = String>) {
        self.0.lock().expect("the acknowledged tasks").extend(names);
    }

    pub(crate) fn all(&self) -> BTreeSet<String> {
        self.0.lock().expect("the acknowledged tasks").clone()
    }

    /// Pool and id of each.
    pub(crate) fn pairs(&self) -> BTreeSet<(String, String)> {
        let split = |name: &String| name.split_once('/').map(|(pool, id)| (pool.to_owned(), id.to_owned()));
        self.all().iter().filter_map(split).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("the acknowledged tasks").len()
    }
}

/// What came back over HTTP.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) taken: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
}

/// Both threads.
pub(crate) struct Submitter {
    stop: Arc<AtomicBool>,
    pub(crate) answers: Arc<Answers>,
    threads: Vec<JoinHandle<()>>,
}

impl Submitter {
    pub(crate) fn start(
        client: &Client,
        options: &SubmitterOptions,
        mut rng: Rng,
        acknowledged: &Acknowledged,
        history: &Arc<History>,
    ) -> Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let answers = Arc::<Answers>::default();
        let mut by_topic = ByTopic {
            outbox: client.outbox("tasks")?,
            options: options.clone(),
            rng: rng.fork("topic"),
            acknowledged: acknowledged.clone(),
            history: Arc::clone(history),
            number: 0,
        };
        let inside = Arc::clone(&stop);
        let every = options.every;
        let mut threads =
            vec![std::thread::Builder::new().name("submitter".to_owned()).spawn(move || {
                run(&inside, every, || by_topic.round());
                by_topic.end();
            })?];
        if !options.https.is_empty() {
            let mut by_http = ByHttp {
                options: options.clone(),
                rng: rng.fork("http"),
                acknowledged: acknowledged.clone(),
                answers: Arc::clone(&answers),
                history: Arc::clone(history),
                number: 0,
            };
            let inside = Arc::clone(&stop);
            let thread = std::thread::Builder::new().name("http".to_owned());
            threads.push(thread.spawn(move || run(&inside, every, || by_http.round()))?);
        }
        Ok(Self { stop, answers, threads })
    }

    /// Ends when all that was sent is acknowledged.
    pub(crate) fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(stop: &AtomicBool, every: Duration, mut round: impl FnMut()) {
    while !stop.load(Ordering::SeqCst) {
        round();
        std::thread::sleep(every);
    }
}

/// A task that any worker of the run can do.
pub(crate) fn task(id: &str) -> Value {
    json!({"id":id,"job":"chaos","command":["true"],"payload":{"of":id},"tags":{"by":"chaos"},
        "retry":{"max_failures":1000,"max_losses":1000,"backoff_ms":20,"backoff_max_ms":200}})
}

struct ByTopic {
    outbox: Outbox,
    options: SubmitterOptions,
    rng: Rng,
    acknowledged: Acknowledged,
    history: Arc<History>,
    number: u64,
}

impl ByTopic {
    fn round(&mut self) {
        for pool in self.options.pools.clone() {
            let first = self.number;
            let ids: Vec<String> =
                (0..self.options.each as u64).map(|at| format!("k-{}", first + at)).collect();
            self.number += ids.len() as u64;
            let tasks: Vec<Value> = ids.iter().map(|id| task(id)).collect();
            let record = json!({"v":1,"type":"submit_many","pool":pool,"tasks":tasks}).to_string();
            let names: Vec<String> = ids.iter().map(|id| format!("{pool}/{id}")).collect();
            self.history.log(
                "topic",
                Kind::Invoke,
                "submit_many",
                &json!({"pool":pool,"first":ids.first(),"count":ids.len()}),
            );
            self.send(&pool, &record, names);
            if self.rng.percent(self.options.doubled) {
                self.send(&pool, &record, Vec::new());
            }
            if self.rng.percent(self.options.cancelled)
                && let Some(id) = self.rng.pick(&ids)
            {
                let cancel = json!({"v":1,"type":"cancel","pool":pool,"id":id,"reason":"chaos"}).to_string();
                self.send(&pool, &cancel, Vec::new());
            }
            if self.rng.percent(self.options.poison) {
                self.send(&pool, "{\"v\":1,\"type\":", Vec::new());
            }
        }
        self.take_in();
    }

    fn send(&self, pool: &str, record: &str, names: Vec<String>) {
        if let Err(error) = self.outbox.send(pool, record, names) {
            self.history.log("topic", Kind::Fail, "produce", &json!(error.to_string()));
        }
    }

    fn take_in(&self) {
        let delivered = self.outbox.take_delivered();
        if !delivered.is_empty() {
            self.history.log("topic", Kind::Ok, "submit_many", &json!({"acknowledged":delivered.len()}));
        }
        self.acknowledged.extend(delivered);
    }

    fn end(&self) {
        if let Err(error) = self.outbox.flush(Duration::from_secs(120)) {
            self.history.log("topic", Kind::Info, "flush", &json!(error.to_string()));
        }
        self.take_in();
    }
}

struct ByHttp {
    options: SubmitterOptions,
    rng: Rng,
    acknowledged: Acknowledged,
    answers: Arc<Answers>,
    history: Arc<History>,
    number: u64,
}

impl ByHttp {
    fn round(&mut self) {
        let (Some(http), Some(pool)) =
            (self.rng.pick(&self.options.https).cloned(), self.rng.pick(&self.options.pools).cloned())
        else {
            return;
        };
        let id = format!("h-{}", self.number);
        self.number += 1;
        let said = json!({"pool":pool,"id":id});
        self.history.log("http", Kind::Invoke, "submit", &said);
        let mut body = task(&id);
        body["pool"] = json!(pool);
        match http.post("/v1/tasks", &body) {
            Some(answer) if answer.status == 202 || answer.status == 201 => {
                self.acknowledged.extend([format!("{pool}/{id}")]);
                self.answers.taken.fetch_add(1, Ordering::SeqCst);
                self.history.log("http", Kind::Ok, "submit", &said);
            }
            // A refusal may come after the record was sent: it may be done all the same.
            Some(answer) => {
                self.answers.refused.fetch_add(1, Ordering::SeqCst);
                self.history.log("http", Kind::Info, "submit", &json!({"status":answer.status,"id":id}));
            }
            None => {
                self.answers.unknown.fetch_add(1, Ordering::SeqCst);
                self.history.log("http", Kind::Info, "submit", &said);
            }
        }
    }
}
