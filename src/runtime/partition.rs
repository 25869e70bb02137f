//! What a processor's thread shares with the rest of the instance.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{Checkpoint, NextOffset};
use yardmaster_topologies::event::Local;
use yardmaster_topologies::id::{Pool, WorkerName};
use yardmaster_topologies::time::Millis;
use yardmaster_topologies::topology::{STATUS, TASKS};

use super::channels::TopicWork;
use super::halt::Halt;
use super::identity::Identity;
use super::names::Names;
use super::registry::{Committed, Registry};
use crate::kafka::Submitter;
use crate::metrics::Metrics;

/// One partition, as its processor sees the world.
pub(super) struct Partition {
    pub(super) number: i32,
    pub(super) partitions: i32,
    pub(super) names: Names,
    /// `tasks` and `status`, in the order of the positions.
    pub(super) inputs: [String; 2],
    pub(super) records_max: usize,
    pub(super) bytes_max: usize,
    pub(super) lease: Millis,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) submitter: Arc<Submitter>,
    pub(super) topics: Sender<TopicWork>,
    pub(super) local_sender: Sender<Local>,
    pub(super) local: Mutex<Receiver<Local>>,
    pub(super) position: watch::Sender<Committed>,
    pub(super) epoch: AtomicU64,
    pub(super) stop: Arc<AtomicBool>,
    /// The store is being closed: whoever else has it open gives it back.
    pub(super) closing: Arc<AtomicBool>,
    pub(super) identity: Arc<Identity>,
}

impl Partition {
    pub(super) fn take_local(&self) -> Vec<Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
    }

    /// Whether a topic is one of the namespace's fixed ones.
    pub(super) fn is_own(&self, topic: &str) -> bool {
        let names = &self.names;
        self.inputs.iter().any(|input| input == topic)
            || [names.events(), names.dead_letter(), names.changelog()].iter().any(|own| own == topic)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says for everybody to see why nothing is processed; once, as long as it is the same reason.
    pub(super) fn hold(&self, halt: Halt) {
        let is_known = self.registry.halts().get(&self.number).is_some_and(|known| known.cause == halt.cause);
        if !is_known {
            let (partition, cause) = (self.number, halt.cause.name());
            tracing::error!(partition, cause, "this partition is halted: {}", halt.text);
        }
        self.registry.halt(self.number, halt);
    }

    /// What held it is over.
    pub(super) fn go_on(&self) {
        self.registry.go_on(self.number);
    }

    /// Waits before something is tried again, but not when this partition is to stop.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.is_stopping() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20).min(pause));
        }
    }

    /// Readers that wait for their own write see how far it is.
    pub(super) fn committed(&self, checkpoint: &Checkpoint) {
        self.position.send_replace(committed(checkpoint));
    }

    pub(super) fn ensure_channel(&self, pool: Pool, worker: WorkerName) {
        self.hand_over(TopicWork::EnsureChannel { pool, worker, to: self.local_sender.clone() });
    }

    pub(super) fn forget_channel(&self, pool: Pool, worker: WorkerName) {
        self.hand_over(TopicWork::ForgetChannel { pool, worker });
    }

    pub(super) fn ensure_reply(&self, topic: String) {
        self.hand_over(TopicWork::EnsureReply { topic, to: self.local_sender.clone() });
    }

    pub(super) fn look_for_channels(&self, workers: Vec<(Pool, WorkerName)>) {
        if !workers.is_empty() {
            self.hand_over(TopicWork::LookForChannels { workers, to: self.local_sender.clone() });
        }
    }

    fn hand_over(&self, work: TopicWork) {
        if self.topics.send(work).is_err() {
            tracing::warn!(partition = self.number, "the topics' thread is gone: this process is stopping");
        }
    }
}

/// How far a checkpoint is, for readers.
pub(super) fn committed(checkpoint: &Checkpoint) -> Committed {
    let input = |index: usize| checkpoint.inputs.get(index).copied().unwrap_or(NextOffset(0));
    Committed {
        tasks: input(TASKS),
        status: input(STATUS),
        sequence: checkpoint.sequence,
        at_ms: checkpoint.at_ms,
    }
}
