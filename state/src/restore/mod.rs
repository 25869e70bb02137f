//! From committed changelog records back to a store: a state machine that is fed records and does no IO but the store's.
//!
//! Rows wait until a batch record claims them, then they are folded in whole batches; several batches may share one
//! write. So whatever moment a crash hits, the store holds a whole number of batches.
//!
//! Two limits lie outside: the caller must not continue a checkpoint that is older than the changelog keeps deletions
//! (`delete.retention.ms`), and records must be the committed ones only.

mod claims;
mod report;

use std::collections::VecDeque;

use crate::{
    BATCH_RING, Batch, BatchRecord, Checkpoint, NextOffset, Schema, StateError, Store, Txn, fail_point,
    is_batch_key,
};

use self::report::Waiting;
pub use self::report::{RestoreOptions, RestoreReport, TornRow};

/// One restore of one store.
pub struct Restore<'s> {
    schema: &'s dyn Schema,
    store: &'s dyn Store,
    options: RestoreOptions,
    start: NextOffset,
    /// Where the last batch ends: nothing before may be claimed again.
    floor: NextOffset,
    sequence: u64,
    /// The next record has this offset or a higher one.
    next: NextOffset,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    txn: Txn<'s>,
    txn_bytes: usize,
    /// The checkpoint of the last batch in `txn`.
    sealed: Option<Checkpoint>,
    /// The highest sequence whose batch record was not there.
    missing_max: Option<u64>,
    /// Rows went into the store before the first batch record: there were too many to wait.
    is_unsealed: bool,
    report: RestoreReport,
}

