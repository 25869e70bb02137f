//! What a worker runs: the trait that a program implements to be one, and what passes through it.

use std::collections::BTreeMap;
use std::time::Duration;

use yardmaster_topologies::id::{Attempt, JobId, Pool, TaskId, Token, WorkerName};
use yardmaster_topologies::task::{ContentRef, Json, Report};

use super::control::Control;

/// Runs attempts. One call per attempt, each on a thread of its own, at most as many at once as the worker has slots.
pub trait Handler: Send + Sync {
    /// Runs one attempt to its end. Look at `control` now and then, or wait on it: it says when to stop.
    fn run(&self, assignment: Assignment, control: &Control) -> Finish;
}

impl<F: Fn(Assignment, &Control) -> Finish + Send + Sync> Handler for F {
    fn run(&self, assignment: Assignment, control: &Control) -> Finish {
        self(assignment, control)
    }
}

/// One attempt of a task, as it was given to this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The pool of the registration.
    pub pool: Pool,
    /// This worker.
    pub worker: WorkerName,
    /// The task.
    pub task: TaskId,
    /// Which try.
    pub attempt: Attempt,
    /// The fencing token: hand it to whatever the work writes to.
    pub token: Token,
    /// The job of the task.
    pub job: Option<JobId>,
    /// Program and arguments; empty where the worker knows what to do.
    pub command: Vec<String>,
    /// Added to the program's environment.
    pub env: BTreeMap<String, String>,
    /// The program's working directory.
    pub cwd: Option<String>,
    /// What the submitter gave.
    pub payload: Option<Json>,
    /// Instead of a payload that is too large to be carried.
    pub payload_ref: Option<ContentRef>,
    /// Free labels of the task.
    pub tags: BTreeMap<String, String>,
    /// The longest time that it may run; `control` says when it is over.
    pub run_timeout: Option<Duration>,
    /// Bytes of a result that is carried.
    pub result_bytes_max: usize,
}

/// How an attempt ended, seen by the one who ran it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Completed,
    /// Badly: the task may be tried again.
    Failed,
    /// It was not begun; the task goes elsewhere. The report's message says why.
    Rejected,
    /// It was stopped because [`Control`] said so.
    Stopped,
}

/// The end of an attempt and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// How.
    pub end: End,
    /// What is known.
    pub report: Report,
}

impl Finish {
    /// It went well and this is its result.
    #[must_use]
    pub fn completed(result: Option<Json>) -> Self {
        Self { end: End::Completed, report: Report { result, ..Report::default() } }
    }

    /// It went wrong: the kind of failure in one word, and a line for a person.
    #[must_use]
    pub fn failed(kind: &str, message: impl Into<String>) -> Self {
        let report = Report {
            error_kind: Some(kind.to_owned()),
            error_message: Some(message.into()),
            ..Report::default()
        };
        Self { end: End::Failed, report }
    }

    /// It can't be run here.
    #[must_use]
    pub fn rejected(message: impl Into<String>) -> Self {
        Self {
            end: End::Rejected,
            report: Report { error_message: Some(message.into()), ..Report::default() },
        }
    }

    /// It was stopped as asked.
    #[must_use]
    pub fn stopped() -> Self {
        Self { end: End::Stopped, report: Report::default() }
    }
}
