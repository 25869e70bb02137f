//! What is measured and what it should reach, as data: a measurement runs something and gives JSON, a row picks a figure from
//! it. To add one, add a line here; nothing else knows the names.

use super::peers::Peer;

/// Something that runs and gives figures.
pub(crate) struct Measurement {
    /// How it is called on the command line and in the JSON file.
    pub(crate) name: &'static str,
    /// What runs.
    pub(crate) how: How,
    /// Takes so long, or so much of the disk, that only `--full` runs it.
    pub(crate) only_full: bool,
}

/// What runs.
pub(crate) enum How {
    /// `yardmaster bench`: its JSON is the outcome.
    Own(Own),
    /// The same with `--rate` at half of a figure that another measurement has given.
    AtHalf {
        /// What runs.
        own: Own,
        /// The other measurement.
        of: &'static str,
        /// Its figure.
        path: &'static str,
    },
    /// Two sides in turns; the outcome has `ours`, `peer` and their `ratio`, round by round.
    Versus {
        /// This side.
        ours: Ours,
        /// The other side.
        peer: &'static Peer,
    },
    /// `yardmaster bench` once per value of a flag; the outcome has a curve, and `growth`: what the first line's figure is at
    /// a value, divided by what it is at the value before, at worst.
    Sweep(Sweep),
    /// A server that has nothing to do: `cpu_percent` of a core and `rss_mib`.
    Idle,
}

/// Arguments of `yardmaster bench`; the words are separated by spaces.
pub(crate) struct Own {
    /// Always.
    pub(crate) words: &'static str,
    /// With `--quick` only.
    pub(crate) quick: &'static str,
}

/// Our side of a comparison.
pub(crate) enum Ours {
    /// A figure of `yardmaster bench`.
    Own(Own, &'static str),
    /// A server and a worker with two slots that run `/bin/true`.
    Processes,
}

/// A curve.
pub(crate) struct Sweep {
    /// What runs.
    pub(crate) own: Own,
    /// The flag that changes.
    pub(crate) flag: &'static str,
    /// Its values, each ten times the one before where growth counts.
    pub(crate) values: &'static [u32],
    /// Over the chart, and beside its axes.
    pub(crate) words: Words,
    /// A name and the path of the figure, for each line.
    pub(crate) lines: &'static [(&'static str, &'static str)],
}

/// What stands on a chart.
pub(crate) struct Words {
    /// Over it.
    pub(crate) title: &'static str,
    /// Under it.
    pub(crate) x: &'static str,
    /// Left of it.
    pub(crate) y: &'static str,
}

/// A line of the table.
pub(crate) struct Row {
    /// In words.
    pub(crate) what: &'static str,
    /// Which measurement has it.
    pub(crate) from: &'static str,
    /// Where in its JSON, names separated by dots.
    pub(crate) path: &'static str,
    /// After the number; nothing for a ratio.
    pub(crate) unit: &'static str,
    /// What is to be reached.
    pub(crate) target: Target,
    /// Further figures to show, with a word before each: the two sides of a ratio.
    pub(crate) sides: &'static [(&'static str, &'static str)],
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
    /// Only shown.
    None,
}

const fn own(words: &'static str, quick: &'static str) -> Own {
    Own { words, quick }
}

const fn usual(name: &'static str, how: How) -> Measurement {
    Measurement { name, how, only_full: false }
}

/// Everything that can be measured, in the order in which it runs.
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    usual("lives", How::Own(own("lives --workers 64", "--tasks 20000"))),
    usual(
        "lives-streams",
        How::Versus {
            ours: Ours::Own(own("lives --workers 64", "--tasks 20000"), "lives.tasks_per_second"),
            peer: &Peer::STREAMS_LIVES,
        },
    ),
    usual(
        "assign-streams",
        How::Versus {
            ours: Ours::Own(own("assign --workers 64", "--tasks 20000"), "assign.tasks_per_second"),
            peer: &Peer::STREAMS_DISPATCH,
        },
    ),
    usual("pools", How::Own(own("pools", "--tasks 20000"))),
    usual("latency", How::Own(own("dispatch --rate 1000 --dispatch-workers 100", "--seconds 5"))),
    usual(
        "latency-half",
        How::AtHalf {
            own: own("dispatch --dispatch-workers 100", "--seconds 5"),
            of: "lives",
            path: "lives.tasks_per_second",
        },
    ),
    usual("hyperqueue", How::Versus { ours: Ours::Processes, peer: &Peer::HYPERQUEUE }),
    usual(
        "celery",
        How::Versus { ours: Ours::Own(own("noop", ""), "noop.tasks_per_second"), peer: &Peer::CELERY },
    ),
    usual(
        "dask",
        How::Versus { ours: Ours::Own(own("noop", ""), "noop.tasks_per_second"), peer: &Peer::DASK },
    ),
    usual("depth", How::Own(own("depth", ""))),
    Measurement { name: "depth-full", how: How::Own(own("depth --deep 50000000", "")), only_full: true },
    usual("restart", How::Own(own("restart", ""))),
    usual("restore", How::Own(own("restore", ""))),
    usual("fleet", How::Own(own("fleet", ""))),
    usual("idle", How::Idle),
    usual(
        "curve-workers",
        How::Sweep(Sweep {
            own: own("lives", "--tasks 20000"),
            flag: "--workers",
            values: &[8, 80, 800],
            words: Words {
                title: "Cost of a task as workers grow",
                x: "workers",
                y: "server's CPU per task, µs",
            },
            lines: &[("yardmaster", "lives.cpu_microseconds_per_task")],
        }),
    ),
    usual("curve-queues", How::Own(own("queues", ""))),
    usual("curve-tags", How::Own(own("tags", ""))),
    usual(
        "curve-rate",
        How::Sweep(Sweep {
            own: own("dispatch --dispatch-workers 8", "--seconds 5"),
            flag: "--rate",
            values: &[100, 300, 1_000, 3_000],
            words: Words { title: "Dispatch latency by rate", x: "tasks per second", y: "milliseconds" },
            lines: &[
                ("yardmaster p50", "dispatch.ms.p50"),
                ("yardmaster p99", "dispatch.ms.p99"),
                ("raw echo p50", "dispatch.raw_ms.p50"),
                ("raw echo p99", "dispatch.raw_ms.p99"),
            ],
        }),
    ),
];
