//! What every step of a decision works on: the overlay, the time, the settings, the memory, and the effects so far.

use std::sync::Arc;

use yardmaster_state::{StateError, Txn};

use crate::effect::{Counted, Effect};
use crate::id::{Pool, ReadySeq, TaskId, WorkerName};
use crate::memory::Memory;
use crate::settings::Settings;
use crate::tables::{Sequences, TaskTable, WorkerTable};
use crate::task::{LiveTask, TaskRow, TaskState};
use crate::time::Now;
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
    /// In the order in which they were decided.
    pub(crate) effects: &'a mut Vec<Effect>,
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

    /// Writes a live task and keeps the ready lines true. `was_ready` is where it stood in them before.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(crate) fn put_task(&mut self, was_ready: Option<ReadySeq>, task: LiveTask) -> Result<(), StateError> {
        let is_ready = (task.state == TaskState::Queued).then_some(task.seq);
        let (line, id) = (task.line(), task.spec.id.clone());
        let key = (task.spec.pool.clone(), id.clone());
        self.txn.put_owned::<TaskTable>(&key, TaskRow::Live(task))?;
        if was_ready != is_ready {
            if let Some(seq) = was_ready {
                self.memory.ready.remove(&line, seq, self.txn)?;
            }
            if let Some(seq) = is_ready {
                self.memory.ready.insert(line, seq, id);
            }
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
        self.txn
            .put_owned::<WorkerTable>(&(pool.clone(), row.worker.clone()), row)
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
