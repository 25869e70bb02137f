//! Figures for Prometheus. Names stand in `names.rs` alone; labels come from closed sets, never from what users send.

mod names;

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::wire::Event;

use crate::kafka::Delivered;

/// How many there are by pool and state.
pub type ByPoolAndState = BTreeMap<(String, &'static str), u64>;

/// Numbers out of the stores, as of one scrape.
#[derive(Debug, Default)]
pub struct Live {
    /// Tasks, terminal ones included.
    pub tasks: ByPoolAndState,
    /// Registered workers.
    pub workers: ByPoolAndState,
}

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

    /// A partition is not processed here any more: its figures would stand still for ever.
    pub fn forget(&self, partition: i32) {
        let label = partition.to_string();
        let counters = [&self.batches, &self.taken, &self.produced, &self.produced_bytes];
        // What was never counted has no series to remove.
        counters.into_iter().for_each(|counter| drop(counter.remove_label_values(&[&label])));
        drop(self.commit_seconds.remove_label_values(&[&label]));
        drop(self.input_age.remove_label_values(&[&label]));
        drop(self.restored.remove_label_values(&[&label]));
        for what in ["session", "store"] {
            drop(self.recoveries.remove_label_values(&[label.as_str(), what]));
        }
    }

    /// The text that Prometheus reads. What stands in the stores is put together for each call: two at once can't mix.
    #[must_use]
    pub fn render(&self, live: &Live) -> String {
        let apart = Registry::new();
        for (name, rows) in [(names::TASKS, &live.tasks), (names::WORKERS, &live.workers)] {
            let gauge = IntGaugeVec::new(Opts::new(name.0, name.1), &["pool", "state"])
                .expect("the names file has valid names");
            for ((pool, state), count) in rows {
                gauge
                    .with_label_values(&[pool.as_str(), state])
                    .set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
            apart.register(Box::new(gauge)).expect("the names file has each name once");
        }
        let mut families = self.registry.gather();
        families.extend(apart.gather());
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_has_left_has_no_series() {
        let metrics = Metrics::new();
        metrics.restored(3, 7);
        metrics.recovered(3, "session");
        metrics.recovered(4, "session");
        metrics.forget(3);
        let text = metrics.render(&Live::default());
        assert!(!text.contains("partition=\"3\"") && text.contains("partition=\"4\""), "{text}");
    }

    #[test]
    fn each_scrape_has_its_own_numbers() {
        let metrics = Metrics::new();
        let live = |pool: &str| Live { tasks: [((pool.to_owned(), "QUEUED"), 2)].into(), ..Live::default() };
        let (one, other) = (metrics.render(&live("a")), metrics.render(&live("b")));
        assert!(one.contains("yardmaster_tasks{pool=\"a\",state=\"QUEUED\"} 2"), "{one}");
        assert!(!other.contains("pool=\"a\""), "{other}");
    }
}
