//! Names and numbers as types of their own, so that a job can't be passed where a task is meant.
//!
//! Names are checked where they enter (`parse`); once one exists it is valid. They are cheap to clone.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a name was refused: says which kind, what is allowed, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{found}` is not valid: allowed are 1 to {limit} characters of {allowed}")]
pub struct BadName {
    /// The kind of name, as the wire's field is called.
    pub kind: &'static str,
    /// What was found, cut to 80 characters.
    pub found: String,
    /// The longest allowed, in bytes.
    pub limit: usize,
    /// The allowed characters in words.
    pub allowed: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $limit:literal, $allowed:literal, $extra:pat) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a name that came from outside.
            ///
            /// # Errors
            /// [`BadName`] when it is empty, too long, or has a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                let fits = !text.is_empty()
                    && text.len() <= $limit
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, $extra));
                if fits {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(BadName {
                        kind: $kind,
                        found: text.chars().take(80).collect(),
                        limit: $limit,
                        allowed: $allowed,
                    })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A name that was checked when it was written, read back from a key.
            #[must_use]
            pub fn trusted(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A whole grid: workers and tasks that are matched with each other; the partition key.
    Pool, "pool", 64, "A-Z a-z 0-9 -", b'-'
);
name!(
    /// A named line inside a pool.
    QueueName, "queue", 64, "A-Z a-z 0-9 - .", b'-' | b'.'
);
name!(
    /// A worker, unique inside its pool.
    WorkerName, "worker", 64, "A-Z a-z 0-9 - .", b'-' | b'.'
);
name!(
    /// A task, unique inside its pool.
    TaskId, "id", 128, "A-Z a-z 0-9 . _ : / -", b'.' | b'_' | b':' | b'/' | b'-'
);
name!(
    /// Tasks that belong together, unique inside its pool.
    JobId, "job", 128, "A-Z a-z 0-9 . _ : / -", b'.' | b'_' | b':' | b'/' | b'-'
);
name!(
    /// One life of a worker process; opaque, the last one whose hello was logged wins.
    Incarnation, "incarnation", 64, "A-Z a-z 0-9 . _ : -", b'.' | b'_' | b':' | b'-'
);
name!(
    /// What a client calls its own request, echoed in every answer to it.
    RequestId, "request_id", 128, "A-Z a-z 0-9 . _ : / -", b'.' | b'_' | b':' | b'/' | b'-'
);
name!(
    /// The fencing token of one attempt; opaque to workers.
    Token, "token", 64, "A-Z a-z 0-9", b'0'
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The 1-based n-th execution of a task; 0 means none yet. Grows for the life of the id, also over requeues.
    Attempt(u32)
);
number!(
    /// How often the task was requeued by an operator.
    Generation(u32)
);
number!(
    /// Higher is sooner.
    Priority(i32)
);
number!(
    /// The place of a message in what one incarnation of a worker was sent: 1 is the welcome.
    MessageSeq(u64)
);
number!(
    /// The place of a task among its equals: lower is sooner, requeues at the front count down.
    ReadySeq(i64)
);
