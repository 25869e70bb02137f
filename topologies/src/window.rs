//! What happened in a stretch of time, in a pool or in one of its queues: how much of what, and how long things took.
//!
//! Windows follow each other without a gap, begin at multiples of their size on the wall's clock, and there is a row only
//! where something happened. **A ring:** the slot of a row is its window's number modulo the number of windows that are
//! kept, so a new window takes the place of the one that is over: nothing has to be deleted, and the changelog's
//! compaction bounds what is left of it. Which row a slot holds is said by the row's `start`.

use serde::{Deserialize, Serialize};
use yardmaster_state::{StateError, StoreRead, prefix_end, scan_rows};

use crate::histogram::Histogram;
use crate::id::{Pool, QueueName};
use crate::tables::WindowTable;
use crate::time::{Millis, WallMs};

/// How long a window is. Sizes and slots are part of the keys: never change one, add another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowSize {
    /// Kept for 10 minutes.
    FiveSeconds = 0,
    /// Kept for 6 hours.
    Minute = 1,
    /// Kept for 30 days.
    Hour = 2,
}

impl WindowSize {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FiveSeconds, Self::Minute, Self::Hour];

    /// Its length.
    #[must_use]
    pub const fn length(self) -> Millis {
        match self {
            Self::FiveSeconds => Millis(5_000),
            Self::Minute => Millis(60_000),
            Self::Hour => Millis(3_600_000),
        }
    }

    /// How many are kept.
    #[must_use]
    pub const fn slots(self) -> u16 {
        match self {
            Self::FiveSeconds => 120,
            Self::Minute => 360,
            Self::Hour => 720,
        }
    }

    /// How long one is kept, the present one included.
    #[must_use]
    pub const fn kept(self) -> Millis {
        Millis(self.length().0 * self.slots() as u64)
    }

    /// The beginning of the window that a moment is in.
    #[must_use]
    pub const fn start_of(self, at: WallMs) -> WallMs {
        WallMs(at.0 - at.0 % self.length().0)
    }

    /// The slot of the window that begins then.
    #[must_use]
    pub fn slot_of(self, start: WallMs) -> u16 {
        u16::try_from(start.0 / self.length().0 % u64::from(self.slots())).expect("a ring has few slots")
    }

    /// The name on the wire: `5s`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveSeconds => "5s",
            Self::Minute => "1m",
            Self::Hour => "1h",
        }
    }

    /// The size that a wire name means.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.name() == name)
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happened {
    /// A task came in: new, or an operator runs it again.
    Submitted = 0,
    /// An attempt was given to a worker.
    Assigned = 1,
    /// An attempt started, as far as its worker has said so, then or at its end.
    Started = 2,
    /// A task ended well.
    Completed = 3,
    /// A task ended: out of tries.
    Failed = 4,
    /// A task was ended by a person.
    Cancelled = 5,
    /// A task's time was over.
    Expired = 6,
    /// A task was ended by the system.
    Aborted = 7,
    /// An attempt was lost with its worker, whatever became of its task.
    Lost = 8,
    /// An attempt was over and its task goes on: after a failure, a loss, or a worker that did not take it.
    Retried = 9,
}

impl Happened {
    /// All of it, in the order of the numbers: the index into [`Tally`].
    pub const ALL: [Self; 10] = [
        Self::Submitted,
        Self::Assigned,
        Self::Started,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::Aborted,
        Self::Lost,
        Self::Retried,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Assigned => "assigned",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Lost => "lost",
            Self::Retried => "retried",
        }
    }
}

/// What happened, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    counts: [u64; Happened::ALL.len()],
    /// From when a task stood in its line (submitted, or there again) until a worker got it: one for each assigned.
    pub queued: Histogram,
    /// From then until it started: one for each started.
    pub starting: Histogram,
    /// From its start until it completed, failed or timed out, where a start is known.
    pub running: Histogram,
}

impl Tally {
    /// Counts one.
    pub fn count(&mut self, what: Happened) {
        if let Some(count) = self.counts.get_mut(what as usize) {
            *count += 1;
        }
    }

    /// How often something happened.
    #[must_use]
    pub fn of(&self, what: Happened) -> u64 {
        self.counts.get(what as usize).copied().unwrap_or_default()
    }

    /// Adds all of another one.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.queued.merge(&other.queued);
        self.starting.merge(&other.starting);
        self.running.merge(&other.running);
    }
}

/// Where the row of a window lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowKey {
    /// Its pool.
    pub pool: Pool,
    /// Its queue; absent for the whole pool.
    pub queue: Option<QueueName>,
    /// How long it is.
    pub size: WindowSize,
    /// Its place in the ring.
    pub slot: u16,
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRow {
    /// When it began.
    pub start: WallMs,
    /// What happened in it.
    pub tally: Tally,
}

/// The windows of a pool, or of a queue, in which something happened, oldest first: those that are kept at a moment.
///
/// # Errors
/// Whatever the store says.
pub fn windows_of(
    store: &dyn StoreRead,
    pool: &Pool,
    queue: Option<&QueueName>,
    size: WindowSize,
    now: WallMs,
) -> Result<Vec<WindowRow>, StateError> {
    let prefix = WindowTable::ring(pool, queue, size);
    let rows = scan_rows::<WindowTable>(store, &prefix, &prefix_end(&prefix), usize::MAX)?;
    // What nothing took the place of may lie in the ring for longer.
    let is_kept = |row: &WindowRow| row.start.0 + size.kept().0 > size.start_of(now).0;
    let mut rows: Vec<_> = rows.into_iter().map(|(_, row)| row).filter(is_kept).collect();
    rows.sort_by_key(|row| row.start);
    Ok(rows)
}
