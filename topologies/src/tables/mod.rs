//! Every table of the grid: its byte, its key, its row, and the index rows that follow from it.
//!
//! `dispatch` owns the first group of logged tables, `track` the second; neither writes the other's. Derived tables
//! are never logged: they follow from the old and the new row, when processing and when restoring alike.
//! Key layouts (after the table byte): strings length-prefixed, numbers big endian, so that order is the design's.

mod describe;
mod history;
mod index;
mod logged;
mod tracked;
mod windows;

pub use describe::{RowWords, describe};
pub use history::{
    HistoryByJobTable, HistoryClass, HistoryKey, HistoryMark, HistoryPositionTable, HistoryTable,
};
pub use index::{
    ByJobTable, ByQueueTable, ByTagTable, ByWorkerTable, DueTable, ForgetTable, JobDueTable, LeaseDueTable,
    LeftTable, Line, ReadyKey, ReadyTable, TimerKey, TimerKind, TimerTable,
};
pub use logged::{
    JobCancel, JobCancelTable, LeaseTable, PayloadTable, ReplyTopicTable, Sequences, SequencesTable,
    SettingsTable, TaskTable, WorkerTable,
};
pub use tracked::{CounterDueTable, CounterTable, JobTable};
pub use windows::WindowTable;

use yardmaster_state::{Schema, StateError, Table, TableClass, Txn};

/// The bytes of the tables. Never reuse one.
pub mod byte {
    /// Logged, dispatch.
    pub const TASK: u8 = 0x10;
    /// Logged, dispatch: payloads above 1 KiB.
    pub const PAYLOAD: u8 = 0x11;
    /// Logged, dispatch.
    pub const WORKER: u8 = 0x12;
    /// Logged, dispatch.
    pub const LEASE: u8 = 0x13;
    /// Logged, dispatch: the flag of a cancelled job.
    pub const JOB_CANCEL: u8 = 0x14;
    /// Logged, dispatch: one row, the settings that decisions depend on.
    pub const SETTINGS: u8 = 0x15;
    /// Logged, dispatch: reply topics that are known to exist.
    pub const REPLY_TOPIC: u8 = 0x16;
    /// Logged, dispatch: one row, the next places in the ready order.
    pub const SEQUENCES: u8 = 0x17;
    /// Derived: the ready order.
    pub const READY: u8 = 0x20;
    /// Derived: timers of tasks.
    pub const TIMER: u8 = 0x21;
    /// Derived: open attempts by worker.
    pub const BY_WORKER: u8 = 0x22;
    /// Derived: live tasks by job.
    pub const BY_JOB: u8 = 0x23;
    /// Derived: live tasks by tag.
    pub const BY_TAG: u8 = 0x24;
    /// Derived: live tasks by queue.
    pub const BY_QUEUE: u8 = 0x25;
    /// Derived: done markers by the time when they may be forgotten.
    pub const FORGET: u8 = 0x26;
    /// Derived: leases by when their worker becomes SUSPECT or they run out.
    pub const LEASE_DUE: u8 = 0x27;
    /// Derived: DONE jobs by the time when they may be forgotten.
    pub const JOB_DUE: u8 = 0x28;
    /// Derived: workers that left, by when.
    pub const LEFT: u8 = 0x29;
    /// Derived: counters of queues and tags without a live task by the time when they may be forgotten.
    pub const COUNTER_DUE: u8 = 0x2a;
    /// Logged, track.
    pub const JOB: u8 = 0x30;
    /// Logged, track: counts by pool, queue and tag.
    pub const COUNTER: u8 = 0x31;
    /// Logged, track: windows of statistics by pool and queue.
    pub const WINDOW: u8 = 0x32;
    /// History, track: ended tasks by class, hour, pool, id, generation.
    pub const HISTORY: u8 = 0x40;
    /// History, track: ended tasks by class, hour, pool, job, id, generation.
    pub const HISTORY_BY_JOB: u8 = 0x41;
    /// History: how far `events` has been folded into it.
    pub const HISTORY_POSITION: u8 = 0x42;
}

/// One table, for people and for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableCard {
    /// Its byte.
    pub id: u8,
    /// Its name.
    pub name: &'static str,
    /// How its rows survive.
    pub class: TableClass,
    /// The version of its rows.
    pub version: u8,
}

const fn card<T: Table>() -> TableCard {
    TableCard { id: T::ID, name: T::NAME, class: T::CLASS, version: T::VERSION }
}

/// Every table, by byte.
pub const TABLES: [TableCard; 25] = [
    card::<TaskTable>(),
    card::<PayloadTable>(),
    card::<WorkerTable>(),
    card::<LeaseTable>(),
    card::<JobCancelTable>(),
    card::<SettingsTable>(),
    card::<ReplyTopicTable>(),
    card::<SequencesTable>(),
    card::<ReadyTable>(),
    card::<TimerTable>(),
    card::<ByWorkerTable>(),
    card::<ByJobTable>(),
    card::<ByTagTable>(),
    card::<ByQueueTable>(),
    card::<ForgetTable>(),
    card::<LeaseDueTable>(),
    card::<JobDueTable>(),
    card::<LeftTable>(),
    card::<CounterDueTable>(),
    card::<JobTable>(),
    card::<CounterTable>(),
    card::<WindowTable>(),
    card::<HistoryTable>(),
    card::<HistoryByJobTable>(),
    card::<HistoryPositionTable>(),
];

/// All tables of the grid, for restoring.
#[derive(Debug, Clone, Copy, Default)]
pub struct GridSchema;

impl Schema for GridSchema {
    fn fold(&self, txn: &mut Txn<'_>, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        match key.first().copied().unwrap_or_default() {
            byte::TASK => raw::<TaskTable>(txn, key, value),
            byte::PAYLOAD => raw::<PayloadTable>(txn, key, value),
            byte::WORKER => raw::<WorkerTable>(txn, key, value),
            byte::LEASE => raw::<LeaseTable>(txn, key, value),
            byte::JOB_CANCEL => raw::<JobCancelTable>(txn, key, value),
            byte::SETTINGS => raw::<SettingsTable>(txn, key, value),
            byte::REPLY_TOPIC => raw::<ReplyTopicTable>(txn, key, value),
            byte::SEQUENCES => raw::<SequencesTable>(txn, key, value),
            byte::JOB => raw::<JobTable>(txn, key, value),
            byte::COUNTER => raw::<CounterTable>(txn, key, value),
            byte::WINDOW => raw::<WindowTable>(txn, key, value),
            other => Err(StateError::TooNew {
                what: "table byte",
                found: other.into(),
                known: byte::WINDOW.into(),
            }),
        }
    }

    fn name(&self, table: u8) -> Option<&'static str> {
        TABLES.iter().find(|card| card.id == table).map(|card| card.name)
    }
}

fn raw<T: Table>(txn: &mut Txn<'_>, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
    match value {
        Some(value) => txn.put_raw::<T>(key, value),
        None => txn.delete_raw::<T>(key),
    }
}

/// A key that must belong to this table and be read to its end.
fn open<T: Table>(bytes: &[u8]) -> Result<yardmaster_state::KeyReader<'_>, StateError> {
    let (table, reader) = yardmaster_state::KeyReader::new(bytes)?;
    if table == T::ID {
        Ok(reader)
    } else {
        Err(StateError::corrupted(format!("a key of table {table:#04x} was taken for one of {}", T::NAME)))
    }
}
