//! Figures for Prometheus. Names stand in `names.rs` alone; labels come from closed sets, or are held to a number.
//!
//! **Invariant:** whatever users send, an instance with 8 partitions has fewer than 2,000 series.
//! **Invariant:** what passes for every record touches counters that are held, and looks none up by its labels.

mod bounded;
mod cells;
mod clients;
mod document;
mod families;
mod live;
mod names;
mod process;
mod recorder;
mod requests;
mod restoring;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod turns;
mod vecs;

use prometheus::{CounterVec, Encoder, GaugeVec, Histogram, IntCounter, IntCounterVec, TextEncoder};
use yardmaster_topologies::task::Reason;
use yardmaster_topologies::wire::BadReason;

pub use bounded::OVERFLOW;
pub use document::document;
pub use live::{Live, PoolFigures, QueueFigures, StandbyFigures, StoreFigures};
pub use names::ALL;
pub use recorder::{PHASES, Recorder};
pub use requests::Requests;
pub use restoring::Restoring;
pub use table::{Kind, Metric};

use crate::kafka::Listener;
use clients::Clients;
use families::Families;
use times::Times;
use turns::Turns;
use vecs::{BATCH_TIMES, SIZES, Vecs};

/// All figures of one instance that are counted as things happen.
pub struct Metrics {
    batches: IntCounterVec,
    taken: IntCounterVec,
    produced: IntCounterVec,
    produced_bytes: IntCounterVec,
    batch_seconds: Histogram,
    commit_seconds: Histogram,
    batch_records: Histogram,
    batch_partitions: Histogram,
    phase_seconds: CounterVec,
    input_lag: GaugeVec,
    input_age: GaugeVec,
    accepted: IntCounter,
    assigned: IntCounter,
    started: IntCounter,
    buried: IntCounter,
    effects: IntCounterVec,
    noops: IntCounterVec,
    attempts: IntCounterVec,
    ended: IntCounterVec,
    refused: IntCounterVec,
    dead_letters: IntCounterVec,
    rerouted: IntCounter,
    joined: IntCounter,
    lost: IntCounterVec,
    left: IntCounterVec,
    claims: IntCounterVec,
    recoveries: IntCounterVec,
    restored: GaugeVec,
    restore_left: GaugeVec,
    restore_seconds: GaugeVec,
    refill_left: GaugeVec,
    still: GaugeVec,
    turns: Turns,
    times: Times,
    clients: Clients,
    requests: Requests,
    vecs: Vecs,
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
        let vecs = Vecs::default();
        let single = |metric: &Metric| vecs.counter(metric).with_label_values::<&str>(&[]);
        let histogram =
            |metric: &Metric, buckets: &[f64]| vecs.histogram(metric, buckets).with_label_values::<&str>(&[]);
        let metrics = Self {
            batches: vecs.counter(&names::BATCHES),
            taken: vecs.counter(&names::TAKEN),
            produced: vecs.counter(&names::PRODUCED),
            produced_bytes: vecs.counter(&names::PRODUCED_BYTES),
            batch_seconds: histogram(&names::BATCH_SECONDS, &BATCH_TIMES),
            commit_seconds: histogram(&names::COMMIT_SECONDS, &BATCH_TIMES),
            batch_records: histogram(&names::BATCH_RECORDS, &SIZES),
            batch_partitions: histogram(&names::BATCH_PARTITIONS, &SIZES),
            phase_seconds: vecs.seconds(&names::PHASE_SECONDS),
            input_lag: vecs.gauge(&names::INPUT_LAG),
            input_age: vecs.gauge(&names::INPUT_AGE),
            accepted: single(&names::ACCEPTED),
            assigned: single(&names::ASSIGNED),
            started: single(&names::STARTED),
            buried: single(&names::BURIED),
            effects: vecs.counter(&names::EFFECTS),
            noops: vecs.counter(&names::NOOPS),
            attempts: vecs.counter(&names::ATTEMPTS),
            ended: vecs.counter(&names::ENDED),
            refused: vecs.counter(&names::REFUSED),
            dead_letters: vecs.counter(&names::DEAD_LETTERS),
            rerouted: single(&names::REROUTED),
            joined: single(&names::WORKERS_JOINED),
            lost: vecs.counter(&names::WORKERS_LOST),
            left: vecs.counter(&names::WORKERS_LEFT),
            claims: vecs.counter(&names::CLAIMS),
            recoveries: vecs.counter(&names::RECOVERIES),
            restored: vecs.gauge(&names::RESTORED),
            restore_left: vecs.gauge(&names::RESTORE_LEFT),
            restore_seconds: vecs.gauge(&names::RESTORE_SECONDS),
            refill_left: vecs.gauge(&names::REFILL_LEFT),
            still: vecs.gauge(&names::STILL_SECONDS),
            turns: Turns::default(),
            times: Times::new(&vecs),
            clients: Clients::new(&vecs),
            requests: Requests::new(&vecs),
            vecs,
        };
        metrics.show_zeros();
        metrics
    }

    /// What alerts ask the growth of has to be there before it grows: Prometheus sees no growth in what is new.
    fn show_zeros(&self) {
        for reason in BadReason::ALL {
            drop(self.dead_letters.with_label_values(&[reason.name()]));
        }
        for reason in [Reason::LeaseExpired, Reason::ChannelLost] {
            drop(self.lost.with_label_values(&[reason.name()]));
        }
    }

    /// Counts HTTP requests.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Listens to the consumer of a partition's inputs.
    #[must_use]
    pub fn inputs_listener(&self, partition: i32) -> Listener {
        self.clients.listener(clients::CLIENTS[0], partition)
    }

    /// Listens to the producer of a partition's transactions.
    #[must_use]
    pub fn transactions_listener(&self, partition: i32) -> Listener {
        self.clients.listener(clients::CLIENTS[1], partition)
    }

    /// Records were sent on to the partition of their pool.
    pub fn rerouted(&self, records: usize) {
        self.rerouted.inc_by(records as u64);
    }

    /// A processor began anew: its session, or its store.
    pub fn recovered(&self, partition: i32, what: &'static str) {
        self.recoveries.with_label_values(&[partition.to_string().as_str(), what]).inc();
    }

    /// A partition is not processed here any more: its gauges would stand still for ever.
    pub fn forget(&self, partition: i32) {
        let label = partition.to_string();
        let label = label.as_str();
        // What was never counted has no series to remove.
        for vec in [&self.batches, &self.taken, &self.produced, &self.produced_bytes, &self.claims] {
            drop(vec.remove_label_values(&[label]));
        }
        self.turns.forget(partition);
        for vec in [&self.still, &self.restored, &self.restore_left, &self.restore_seconds, &self.refill_left]
        {
            drop(vec.remove_label_values(&[label]));
        }
        for phase in PHASES {
            drop(self.phase_seconds.remove_label_values(&[label, phase]));
        }
        for input in ["tasks", "status"] {
            drop(self.input_lag.remove_label_values(&[label, input]));
            drop(self.input_age.remove_label_values(&[label, input]));
        }
        for what in recorder::RECOVERIES {
            drop(self.recoveries.remove_label_values(&[label, what]));
        }
        self.clients.forget(label);
    }

    /// The text that Prometheus reads. What stands in the stores is put together for each call: two at once can't mix.
    #[must_use]
    pub fn render(&self, live: &Live) -> String {
        self.turns.show(&self.still, &self.input_age);
        let mut apart = Families::default();
        clients::overdue(&mut apart);
        live.families(&mut apart);
        process::families(&mut apart);
        let mut text = encoded(&self.vecs.gather());
        text.push_str(&encoded(&apart.gather()));
        let mut last = Families::default();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        last.gauge(&names::SERIES, &[], series as f64);
        text.push_str(&encoded(&last.gather()));
        text
    }
}

fn encoded(families: &[prometheus::proto::MetricFamily]) -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(families, &mut text) {
        tracing::error!(%error, "the metrics could not be written");
    }
    String::from_utf8(text).unwrap_or_default()
}
