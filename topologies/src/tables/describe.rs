//! Rows in words, for tools that have bytes and a person who has to understand them.

use std::fmt::{Debug, Write as _};

use yardmaster_state::{StateError, Table};

use super::{
    ByJobTable, ByQueueTable, ByTagTable, ByWorkerTable, CounterDueTable, CounterTable, ForgetTable,
    HistoryByJobTable, HistoryPositionTable, HistoryTable, JobCancelTable, JobDueTable, JobTable,
    LeaseDueTable, LeaseTable, LeftTable, PayloadTable, ReadyTable, ReplyTopicTable, SequencesTable,
    SettingsTable, TaskTable, TimerTable, WindowTable, WorkerTable, byte,
};
use crate::settings::Settings;

/// A row in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWords {
    /// The table's name; `?` when there is no table with the key's byte.
    pub table: &'static str,
    /// The key.
    pub key: String,
    /// The value, if there is one.
    pub value: Option<String>,
}

/// A longer text would hide what matters.
const WORDS_MAX: usize = 2_000;
/// Bytes that are shown of what can't be read.
const BYTES_MAX: usize = 64;

/// A row in words. What can't be decoded is shown as bytes, with the reason; the secret of the tokens is never shown.
#[must_use]
pub fn describe(key: &[u8], value: Option<&[u8]>) -> RowWords {
    let words = match key.first().copied().unwrap_or_default() {
        byte::TASK => words::<TaskTable>,
        byte::PAYLOAD => words::<PayloadTable>,
        byte::WORKER => words::<WorkerTable>,
        byte::LEASE => words::<LeaseTable>,
        byte::JOB_CANCEL => words::<JobCancelTable>,
        byte::SETTINGS => settings,
        byte::REPLY_TOPIC => words::<ReplyTopicTable>,
        byte::SEQUENCES => words::<SequencesTable>,
        byte::READY => words::<ReadyTable>,
        byte::TIMER => words::<TimerTable>,
        byte::BY_WORKER => words::<ByWorkerTable>,
        byte::BY_JOB => words::<ByJobTable>,
        byte::BY_TAG => words::<ByTagTable>,
        byte::BY_QUEUE => words::<ByQueueTable>,
        byte::FORGET => words::<ForgetTable>,
        byte::LEASE_DUE => words::<LeaseDueTable>,
        byte::JOB_DUE => words::<JobDueTable>,
        byte::LEFT => words::<LeftTable>,
        byte::COUNTER_DUE => words::<CounterDueTable>,
        byte::JOB => words::<JobTable>,
        byte::COUNTER => words::<CounterTable>,
        byte::WINDOW => words::<WindowTable>,
        byte::HISTORY => words::<HistoryTable>,
        byte::HISTORY_BY_JOB => words::<HistoryByJobTable>,
        byte::HISTORY_POSITION => words::<HistoryPositionTable>,
        _ => unknown,
    };
    words(key, value)
}

fn words<T: Table>(key: &[u8], value: Option<&[u8]>) -> RowWords
where
    T::Key: Debug,
    T::Row: Debug,
{
    RowWords {
        table: T::NAME,
        key: said(T::parse(key), key),
        value: value.map(|value| said(T::decode(value), value)),
    }
}

fn settings(key: &[u8], value: Option<&[u8]>) -> RowWords {
    let blank = |settings: Settings| Settings { secret: [0; 32], ..settings };
    RowWords {
        table: SettingsTable::NAME,
        key: said(SettingsTable::parse(key), key),
        value: value.map(|value| match SettingsTable::decode(value) {
            Ok(settings) => said(Ok(blank(settings)), value),
            Err(error) => format!("{} bytes that can't be read: {error}", value.len()),
        }),
    }
}

fn unknown(key: &[u8], value: Option<&[u8]>) -> RowWords {
    RowWords { table: "?", key: hexadecimal(key), value: value.map(hexadecimal) }
}

fn said<V: Debug>(read: Result<V, StateError>, bytes: &[u8]) -> String {
    match read {
        Ok(value) => shortened(format!("{value:?}")),
        Err(error) => format!("{} ({error})", hexadecimal(bytes)),
    }
}

fn shortened(mut words: String) -> String {
    if words.len() > WORDS_MAX {
        let end = (0..=WORDS_MAX).rev().find(|at| words.is_char_boundary(*at)).unwrap_or_default();
        words.truncate(end);
        words.push_str(" ...");
    }
    words
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::from("0x");
    for byte in bytes.iter().take(BYTES_MAX) {
        // A String takes everything.
        write!(out, "{byte:02x}").ok();
    }
    if bytes.len() > BYTES_MAX {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Pool, TaskId};

    #[test]
    fn every_table_has_words() {
        for card in super::super::TABLES {
            assert_eq!(describe(&[card.id], None).table, card.name);
        }
        assert_eq!(describe(&[0xee, 1], Some(&[2])).table, "?");
    }

    #[test]
    fn a_key_is_read_and_bytes_that_are_no_row_are_shown() {
        let key = TaskTable::key(&(Pool::trusted("p"), TaskId::trusted("t-1")));
        let words = describe(&key, Some(&[9, 8]));
        assert_eq!((words.table, words.key.as_str()), ("task", "(p, t-1)"));
        assert!(words.value.unwrap().starts_with("0x0908 ("));
    }
}
