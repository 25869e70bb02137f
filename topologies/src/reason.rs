//! Why something happened to a task, an attempt or a worker.

use serde::{Deserialize, Serialize};

/// Why something happened: a closed set, so that it can be a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A person or program submitted it.
    Submitted,
    /// An operator ran it again.
    Requeued,
    /// The worker said that it is done.
    Completed,
    /// The program ended with an error.
    Failed,
    /// It ran longer than `run_timeout_ms`.
    RunTimeout,
    /// The worker's lease ran out.
    LeaseExpired,
    /// The worker read the assignment, but neither lists nor reported it.
    Forgotten,
    /// A newer incarnation of the worker did not list it.
    Replaced,
    /// The worker said goodbye.
    Goodbye,
    /// The worker said goodbye after it was drained: never counted as a loss.
    Drained,
    /// The worker's channel went away.
    ChannelLost,
    /// The worker did not take it.
    Rejected,
    /// A cancel of the task.
    TaskCancelled,
    /// A cancel of its job.
    JobCancelled,
    /// It waited longer than `queue_ttl_ms`.
    QueueTtl,
    /// Waiting for the next try.
    Backoff,
}

impl Reason {
    /// The name on the wire and in metrics: `lease_expired`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Requeued => "requeued",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::RunTimeout => "run_timeout",
            Self::LeaseExpired => "lease_expired",
            Self::Forgotten => "forgotten",
            Self::Replaced => "replaced",
            Self::Goodbye => "goodbye",
            Self::Drained => "drained",
            Self::ChannelLost => "channel_lost",
            Self::Rejected => "rejected",
            Self::TaskCancelled => "task_cancelled",
            Self::JobCancelled => "job_cancelled",
            Self::QueueTtl => "queue_ttl",
            Self::Backoff => "backoff",
        }
    }
}
