//! Metrics with their labels, made and registered as the names file declares them.

use prometheus::core::Collector;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::table::{Kind, Metric};

/// Upper bounds for the times of tasks, in seconds: from a grid that is empty to one that is full for an hour.
pub(super) const TASK_TIMES: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0];
/// Upper bounds for what a batch takes, in seconds.
pub(super) const BATCH_TIMES: [f64; 13] =
    [0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Upper bounds for records or partitions of a transaction.
pub(super) const SIZES: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 20_000.0, 50_000.0, 100_000.0];

/// A registry that knows which kind each name is.
#[derive(Default)]
pub(super) struct Vecs(Registry);

impl Vecs {
    /// A counter of whole things.
    pub(super) fn counter(&self, metric: &Metric) -> IntCounterVec {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.add(IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels))
    }

    /// A counter of seconds.
    pub(super) fn seconds(&self, metric: &Metric) -> CounterVec {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.add(CounterVec::new(Opts::new(metric.name, metric.help), metric.labels))
    }

    /// A gauge.
    pub(super) fn gauge(&self, metric: &Metric) -> GaugeVec {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        self.add(GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels))
    }

    /// A histogram with these upper bounds.
    pub(super) fn histogram(&self, metric: &Metric, buckets: &[f64]) -> HistogramVec {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
        let options = HistogramOpts::new(metric.name, metric.help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, metric.labels))
    }

    /// All values as they are now.
    pub(super) fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.0.gather()
    }

    fn add<V: Collector + Clone + 'static>(&self, vec: prometheus::Result<V>) -> V {
        let vec = vec.expect("the names file has valid names");
        self.0.register(Box::new(vec.clone())).expect("the names file has each name once");
        vec
    }
}
