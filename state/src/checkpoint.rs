//! Where a store stands: written with every batch, in the same atomic write.

use serde::{Deserialize, Serialize};

use crate::{StateError, codec};

/// The offset of the next record to read, never of the last one read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextOffset(pub i64);

impl std::fmt::Display for NextOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a store in everything that it was computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Behind the last batch record that is in the store.
    pub changelog: NextOffset,
    /// Behind the last record taken of each input, in the order in which the topology declares them.
    pub inputs: Vec<NextOffset>,
    /// The number of the last batch; the first one has 1.
    pub sequence: u64,
    /// The last batch's time on the processor's clock, in milliseconds.
    pub at_ms: u64,
    /// The last batch's time on the wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The epoch of the owner that wrote the last batch.
    pub owner_epoch: u64,
    /// The version of the deciding code that wrote the last batch.
    pub code_version: u32,
}

impl Checkpoint {
    const VERSION: u8 = 1;

    /// The bytes in a store's meta data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(Self::VERSION, self)
    }

    /// The checkpoint in these bytes.
    ///
    /// # Errors
    /// As [`crate::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        codec::decode(Self::VERSION, bytes)
            .map(|(_, checkpoint)| checkpoint)
            .map_err(|error| crate::table::name_table(error, "checkpoint"))
    }
}
