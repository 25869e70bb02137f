//! The changelog's records: rows, and one batch record behind the rows of each commit.
//!
//! A batch record at offset `o` that counts `n` rows claims the offsets `o - n .. o`. It is the number of the commit, the
//! proof that the commit is whole, and it makes the position in the inputs part of the state.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{Checkpoint, NextOffset, StateError, Write, codec, table};

/// How many batch records compaction leaves: their keys go round in a ring.
pub const BATCH_RING: u64 = 65_536;

/// No table's keys start with `_`.
const BATCH_PREFIX: &str = "__batch/";

/// One changelog record; without a value the key is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The row's key in the store, or a batch record's.
    pub key: Vec<u8>,
    /// The row's bytes in the store, or a batch record's.
    pub value: Option<Vec<u8>>,
}

/// What the caller knows about a commit and its batch record has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seal {
    /// The number of the commit: one more than the last checkpoint's.
    pub sequence: u64,
    /// From and to (next offsets) of each input, in the order in which the topology declares them.
    pub inputs: Vec<(NextOffset, NextOffset)>,
    /// The batch's time on the processor's clock, in milliseconds.
    pub at_ms: u64,
    /// Its time on the wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The events that came from no input, encoded by the caller.
    pub local: Vec<u8>,
    /// The epoch of the owner that commits.
    pub owner_epoch: u64,
    /// The version of the deciding code.
    pub code_version: u32,
}

/// The last record of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// The number of the commit; the first one has 1.
    pub sequence: u64,
    /// From and to (next offsets) of each input, in the order in which the topology declares them.
    pub inputs: Vec<(NextOffset, NextOffset)>,
    /// How many rows the commit wrote into the changelog, directly before this record.
    pub records: u32,
    /// [`Digest`] over these rows in the order in which they were produced.
    pub digest: u64,
    /// The batch's time on the processor's clock, in milliseconds.
    pub at_ms: u64,
    /// Its time on the wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The events that came from no input, encoded by the caller.
    pub local: Vec<u8>,
    /// The epoch of the owner that committed.
    pub owner_epoch: u64,
    /// The version of the deciding code.
    pub code_version: u32,
}

impl BatchRecord {
    const VERSION: u8 = 1;

    /// The changelog record's key.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        batch_key(self.sequence)
    }

    /// The changelog record's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(Self::VERSION, self)
    }

    /// The batch record in a changelog record's value.
    ///
    /// # Errors
    /// As [`crate::decode`].
    pub fn decode(value: &[u8]) -> Result<Self, StateError> {
        codec::decode(Self::VERSION, value)
            .map(|(_, batch)| batch)
            .map_err(|error| table::name_table(error, "batch record"))
    }

    /// Where a store stands that holds this batch, whose record was written at the offset before `changelog`.
    #[must_use]
    pub fn checkpoint(&self, changelog: NextOffset) -> Checkpoint {
        Checkpoint {
            changelog,
            inputs: self.inputs.iter().map(|&(_, to)| to).collect(),
            sequence: self.sequence,
            at_ms: self.at_ms,
            wall_ms: self.wall_ms,
            owner_epoch: self.owner_epoch,
            code_version: self.code_version,
        }
    }
}

/// The key of a batch record.
#[must_use]
pub fn batch_key(sequence: u64) -> Vec<u8> {
    format!("{BATCH_PREFIX}{}", sequence % BATCH_RING).into_bytes()
}

/// Whether a changelog record with this key is a batch record.
#[must_use]
pub fn is_batch_key(key: &[u8]) -> bool {
    key.starts_with(BATCH_PREFIX.as_bytes())
}

/// XXH3 over changelog rows in the order in which they were produced, each key and value with its length.
#[derive(Clone, Default)]
pub struct Digest(Xxh3);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Digest").field(&self.finish()).finish()
    }
}

impl Digest {
    /// The digest of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one row.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.part(key);
        match value {
            Some(value) => self.part(value),
            // No value has this length, so a deletion is like no row.
            None => self.0.update(&u64::MAX.to_le_bytes()),
        }
    }

    /// The digest of what was added so far.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0.digest()
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

/// The batch record that claims these rows.
pub(crate) fn seal<'w>(rows: impl Iterator<Item = &'w Write>, seal: Seal) -> BatchRecord {
    let (mut digest, mut records) = (Digest::new(), 0_u32);
    for write in rows {
        digest.add(&write.key, write.value.as_deref());
        records += 1;
    }
    BatchRecord {
        sequence: seal.sequence,
        inputs: seal.inputs,
        records,
        digest: digest.finish(),
        at_ms: seal.at_ms,
        wall_ms: seal.wall_ms,
        local: seal.local,
        owner_epoch: seal.owner_epoch,
        code_version: seal.code_version,
    }
}
