//! Follows `events` from the beginning, so that a test can wait for what was decided.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::{Server, await_some, bootstrap};

/// What was seen so far; task names are `pool/id`.
#[derive(Debug, Default)]
struct Seen {
    /// Everything but batches.
    events: Vec<Value>,
    ended: BTreeMap<String, Value>,
}

/// A reader of a namespace's events.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// On topics that exist: a server has been ready.
    pub(crate) fn start(namespace: &str) -> Self {
        let topic = format!("{namespace}.events");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap())
            .set("group.id", "watch-nobody-joins")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .create()
            .expect("a consumer's settings");
        let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(20)).expect("metadata");
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            list.add_partition_offset(&topic, partition.id(), Offset::Beginning).unwrap();
        }
        assert!(list.count() > 0, "{topic} does not exist");
        consumer.assign(&list).unwrap();
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let inside = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || follow(&consumer, &inside.0, &inside.1));
        Self { seen, stop, thread: Some(thread) }
    }

    /// How many tasks have ended.
    pub(crate) fn ends(&self) -> usize {
        self.seen.lock().unwrap().ended.len()
    }

    /// All events so far that this is true of.
    pub(crate) fn find(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.seen.lock().unwrap().events.iter().filter(|event| wanted(event)).cloned().collect()
    }

    /// Waits for an event.
    pub(crate) fn event(&self, what: &str, server: &Server, wanted: impl Fn(&Value) -> bool) -> Value {
        await_some(what, || server.last_words(), || self.find(&wanted).into_iter().next())
    }

    /// Waits for a task's end.
    pub(crate) fn end_of(&self, name: &str, server: &Server) -> Value {
        let look = || self.seen.lock().unwrap().ended.get(name).cloned();
        await_some(&format!("the end of {name}"), || server.last_words(), look)
    }

    /// Waits until so many tasks have ended. Only a standstill is an error, so large runs need no other limit.
    pub(crate) fn await_ends(&self, count: usize, server: &Server) {
        let mut before = self.ends();
        while before < count {
            before = await_some(
                &format!("the end of {count} tasks: {before} have ended and that stands still"),
                || server.last_words(),
                || Some(self.ends()).filter(|now| *now > before),
            );
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the watch failed");
        }
    }
}

fn follow(consumer: &BaseConsumer, seen: &Mutex<Seen>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let bytes = message.payload().expect("an event has a value");
        let event: Value = serde_json::from_slice(bytes).expect("an event is JSON");
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "batch" {
            continue;
        }
        let part = |field: &str| event[field].as_str().unwrap_or_default();
        let name = format!("{}/{}", part("pool"), part("id"));
        let mut seen = seen.lock().unwrap();
        if kind == "ended" {
            seen.ended.insert(name, event.clone());
        }
        seen.events.push(event);
    }
}
