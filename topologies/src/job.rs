//! A job and the numbers that `track` keeps: exact counts of tasks by state.

use serde::{Deserialize, Serialize};

use crate::id::{Pool, QueueName};
use crate::task::{Counts, TaskState};
use crate::time::{ProcessorMs, WallMs};

/// Tasks that belong together. DONE when none is live; new tasks make it ACTIVE again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// When its first task was accepted.
    pub created_at: WallMs,
    /// Its tasks by state; terminal ones stay counted.
    pub counts: Counts,
    /// When its last live task ended; absent while ACTIVE.
    pub done_at: Option<WallMs>,
    /// When the row may be forgotten; absent while ACTIVE.
    pub forget_at: Option<ProcessorMs>,
}

/// Tasks by state, of a pool, a queue or a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterRow {
    /// The tasks; terminal ones stay counted.
    pub counts: Counts,
    /// When the row of a queue or tag may be forgotten; absent while a task of it is live, and for a pool.
    pub forget_at: Option<ProcessorMs>,
}

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// All tasks of the pool.
    Pool,
    /// The tasks of a queue.
    Queue(QueueName),
    /// The tasks with a tag: name and value.
    Tag(String, String),
}

/// The key of a counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterKey {
    /// Its pool.
    pub pool: Pool,
    /// What it counts.
    pub dimension: Dimension,
}

impl Counts {
    /// How many are in a state.
    #[must_use]
    pub fn of(&self, state: TaskState) -> u64 {
        self.0.get(state as usize).copied().unwrap_or_default()
    }

    /// How many are not terminal.
    #[must_use]
    pub fn live(&self) -> u64 {
        TaskState::ALL.into_iter().filter(|state| !state.is_terminal()).map(|state| self.of(state)).sum()
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Moves one task from a state to another; absent is outside.
    ///
    /// # Panics
    /// When none is counted in `from`: the counts are wrong, and wrong counts must not be logged.
    pub fn shift(&mut self, from: Option<TaskState>, to: Option<TaskState>) {
        if let Some(slot) = from.and_then(|state| self.0.get_mut(state as usize)) {
            *slot = slot.checked_sub(1).expect("a task that leaves a state was counted in it");
        }
        if let Some(slot) = to.and_then(|state| self.0.get_mut(state as usize)) {
            *slot += 1;
        }
    }
}
