//! What must hold between any two batches, whatever came in. Tests and the simulation ask after each batch; it reads the
//! whole store, so nobody else should.

mod windows;

use std::collections::{BTreeMap, BTreeSet};

use yardmaster_state::{
    KEY_END, KeyWriter, Keyed, MemoryStore, Schema, StateError, Store, StoreRead, Table, TableClass, Txn,
    prefix_end, rows_digest, scan_rows,
};

use crate::id::{JobId, Pool, ReadySeq, TaskId, WorkerName};
use crate::job::{CounterKey, Dimension};
use crate::tables::{
    CounterTable, GridSchema, JobCancelTable, JobTable, LeaseTable, Line, PayloadTable, SequencesTable,
    TaskTable, WorkerTable,
};
use crate::task::{Counts, LiveTask, TaskRow, TaskState};
use crate::worker::{WorkerRow, WorkerState};

/// Everything that is wrong, one sentence each; empty when all is well.
///
/// # Errors
/// Whatever the store says.
pub fn check_invariants(store: &dyn StoreRead) -> Result<Vec<String>, StateError> {
    let mut check = Check { store, wrong: Vec::new(), live: Vec::new() };
    check.tasks()?;
    check.payloads()?;
    check.workers()?;
    check.counters()?;
    check.jobs()?;
    check.windows()?;
    check.indexes()?;
    Ok(check.wrong)
}

struct Check<'s> {
    store: &'s dyn StoreRead,
    wrong: Vec<String>,
    live: Vec<LiveTask>,
}

fn all<T: Table>(store: &dyn StoreRead) -> Result<Vec<Keyed<T>>, StateError> {
    let from = KeyWriter::new(T::ID).finish();
    scan_rows::<T>(store, &from, &prefix_end(&from), usize::MAX)
}

