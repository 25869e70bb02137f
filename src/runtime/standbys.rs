//! Warm copies of partitions that others own, as HTTP and the metrics see them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use yardmaster_state::{NextOffset, Store};

/// How far a copy has come, and how far the changelog goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// The next changelog offset that the copy needs.
    pub next: NextOffset,
    /// The changelog's end, as last heard of.
    pub end: NextOffset,
    /// The last batch that is in the copy.
    pub sequence: u64,
    /// When that batch was made, wall clock of its owner, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// One partition that another instance owns and that is kept warm here.
pub struct StandbyPartition {
    /// Which.
    pub partition: i32,
    /// Its rows: always those of a whole number of batches.
    pub store: Arc<dyn Store>,
    /// Changes as the copy follows.
    pub behind: watch::Receiver<Behind>,
}

/// The copies that are kept here, and who keeps the others.
#[derive(Default)]
pub struct Standbys {
    here: RwLock<BTreeMap<i32, Arc<StandbyPartition>>>,
    elsewhere: RwLock<BTreeMap<i32, Vec<String>>>,
}

impl Standbys {
    /// The copy of a partition, if it is kept here.
    #[must_use]
    pub fn get(&self, partition: i32) -> Option<Arc<StandbyPartition>> {
        self.here.read().unwrap_or_else(PoisonError::into_inner).get(&partition).cloned()
    }

    /// All copies that are kept here, by partition.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<StandbyPartition>> {
        self.here.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A copy is followed from now on.
    pub fn add(&self, standby: StandbyPartition) {
        let standby = Arc::new(standby);
        self.here.write().unwrap_or_else(PoisonError::into_inner).insert(standby.partition, standby);
    }

    /// A copy is given up, or becomes the partition's own store.
    pub fn remove(&self, partition: i32) {
        self.here.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    /// The HTTP addresses of the other instances that keep copies, closest to the end first.
    #[must_use]
    pub fn elsewhere(&self, partition: i32) -> Vec<String> {
        let elsewhere = self.elsewhere.read().unwrap_or_else(PoisonError::into_inner);
        elsewhere.get(&partition).cloned().unwrap_or_default()
    }

    /// Who keeps copies, as instances announce it.
    pub fn place_elsewhere(&self, keepers: BTreeMap<i32, Vec<String>>) {
        *self.elsewhere.write().unwrap_or_else(PoisonError::into_inner) = keepers;
    }
}
