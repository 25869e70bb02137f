//! The table's lines: what each figure should reach.

use super::plan::Row;
use super::plan::Target::{self, AtLeast, AtMost};

const VERSUS: &[(&str, &str)] = &[("ours", "ours"), ("peer's", "peer")];
const RAW: &[(&str, &str)] = &[("ours", "lives.tasks_per_second"), ("raw", "lives.raw_tasks_per_second")];
const ECHO_50: &[(&str, &str)] = &[("ours", "dispatch.ms.p50"), ("echo", "dispatch.raw_ms.p50")];
const ECHO_99: &[(&str, &str)] = &[("ours", "dispatch.ms.p99"), ("echo", "dispatch.raw_ms.p99")];

const fn row(what: &'static str, from: &'static str, path: &'static str, target: Target) -> Row {
    Row { what, from, path, unit: "", target, sides: &[] }
}

impl Row {
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn sides(mut self, sides: &'static [(&'static str, &'static str)]) -> Self {
        self.sides = sides;
        self
    }
}

/// In the order in which they are shown.
pub(crate) const ROWS: &[Row] = &[
    row(
        "Whole lives, against raw exactly-once moving of the same records",
        "lives",
        "lives.ratio",
        AtLeast(0.5),
    )
    .sides(RAW),
    row("Whole lives, against Kafka Streams", "lives-streams", "ratio", AtLeast(4.0)).sides(VERSUS),
    row("Records in per task", "lives", "lives.records_in_per_task", AtMost(3.0)),
    row("Records out per task", "lives", "lives.records_out_per_task", AtMost(10.0)),
    row("Bytes out per task", "lives", "lives.bytes_out_per_task", Target::None),
    row("Submit to dispatch only, against Kafka Streams", "assign-streams", "ratio", AtLeast(4.0))
        .sides(VERSUS),
    row("4 pools on 4 partitions, against 1 on 1", "pools", "pools.ratio", AtLeast(0.9)),
    row("Dispatch p50 at 1,000 tasks/s, against a raw echo", "latency", "dispatch.ratio.p50", AtMost(1.3))
        .sides(ECHO_50),
    row("Dispatch p99 at 1,000 tasks/s, against a raw echo", "latency", "dispatch.ratio.p99", AtMost(1.5))
        .sides(ECHO_99),
    row(
        "Dispatch p99 at half of the throughput, against a raw echo",
        "latency-half",
        "dispatch.ratio.p99",
        AtMost(2.0),
    )
    .sides(ECHO_99),
    row("Processes (/bin/true, 2 slots), against HyperQueue", "hyperqueue", "ratio", AtLeast(1.2))
        .sides(VERSUS),
    row("No-op tasks, 2 worker processes, against Celery with Redis", "celery", "ratio", AtLeast(3.0))
        .sides(VERSUS),
    row("No-op tasks, 2 worker processes, against Dask", "dask", "ratio", AtLeast(3.0)).sides(VERSUS),
    row("Dispatch rate with 10 million queued, against 10 thousand", "depth", "depth.ratio", AtLeast(0.9)),
    row("Memory with 10 million queued", "depth", "depth.rss_mib", AtMost(2_048.0)).unit("MiB"),
    row(
        "Submit p99 with 10 million queued, against 10 thousand",
        "depth",
        "depth.submit_p99_ratio",
        AtMost(1.2),
    ),
    row(
        "Dispatch rate with 50 million queued, against 10 thousand",
        "depth-full",
        "depth.ratio",
        AtLeast(0.8),
    ),
    row("Memory with 50 million queued", "depth-full", "depth.rss_mib", AtMost(4_096.0)).unit("MiB"),
    row("Disk per queued task", "depth-full", "depth.disk_bytes_per_task", Target::None).unit("bytes"),
    row("First dispatch after kill -9 with 10 million tasks", "restart", "restart.seconds", AtMost(5.0))
        .unit("s"),
    row("Cold restore", "restore", "restore.rows_per_second", AtLeast(300_000.0)).unit("rows/s"),
    row("Cold restore, against a raw consumer", "restore", "restore.ratio", AtLeast(0.6)),
    row("Dispatch p99 with 10,000 workers at 2,000 tasks/s", "fleet", "fleet.p99_ms", AtMost(150.0))
        .unit("ms"),
    row("CPU of the server meanwhile", "fleet", "fleet.cpu_cores", AtMost(1.0)).unit("cores"),
    row("CPU of an idle server, 8 partitions, 100 workers", "idle", "cpu_percent", AtMost(2.0))
        .unit("% of a core"),
    row("Memory of an idle server", "idle", "rss_mib", AtMost(100.0)).unit("MiB"),
    row("Cost of a task, 10 times the depth", "depth", "depth.growth", AtMost(1.2)),
    row("Cost of a task, 10 times the workers", "curve-workers", "growth", AtMost(1.2)),
    row("Cost of a task, 10 times the queues", "curve-queues", "queues.growth", AtMost(1.2)),
    row("Cost of a task, 10 times the tags", "curve-tags", "tags.growth", AtMost(1.2)),
];

#[cfg(test)]
mod tests {
    use super::super::plan::MEASUREMENTS;
    use super::ROWS;

    #[test]
    fn every_row_has_its_measurement_and_no_name_comes_twice() {
        for row in ROWS {
            assert!(MEASUREMENTS.iter().any(|one| one.name == row.from), "{} is from {}", row.what, row.from);
        }
        let mut names: Vec<&str> = MEASUREMENTS.iter().map(|one| one.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
