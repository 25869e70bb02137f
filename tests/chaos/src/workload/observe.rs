//! Follows `events` from the beginning with `read_committed`, as any client may. Two of them must see the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::Client;

/// Offset and digest of each record, by topic and partition, in the order in which they came.
pub(crate) type Sequences = BTreeMap<(String, i32), Vec<(i64, u64)>>;

/// A batch, and when it could be seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSeen {
    pub(crate) partition: i32,
    pub(crate) sequence: i64,
    pub(crate) seen_at: Instant,
}

/// What was seen so far; names of tasks are `pool/id`.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) sequences: Sequences,
    pub(crate) accepted: BTreeSet<String>,
    pub(crate) ended: BTreeMap<String, String>,
    pub(crate) batches: Vec<BatchSeen>,
    /// How many there were of each type.
    pub(crate) counts: BTreeMap<String, u64>,
    /// What no honest worker said.
    pub(crate) forged: Vec<String>,
    /// Second attempts and later, with when they could be seen.
    pub(crate) again: Vec<(String, Instant)>,
    /// Seen at: of submits that were marked, by their id.
    pub(crate) answered: BTreeMap<String, Instant>,
}

impl Seen {
    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or(0)
    }
}

/// A reader on a thread of its own.
pub(crate) struct Observer {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// On topics that exist. One that keeps no names is for runs with millions of tasks.
    pub(crate) fn start(client: &Client, keeps_names: bool) -> Result<Self> {
        let consumer = client.reader("read_committed")?;
        let mut list = TopicPartitionList::new();
        for topic in ["events", "dead-letter"].map(|name| client.topic(name)) {
            for partition in client.partitions(&consumer, &topic) {
                list.add_partition_offset(&topic, partition, Offset::Beginning)?;
            }
        }
        anyhow::ensure!(list.count() > 0, "the topics of {} do not exist", client.namespace);
        consumer.assign(&list)?;
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let inside = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("observer".to_owned());
        let thread = thread.spawn(move || follow(&consumer, &inside.0, &inside.1, keeps_names))?;
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("what was seen")
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn follow(consumer: &BaseConsumer, seen: &Mutex<Seen>, stop: &AtomicBool, keeps_names: bool) {
    while !stop.load(Ordering::SeqCst) {
        // A broker that is away: librdkafka goes on by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let bytes = message.payload().unwrap_or_default();
        let mut seen = seen.lock().expect("what was seen");
        if keeps_names {
            let place = (message.topic().to_owned(), message.partition());
            seen.sequences.entry(place).or_default().push((message.offset(), xxh3_64(bytes)));
        }
        if message.topic().ends_with(".events") {
            take(&mut seen, &serde_json::from_slice(bytes).unwrap_or_default(), keeps_names);
        }
    }
}

fn take(seen: &mut Seen, event: &Value, keeps_names: bool) {
    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
    let number = |field: &str| event.get(field).and_then(Value::as_i64).unwrap_or(-1);
    let kind = text("type");
    *seen.counts.entry(kind.to_owned()).or_default() += 1;
    let name = || format!("{}/{}", text("pool"), text("id"));
    match kind {
        "batch" => {
            let partition = i32::try_from(number("partition")).unwrap_or(-1);
            seen.batches.push(BatchSeen { partition, sequence: number("sequence"), seen_at: Instant::now() });
        }
        "accepted" => {
            if text("request_id").starts_with("marked-") {
                seen.answered.insert(text("request_id").to_owned(), Instant::now());
            }
            if keeps_names {
                seen.accepted.insert(name());
            }
        }
        "assigned" if number("attempt") > 1 => seen.again.push((name(), Instant::now())),
        "ended" => {
            if event.pointer("/attempts").is_some_and(|all| all.to_string().contains("\"forged\"")) {
                seen.forged.push(name());
            }
            if keeps_names {
                seen.ended.insert(name(), text("state").to_owned());
            }
        }
        _ => {}
    }
}
