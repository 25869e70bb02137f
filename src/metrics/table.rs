//! What is known about a metric before it has a value, and the form in which the names file declares it.

/// How a metric's numbers move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size: `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The heading that it stands under in `docs/metrics.md`.
    pub group: &'static str,
    /// `yardmaster_<noun>_<unit>[_total]`, or what Prometheus calls it everywhere (`process_*`).
    pub name: &'static str,
    /// How its numbers move.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What is counted or measured.
    pub unit: &'static str,
    /// What it means, in one or two sentences.
    pub help: &'static str,
}

impl Kind {
    /// As Prometheus writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Groups of lines `CONSTANT Kind "name" [labels] "unit" "meaning";` become constants, and `ALL` of them in their order.
macro_rules! metrics {
    ($($group:literal { $($id:ident $kind:ident $name:literal [$($label:ident)*] $unit:literal $help:literal;)* })*) => {
        $($(
            #[doc = $help]
            pub(super) const $id: Metric = Metric {
                group: $group,
                name: $name,
                kind: Kind::$kind,
                labels: &[$(stringify!($label)),*],
                unit: $unit,
                help: $help,
            };
        )*)*

        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($($id,)*)*];
    };
}

pub(super) use metrics;
