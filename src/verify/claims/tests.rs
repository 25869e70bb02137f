//! The changelog's rules on small logs.

use yardmaster_state::{Batch, Seal, TableClass, Write};

use super::*;

/// A log in the making.
#[derive(Default)]
struct Log {
    rows: Vec<Row>,
    next: i64,
    taken: i64,
}

impl Log {
    fn put(&mut self, key: &[u8], value: Option<Vec<u8>>) -> &mut Self {
        self.rows.push(Row { offset: self.next, key: key.to_vec(), value });
        self.next += 1;
        self
    }

    /// Rows of these keys and their batch record, then a marker.
    fn batch(&mut self, sequence: u64, keys: &[u8]) -> &mut Self {
        let write = |key: &u8| Write {
            key: [16, *key].as_slice().into(),
            value: Some(sequence.to_be_bytes().to_vec()),
            class: TableClass::Logged,
        };
        let batch = Batch { writes: keys.iter().map(write).collect(), ..Batch::default() };
        let inputs = vec![(NextOffset(self.taken), NextOffset(self.taken + 5))];
        self.taken += 5;
        let seal = Seal { sequence, inputs, at_ms: sequence, ..Seal::default() };
        for record in batch.changelog(seal) {
            self.put(&record.key, record.value);
        }
        self.next += 1;
        self
    }

    fn without(&mut self, offset: i64) -> &mut Self {
        self.rows.retain(|row| row.offset != offset);
        self
    }

    fn judge(&self) -> Result<Seen, Breach> {
        let mut claims = Claims::new();
        for row in &self.rows {
            claims.feed(row.clone())?;
        }
        claims.finish()
    }

    fn why(&self) -> String {
        self.judge().unwrap_err().detail
    }
}

#[test]
fn a_whole_log_is_right() {
    let seen = Log::default().batch(1, &[1, 2]).batch(2, &[]).batch(3, &[2]).judge().unwrap();
    assert_eq!((seen.records, seen.batches, seen.digests), (6, 3, 3));
    assert!(seen.is_whole);
}

#[test]
fn compaction_takes_rows_and_batch_records_of_the_ring() {
    let seen = Log::default().batch(1, &[1, 2]).batch(2, &[1]).without(0).judge().unwrap();
    assert_eq!((seen.batches, seen.digests, seen.is_whole), (2, 1, false));
    let mut log = Log::default();
    log.batch(1, &[1]).batch(2, &[2]).without(1);
    assert!(log.why().contains("batch record 1 is not there"), "{}", log.why());
    // Far enough back it is compaction's doing.
    let seen = log.batch(BATCH_RING + 1, &[3]).judge().unwrap();
    assert_eq!((seen.first_sequence, seen.last_sequence), (2, BATCH_RING + 1));
}

#[test]
fn a_row_that_nobody_claims_is_found() {
    let mut log = Log::default();
    log.batch(1, &[1]).put(&[16, 7], Some(vec![1]));
    assert!(log.why().contains("belongs to no batch"), "{}", log.why());
    assert_eq!(log.judge().unwrap_err().offset, 3);
    log.batch(2, &[2]);
    assert!(log.why().contains("none has written its key again"), "{}", log.why());
    // Whoever owns the partition writes it again.
    let seen = log.batch(3, &[7]).judge().unwrap();
    assert_eq!(seen.repaired, 1);
}

#[test]
fn what_does_not_follow_is_found() {
    let mut changed = Log::default();
    changed.batch(1, &[1, 2]);
    changed.rows[1].value = Some(vec![9]);
    assert!(changed.why().contains("another digest"), "{}", changed.why());

    assert!(Log::default().batch(2, &[1]).batch(2, &[1]).why().contains("comes after batch 2"));

    let mut skipping = Log::default();
    skipping.batch(1, &[1]).taken += 1;
    assert!(skipping.batch(2, &[]).why().contains("begins at"), "{}", skipping.why());

    let mut none = Log::default();
    assert!(none.put(&[16], None).why().contains("no batch record"));
}
