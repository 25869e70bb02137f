//! What the server says to a worker, on the worker's channel.

use std::collections::BTreeMap;

use crate::event::AttemptRef;
use crate::id::{Incarnation, JobId, MessageSeq, Pool, WorkerName};
use crate::task::{ContentRef, Json, Reason};
use crate::time::Millis;

/// Whom a message is for; on every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The pool of the registration.
    pub pool: Pool,
    /// Who.
    pub worker: WorkerName,
    /// Which life: a worker ignores what is for another one.
    pub incarnation: Incarnation,
    /// The place in what this incarnation was sent; 0 for an incarnation that the server does not know.
    pub seq: MessageSeq,
}

/// What a worker needs in order to run an attempt, besides the attempt's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// The job of the task.
    pub job: Option<JobId>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Added to the program's environment.
    pub env: BTreeMap<String, String>,
    /// The program's working directory.
    pub cwd: Option<String>,
    /// For stdin.
    pub payload: Option<Json>,
    /// Instead of a payload that is too large.
    pub payload_ref: Option<ContentRef>,
    /// Free labels of the task.
    pub tags: BTreeMap<String, String>,
    /// The longest time that it may run.
    pub run_timeout: Option<Millis>,
}

/// A message to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker {
    /// The answer to a hello: the first message of an incarnation.
    Welcome {
        /// Whom.
        to: Address,
        /// The protocol version that both speak.
        protocol: u32,
        /// How often to report.
        heartbeat: Millis,
        /// How long silence is forgiven.
        lease: Millis,
        /// The time between SIGTERM and SIGKILL.
        grace: Millis,
        /// Bytes of a result that is carried inline.
        result_bytes_max: u32,
        /// Attempts of the hello's list that the worker goes on with; the others it stops.
        adopt: Vec<AttemptRef>,
    },
    /// Run this.
    Assign {
        /// Whom.
        to: Address,
        /// Which attempt.
        attempt: AttemptRef,
        /// What to run.
        work: Box<Work>,
    },
    /// Stop this.
    Cancel {
        /// Whom.
        to: Address,
        /// Which attempt.
        attempt: AttemptRef,
        /// The time between SIGTERM and SIGKILL.
        grace: Millis,
        /// Why.
        reason: Reason,
    },
    /// You get nothing new.
    Drain {
        /// Whom.
        to: Address,
    },
    /// You get work again.
    Undrain {
        /// Whom.
        to: Address,
    },
    /// The server does not know you: say hello again.
    Rehello {
        /// Whom.
        to: Address,
    },
    /// A newer incarnation of you is here: stop everything.
    Replaced {
        /// Whom.
        to: Address,
    },
}

impl ToWorker {
    /// Whom it is for.
    #[must_use]
    pub fn to(&self) -> &Address {
        match self {
            Self::Welcome { to, .. }
            | Self::Assign { to, .. }
            | Self::Cancel { to, .. }
            | Self::Drain { to }
            | Self::Undrain { to }
            | Self::Rehello { to }
            | Self::Replaced { to } => to,
        }
    }

    /// The `type` on the wire.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Assign { .. } => "assign",
            Self::Cancel { .. } => "cancel",
            Self::Drain { .. } => "drain",
            Self::Undrain { .. } => "undrain",
            Self::Rehello { .. } => "rehello",
            Self::Replaced { .. } => "replaced",
        }
    }

    /// The record's key: `pool/worker`.
    #[must_use]
    pub fn key(&self) -> String {
        let to = self.to();
        format!("{}/{}", to.pool, to.worker)
    }
}
