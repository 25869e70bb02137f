//! What stands on `<ns>.placement`: a place for each partition, written by the placer, and what operators want, written by
//! whichever instance they asked. All of it outlives the placer, and every instance reads it from the beginning.

use serde::{Deserialize, Serialize};

use super::Place;

const DRAIN: &str = "drain/";
const REBALANCE: &str = "rebalance";

/// One partition's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Placed {
    v: u32,
    epoch: u64,
    owner: String,
    #[serde(default)]
    standbys: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Drain {
    v: u32,
    drained: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rebalance {
    v: u32,
}

/// One record of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) enum PlacementRecord {
    /// Where a partition is, as of an epoch.
    Place {
        /// The partition.
        partition: i32,
        /// The number of the placement that it is a part of.
        epoch: u64,
        /// Where it is.
        place: Place,
    },
    /// An instance is to be emptied, or is not any more.
    Drain {
        /// Which.
        instance: String,
        /// Whether it is to be empty.
        drained: bool,
    },
    /// The partitions are to be balanced without waiting for those who have just come to settle.
    Rebalance,
}

impl PlacementRecord {
    /// The key.
    pub(in crate::runtime) fn key(&self) -> String {
        match self {
            Self::Place { partition, .. } => partition.to_string(),
            Self::Drain { instance, .. } => format!("{DRAIN}{instance}"),
            Self::Rebalance => REBALANCE.to_owned(),
        }
    }

    /// The value.
    pub(in crate::runtime) fn value(&self) -> Vec<u8> {
        let value = match self {
            Self::Place { epoch, place, .. } => {
                let Place { owner, standbys } = place.clone();
                serde_json::to_vec(&Placed { v: 1, epoch: *epoch, owner, standbys })
            }
            Self::Drain { drained, .. } => serde_json::to_vec(&Drain { v: 1, drained: *drained }),
            Self::Rebalance => serde_json::to_vec(&Rebalance { v: 1 }),
        };
        value.expect("a placement is JSON")
    }

    /// The record, if it is one.
    pub(in crate::runtime) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        if let Some(instance) = key.strip_prefix(DRAIN) {
            let Drain { drained, .. } = serde_json::from_slice(value).ok()?;
            return Some(Self::Drain { instance: instance.to_owned(), drained });
        }
        if key == REBALANCE {
            return serde_json::from_slice::<Rebalance>(value).ok().map(|_| Self::Rebalance);
        }
        let partition = key.parse().ok()?;
        let Placed { epoch, owner, standbys, .. } = serde_json::from_slice(value).ok()?;
        Some(Self::Place { partition, epoch, place: Place { owner, standbys } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_written() {
        let place = Place { owner: "a".to_owned(), standbys: vec!["b".to_owned()] };
        let records = [
            PlacementRecord::Place { partition: 3, epoch: 7, place },
            PlacementRecord::Drain { instance: "a/b".to_owned(), drained: true },
            PlacementRecord::Drain { instance: "7".to_owned(), drained: false },
            PlacementRecord::Rebalance,
        ];
        for record in records {
            assert_eq!(PlacementRecord::read(record.key().as_bytes(), &record.value()), Some(record));
        }
        assert_eq!(PlacementRecord::read(b"x", b"{}"), None);
        assert_eq!(PlacementRecord::read(b"1", b"{}"), None);
    }
}
