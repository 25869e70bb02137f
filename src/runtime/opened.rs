//! The opened state of one partition: its directory, locked, and the store in it. A copy hands it to the processor that
//! takes over, so that nothing is opened twice.

use std::sync::Arc;

use yardmaster_state::{DiskOptions, DiskStore, Marker, StateDirectory, StateError, set_aside};

use super::processor::StoreSettings;

/// A partition's state, which this process alone uses.
pub(super) struct Opened {
    /// Dropped first: its files lie in the directory.
    pub(super) store: Arc<DiskStore>,
    pub(super) directory: StateDirectory,
    /// Keys of torn rows that a copy has met: whoever owns the partition next writes them again.
    pub(super) torn: Vec<Vec<u8>>,
}

impl Opened {
    /// Opens the state of a partition; a store whose files are damaged is set aside, and an empty one takes its place.
    pub(super) fn open(number: i32, partitions: i32, stores: &StoreSettings) -> Result<Self, StateError> {
        let marker = Marker {
            namespace: stores.namespace.clone(),
            partition: u32::try_from(number).unwrap_or_default(),
            partitions: u32::try_from(partitions).unwrap_or_default(),
            topics: stores.topics.clone(),
        };
        let directory = StateDirectory::open(&stores.state_dir, &marker)?;
        let path = directory.store_path();
        let store = match DiskStore::open(&path, &DiskOptions::new(stores.cache.clone())) {
            Ok(store) => Arc::new(store),
            Err(StateError::Corrupted(what)) => {
                let aside = set_aside(&path)?;
                tracing::error!(partition = number, what, aside = %aside.display(), "the store was damaged: it is \
                     set aside and rebuilt from the changelog");
                Arc::new(DiskStore::open(&path, &DiskOptions::new(stores.cache.clone()))?)
            }
            Err(other) => return Err(other),
        };
        Ok(Self { store, directory, torn: Vec::new() })
    }

    /// Closes a store that can't be continued and sets it aside.
    pub(super) fn set_aside(self, number: i32, why: &str) -> Result<(), StateError> {
        let path = self.directory.store_path();
        drop(self.store);
        let aside = set_aside(&path)?;
        tracing::error!(partition = number, why, aside = %aside.display(), "the store is set aside and rebuilt from \
             the changelog");
        Ok(())
    }
}
