//! Whether a batch record agrees with what came before it.

use super::Restore;
use crate::{BatchRecord, Digest, StateError, batch_key};

impl Restore<'_> {
    /// Checks a batch record against what came before; returns how many batch records are missing between.
    pub(super) fn check(
        &self,
        offset: i64,
        key: &[u8],
        claimed_from: i64,
        batch: &BatchRecord,
    ) -> Result<u64, StateError> {
        let fail = |why: String| {
            Err(StateError::corrupted(format!("batch record {} at {offset} {why}", batch.sequence)))
        };
        if key != batch_key(batch.sequence) {
            return fail(format!("has the key {}", String::from_utf8_lossy(key)));
        }
        if batch.sequence <= self.sequence {
            return fail(format!("comes after batch {}", self.sequence));
        }
        if claimed_from < self.floor.0 {
            return fail(format!("claims {} rows, the batch before ends at {}", batch.records, self.floor));
        }
        let missing = batch.sequence - self.sequence - 1;
        let unclaimed = self.waiting.partition_point(|row| row.offset < claimed_from);
        // Each missing batch record has left an offset without a record.
        let holes = (claimed_from - self.floor.0).unsigned_abs().saturating_sub(unclaimed as u64);
        if missing > holes {
            return fail(format!("comes after batch {}, and nothing was compacted between", self.sequence));
        }
        if missing == 0 && self.is_unsealed && self.report.batches == 0 {
            return fail("is the first one, but rows without a batch record came before it".into());
        }
        Ok(missing)
    }

    pub(super) fn check_digest(&mut self, batch: &BatchRecord) -> Result<(), StateError> {
        let mut digest = Digest::new();
        for row in &self.waiting {
            digest.add(&row.key, row.value.as_deref());
        }
        if digest.finish() != batch.digest {
            return Err(StateError::corrupted(format!(
                "batch {} has the digest {:016x}, its rows have {:016x}",
                batch.sequence,
                batch.digest,
                digest.finish()
            )));
        }
        self.report.digest_checked += 1;
        Ok(())
    }
}