impl std::fmt::Debug for Restore<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore")
            .field("next", &self.next)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl<'s> Restore<'s> {
    /// Continues at a checkpoint, or starts at the beginning with an empty store.
    ///
    /// # Errors
    /// [`StateError::Rebuild`] when the store holds rows but has no checkpoint, or stands behind the changelog's end
    /// (high watermark): that changelog is another one, or was cut.
    pub fn new(
        schema: &'s dyn Schema,
        store: &'s dyn Store,
        from: Option<Checkpoint>,
        high_watermark: NextOffset,
    ) -> Result<Self, StateError> {
        let from = from.unwrap_or_default();
        if from.sequence == 0 && !crate::is_empty(store)? {
            return Err(StateError::Rebuild(
                "it has rows but no checkpoint, a restore was broken off".into(),
            ));
        }
        if from.changelog > high_watermark {
            return Err(StateError::Rebuild(format!(
                "its checkpoint is at offset {}, the changelog ends at {high_watermark}",
                from.changelog
            )));
        }
        Ok(Self {
            schema,
            store,
            options: RestoreOptions::default(),
            start: from.changelog,
            floor: from.changelog,
            sequence: from.sequence,
            next: from.changelog,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            txn: Txn::new(store),
            txn_bytes: 0,
            sealed: None,
            missing_max: None,
            is_unsealed: false,
            report: RestoreReport::default(),
        })
    }

    /// Other limits than the default ones.
    #[must_use]
    pub fn with_options(mut self, options: RestoreOptions) -> Self {
        self.options = options;
        self
    }

    /// The offset to read from; 0 means the first one that is left.
    #[must_use]
    pub fn start(&self) -> NextOffset {
        self.start
    }

    /// What was read so far.
    #[must_use]
    pub fn report(&self) -> &RestoreReport {
        &self.report
    }

    /// Whether everything below the high watermark was read. A reader that was assigned exactly at the end never gets
    /// a position: none counts as the start.
    #[must_use]
    pub fn is_done(&self, position: Option<NextOffset>, high_watermark: NextOffset) -> bool {
        self.start >= high_watermark || position.unwrap_or(self.start) >= high_watermark
    }

    /// Takes the next committed record.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] when the changelog contradicts itself, [`StateError::Rebuild`] when too many rows wait
    /// for a batch record, and whatever the store and the tables say.
    pub fn feed(&mut self, offset: i64, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        if offset < self.next.0 {
            return Err(StateError::corrupted(format!("offset {offset} came after {}", self.next.0 - 1)));
        }
        self.next = NextOffset(offset + 1);
        self.report.records_read += 1;
        if is_batch_key(key) {
            let value = value.ok_or_else(|| {
                StateError::corrupted(format!("the batch record at {offset} is a deletion"))
            })?;
            return self.close(offset, key, BatchRecord::decode(value)?);
        }
        self.waiting_bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.waiting.push_back(Waiting { offset, key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        if self.waiting_bytes > self.options.waiting_bytes_max { self.overflow() } else { Ok(()) }
    }

    /// Told when the reader has nothing more for now: what is complete goes into the store.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`StateError::Corrupted`] when the position went backwards.
    pub fn position(&mut self, next: NextOffset) -> Result<(), StateError> {
        if next < self.next {
            return Err(StateError::corrupted(format!(
                "position {next} is behind a record at {}",
                self.next.0 - 1
            )));
        }
        self.next = next;
        self.commit()
    }

    /// Ends the restore: everything below the high watermark was read. Rows that still wait are torn.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`StateError::Corrupted`] when batch records are missing that compaction can't have taken.
    pub fn finish(mut self) -> Result<RestoreReport, StateError> {
        self.commit()?;
        self.check_whole()?;
        let torn = std::mem::take(&mut self.waiting);
        self.report.torn.extend(torn.into_iter().map(TornRow::from));
        Ok(self.report)
    }

    /// For a copy that follows the changelog and has come to where it once ended: whether everything was there. It does
    /// not fence the owner, so rows that still wait for their batch record say nothing.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] when batch records are missing that compaction can't have taken.
    pub fn check_whole(&self) -> Result<(), StateError> {
        if self.is_unsealed && self.report.batches == 0 {
            return Err(StateError::corrupted("the changelog has rows but no batch record"));
        }
        // Compaction removes a batch record only when the ring has come round to its key.
        if let Some(missing) = self.missing_max
            && missing.saturating_add(BATCH_RING) > self.sequence
        {
            return Err(StateError::corrupted(format!(
                "batch record {missing} is not in the changelog, though {} is the last one",
                self.sequence
            )));
        }
        Ok(())
    }

    /// Ends a copy's following, wherever the changelog ends: whole batches go into the store, rows that still wait are
    /// given up, to be read again.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn leave(mut self) -> Result<RestoreReport, StateError> {
        self.commit()?;
        Ok(self.report)
    }

    /// A batch record: claims its rows, judges those before them, folds.
    fn close(&mut self, offset: i64, key: &[u8], batch: BatchRecord) -> Result<(), StateError> {
        let claimed_from = offset - i64::from(batch.records);
        let missing = self.check(offset, key, claimed_from, &batch)?;
        let unclaimed = self.waiting.partition_point(|row| row.offset < claimed_from);
        let claimed = self.waiting.split_off(unclaimed);
        let unclaimed = std::mem::replace(&mut self.waiting, claimed);
        if missing == 0 {
            self.report.torn.extend(unclaimed.into_iter().map(TornRow::from));
        } else {
            self.missing_max = Some(batch.sequence - 1);
            self.report.trusted += unclaimed.len() as u64;
            self.fold(unclaimed)?;
        }
        // Offsets don't repeat, so as many rows as were counted means that there are no gaps.
        if self.waiting.len() == batch.records as usize {
            self.check_digest(&batch)?;
        }
        let claimed = std::mem::take(&mut self.waiting);
        fail_point!("mid_restore_batch");
        self.fold(claimed)?;
        self.txn_bytes += std::mem::take(&mut self.waiting_bytes);
        self.floor = NextOffset(offset + 1);
        self.sequence = batch.sequence;
        self.sealed = Some(batch.checkpoint(self.floor));
        self.report.batches += 1;
        self.report.last = Some(batch);
        if self.txn_bytes >= self.options.write_bytes { self.commit() } else { Ok(()) }
    }

    fn fold(&mut self, rows: VecDeque<Waiting>) -> Result<(), StateError> {
        self.report.rows += rows.len() as u64;
        for row in rows {
            self.schema.fold(&mut self.txn, &row.key, row.value.as_deref())?;
        }
        Ok(())
    }

    /// Too many rows wait. Before the first batch record of a whole changelog they are old ones whose batch records are
    /// compacted away: they may go in, since a store without a checkpoint is never continued.
    fn overflow(&mut self) -> Result<(), StateError> {
        if self.sequence > 0 {
            return Err(StateError::Rebuild(format!(
                "{} bytes of rows behind batch {} have no batch record",
                self.waiting_bytes, self.sequence
            )));
        }
        let rows = std::mem::take(&mut self.waiting);
        self.report.trusted += rows.len() as u64;
        self.fold(rows)?;
        self.waiting_bytes = 0;
        self.is_unsealed = true;
        self.write()
    }

    fn commit(&mut self) -> Result<(), StateError> {
        if self.sealed.is_some() { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StateError> {
        let txn = std::mem::replace(&mut self.txn, Txn::new(self.store));
        let batch = Batch { checkpoint: self.sealed.take(), ..txn.finish() };
        self.txn_bytes = 0;
        self.store.commit(&batch)
    }
}
