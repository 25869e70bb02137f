//! Simulated workers of several pools on one thread. Their choices repeat with the seed; what they meet does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::worker::Worker;
use super::{Client, Outbox, Sequences};
use crate::rng::Rng;

/// How the workers behave.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    /// An attempt runs for 0 to so many milliseconds.
    pub(crate) runs_ms_max: u64,
    /// Of a hundred attempts so many fail.
    pub(crate) failures: u64,
    /// Of a hundred ends so many are said twice; five times as many heartbeats come with a stale or forged end.
    pub(crate) lies: u64,
    /// Of a hundred heartbeats so many are the last before the worker dies for longer than its lease.
    pub(crate) deaths: u64,
}

impl Manners {
    /// Quick and honest.
    pub(crate) fn good() -> Self {
        Self { runs_ms_max: 30, failures: 0, lies: 0, deaths: 0 }
    }

    /// As bad as a grid gets.
    pub(crate) fn bad() -> Self {
        Self { runs_ms_max: 120, failures: 5, lies: 5, deaths: 2 }
    }
}

/// Who they are.
#[derive(Debug, Clone)]
pub(crate) struct FleetOptions {
    pub(crate) pools: Vec<String>,
    /// In each pool.
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    pub(crate) lease: Duration,
    pub(crate) manners: Manners,
    /// `read_committed`, except for the mutant that isn't.
    pub(crate) isolation: &'static str,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    welcome: AtomicUsize,
    read: Mutex<Sequences>,
}

/// Runs until it is dropped.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    pub(crate) fn start(client: &Client, options: FleetOptions, rng: Rng) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let turns = Turns::new(client, options, rng, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new().name("fleet".to_owned()).spawn(move || turns.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many have been welcomed and are alive.
    pub(crate) fn welcome(&self) -> usize {
        self.shared.welcome.load(Ordering::SeqCst)
    }

    /// What they read on their channels.
    pub(crate) fn read(&self) -> Sequences {
        self.shared.read.lock().expect("what was read").clone()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Turns {
    client: Client,
    options: FleetOptions,
    shared: Arc<Shared>,
    status: Outbox,
    consumer: BaseConsumer,
    /// By channel.
    workers: BTreeMap<String, Worker>,
}

impl Turns {
    fn new(client: &Client, options: FleetOptions, mut rng: Rng, shared: Arc<Shared>) -> Result<Self> {
        let mut workers = BTreeMap::new();
        for pool in &options.pools {
            for number in 0..options.workers {
                let name = format!("w-{number}");
                let channel = client.topic(&format!("assign.{pool}.{name}"));
                workers.insert(channel.clone(), Worker::new(pool, &name, rng.fork(&channel)));
            }
        }
        Ok(Self {
            status: client.outbox("status")?,
            consumer: client.reader(options.isolation)?,
            client: client.clone(),
            options,
            shared,
            workers,
        })
    }

    fn run(mut self) {
        for worker in self.workers.values_mut() {
            worker.begin_life(self.options.slots);
        }
        self.speak();
        if !self.find_channels() {
            return;
        }
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.listen();
            let mut welcome = 0;
            for worker in self.workers.values_mut() {
                worker.turn(&self.options.manners, self.options.slots, self.options.lease);
                welcome += usize::from(worker.is_welcome);
            }
            self.shared.welcome.store(welcome, Ordering::SeqCst);
            self.speak();
        }
        for worker in self.workers.values_mut().filter(|worker| worker.is_welcome) {
            worker.out.push(json!({"type":"goodbye"}));
        }
        self.speak();
        // The broker may be away for good at the end of a run that failed.
        self.status.flush(Duration::from_secs(5)).ok();
    }

    /// The server makes the channels after the first hello; false when it is over before they were there.
    fn find_channels(&mut self) -> bool {
        let mut list = TopicPartitionList::new();
        for channel in self.workers.keys() {
            while self.client.partitions(&self.consumer, channel).is_empty() {
                if self.shared.stop.load(Ordering::SeqCst) {
                    return false;
                }
                self.status.poll();
                std::thread::sleep(Duration::from_millis(20));
            }
            // Names of a run are new: whatever lies there is for these workers.
            if list.add_partition_offset(channel, 0, Offset::Beginning).is_err() {
                return false;
            }
        }
        self.consumer.assign(&list).is_ok()
    }

    fn listen(&mut self) {
        let mut wait = Duration::from_millis(10);
        // A flood of messages must not keep anybody from beating.
        let until = Instant::now() + Duration::from_millis(200);
        while let Some(read) = self.consumer.poll(wait) {
            wait = Duration::ZERO;
            // A broker that is away: librdkafka goes on by itself.
            let Ok(message) = read else { continue };
            let bytes = message.payload().unwrap_or_default();
            let place = (message.topic().to_owned(), message.partition());
            let mut all = self.shared.read.lock().expect("what was read");
            all.entry(place).or_default().push((message.offset(), xxh3_64(bytes)));
            drop(all);
            let json: Value = serde_json::from_slice(bytes).unwrap_or_default();
            if let Some(worker) = self.workers.get_mut(message.topic()) {
                worker.take(&json, &self.options.manners, self.options.slots);
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    fn speak(&mut self) {
        for worker in self.workers.values_mut() {
            let out = std::mem::take(&mut worker.out);
            if worker.is_dead() {
                continue;
            }
            for part in out.chunks(200) {
                let record = json!({"v":1,"type":"batch","pool":worker.pool,"worker":worker.name,
                    "incarnation":worker.incarnation,"events":part});
                // Only a queue that is full refuses, and that is waited for.
                self.status.send(&worker.pool, &record.to_string(), Vec::new()).ok();
            }
        }
        self.status.poll();
    }
}
