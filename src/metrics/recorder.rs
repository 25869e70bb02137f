//! What one session of a processor counts. It holds its counters: nothing is looked up for a record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Counter, Gauge, Histogram, IntCounter};
use yardmaster_topologies::effect::{Counted, Effect};
use yardmaster_topologies::task::{Outcome, Reason, TaskState};
use yardmaster_topologies::topology::{STATUS, TASKS};
use yardmaster_topologies::wire::{BadReason, Event, RefusedReason};

use super::Metrics;
use super::cells::Cells;
use super::times::LocalTimes;
use super::turns::Turn;
use crate::kafka::Delivered;

/// The phases of a batch, in their order.
pub const PHASES: [&str; 6] = ["take", "decide", "send", "commit", "store", "release"];

/// The inputs, in the order of the positions.
pub(super) const INPUTS: [(usize, &str); 2] = [(TASKS, "tasks"), (STATUS, "status")];

/// What begins anew.
pub(super) const RECOVERIES: [&str; 2] = ["session", "store"];

/// The changelog and `events`: every transaction writes to both.
const FIXED_PARTITIONS: usize = 2;

/// The counters of one session.
pub struct Recorder {
    metrics: Arc<Metrics>,
    batches: IntCounter,
    taken: IntCounter,
    produced: IntCounter,
    produced_bytes: IntCounter,
    phases: [(&'static str, Counter); PHASES.len()],
    batch_seconds: Histogram,
    commit_seconds: Histogram,
    batch_records: Histogram,
    batch_partitions: Histogram,
    lag: [Gauge; 2],
    age: [Gauge; 2],
    accepted: IntCounter,
    assigned: IntCounter,
    started: IntCounter,
    buried: IntCounter,
    joined: IntCounter,
    effects: Cells<&'static str>,
    noops: Cells<(Counted, &'static str)>,
    attempts: Cells<(Outcome, Reason)>,
    ended: Cells<(TaskState, Reason)>,
    refused: Cells<RefusedReason>,
    dead_letters: Cells<BadReason>,
    lost: Cells<Option<Reason>>,
    left: Cells<Option<Reason>>,
    times: LocalTimes,
    turn: Arc<Turn>,
}

impl Recorder {
    /// The counters of a partition's next session.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, partition: i32) -> Self {
        let label = partition.to_string();
        let label = label.as_str();
        let inputs =
            |vec: &prometheus::GaugeVec| INPUTS.map(|(_, input)| vec.with_label_values(&[label, input]));
        metrics.claims.with_label_values(&[label]).inc();
        for what in RECOVERIES {
            drop(metrics.recoveries.with_label_values(&[label, what]));
        }
        Self {
            batches: metrics.batches.with_label_values(&[label]),
            taken: metrics.taken.with_label_values(&[label]),
            produced: metrics.produced.with_label_values(&[label]),
            produced_bytes: metrics.produced_bytes.with_label_values(&[label]),
            phases: PHASES.map(|phase| (phase, metrics.phase_seconds.with_label_values(&[label, phase]))),
            batch_seconds: metrics.batch_seconds.clone(),
            commit_seconds: metrics.commit_seconds.clone(),
            batch_records: metrics.batch_records.clone(),
            batch_partitions: metrics.batch_partitions.clone(),
            lag: inputs(&metrics.input_lag),
            age: inputs(&metrics.input_age),
            accepted: metrics.accepted.clone(),
            assigned: metrics.assigned.clone(),
            started: metrics.started.clone(),
            buried: metrics.buried.clone(),
            joined: metrics.joined.clone(),
            effects: Cells::new(&metrics.effects),
            noops: Cells::new(&metrics.noops),
            attempts: Cells::new(&metrics.attempts),
            ended: Cells::new(&metrics.ended),
            refused: Cells::new(&metrics.refused),
            dead_letters: Cells::new(&metrics.dead_letters),
            lost: Cells::new(&metrics.lost),
            left: Cells::new(&metrics.left),
            times: LocalTimes::default(),
            turn: metrics.turns.of(partition),
            metrics: Arc::clone(metrics),
        }
    }

    /// A batch was committed and released; `took` is without taking it.
    pub fn batch(
        &mut self,
        taken: usize,
        delivered: &Delivered,
        laps: &[(&'static str, Duration)],
        took: Duration,
    ) {
        self.batches.inc();
        self.taken.inc_by(taken as u64);
        self.produced.inc_by(delivered.records);
        self.produced_bytes.inc_by(delivered.bytes);
        self.batch_records.observe(delivered.records as f64);
        self.batch_seconds.observe(took.as_secs_f64());
        for (phase, took) in laps {
            if let Some((_, seconds)) = self.phases.iter().find(|(known, _)| known == phase) {
                seconds.inc_by(took.as_secs_f64());
            }
            if *phase == "commit" {
                self.commit_seconds.observe(took.as_secs_f64());
            }
        }
        self.times.flush();
    }

    /// All effects of a committed batch, and how many dead letters were sent beside them.
    pub fn effects<'e>(&mut self, effects: impl Iterator<Item = &'e Effect>, dead_letters: usize) {
        let (mut topics, mut is_buried) = (BTreeSet::new(), dead_letters > 0);
        for effect in effects {
            self.effects.count(effect.name(), || [effect.name()]);
            match effect {
                Effect::Count { what, reason } => {
                    self.noops.count((*what, reason), || [what.name(), reason]);
                }
                Effect::Publish { event } => self.event(event),
                Effect::Send { pool, worker, .. } => {
                    topics.insert((pool.as_str(), worker.as_str()));
                }
                Effect::Reply { topic, .. } => {
                    topics.insert(("", topic));
                }
                Effect::Bury { .. } => {
                    is_buried = true;
                    self.buried.inc();
                }
                Effect::EnsureChannel { .. } | Effect::ForgetChannel { .. } | Effect::EnsureReply { .. } => {}
            }
        }
        let partitions = FIXED_PARTITIONS + topics.len() + usize::from(is_buried);
        self.batch_partitions.observe(partitions as f64);
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Accepted { repeated: false, .. } => self.accepted.inc(),
            Event::Assigned { .. } => self.assigned.inc(),
            Event::Started { .. } => self.started.inc(),
            Event::AttemptClosed { closed, .. } => self.attempt(closed.outcome, closed.reason),
            Event::Ended { task, closes_attempt } => {
                self.ended.count((task.state, task.reason), || [task.state.name(), task.reason.name()]);
                self.times.observe(&self.metrics.times, task);
                if let (Some(_), Some(last)) = (closes_attempt, task.attempts.last()) {
                    self.attempt(last.outcome, last.reason);
                }
            }
            Event::Refused { reason, .. } => self.refused.count(*reason, || [reason.name()]),
            Event::WorkerJoined(_) => self.joined.inc(),
            Event::WorkerLost(fact) => self.lost.count(fact.reason, || [named(fact.reason)]),
            Event::WorkerLeft(fact) => self.left.count(fact.reason, || [named(fact.reason)]),
            Event::Accepted { repeated: true, .. }
            | Event::Progress { .. }
            | Event::State { .. }
            | Event::WorkerDrained(_)
            | Event::WorkerUndrained(_)
            | Event::Batch { .. } => {}
        }
    }

    fn attempt(&mut self, outcome: Outcome, reason: Reason) {
        self.attempts.count((outcome, reason), || [outcome.name(), reason.name()]);
    }

    /// A record became a dead letter.
    pub fn dead_letter(&mut self, reason: BadReason) {
        self.dead_letters.count(reason, || [reason.name()]);
    }

    /// The processor takes another turn: it does not stand still.
    pub fn turn(&self) {
        self.turn.begin();
    }

    /// How far an input has been read: its high watermark, if it is known, and the next offset to be decided.
    pub fn lag(&self, input: usize, end: Option<i64>, next: i64) {
        if let (Some(gauge), Some(end)) = (self.lag.get(input), end) {
            gauge.set(end.saturating_sub(next).max(0) as f64);
        }
    }

    /// How old the newest record of an input was when it was taken.
    pub fn age(&self, input: usize, age: Duration) {
        if let Some(gauge) = self.age.get(input) {
            gauge.set(age.as_secs_f64());
        }
    }
}

fn named(reason: Option<Reason>) -> &'static str {
    reason.map_or("none", Reason::name)
}
