//! The state of each task as the events tell it, and how many there are of each.

use std::collections::BTreeMap;

use crate::event::{Event, Name};

/// Numbers by state; none is zero.
pub(crate) type Counts = BTreeMap<String, u64>;

#[derive(Debug, Default)]
struct Task {
    state: String,
    job: Option<String>,
    queue: String,
}

/// All tasks of a run.
#[derive(Debug, Default)]
pub(crate) struct States(BTreeMap<Name, Task>);

/// The end of all events.
pub(crate) fn fold(events: &[Event<'_>]) -> States {
    let mut tasks: BTreeMap<Name, Task> = BTreeMap::new();
    for event in events {
        let state = match event.text("type") {
            "accepted" if event.json.get("repeated") == Some(&true.into()) => continue,
            "accepted" | "ended" | "state" => event.text("state"),
            "assigned" => "ASSIGNED",
            "started" => "RUNNING",
            "attempt_closed" => event.text("next"),
            _ => continue,
        };
        let task = tasks.entry(event.name()).or_default();
        // A start that is told after the order to stop changes nothing.
        if event.text("type") != "started" || task.state == "ASSIGNED" {
            task.state = state.to_owned();
        }
        if event.text("type") == "accepted" {
            task.job = event.json.get("job").and_then(|job| job.as_str()).map(str::to_owned);
            event.text("queue").clone_into(&mut task.queue);
        }
    }
    States(tasks)
}

impl States {
    /// The state of a task; none if it was never accepted.
    pub(crate) fn of(&self, pool: &str, id: &str) -> Option<&str> {
        self.0.get(&(pool.to_owned(), id.to_owned())).map(|task| task.state.as_str())
    }

    /// How many tasks of a pool are in each state.
    pub(crate) fn in_pool(&self, pool: &str) -> Counts {
        self.count(pool, |_| true)
    }

    /// The same, of a job.
    pub(crate) fn in_job(&self, pool: &str, job: &str) -> Counts {
        self.count(pool, |task| task.job.as_deref() == Some(job))
    }

    /// The same, of a queue.
    pub(crate) fn in_queue(&self, pool: &str, queue: &str) -> Counts {
        self.count(pool, |task| task.queue == queue)
    }

    fn count(&self, pool: &str, is_wanted: impl Fn(&Task) -> bool) -> Counts {
        let mut counts = Counts::new();
        for (_, task) in self.0.iter().filter(|((of, _), task)| of == pool && is_wanted(task)) {
            *counts.entry(task.state.clone()).or_default() += 1;
        }
        counts
    }
}
