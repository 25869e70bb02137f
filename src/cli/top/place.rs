//! Where one can be: screens, their tabs, and what has to be asked for each.

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// All pools.
    Grid,
    /// One pool.
    Pool { pool: String },
    /// Some tasks of a pool.
    Tasks { pool: String, of: Of },
    /// One task.
    Task { pool: String, id: String },
}

/// Whose tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// Of a queue.
    Queue(String),
    /// Of a job.
    Job(String),
    /// With a worker, or had by it.
    Worker(String),
}

impl Of {
    /// The name of the filter and its value.
    pub(super) fn pair(&self) -> (&'static str, &str) {
        match self {
            Self::Queue(name) => ("queue", name),
            Self::Job(name) => ("job", name),
            Self::Worker(name) => ("worker", name),
        }
    }
}

/// A list of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// Pools.
    Pools,
    /// Processors.
    Processors,
    /// Queues of a pool.
    Queues,
    /// Jobs of a pool.
    Jobs,
    /// Workers of a pool.
    Workers,
    /// Tasks.
    Tasks,
    /// What happened to a task.
    Timeline,
}

impl Tab {
    /// Its name on the screen.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pools => "Pools",
            Self::Processors => "Processors",
            Self::Queues => "Queues",
            Self::Jobs => "Jobs",
            Self::Workers => "Workers",
            Self::Tasks => "Tasks",
            Self::Timeline => "Timeline",
        }
    }

    /// Which states can be asked for alone: what is shown, and what the server is asked.
    pub(super) fn choices(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Jobs => &[("all", ""), ("active", "ACTIVE"), ("done", "DONE")],
            Self::Tasks => &[
                ("all", ""),
                ("waiting", "BLOCKED,SCHEDULED,QUEUED,HELD"),
                ("running", "ASSIGNED,RUNNING,CANCELLING"),
                ("failed", "FAILED,EXPIRED,ABORTED"),
                ("cancelled", "CANCELLED"),
                ("completed", "COMPLETED"),
            ],
            Self::Pools | Self::Processors | Self::Queues | Self::Workers | Self::Timeline => &[("all", "")],
        }
    }
}

impl Place {
    /// Its lists, the first one first.
    pub(super) fn tabs(&self) -> &'static [Tab] {
        match self {
            Self::Grid => &[Tab::Pools, Tab::Processors],
            Self::Pool { .. } => &[Tab::Queues, Tab::Jobs, Tab::Workers, Tab::Tasks],
            Self::Tasks { .. } => &[Tab::Tasks],
            Self::Task { .. } => &[Tab::Timeline],
        }
    }

    /// The pool that it lies in.
    pub(super) fn pool(&self) -> Option<&str> {
        match self {
            Self::Grid => None,
            Self::Pool { pool } | Self::Tasks { pool, .. } | Self::Task { pool, .. } => Some(pool),
        }
    }

    /// The queue, job or worker whose tasks it shows.
    pub(super) fn of(&self) -> &str {
        match self {
            Self::Tasks { of, .. } => of.pair().1,
            Self::Grid | Self::Pool { .. } | Self::Task { .. } => "",
        }
    }

    /// Its name in the line at the top.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Grid => "grid".to_owned(),
            Self::Pool { pool } => pool.clone(),
            Self::Tasks { of, .. } => {
                let (kind, name) = of.pair();
                format!("{kind} {name}")
            }
            Self::Task { id, .. } => id.clone(),
        }
    }
}

/// What has to be asked for what is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) tab: Tab,
    /// Only in these states; empty for all.
    pub(super) states: &'static str,
    /// Rows, at most.
    pub(super) limit: usize,
}
