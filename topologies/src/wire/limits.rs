//! The wire's own limits, and what a command gets that does not say.

use crate::settings::{Limits, Settings};
use crate::task::{Retry, RetryGiven};
use crate::time::Millis;

/// The longest record that is looked at, in bytes: 900 KiB.
pub const RECORD_BYTES_MAX: usize = 900 * 1024;
/// The longest record that the server writes for others, in bytes: 2 MiB. It is more than what comes in, since an `ended`
/// event holds a whole task and its attempts.
pub const OUTPUT_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// Bytes of one task as it is submitted: 512 KiB. So its `assign` and its `ended` event always fit.
pub const TASK_BYTES_MAX: usize = 512 * 1_024;
/// The deepest nesting that is looked at, payloads included.
pub const DEPTH_MAX: usize = 100;
/// The deepest nesting of what the server writes: payloads and results lie deeper there than where they came in.
pub const OUTPUT_DEPTH_MAX: usize = DEPTH_MAX + 8;
/// Bytes of the `field` of a refusal; its `detail` may have twice as many.
pub const REFUSAL_BYTES_MAX: usize = 1_024;
/// The longest `run_timeout_ms`, `queue_ttl_ms`, `backoff_ms` and `backoff_max_ms`: 30 days.
pub const WAIT_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// The largest `max_failures` and `max_losses`.
pub const TRIES_MAX: u32 = 1_000;
/// The most words of a `command`.
pub const COMMAND_ARGS_MAX: usize = 1_000;
/// Bytes of all names and values of `env` together: 64 KiB.
pub const ENV_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a `cwd` or a path of a `uri`.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Bytes of a tag's or label's name.
pub const TAG_NAME_BYTES_MAX: usize = 64;
/// Bytes of a tag's or label's value.
pub const TAG_VALUE_BYTES_MAX: usize = 128;
/// Labels of one worker.
pub const LABELS_MAX: usize = 64;
/// Bytes of a cancel's `reason` and of a rejection's or an error's `message`.
pub const NOTE_BYTES_MAX: usize = 1_024;
/// Bytes of a progress `note`.
pub const PROGRESS_BYTES_MAX: usize = 1_024;
/// Bytes of `stdout_tail` and of `stderr_tail`.
pub const TAIL_BYTES_MAX: usize = 4_096;

/// What decoding needs from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// For tasks that don't say.
    pub retry: Retry,
    /// The limits that are checked while decoding.
    pub limits: Limits,
}

impl From<&Settings> for Defaults {
    fn from(settings: &Settings) -> Self {
        Self {
            retry: Retry {
                max_failures: settings.max_failures,
                max_losses: settings.max_losses,
                backoff: settings.backoff,
                backoff_max: settings.backoff_max,
                given: RetryGiven::default(),
            },
            limits: settings.limits.clone(),
        }
    }
}

/// The built-in values, for programs that have no configuration of a server.
impl Default for Defaults {
    fn default() -> Self {
        Self {
            retry: Retry {
                max_failures: 1,
                max_losses: 10,
                backoff: Millis(1_000),
                backoff_max: Millis(300_000),
                given: RetryGiven::default(),
            },
            limits: Limits {
                payload_bytes_max: 64 * 1024,
                result_bytes_max: 16 * 1024,
                tags_max: 16,
                submit_many_max: 1_000,
                queues_max: 1_000,
                workers_max: 20_000,
                slots_max: 4_096,
                timers_per_tick_max: 1_000,
                sweep_per_tick_max: 1_000,
                grants_per_batch_max: 5_000,
                losses_per_tick_max: 5_000,
                forgotten_per_tick_max: 20_000,
            },
        }
    }
}
