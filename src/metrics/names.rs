//! Every metric's name and meaning: `yardmaster_<noun>_<unit>[_total]`.

/// Committed batches.
pub(super) const BATCHES: (&str, &str) = ("yardmaster_batches_total", "Committed batches");
/// Taken records.
pub(super) const TAKEN: (&str, &str) =
    ("yardmaster_records_taken_total", "Records taken from tasks and status");
/// Produced records.
pub(super) const PRODUCED: (&str, &str) =
    ("yardmaster_records_produced_total", "Records produced inside transactions");
/// Produced bytes.
pub(super) const PRODUCED_BYTES: (&str, &str) =
    ("yardmaster_produced_bytes_total", "Keys and values produced inside transactions, before compression");
/// Time of a batch.
pub(super) const COMMIT_SECONDS: (&str, &str) =
    ("yardmaster_batch_seconds", "Time from deciding a batch to its release");
/// Where a processor's time goes.
pub(super) const PHASE_SECONDS: (&str, &str) =
    ("yardmaster_batch_phase_seconds_total", "Time spent in each phase of committed batches");
/// Time from a task's submission to its first assignment, told when it has ended.
pub(super) const DISPATCH_SECONDS: (&str, &str) = (
    "yardmaster_dispatch_seconds",
    "Time from the submission of a task to its first assignment, observed when the task has ended",
);
/// How far behind a processor reads.
pub(super) const INPUT_AGE: (&str, &str) =
    ("yardmaster_input_age_seconds", "Age of the newest status record when it was taken");
/// Effects.
pub(super) const EFFECTS: (&str, &str) = ("yardmaster_effects_total", "Effects by kind");
/// No-ops.
pub(super) const COUNTED: (&str, &str) =
    ("yardmaster_noops_total", "Records that changed nothing: fenced, duplicate, illegal, repeated");
/// Closed attempts.
pub(super) const ATTEMPTS: (&str, &str) = ("yardmaster_attempts_closed_total", "Closed attempts by outcome");
/// Ended tasks.
pub(super) const ENDED: (&str, &str) = ("yardmaster_tasks_ended_total", "Tasks that became terminal");
/// Refused commands.
pub(super) const REFUSED: (&str, &str) = ("yardmaster_commands_refused_total", "Refused commands by reason");
/// Dead letters.
pub(super) const DEAD_LETTERS: (&str, &str) =
    ("yardmaster_dead_letters_total", "Records that could not be read, by reason");
/// Rerouted records.
pub(super) const REROUTED: (&str, &str) =
    ("yardmaster_records_rerouted_total", "Records sent on to the partition of their pool");
/// Recoveries.
pub(super) const RECOVERIES: (&str, &str) =
    ("yardmaster_recoveries_total", "Sessions of processors that began anew after a doubt");
/// Restored records.
pub(super) const RESTORED: (&str, &str) =
    ("yardmaster_restored_records", "Changelog records that the last restore read");
/// Tasks by state.
pub(super) const TASKS: (&str, &str) =
    ("yardmaster_tasks", "Tasks by pool and state, terminal ones included");
/// Workers by state.
pub(super) const WORKERS: (&str, &str) = ("yardmaster_workers", "Registered workers by pool and state");
