//! Figures that are put together for one scrape alone, so that two scrapes at once can't mix.

use std::collections::BTreeMap;

use prometheus::{CounterVec, GaugeVec, Opts, Registry};

use super::table::Metric;

/// The figures of one scrape.
#[derive(Default)]
pub(super) struct Families {
    registry: Registry,
    known: BTreeMap<&'static str, GaugeVec>,
}

impl Families {
    /// Sets one value of a gauge.
    pub(super) fn gauge(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        let registry = &self.registry;
        let vec = self.known.entry(metric.name).or_insert_with(|| {
            let vec = GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)
                .expect("the names file has valid names");
            registry.register(Box::new(vec.clone())).expect("the names file has each name once");
            vec
        });
        vec.with_label_values(labels).set(value);
    }

    /// Sets a counter without labels, once.
    pub(super) fn counter(&mut self, metric: &Metric, value: f64) {
        let vec = CounterVec::new(Opts::new(metric.name, metric.help), metric.labels)
            .expect("the names file has valid names");
        vec.with_label_values::<&str>(&[]).inc_by(value);
        self.registry.register(Box::new(vec)).expect("the names file has each name once");
    }

    /// All of them, as Prometheus' library has them.
    pub(super) fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }
}
