//! What goes into `apply`: asked-for commands, status that happened, and the processor's own logged events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yardmaster_state::StateError;

use crate::id::{Attempt, Incarnation, JobId, MessageSeq, Pool, RequestId, TaskId, Token, WorkerName};
use crate::settings::Settings;
use crate::task::{Json, Report, TaskSpec};

/// Asked for by a submitter or an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The pool whose partition decides it.
    pub pool: Pool,
    /// Echoed in the `refused` event and in what the command caused.
    pub request_id: Option<RequestId>,
    /// What to do.
    pub action: Action,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take one or several tasks; each is accepted or refused by itself.
    Submit {
        /// In the order given.
        tasks: Vec<TaskSpec>,
    },
    /// End a task.
    CancelTask {
        /// Which.
        id: TaskId,
        /// Why, for people.
        note: String,
    },
    /// End every task of a job, present and future.
    CancelJob {
        /// Which.
        job: JobId,
        /// Why, for people.
        note: String,
    },
    /// Run a terminal task again. Whoever asks fills in the whole spec: `apply` never reads history.
    Requeue {
        /// The task as it ran.
        task: Box<TaskSpec>,
    },
    /// Give a worker nothing new.
    Drain {
        /// Which.
        worker: WorkerName,
    },
    /// Give it work again.
    Undrain {
        /// Which.
        worker: WorkerName,
    },
}

/// An attempt as a worker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRef {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: Attempt,
    /// Its token, as it came in the assignment.
    pub token: Token,
}

/// Said by a worker about itself or an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The pool of the registration.
    pub pool: Pool,
    /// Who.
    pub worker: WorkerName,
    /// Which life.
    pub incarnation: Incarnation,
    /// What happened.
    pub kind: StatusKind,
}

/// What a worker can say. A `batch` is flattened before it gets here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusKind {
    /// I am here.
    Hello {
        /// Protocol versions that it speaks.
        protocols: Vec<u32>,
        /// How many attempts it may have open.
        slots: u32,
        /// Free words.
        labels: BTreeMap<String, String>,
        /// What it still runs from before.
        running: Vec<AttemptRef>,
    },
    /// I am still here.
    Heartbeat {
        /// The last message read.
        read_seq: MessageSeq,
        /// Free slots by its own count.
        free_slots: u32,
        /// It wants nothing new.
        draining: bool,
        /// Everything that it runs.
        running: Vec<AttemptRef>,
    },
    /// The program runs.
    Started {
        /// Which.
        attempt: AttemptRef,
    },
    /// A note on the way.
    Progress {
        /// Which.
        attempt: AttemptRef,
        /// Any JSON up to 1 KiB.
        note: Option<Json>,
    },
    /// Ended well.
    Completed {
        /// Which.
        attempt: AttemptRef,
        /// What it says.
        report: Report,
    },
    /// Ended badly.
    Failed {
        /// Which.
        attempt: AttemptRef,
        /// What it says.
        report: Report,
    },
    /// Not taken.
    Rejected {
        /// Which.
        attempt: AttemptRef,
        /// Why, for people.
        message: String,
    },
    /// Stopped as asked.
    Cancelled {
        /// Which.
        attempt: AttemptRef,
        /// What it says.
        report: Report,
    },
    /// I leave; everything that I had is over.
    Goodbye,
}

/// The processor's own events. They are logged in the batch record, so that a replay sees the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Local {
    /// What `apply` reads from the configuration, at the first batch and after each change.
    Configured(Box<Settings>),
    /// A worker's channel exists.
    ChannelReady {
        /// Its pool.
        pool: Pool,
        /// Whose.
        worker: WorkerName,
    },
    /// A worker's channel is gone.
    ChannelLost {
        /// Its pool.
        pool: Pool,
        /// Whose.
        worker: WorkerName,
    },
    /// A topic for replies exists.
    ReplyReady {
        /// Its name.
        topic: String,
    },
    /// A topic for replies is gone.
    ReplyLost {
        /// Its name.
        topic: String,
    },
    /// A person has accepted that records of an input are gone: positions go on behind them. Changes no row; it stands in the
    /// log to explain the gap.
    DataLossAccepted {
        /// The input's topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// The first offset that is lost.
        from: i64,
        /// The offset after the last one.
        to: i64,
        /// The instance that was started with it.
        by: String,
    },
}

impl Local {
    /// Whether it has to be logged, though it changes no row: a batch is made for it alone.
    #[must_use]
    pub fn is_audit(&self) -> bool {
        match self {
            Self::DataLossAccepted { .. } => true,
            Self::Configured(_)
            | Self::ChannelReady { .. }
            | Self::ChannelLost { .. }
            | Self::ReplyReady { .. }
            | Self::ReplyLost { .. } => false,
        }
    }
}

/// The version byte of local events in a batch record.
const LOCAL_VERSION: u8 = 1;

/// Local events as a batch record holds them; nothing when there were none.
#[must_use]
pub fn encode_local(local: &[Local]) -> Vec<u8> {
    if local.is_empty() { Vec::new() } else { yardmaster_state::encode(LOCAL_VERSION, &local.to_vec()) }
}

/// As [`encode_local`] for a topic that many may read: with zeros where the secret of the tokens stands.
#[must_use]
pub fn encode_local_blanked(local: &[Local]) -> Vec<u8> {
    let blank = |event: &Local| match event {
        Local::Configured(settings) => {
            Local::Configured(Box::new(Settings { secret: [0; 32], ..settings.as_ref().clone() }))
        }
        Local::ChannelReady { .. }
        | Local::ChannelLost { .. }
        | Local::ReplyReady { .. }
        | Local::ReplyLost { .. }
        | Local::DataLossAccepted { .. } => event.clone(),
    };
    encode_local(&local.iter().map(blank).collect::<Vec<_>>())
}

/// The local events in these bytes.
///
/// # Errors
/// As [`yardmaster_state::decode`].
pub fn decode_local(bytes: &[u8]) -> Result<Vec<Local>, StateError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    yardmaster_state::decode(LOCAL_VERSION, bytes).map(|(_, local)| local)
}
