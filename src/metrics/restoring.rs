//! How far a restore, or the refill of history, has come.

use std::time::{Duration, Instant};

use prometheus::Gauge;

use super::Metrics;

/// The gauges of one partition's restore.
pub struct Restoring {
    read: Gauge,
    left: Gauge,
    seconds: Gauge,
    since: Instant,
}

/// Numbers are shown after so many records: gauges needn't be exact while they move.
const SHOW_EVERY: u64 = 256;

impl Metrics {
    /// A restore begins that has so many offsets to read.
    #[must_use]
    pub fn restoring(&self, partition: i32, left: i64) -> Restoring {
        let label = partition.to_string();
        let [read, gauge, seconds] = [&self.restored, &self.restore_left, &self.restore_seconds]
            .map(|vec| vec.with_label_values(&[label.as_str()]));
        read.set(0.0);
        gauge.set(left.max(0) as f64);
        Restoring { read, left: gauge, seconds, since: Instant::now() }
    }

    /// The gauge of what history has still to be refilled from.
    #[must_use]
    pub fn refilling(&self, partition: i32) -> Gauge {
        self.refill_left.with_label_values(&[partition.to_string().as_str()])
    }
}

impl Restoring {
    /// One more record was read.
    pub fn at(&self, records: u64, left: i64) {
        if records.is_multiple_of(SHOW_EVERY) {
            self.read.set(records as f64);
            self.left.set(left.max(0) as f64);
        }
    }

    /// It is over. Returns how long it took.
    pub fn end(&self, records: u64) -> Duration {
        let took = self.since.elapsed();
        self.read.set(records as f64);
        self.left.set(0.0);
        self.seconds.set(took.as_secs_f64());
        took
    }
}
