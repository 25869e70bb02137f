//! Figures for Prometheus. Names stand in `names.rs` alone; labels come from closed sets, never from what users send.

mod names;

use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::wire::Event;

use crate::kafka::Delivered;

/// All figures of one instance.
pub struct Metrics {
    registry: Registry,
    batches: IntCounterVec,
    taken: IntCounterVec,
    produced: IntCounterVec,
    produced_bytes: IntCounterVec,
    commit_seconds: HistogramVec,
    phase_seconds: CounterVec,
    effects: IntCounterVec,
    counted: IntCounterVec,
    attempts: IntCounterVec,
    ended: IntCounterVec,
    refused: IntCounterVec,
    dead_letters: IntCounterVec,
    dispatch_seconds: HistogramVec,
    input_age: IntGaugeVec,
    rerouted: IntCounterVec,
    recoveries: IntCounterVec,
    restored: IntGaugeVec,
    tasks: IntGaugeVec,
    workers: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |(name, help): (&str, &str), labels: &[&str]| {
            let counter =
                IntCounterVec::new(Opts::new(name, help), labels).expect("the names file has valid names");
            registry.register(Box::new(counter.clone())).expect("the names file has each name once");
            counter
        };
        let gauge = |(name, help): (&str, &str), labels: &[&str]| {
            let gauge =
                IntGaugeVec::new(Opts::new(name, help), labels).expect("the names file has valid names");
            registry.register(Box::new(gauge.clone())).expect("the names file has each name once");
            gauge
        };
        let buckets = prometheus::exponential_buckets(0.001, 2.0, 14).expect("the buckets grow");
        let histogram = |(name, help): (&str, &str), labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.clone());
            let histogram = HistogramVec::new(options, labels).expect("the names file has valid names");
            registry.register(Box::new(histogram.clone())).expect("the names file has each name once");
            histogram
        };
        let phase_seconds = seconds_by(&registry, names::PHASE_SECONDS, &["partition", "phase"]);
        Self {
            phase_seconds,
            batches: counter(names::BATCHES, &["partition"]),
            taken: counter(names::TAKEN, &["partition"]),
            produced: counter(names::PRODUCED, &["partition"]),
            produced_bytes: counter(names::PRODUCED_BYTES, &["partition"]),
            commit_seconds: histogram(names::COMMIT_SECONDS, &["partition"]),
            dispatch_seconds: histogram(names::DISPATCH_SECONDS, &[]),
            input_age: gauge(names::INPUT_AGE, &["partition"]),
            effects: counter(names::EFFECTS, &["effect"]),
            counted: counter(names::COUNTED, &["what", "reason"]),
            attempts: counter(names::ATTEMPTS, &["outcome", "reason"]),
            ended: counter(names::ENDED, &["state", "reason"]),
            refused: counter(names::REFUSED, &["reason"]),
            dead_letters: counter(names::DEAD_LETTERS, &["reason"]),
            rerouted: counter(names::REROUTED, &[]),
            recoveries: counter(names::RECOVERIES, &["partition", "what"]),
            restored: gauge(names::RESTORED, &["partition"]),
            tasks: gauge(names::TASKS, &["pool", "state"]),
            workers: gauge(names::WORKERS, &["pool", "state"]),
            registry,
        }
    }

    /// A batch was committed.
    pub fn batch(&self, partition: i32, taken: usize, delivered: &Delivered, took: Duration) {
        let label = partition.to_string();
        let label = [label.as_str()];
        self.batches.with_label_values(&label).inc();
        self.taken.with_label_values(&label).inc_by(taken as u64);
        self.produced.with_label_values(&label).inc_by(delivered.records);
        self.produced_bytes.with_label_values(&label).inc_by(delivered.bytes);
        self.commit_seconds.with_label_values(&label).observe(took.as_secs_f64());
    }

    /// How long a committed batch spent in one of its phases.
    pub fn phase(&self, partition: i32, phase: &'static str, took: Duration) {
        self.phase_seconds
            .with_label_values(&[partition.to_string().as_str(), phase])
            .inc_by(took.as_secs_f64());
    }

    /// An effect was carried out.
    pub fn effect(&self, effect: &Effect) {
        self.effects.with_label_values(&[effect.name()]).inc();
        match effect {
            Effect::Count { what, reason } => self.counted.with_label_values(&[what.name(), reason]).inc(),
            Effect::Publish { event } => self.event(event),
            Effect::Send { .. }
            | Effect::Reply { .. }
            | Effect::Bury { .. }
            | Effect::EnsureChannel { .. }
            | Effect::ForgetChannel { .. }
            | Effect::EnsureReply { .. } => {}
        }
    }

    fn event(&self, event: &Event) {
        if let Event::AttemptClosed { closed, .. } = event {
            self.attempts.with_label_values(&[closed.outcome.name(), closed.reason.name()]).inc();
        } else if let Event::Ended { task, closes_attempt } = event {
            self.ended.with_label_values(&[task.state.name(), task.reason.name()]).inc();
            if let Some(first) = task.attempts.first().filter(|first| first.attempt.0 == 1) {
                let waited = first.assigned_at.0.saturating_sub(task.submitted_at.0);
                self.dispatch_seconds
                    .with_label_values::<&str>(&[])
                    .observe(Duration::from_millis(waited).as_secs_f64());
            }
            if let (Some(_), Some(last)) = (closes_attempt, task.attempts.last()) {
                self.attempts.with_label_values(&[last.outcome.name(), last.reason.name()]).inc();
            }
        } else if let Event::Refused { reason, .. } = event {
            self.refused.with_label_values(&[reason.name()]).inc();
        }
    }

    /// How old the newest status record was when it was taken.
    pub fn input_age(&self, partition: i32, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.input_age.with_label_values(&[partition.to_string().as_str()]).set(seconds);
    }

    /// A record became a dead letter.
    pub fn dead_letter(&self, reason: &'static str) {
        self.dead_letters.with_label_values(&[reason]).inc();
    }

    /// Records were sent on to the partition of their pool.
    pub fn rerouted(&self, records: usize) {
        self.rerouted.with_label_values::<&str>(&[]).inc_by(records as u64);
    }

    /// A processor began anew.
    pub fn recovered(&self, partition: i32, what: &'static str) {
        self.recoveries.with_label_values(&[partition.to_string().as_str(), what]).inc();
    }

    /// How many changelog records the last restore read.
    pub fn restored(&self, partition: i32, records: u64) {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.restored.with_label_values(&[partition.to_string().as_str()]).set(records);
    }

    /// Replaces the numbers of tasks: (pool, state, how many), read from the stores when they are asked for.
    pub fn set_tasks(&self, rows: &[(String, &'static str, u64)]) {
        self.tasks.reset();
        for (pool, state, count) in rows {
            self.tasks
                .with_label_values(&[pool.as_str(), state])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    /// Replaces the numbers of workers: (pool, state, how many).
    pub fn set_workers(&self, rows: &[(String, &'static str, u64)]) {
        self.workers.reset();
        for (pool, state, count) in rows {
            self.workers
                .with_label_values(&[pool.as_str(), state])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics could not be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

fn seconds_by(registry: &Registry, (name, help): (&str, &str), labels: &[&str]) -> CounterVec {
    let counter = CounterVec::new(Opts::new(name, help), labels).expect("the names file has valid names");
    registry.register(Box::new(counter.clone())).expect("the names file has each name once");
    counter
}