impl Check<'_> {
    fn expect(&mut self, holds: bool, wrong: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(wrong());
        }
    }

    fn tasks(&mut self) -> Result<(), StateError> {
        let sequences =
            all::<SequencesTable>(self.store)?.pop().map_or_else(Default::default, |(_, row)| row);
        let mut places: BTreeSet<(Line, ReadySeq)> = BTreeSet::new();
        for ((pool, id), row) in all::<TaskTable>(self.store)? {
            match row {
                TaskRow::Done(marker) => {
                    self.expect(marker.state.is_terminal(), || {
                        format!("{id} is done and {}", marker.state.name())
                    });
                }
                TaskRow::Live(task) => {
                    self.expect(task.spec.id == id && task.spec.pool == pool, || {
                        format!("{id} has another name")
                    });
                    self.live_task(&task);
                    let is_inside = task.seq < sequences.back && task.seq > sequences.front;
                    self.expect(is_inside, || {
                        format!("{id} has the place {}, which was never given", task.seq)
                    });
                    let is_queued = task.state == TaskState::Queued;
                    let is_alone = !is_queued || places.insert((task.line(), task.seq));
                    self.expect(is_alone, || format!("{id} shares its place {}", task.seq));
                    self.live.push(task);
                }
            }
        }
        Ok(())
    }

    fn live_task(&mut self, task: &LiveTask) {
        let (id, state) = (&task.spec.id, task.state);
        self.expect(!state.is_terminal(), || format!("{id} is live and {}", state.name()));
        self.expect(state.has_attempt() == task.open.is_some(), || {
            format!("{id} is {} and its attempt does not fit", state.name())
        });
        let is_stopping = state == TaskState::Cancelling;
        self.expect(is_stopping == task.stopping.is_some(), || {
            format!("{id} is {} and its target does not fit", state.name())
        });
        let has_timer = task.timer_at.is_some();
        let timer_fits = match state {
            TaskState::Scheduled | TaskState::Cancelling => has_timer,
            TaskState::Assigned | TaskState::Running => has_timer == task.spec.run_timeout.is_some(),
            TaskState::Blocked
            | TaskState::Queued
            | TaskState::Held
            | TaskState::Completed
            | TaskState::Failed
            | TaskState::Cancelled
            | TaskState::Expired
            | TaskState::Aborted => !has_timer,
        };
        self.expect(timer_fits, || format!("{id} is {} and its timer does not fit", state.name()));
        let retry = &task.spec.retry;
        self.expect(task.failures < retry.max_failures.max(1), || format!("{id} failed too often and lives"));
        self.expect(task.losses < retry.max_losses.max(1), || format!("{id} was lost too often and lives"));
        let numbers: Vec<_> = task.closed.iter().map(|closed| closed.attempt).collect();
        let grow =
            numbers.is_sorted_by(|a, b| a < b) && numbers.last().is_none_or(|last| *last <= task.attempt);
        self.expect(grow, || format!("{id} has attempts {numbers:?} up to {}", task.attempt));
        let open_is_new = task.open.is_none() || numbers.last().is_none_or(|last| *last < task.attempt);
        self.expect(open_is_new, || format!("{id} has attempt {} open and closed", task.attempt));
    }

    fn payloads(&mut self) -> Result<(), StateError> {
        let apart: BTreeSet<(Pool, TaskId)> = self
            .live
            .iter()
            .filter(|task| task.payload_apart)
            .map(|task| (task.spec.pool.clone(), task.spec.id.clone()))
            .collect();
        let kept: BTreeSet<_> = all::<PayloadTable>(self.store)?.into_iter().map(|(key, _)| key).collect();
        self.expect(apart == kept, || format!("payloads {kept:?} are kept, {apart:?} are needed"));
        Ok(())
    }

    fn workers(&mut self) -> Result<(), StateError> {
        let mut open: BTreeMap<(Pool, WorkerName), u32> = BTreeMap::new();
        let mut holders = Vec::new();
        for task in &self.live {
            if let Some(attempt) = &task.open {
                let holder = (task.spec.pool.clone(), attempt.worker.clone());
                holders.push((task.spec.id.clone(), holder.clone(), attempt.incarnation.clone()));
                *open.entry(holder).or_default() += 1;
            }
        }
        let workers: BTreeMap<_, WorkerRow> = all::<WorkerTable>(self.store)?.into_iter().collect();
        for (id, holder, incarnation) in holders {
            let fits = workers.get(&holder).is_some_and(|row| row.incarnation == incarnation);
            self.expect(fits, || {
                format!("{id} is held by {} {incarnation}, who is not registered", holder.1)
            });
        }
        let leases: BTreeSet<_> = all::<LeaseTable>(self.store)?.into_iter().map(|(key, _)| key).collect();
        for (key, row) in &workers {
            let counted = open.get(key).copied().unwrap_or_default();
            self.expect(row.open == counted, || {
                format!("{} counts {} attempts, {counted} are open", key.1, row.open)
            });
            let is_here = match row.state {
                WorkerState::Joining | WorkerState::Active | WorkerState::Draining => true,
                WorkerState::Lost | WorkerState::Gone => false,
            };
            self.expect(is_here == leases.contains(key), || {
                format!("{} is {} and its lease does not fit", key.1, row.state.name())
            });
            // When only the operator's drain order is left, it is not a matter of time any more.
            let is_order = !is_here && row.drained_by_operator;
            self.expect(is_here == row.left_at.is_none() || is_order, || {
                format!("{} is {} and left_at does not fit", key.1, row.state.name())
            });
            self.expect(is_here || row.open == 0, || format!("{} is gone and holds attempts", key.1));
        }
        self.expect(leases.iter().all(|key| workers.contains_key(key)), || {
            "a lease has no worker".to_owned()
        });
        Ok(())
    }

    /// Live tasks are counted exactly; ended ones stay counted when their marker is forgotten, so there are at least as many.
    fn counters(&mut self) -> Result<(), StateError> {
        let mut expected: BTreeMap<CounterKey, Counts> = BTreeMap::new();
        for task in &self.live {
            let tags = task.spec.tags.iter().map(|(name, value)| Dimension::Tag(name.clone(), value.clone()));
            let dimensions = [Dimension::Pool, Dimension::Queue(task.spec.queue.clone())];
            for dimension in dimensions.into_iter().chain(tags) {
                let pool = task.spec.pool.clone();
                let counts = expected.entry(CounterKey { pool, dimension }).or_default();
                counts.shift(None, Some(task.state));
            }
        }
        let found: BTreeMap<_, _> = all::<CounterTable>(self.store)?.into_iter().collect();
        let keys: BTreeSet<_> = expected.keys().chain(found.keys()).cloned().collect();
        for key in keys {
            let want = expected.get(&key).copied().unwrap_or_default();
            let row = found.get(&key).copied().unwrap_or_default();
            self.same_live(&format!("{key:?}"), want, row.counts);
            let may_go = row.counts.live() == 0 && key.dimension != Dimension::Pool;
            let fits = may_go == row.forget_at.is_some() || !found.contains_key(&key);
            self.expect(fits, || format!("{key:?} is {row:?}"));
        }
        Ok(())
    }

    fn same_live(&mut self, what: &str, want: Counts, have: Counts) {
        for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
            self.expect(want.of(state) == have.of(state), || {
                format!("{what} counts {} {}, there are {}", have.of(state), state.name(), want.of(state))
            });
        }
    }

    fn jobs(&mut self) -> Result<(), StateError> {
        let mut expected: BTreeMap<(Pool, JobId), Counts> = BTreeMap::new();
        for task in &self.live {
            if let Some(job) = &task.spec.job {
                let counts = expected.entry((task.spec.pool.clone(), job.clone())).or_default();
                counts.shift(None, Some(task.state));
            }
        }
        for (key, row) in all::<JobTable>(self.store)? {
            let want = expected.remove(&key).unwrap_or_default();
            self.same_live(&format!("job {}", key.1), want, row.counts);
            let is_done = row.counts.live() == 0;
            let fits = is_done == row.done_at.is_some() && is_done == row.forget_at.is_some();
            self.expect(fits, || {
                format!("job {} has {} live tasks and is {row:?}", key.1, row.counts.live())
            });
        }
        self.expect(expected.is_empty(), || format!("jobs without a row: {expected:?}"));
        let flags: BTreeMap<_, _> = all::<JobCancelTable>(self.store)?.into_iter().collect();
        for task in std::mem::take(&mut self.live) {
            let job = task.spec.job.clone().map(|job| (task.spec.pool.clone(), job));
            let flag = job.and_then(|job| flags.get(&job));
            let is_swept = flag.is_some_and(|flag| !flag.is_sweeping);
            self.expect(!is_swept || task.stopping.is_some(), || {
                format!("{} was forgotten by the sweep", task.spec.id)
            });
        }
        Ok(())
    }

    /// The indexes are what a restore would make of the logged rows: so the ready lines hold exactly the QUEUED tasks, and so on.
    fn indexes(&mut self) -> Result<(), StateError> {
        let mut logged = Vec::new();
        self.store.scan(TableClass::Logged, &[], KEY_END, usize::MAX, &mut |key, value| {
            logged.push((key.to_vec(), value.to_vec()));
            std::ops::ControlFlow::Continue(())
        })?;
        let restored = MemoryStore::new();
        let mut txn = Txn::new(&restored);
        for (key, value) in &logged {
            GridSchema.fold(&mut txn, key, Some(value))?;
        }
        let batch = txn.finish();
        restored.commit(&batch)?;
        let is_same = rows_digest(self.store)? == rows_digest(&restored)?;
        self.expect(is_same, || "the indexes are not what follows from the logged rows".to_owned());
        Ok(())
    }
}
