//! Simulated workers on one thread: they exchange records and run nothing. An attempt is reported as started and
//! completed as soon as its assignment is read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use yardmaster_topologies::id::{Pool, WorkerName};

use super::message::{Message, Speaker};
use crate::cli::failure::Failure;
use crate::kafka::{Channels, Connection, Flood, KafkaFailure, Topics};
use crate::runtime::Names;

/// Slots of each worker.
pub(super) const SLOTS: u32 = 64;

const BEAT_INTERVAL: Duration = Duration::from_secs(2);
const READ_WAIT: Duration = Duration::from_millis(20);
/// Between two looks whether a channel exists.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// What the fleet has seen, for whoever measures.
#[derive(Debug, Default)]
pub(super) struct Seen {
    stop: AtomicBool,
    joined: AtomicU64,
    reported: AtomicU64,
    /// When the assignment of each task was read, by the number at the end of its id.
    read_at: Mutex<Vec<(usize, Instant)>>,
    failed: Mutex<Option<KafkaFailure>>,
}

/// A running fleet; it ends when it is dropped.
pub(super) struct Fleet {
    seen: Arc<Seen>,
    workers: u64,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    /// Starts the thread and returns when every worker has its welcome.
    pub(super) fn start(
        conn: &Connection,
        names: &Names,
        pool: &'static str,
        workers: usize,
    ) -> Result<Self, Failure> {
        let seen = Arc::new(Seen::default());
        let (conn, names, inside) = (conn.clone(), names.clone(), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            let failed = Loop::join(&conn, &names, pool, workers, &inside).and_then(Loop::run);
            if let Err(error) = failed {
                *inside.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        })?;
        let fleet = Self { seen, workers: workers as u64, thread: Some(thread) };
        let deadline = Instant::now() + JOIN_TIMEOUT;
        while fleet.seen.joined.load(Ordering::SeqCst) < fleet.workers {
            fleet.check()?;
            if Instant::now() >= deadline {
                return Err(Failure::TimedOut("the simulated workers did not join in time".to_owned()));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(fleet)
    }

    /// How many attempts were reported as completed.
    pub(super) fn reported(&self) -> u64 {
        self.seen.reported.load(Ordering::Relaxed)
    }

    /// When assignments were read, by task number, since the last call.
    pub(super) fn take_read(&self) -> Vec<(usize, Instant)> {
        std::mem::take(&mut *self.seen.read_at.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fails when the thread has failed.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.seen.failed.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its failure, if it had one, was told by `check`.
            thread.join().ok();
        }
    }
}

struct Worker {
    speaker: Speaker,
    read_seq: u64,
    has_joined: bool,
}

struct Loop<'s> {
    key: Vec<u8>,
    partition: i32,
    channels: Channels,
    status: Flood,
    workers: Vec<Worker>,
    by_name: HashMap<String, usize>,
    seen: &'s Seen,
}

impl<'s> Loop<'s> {
    /// Says hello for all, and opens their channels once they are there.
    fn join(
        conn: &Connection,
        names: &Names,
        pool: &'static str,
        workers: usize,
        seen: &'s Seen,
    ) -> Result<Self, KafkaFailure> {
        let status = Flood::open(conn, &names.status())?;
        let speaker = |number: usize| Speaker {
            pool,
            worker: format!("sim-{number}"),
            incarnation: format!("sim-{number}.{}", ulid::Ulid::generate()),
        };
        let worker = |number| Worker { speaker: speaker(number), read_seq: 0, has_joined: false };
        let workers: Vec<Worker> = (0..workers).map(worker).collect();
        // The grid of the bench has one partition.
        let (key, partition) = (pool.as_bytes().to_vec(), 0);
        for worker in &workers {
            status.send(partition, &key, worker.speaker.hello(SLOTS).as_bytes())?;
        }
        status.finish()?;
        let topics = Topics::new(conn)?;
        let channel = |worker: &Worker| {
            names.channel(&Pool::trusted(pool), &WorkerName::trusted(&worker.speaker.worker))
        };
        let wanted: Vec<String> = workers.iter().map(channel).collect();
        while !seen.stop.load(Ordering::SeqCst) {
            let known = topics.names()?;
            if wanted.iter().all(|name| known.contains(name)) {
                break;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        let by_name = workers
            .iter()
            .enumerate()
            .map(|(index, worker)| (worker.speaker.worker.clone(), index))
            .collect();
        let channels = Channels::open(conn, wanted)?;
        Ok(Self { key, partition, channels, status, workers, by_name, seen })
    }

    fn run(mut self) -> Result<(), KafkaFailure> {
        let mut beat_at = Instant::now() + BEAT_INTERVAL;
        while !self.seen.stop.load(Ordering::SeqCst) {
            let mut wait = READ_WAIT;
            let mut read = Vec::new();
            while let Some(value) = self.channels.poll(wait)? {
                wait = Duration::ZERO;
                read.extend(self.take(&value)?.map(|task| (task, Instant::now())));
                self.status.serve();
                if read.len() >= 1_000 {
                    break;
                }
            }
            self.seen.reported.fetch_add(read.len() as u64, Ordering::Relaxed);
            self.seen.read_at.lock().unwrap_or_else(PoisonError::into_inner).append(&mut read);
            self.status.serve();
            if Instant::now() >= beat_at {
                beat_at += BEAT_INTERVAL;
                for worker in self.workers.iter().filter(|worker| worker.has_joined) {
                    let beat = worker.speaker.heartbeat(worker.read_seq, SLOTS);
                    self.status.send(self.partition, &self.key, beat.as_bytes())?;
                }
            }
        }
        self.status.finish()
    }

    /// Answers a message; returns the number of the task that it assigned.
    fn take(&mut self, value: &[u8]) -> Result<Option<usize>, KafkaFailure> {
        let message: Message<'_> = serde_json::from_slice(value)
            .map_err(|error| KafkaFailure::Fatal(format!("a message can't be read: {error}")))?;
        let worker = self.by_name.get(message.worker).and_then(|index| self.workers.get_mut(*index));
        let Some(worker) = worker.filter(|worker| worker.speaker.incarnation == message.incarnation) else {
            return Ok(None);
        };
        worker.read_seq = worker.read_seq.max(message.seq);
        match (message.kind, message.task, message.token) {
            ("welcome", ..) => {
                worker.has_joined = true;
                self.seen.joined.fetch_add(1, Ordering::SeqCst);
                Ok(None)
            }
            ("assign", Some(task), Some(token)) => {
                for report in worker.speaker.reports(task, message.attempt, token) {
                    self.status.send(self.partition, &self.key, report.as_bytes())?;
                }
                Ok(task.rsplit_once('-').and_then(|(_, number)| number.parse().ok()))
            }
            // No slot is ever lost in a bench: whatever else comes shows that it is not what it seems.
            (kind, ..) => Err(KafkaFailure::Fatal(format!("a simulated worker got an unexpected {kind}"))),
        }
    }
}
