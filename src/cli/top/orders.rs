//! What can be changed from here: each order is asked about before it is sent.

use super::super::client::encode;

/// Something that a person wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) kind: Kind,
    pub(super) pool: String,
    /// Of the task, job or worker.
    pub(super) name: String,
    /// How it stood when the question was asked.
    pub(super) state: String,
}

/// The kinds of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// End a task.
    CancelTask,
    /// End all tasks of a job.
    CancelJob,
    /// Run an ended task again.
    Requeue,
    /// Give a worker nothing new.
    Drain,
    /// Give it work again.
    Undrain,
}

impl Order {
    /// Where it is sent; the answer comes when it was applied, or soon.
    pub(super) fn path(&self) -> String {
        let (list, verb) = match self.kind {
            Kind::CancelTask => ("tasks", "cancel"),
            Kind::CancelJob => ("jobs", "cancel"),
            Kind::Requeue => ("tasks", "requeue"),
            Kind::Drain => ("workers", "drain"),
            Kind::Undrain => ("workers", "undrain"),
        };
        let (pool, name) = (encode(&self.pool), encode(&self.name));
        format!("/v1/pools/{pool}/{list}/{name}/{verb}?wait=applied&wait_ms=3000")
    }

    /// In a few words: `cancel of task t-1`.
    pub(super) fn words(&self) -> String {
        let what = match self.kind {
            Kind::CancelTask => "cancel of task",
            Kind::CancelJob => "cancel of job",
            Kind::Requeue => "requeue of task",
            Kind::Drain => "drain of worker",
            Kind::Undrain => "undrain of worker",
        };
        format!("{what} {}", self.name)
    }

    /// The question.
    pub(super) fn question(&self) -> String {
        let what = match self.kind {
            Kind::CancelTask => "Cancel task",
            Kind::CancelJob => "Cancel job",
            Kind::Requeue => "Requeue task",
            Kind::Drain => "Drain worker",
            Kind::Undrain => "Give work again to worker",
        };
        format!("{what} {}?", self.name)
    }

    /// What will happen.
    pub(super) fn consequence(&self) -> &'static str {
        match self.kind {
            Kind::CancelTask => "It ends, also if it runs. It can be requeued later.",
            Kind::CancelJob => "Every task of it ends, and what is submitted to it later, too.",
            Kind::Requeue => "It runs again as it was submitted; its attempts are counted on.",
            Kind::Drain => "It finishes what it has and gets nothing new until `d` is pressed again.",
            Kind::Undrain => "It gets new tasks from now on.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_has_its_path() {
        let path = |kind| {
            let (pool, name, state) = ("p".to_owned(), "a/b".to_owned(), String::new());
            Order { kind, pool, name, state }.path()
        };
        assert_eq!(path(Kind::CancelTask), "/v1/pools/p/tasks/a%2Fb/cancel?wait=applied&wait_ms=3000");
        assert!(path(Kind::CancelJob).starts_with("/v1/pools/p/jobs/a%2Fb/cancel?"));
        assert!(path(Kind::Requeue).starts_with("/v1/pools/p/tasks/a%2Fb/requeue?"));
        assert!(path(Kind::Drain).starts_with("/v1/pools/p/workers/a%2Fb/drain?"));
        assert!(path(Kind::Undrain).starts_with("/v1/pools/p/workers/a%2Fb/undrain?"));
    }
}
