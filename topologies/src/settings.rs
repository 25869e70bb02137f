//! What `apply` reads from the configuration. It enters as a logged local event, so a replay sees the same values.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The settings of a whole namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Keys the fencing tokens; random, made once per partition. Never shown.
    pub secret: [u8; 32],
    /// How often workers are asked to report.
    pub heartbeat: Millis,
    /// How long a worker may be silent.
    pub lease: Millis,
    /// How long a program may take to end after SIGTERM; a CANCELLING attempt is closed after twice this at the latest.
    pub grace: Millis,
    /// How long a done marker is kept.
    pub dedup: Millis,
    /// How long the history of completed tasks is kept.
    pub history_completed: Millis,
    /// How long the history of other terminal tasks is kept.
    pub history_failed: Millis,
    /// How long the row of a DONE job is kept.
    pub job_kept: Millis,
    /// How long the channel of a worker that left is kept.
    pub channel_kept: Millis,
    /// Default for tasks that don't say.
    pub max_failures: u32,
    /// Default for tasks that don't say.
    pub max_losses: u32,
    /// The first wait after a failure.
    pub backoff: Millis,
    /// The longest wait after a failure.
    pub backoff_max: Millis,
    /// The prefixes that `reply_to` may have.
    pub reply_prefixes: Vec<String>,
    /// The limits that are checked inside `apply`.
    pub limits: Limits,
}

/// Limits with their defaults; each is named in the error that it causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a payload that is carried inline: 64 KiB.
    pub payload_bytes_max: u32,
    /// Bytes of a result that is carried inline: 16 KiB.
    pub result_bytes_max: u32,
    /// Tags of one task: 16.
    pub tags_max: u32,
    /// Tasks in one `submit_many`: 1,000.
    pub submit_many_max: u32,
    /// Distinct queue names of one pool: 1,000.
    pub queues_max: u32,
    /// Registered workers of one pool: 20,000.
    pub workers_max: u32,
    /// Slots of one worker: 4,096.
    pub slots_max: u32,
    /// Timers that fire in one tick: 1,000.
    pub timers_per_tick_max: u32,
    /// Tasks that a job's cancel closes in one tick: 1,000.
    pub sweep_per_tick_max: u32,
    /// Assignments in one batch: 5,000.
    pub grants_per_batch_max: u32,
    /// Attempts that are closed as lost in one batch, give or take those of one worker: 5,000. The others have to wait.
    pub losses_per_tick_max: u32,
    /// Done markers that are forgotten in one batch: 20,000, as many as records are taken. So many windows of forgotten
    /// queues, too, give or take those of one queue.
    pub forgotten_per_tick_max: u32,
}
