//! What comes out of `apply`: everything that leaves the processor, as data. The names double as metric labels.

use crate::id::{Pool, WorkerName};

/// Something to do in the deciding transaction, or right after it (`Ensure*`, `Forget*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A message to a worker, onto its channel.
    Send {
        /// Its pool.
        pool: Pool,
        /// Whose channel.
        worker: WorkerName,
        /// The JSON record's value.
        message: crate::wire::ToWorker,
    },
    /// A record of what happened, onto `events`.
    Publish {
        /// The record.
        event: crate::wire::Event,
    },
    /// The terminal event once more, onto the topic that the task named.
    Reply {
        /// `reply_to` of the task; known to exist.
        topic: String,
        /// The record.
        event: crate::wire::Event,
    },
    /// A task that has FAILED, with its attempts, onto `dead-letter`.
    Bury {
        /// The record.
        event: crate::wire::Event,
    },
    /// After the commit: make sure that the worker's channel exists, then report `ChannelReady`.
    EnsureChannel {
        /// Its pool.
        pool: Pool,
        /// Whose.
        worker: WorkerName,
    },
    /// After the commit: the worker left long ago, its channel may be deleted.
    ForgetChannel {
        /// Its pool.
        pool: Pool,
        /// Whose.
        worker: WorkerName,
    },
    /// After the commit: look whether the reply topic exists, then report `ReplyReady`.
    EnsureReply {
        /// Its name; it has an allowed prefix.
        topic: String,
    },
    /// Count something that changed nothing: a fenced, stale or illegal status.
    Count {
        /// What kind of thing.
        what: Counted,
        /// The reason, from a closed set.
        reason: &'static str,
    },
}

/// What is only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A status about an attempt that is not the open one of that holder.
    Fenced,
    /// A status that says what is known already.
    Duplicate,
    /// An event that the state's table does not allow.
    Illegal,
    /// A submit or other command that was known already.
    Repeated,
    /// Something that comes again by itself: the batch has done as much of its kind as it may.
    Deferred,
    /// Something that could not be sent, since its topic is not known any more.
    Unsent,
}

impl Effect {
    /// The name of the kind: a metric label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Publish { .. } => "publish",
            Self::Reply { .. } => "reply",
            Self::Bury { .. } => "bury",
            Self::EnsureChannel { .. } => "ensure_channel",
            Self::ForgetChannel { .. } => "forget_channel",
            Self::EnsureReply { .. } => "ensure_reply",
            Self::Count { .. } => "count",
        }
    }
}

impl Counted {
    /// The name of the kind: a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Duplicate => "duplicate",
            Self::Illegal => "illegal",
            Self::Repeated => "repeated",
            Self::Deferred => "deferred",
            Self::Unsent => "unsent",
        }
    }
}

/// How many effects leave together while the rest of their batch is still being decided.
const EARLY: usize = 512;

/// The effects of a batch so far. Of a large batch they leave in chunks, in their order, while it is still being decided.
pub(crate) struct Effects<'a> {
    pending: Vec<Effect>,
    early: &'a mut dyn FnMut(Vec<Effect>),
}

impl<'a> Effects<'a> {
    /// None yet; chunks go to `early`.
    pub(crate) fn new(early: &'a mut dyn FnMut(Vec<Effect>)) -> Self {
        Self { pending: Vec::new(), early }
    }

    /// One more.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.pending.push(effect);
        if self.pending.len() == EARLY {
            (self.early)(std::mem::replace(&mut self.pending, Vec::with_capacity(EARLY)));
        }
    }

    /// Those that did not leave early.
    pub(crate) fn rest(self) -> Vec<Effect> {
        self.pending
    }
}
