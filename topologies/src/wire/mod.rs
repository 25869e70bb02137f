//! JSON on the topics, both ways: the only place that knows its field names. `docs/protocol.md` describes it for others.
//!
//! **Invariant:** what comes in is checked here; a domain value that exists keeps the limits of the protocol.
//! **Invariant:** no input makes it panic, recurse without bound, or look at more than [`RECORD_BYTES_MAX`] bytes,
//! or [`OUTPUT_BYTES_MAX`] of what a server wrote.

mod batch_log;
mod command_read;
mod command_write;
mod error;
mod event;
mod event_read;
mod event_write;
mod hash;
mod json;
mod limits;
mod names;
mod object;
mod report_read;
mod spec_read;
mod status_read;
mod status_write;
mod to_worker;
mod to_worker_json;

#[cfg(test)]
mod tests;

pub use batch_log::BatchLog;
pub use command_read::decode_command;
pub use command_write::encode_command;
pub use error::{BadReason, Refusal, RefusedReason, Undecodable};
pub use event::{Event, InputRange, WorkerFact};
pub use event_read::decode_event;
pub use event_write::encode_event;
pub use hash::{counted_hash, request_hash, spec_hash};
pub use json::{AttemptRefJson, ClosedAttemptJson, ContentRefJson, RawJson, ReportJson, SpecJson};
pub use limits::{
    COMMAND_ARGS_MAX, DEPTH_MAX, Defaults, ENV_BYTES_MAX, LABELS_MAX, NOTE_BYTES_MAX, OUTPUT_BYTES_MAX,
    OUTPUT_DEPTH_MAX, PATH_BYTES_MAX, PROGRESS_BYTES_MAX, RECORD_BYTES_MAX, REFUSAL_BYTES_MAX,
    TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAIL_BYTES_MAX, TASK_BYTES_MAX, TRIES_MAX, WAIT_MS_MAX,
};
pub use names::{outcome_from_name, reason_from_name};
pub use status_read::decode_status;
pub use status_write::{encode_status, encode_status_batch};
pub use to_worker::{Address, ToWorker, Work};
pub use to_worker_json::{decode_to_worker, encode_to_worker};
