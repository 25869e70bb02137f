//! A worker and its lease, as the store remembers them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, MessageSeq, WorkerName};
use crate::time::{ProcessorMs, WallMs};

/// Whether a worker gets work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkerState {
    /// Said hello; its channel is not known to exist yet.
    Joining,
    /// Gets work.
    Active,
    /// Finishes what it has and gets nothing new.
    Draining,
    /// Its lease ran out; a heartbeat gets the answer `rehello`.
    Lost,
    /// Said goodbye.
    Gone,
}

impl WorkerState {
    /// The name on the wire and in metrics: `ACTIVE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Joining => "JOINING",
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Lost => "LOST",
            Self::Gone => "GONE",
        }
    }
}

/// One registration: (pool, worker).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// Its name.
    pub worker: WorkerName,
    /// Its present life.
    pub incarnation: Incarnation,
    /// Whether it gets work.
    pub state: WorkerState,
    /// The server's drain order, which outlives the worker's own word.
    pub drained_by_operator: bool,
    /// Its own word: the last heartbeat that counted said that it wants nothing new.
    pub drains_itself: bool,
    /// The last `undrain` that it was sent: heartbeats from before it was read don't count as its own word.
    pub undrained_seq: MessageSeq,
    /// It did not take an attempt: nothing new before its next heartbeat, so that the same one doesn't come back at once.
    pub is_full: bool,
    /// SUSPECT: it missed several heartbeats. Nothing new before it speaks again.
    pub is_suspect: bool,
    /// How many attempts it may have open.
    pub slots: u32,
    /// How many attempts it has open: the truth that dispatch counts with.
    pub open: u32,
    /// Free words about it.
    pub labels: BTreeMap<String, String>,
    /// The last message that was sent to this incarnation.
    pub seq: MessageSeq,
    /// A logged event said that its channel exists.
    pub channel_ready: bool,
    /// When this incarnation said hello.
    pub hello_at: WallMs,
    /// When it left ACTIVE for LOST or GONE: its channel is deleted some time after. Absent while it is here, and when the
    /// channel is deleted and only the operator's drain order is left.
    pub left_at: Option<ProcessorMs>,
}

impl WorkerRow {
    /// How many attempts it may be given now.
    #[must_use]
    pub fn free_slots(&self) -> u32 {
        let may_get_work =
            self.state == WorkerState::Active && self.channel_ready && !self.is_full && !self.is_suspect;
        if may_get_work { self.slots.saturating_sub(self.open) } else { 0 }
    }

    /// Its state for people and metrics: that of the row, or `SUSPECT` for one that would get work if it spoke.
    #[must_use]
    pub fn shown_state(&self) -> &'static str {
        if self.state == WorkerState::Active && self.is_suspect { "SUSPECT" } else { self.state.name() }
    }
}

/// What a heartbeat changes: one small row per worker, none per task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRow {
    /// The worker is lost when the processor's clock has passed this.
    pub expires_at: ProcessorMs,
    /// The worker becomes SUSPECT then; absent when it is already, or is not expected to report yet.
    pub suspect_at: Option<ProcessorMs>,
    /// When the last heartbeat was taken in, for people.
    pub seen_at: WallMs,
    /// The last message that the worker has read.
    pub read_seq: MessageSeq,
    /// Free slots by the worker's own count.
    pub free_slots: u32,
}

impl LeaseRow {
    /// When time alone does something about it next.
    #[must_use]
    pub fn due_at(&self) -> ProcessorMs {
        self.suspect_at.map_or(self.expires_at, |at| at.min(self.expires_at))
    }
}
