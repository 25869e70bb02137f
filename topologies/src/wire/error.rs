//! Why a record was not taken: either it becomes a dead letter, or a `refused` event.

use crate::id::{JobId, Pool, RequestId, TaskId, WorkerName};
use crate::time::WallMs;
use crate::wire::Event;
use crate::wire::limits::REFUSAL_BYTES_MAX;
use crate::wire::object::first_bytes;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire and in metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What a word on the wire means.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.name() == name)
            }
        }
    };
}

words!(
    /// Why a record is a dead letter: a closed set, so that it can be a header and a metric's label.
    BadReason {
        /// The record has no value.
        NullValue = "null_value",
        /// Longer than [`RECORD_BYTES_MAX`](crate::wire::RECORD_BYTES_MAX).
        TooLarge = "too_large",
        /// Not UTF-8.
        NotUtf8 = "not_utf8",
        /// Nested deeper than [`DEPTH_MAX`](crate::wire::DEPTH_MAX).
        TooDeep = "too_deep",
        /// Not one JSON text.
        NotJson = "not_json",
        /// JSON, but not an object.
        NotAnObject = "not_an_object",
        /// A key stands twice in an object, so that clients could disagree about what it says.
        DuplicateKey = "duplicate_key",
        /// No `v`.
        NoVersion = "no_version",
        /// A `v` that this server does not speak.
        UnknownVersion = "unknown_version",
        /// No `type`, or one that is not a string.
        NoType = "no_type",
        /// A `type` that this topic does not have.
        UnknownType = "unknown_type",
        /// No `pool`.
        NoPool = "no_pool",
        /// A `pool` that is not a valid name.
        BadPool = "bad_pool",
        /// A field is missing or has a wrong value; the detail names it.
        BadField = "bad_field",
        /// Rerouted once already and on the wrong partition again.
        Misrouted = "misrouted",
    }
);

words!(
    /// Why a command was refused: a closed set, so that clients can react to it.
    RefusedReason {
        /// The id is taken by a task with another spec.
        Conflict = "conflict",
        /// No task of that id is known.
        UnknownTask = "unknown_task",
        /// Only a terminal task can be requeued.
        NotTerminal = "not_terminal",
        /// Nothing can be done to a task that has ended.
        AlreadyTerminal = "already_terminal",
        /// No worker of that name is registered.
        UnknownWorker = "unknown_worker",
        /// No task of that job is known.
        UnknownJob = "unknown_job",
        /// The job was cancelled, so it takes no more tasks.
        JobCancelled = "job_cancelled",
        /// A limit of the configuration; the detail names it.
        Limit = "limit",
        /// `reply_to` has no allowed prefix, or the topic does not exist.
        ReplyTopicUnknown = "reply_topic_unknown",
        /// A command type that this version does not support yet.
        UnsupportedType = "unsupported_type",
        /// A field that this version does not support yet.
        UnsupportedField = "unsupported_field",
        /// A command type that is not known.
        UnknownType = "unknown_type",
        /// A field that is not known.
        UnknownField = "unknown_field",
        /// A field that must be there is not.
        Missing = "missing",
        /// A field has the wrong type or is out of its range.
        Invalid = "invalid",
        /// A key stands twice in one object.
        DuplicateKey = "duplicate_key",
        /// Two tasks of one `submit_many` have the same id.
        DuplicateInBatch = "duplicate_in_batch",
    }
);

/// What was refused and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The command's type: `submit`.
    pub action: String,
    /// The task, if the command named one.
    pub id: Option<TaskId>,
    /// The job, if the command named one.
    pub job: Option<JobId>,
    /// The worker, if the command named one.
    pub worker: Option<WorkerName>,
    /// Why.
    pub reason: RefusedReason,
    /// The field that is at fault, as a path: `tasks[3].retry.max_failures`.
    pub field: Option<String>,
    /// One sentence for a person.
    pub detail: String,
}

impl Refusal {
    /// The `refused` event that answers the command.
    #[must_use]
    pub fn into_event(self, pool: Pool, request_id: Option<RequestId>, at: WallMs) -> Event {
        Event::Refused {
            pool,
            request_id,
            id: self.id,
            job: self.job,
            worker: self.worker,
            action: self.action,
            reason: self.reason,
            field: self.field,
            detail: self.detail,
            at,
        }
    }
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Becomes a dead letter.
    #[error("{}: {detail}", .reason.name())]
    Bad {
        /// Why.
        reason: BadReason,
        /// One sentence for a person.
        detail: String,
    },
    /// Becomes a `refused` event: version and pool are good, so the sender can be answered.
    #[error("{}: {}", .refusal.reason.name(), .refusal.detail)]
    Refused {
        /// Where the answer goes.
        pool: Pool,
        /// The sender's own name of the request.
        request_id: Option<RequestId>,
        /// What and why.
        refusal: Box<Refusal>,
    },
}

impl Undecodable {
    /// A dead letter.
    pub(crate) fn bad(reason: BadReason, detail: impl Into<String>) -> Self {
        Self::Bad { reason, detail: detail.into() }
    }
}

/// One field that is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// As a path.
    pub(crate) field: String,
    /// Why.
    pub(crate) reason: RefusedReason,
    /// One sentence for a person.
    pub(crate) detail: String,
}

impl Fault {
    /// The usual one: wrong type or out of range.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self::new(field, RefusedReason::Invalid, detail)
    }

    /// A limit, named in the detail.
    pub(crate) fn limit(field: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self::new(field, RefusedReason::Limit, detail)
    }

    /// Any reason; the sentence starts with the field's name.
    pub(crate) fn new(
        field: impl Into<String>,
        reason: RefusedReason,
        detail: impl std::fmt::Display,
    ) -> Self {
        // What was sent may stand in both: a name of any length must not make an answer that can't be sent.
        let field = first_bytes(&field.into(), REFUSAL_BYTES_MAX).to_owned();
        let detail = format!("`{field}` {detail}");
        Self { reason, detail: first_bytes(&detail, 2 * REFUSAL_BYTES_MAX).to_owned(), field }
    }
}
