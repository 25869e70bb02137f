//! The heads of the ready lines: at most [`HEAD_MAX`] tasks of each line, refilled from the index behind a cursor.
//!
//! A queue in an LSM store leaves a tombstone for each task that was given out, and a scan from the line's start walks
//! over all of them. So a refill starts behind the last task that was taken, never at the start. Memory stays flat
//! whatever the queues hold: it grows with the number of lines (queues and jobs with QUEUED tasks), not of tasks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use yardmaster_state::{KeyWriter, StateError, Table, Txn, prefix_end};

use crate::id::{Pool, Priority, ReadySeq, TaskId};
use crate::tables::{Line, ReadyKey, ReadyTable, byte};

/// How many tasks of a line are kept in memory.
const HEAD_MAX: usize = 256;

/// The first task of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its line.
    pub line: Line,
    /// Its place.
    pub seq: ReadySeq,
    /// The task.
    pub id: TaskId,
}

#[derive(Debug)]
struct LineHead {
    first: BTreeMap<ReadySeq, TaskId>,
    /// Nothing of the line is behind `first`.
    is_complete: bool,
    /// Everything up to here was taken, or is in `first`.
    cursor: ReadySeq,
}

impl LineHead {
    fn first_seq(&self) -> Option<ReadySeq> {
        self.first.first_key_value().map(|(seq, _)| *seq)
    }
}

/// The heads of all lines, by pool.
#[derive(Debug, Default)]
pub struct ReadyLines {
    lines: BTreeMap<Line, LineHead>,
    /// The first task of each line that has one, in the order in which they are given out.
    order: BTreeMap<Pool, BTreeSet<(Reverse<Priority>, ReadySeq, Line)>>,
}

impl ReadyLines {
    /// Finds every line in the index, with one seek each, and reads its head.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn rebuild(txn: &Txn<'_>) -> Result<Self, StateError> {
        let mut lines = Self::default();
        let all = KeyWriter::new(byte::READY).finish();
        let (mut from, to) = (all.clone(), prefix_end(&all));
        while let Some((key, _)) = txn.scan::<ReadyTable>(&from, &to, 1)?.into_iter().next() {
            from = prefix_end(&key.line.prefix());
            let before = ReadySeq(key.seq.0.saturating_sub(1));
            let head = LineHead { first: BTreeMap::new(), is_complete: false, cursor: before };
            lines.lines.insert(key.line.clone(), head);
            lines.refill(&key.line, txn)?;
        }
        Ok(lines)
    }

    /// A task became QUEUED.
    pub fn insert(&mut self, line: Line, seq: ReadySeq, id: TaskId) {
        // Most tasks come in behind others: then the line stays listed as it is.
        let is_first =
            self.lines.get(&line).is_none_or(|head| head.first_seq().is_none_or(|first| seq < first));
        if is_first {
            self.unlist(&line);
        }
        let head = self.lines.entry(line.clone()).or_insert_with(|| LineHead {
            first: BTreeMap::new(),
            is_complete: true,
            cursor: seq,
        });
        let is_within = head.first.last_key_value().is_some_and(|(last, _)| seq < *last);
        if head.is_complete || is_within || seq <= head.cursor {
            head.first.insert(seq, id);
        }
        if head.first.len() > HEAD_MAX {
            head.first.pop_last();
            head.is_complete = false;
        }
        if let Some((last, _)) = head.first.last_key_value() {
            head.cursor = head.cursor.max(*last);
            if !head.is_complete {
                head.cursor = *last;
            }
        }
        if is_first {
            self.list(&line);
        }
    }

    /// A task is not QUEUED any more, other than by [`ReadyLines::take`].
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn remove(&mut self, line: &Line, seq: ReadySeq, txn: &Txn<'_>) -> Result<(), StateError> {
        self.unlist(line);
        if let Some(head) = self.lines.get_mut(line) {
            head.first.remove(&seq);
        }
        self.settle(line, txn)
    }

    /// The pools in which tasks wait.
    #[must_use]
    pub fn pools(&self) -> Vec<Pool> {
        self.order.keys().cloned().collect()
    }

    /// Whether a task of this pool waits.
    #[must_use]
    pub fn waits(&self, pool: &Pool) -> bool {
        self.order.contains_key(pool)
    }

    /// The line of the first task of a pool.
    #[must_use]
    pub fn first_line(&self, pool: &Pool) -> Option<Line> {
        self.order.get(pool).and_then(|order| order.first()).map(|(_, _, line)| line.clone())
    }

    /// Passes over a line until it is put back.
    pub fn set_aside(&mut self, line: &Line) {
        self.unlist(line);
    }

    /// Ends [`ReadyLines::set_aside`].
    pub fn put_back(&mut self, line: &Line) {
        self.list(line);
    }

    /// Takes the first task of a pool: highest priority, then first in. The caller must change its state.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn take(&mut self, pool: &Pool, txn: &Txn<'_>) -> Result<Option<Head>, StateError> {
        let Some((_, seq, line)) = self.order.get(pool).and_then(|order| order.first()).cloned() else {
            return Ok(None);
        };
        self.unlist(&line);
        let head = self.lines.get_mut(&line).expect("a listed line is kept");
        let id = head.first.remove(&seq).expect("a line is listed by its first task");
        self.settle(&line, txn)?;
        Ok(Some(Head { line, seq, id }))
    }

    /// Refills a line that ran empty, lists it again, or forgets it.
    fn settle(&mut self, line: &Line, txn: &Txn<'_>) -> Result<(), StateError> {
        if self.lines.get(line).is_some_and(|head| head.first.is_empty() && !head.is_complete) {
            return self.refill(line, txn);
        }
        self.list(line);
        Ok(())
    }

    fn refill(&mut self, line: &Line, txn: &Txn<'_>) -> Result<(), StateError> {
        let Some(head) = self.lines.get_mut(line) else {
            return Ok(());
        };
        let behind = ReadySeq(head.cursor.0.saturating_add(1));
        let from = ReadyTable::key(&ReadyKey { line: line.clone(), seq: behind });
        let found = txn.scan::<ReadyTable>(&from, &prefix_end(&line.prefix()), HEAD_MAX)?;
        head.is_complete = found.len() < HEAD_MAX;
        head.first.extend(found.into_iter().map(|(key, id)| (key.seq, id)));
        if let Some((last, _)) = head.first.last_key_value() {
            head.cursor = *last;
        }
        self.list(line);
        Ok(())
    }

    fn list(&mut self, line: &Line) {
        let Some(head) = self.lines.get(line) else { return };
        match head.first_seq() {
            Some(seq) => {
                let place = (Reverse(line.priority), seq, line.clone());
                self.order.entry(line.pool.clone()).or_default().insert(place);
            }
            None => {
                self.lines.remove(line);
            }
        }
    }

    fn unlist(&mut self, line: &Line) {
        let first = self.lines.get(line).and_then(LineHead::first_seq);
        if let (Some(seq), Some(order)) = (first, self.order.get_mut(&line.pool)) {
            order.remove(&(Reverse(line.priority), seq, line.clone()));
            if order.is_empty() {
                self.order.remove(&line.pool);
            }
        }
    }
}
