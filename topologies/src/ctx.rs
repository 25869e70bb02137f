//! What every step of a decision works on: the overlay, the time, the settings, the memory, and the effects so far.

use std::sync::Arc;

use yardmaster_state::{StateError, Txn};

use crate::effect::{Counted, Effect, Effects};
use crate::id::{Pool, ReadySeq, TaskId, WorkerName};
use crate::memory::{DueIndex, Memory};
use crate::settings::Settings;
use crate::tables::{Sequences, TaskTable, WorkerTable};
use crate::task::{LiveTask, TaskRow, TaskState};
use crate::time::Now;
use crate::track::tally::Tally;
use crate::track::windows::Windows;
use crate::wire::{Address, Event};
use crate::worker::WorkerRow;

/// One batch in the making.
pub(crate) struct Ctx<'a, 's> {
    /// Reads see what this batch wrote.
    pub(crate) txn: &'a mut Txn<'s>,
    /// The one time of the batch.
    pub(crate) now: Now,
    /// As the partition's log has them.
    pub(crate) settings: &'a Settings,
    /// The copy that makes it fast.
    pub(crate) memory: &'a mut Memory,
    /// The next places in the ready order.
    pub(crate) sequences: &'a mut Sequences,
    /// The last batch was decided in another hour, or is not known: old hours of history may be over.
    pub(crate) is_new_hour: bool,
    /// Attempts that this batch closed as lost, of `losses_per_tick_max`.
    pub(crate) losses: u32,
    /// Counters that changed and are not in the overlay yet.
    pub(crate) tally: Tally,
    /// What happened in this batch, for the windowed statistics.
    pub(crate) windows: Windows,
    /// In the order in which they were decided.
    pub(crate) effects: Effects<'a>,
}

impl Ctx<'_, '_> {
    /// A task, if it is not terminal.
    ///
    /// # Errors
    /// Whatever the store says; so it is for every method here.
    pub(crate) fn live(&mut self, pool: &Pool, id: &TaskId) -> Result<Option<LiveTask>, StateError> {
        match self.row(pool, id)?.as_deref() {
            Some(TaskRow::Live(task)) => Ok(Some(task.clone())),
            Some(TaskRow::Done(_)) | None => Ok(None),
        }
    }

    /// A task's row.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(crate) fn row(&mut self, pool: &Pool, id: &TaskId) -> Result<Option<Arc<TaskRow>>, StateError> {
        self.txn.shared::<TaskTable>(&(pool.clone(), id.clone()))
    }

    /// Writes a live task that stands in no ready line until now: it was never in one, or was taken out of it. One that
    /// is QUEUED now is put into its line.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(crate) fn put_task(&mut self, task: LiveTask) -> Result<(), StateError> {
        for at in [task.timer_at, task.ttl_due()].into_iter().flatten() {
            self.memory.due.note(DueIndex::Timer, at);
        }
        let place = (task.state == TaskState::Queued).then(|| (task.line(), task.seq));
        let key = (task.spec.pool.clone(), task.spec.id.clone());
        self.txn.put_owned::<TaskTable>(&key, TaskRow::Live(task))?;
        if let Some((line, seq)) = place {
            self.memory.ready.insert(line, seq, key.1);
        }
        Ok(())
    }

    /// A worker's row.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(crate) fn worker(
        &mut self,
        pool: &Pool,
        worker: &WorkerName,
    ) -> Result<Option<WorkerRow>, StateError> {
        self.txn.get::<WorkerTable>(&(pool.clone(), worker.clone()))
    }

    /// Writes a worker's row and keeps the free slots true.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(crate) fn put_worker(&mut self, pool: &Pool, row: WorkerRow) -> Result<(), StateError> {
        self.memory.free.set(pool, &row);
        if let Some(at) = row.left_at {
            self.memory.due.note(DueIndex::Left, at);
        }
        self.txn.put_owned::<WorkerTable>(&(pool.clone(), row.worker.clone()), row)
    }

    /// Deletes a worker's row and keeps the free slots true.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(crate) fn delete_worker(&mut self, pool: &Pool, worker: &WorkerName) -> Result<(), StateError> {
        self.memory.free.remove(pool, worker);
        self.txn.delete::<WorkerTable>(&(pool.clone(), worker.clone()))
    }

    /// The next address on a worker's channel; counts the message.
    pub(crate) fn address(pool: &Pool, row: &mut WorkerRow) -> Address {
        row.seq.0 += 1;
        Address {
            pool: pool.clone(),
            worker: row.worker.clone(),
            incarnation: row.incarnation.clone(),
            seq: row.seq,
        }
    }

    /// Whether this batch has closed as many lost attempts as it may: others have to wait for the next one, so that no
    /// transaction grows with the fleet.
    pub(crate) fn has_lost_enough(&self) -> bool {
        self.losses >= self.settings.limits.losses_per_tick_max
    }

    /// A record on `events`.
    pub(crate) fn publish(&mut self, event: Event) {
        self.effects.push(Effect::Publish { event });
    }

    /// Something that changed nothing.
    pub(crate) fn count(&mut self, what: Counted, reason: &'static str) {
        self.effects.push(Effect::Count { what, reason });
    }

    /// The place behind everything that waits.
    pub(crate) fn back_seq(&mut self) -> ReadySeq {
        let seq = self.sequences.back;
        self.sequences.back = ReadySeq(seq.0 + 1);
        seq
    }

    /// The place before everything that waits.
    pub(crate) fn front_seq(&mut self) -> ReadySeq {
        let seq = self.sequences.front;
        self.sequences.front = ReadySeq(seq.0 - 1);
        seq
    }
}
