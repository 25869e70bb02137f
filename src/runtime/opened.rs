//! The store of a partition from its opening to its closing: what is damaged is set aside, what is still read is waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use yardmaster_state::{
    BlockCache, DiskOptions, DiskStore, Marker, StateDirectory, StateError, remove_aside, set_aside,
};

use super::partition::Partition;

/// A reader that keeps a store open for longer is worth a word.
const READERS_PATIENCE: Duration = Duration::from_secs(5);

/// Where and how stores lie.
#[derive(Clone)]
pub(super) struct StoreSettings {
    pub(super) state_dir: std::path::PathBuf,
    pub(super) namespace: String,
    /// What has to be free on the disk.
    pub(super) free_bytes_min: u64,
    pub(super) cache: BlockCache,
}

/// A store in its directory.
pub(super) struct Opened {
    directory: StateDirectory,
    pub(super) store: Arc<DiskStore>,
}

impl Opened {
    /// Opens, and creates if need be, the store of a partition. What is damaged is set aside: the changelog has it.
    pub(super) fn open(partition: &Partition, stores: &StoreSettings) -> Result<Self, StateError> {
        let marker = Marker {
            namespace: stores.namespace.clone(),
            partition: u32::try_from(partition.number).unwrap_or_default(),
            partitions: u32::try_from(partition.partitions).unwrap_or_default(),
            topics: partition.identity.ids(),
        };
        let directory = match StateDirectory::open(&stores.state_dir, &marker) {
            Ok(directory) => directory,
            Err(StateError::Corrupted(what)) => {
                let (directory, aside) = StateDirectory::renew(&stores.state_dir, &marker)?;
                tracing::error!(
                    partition = partition.number,
                    what,
                    ?aside,
                    "the state directory was damaged: its store is set \
                     aside and rebuilt from the changelog"
                );
                directory
            }
            Err(other) => return Err(other),
        };
        let path = directory.store_path();
        let options = DiskOptions::new(stores.cache.clone());
        let store = match DiskStore::open(&path, &options) {
            Ok(store) => store,
            Err(StateError::Corrupted(what)) => {
                let aside = set_aside(&path)?;
                tracing::error!(partition = partition.number, what, aside = %aside.display(), "the store was damaged: it is \
                     set aside and rebuilt from the changelog");
                DiskStore::open(&path, &options)?
            }
            Err(other) => return Err(other),
        };
        partition.closing.store(false, Ordering::Relaxed);
        Ok(Self { directory, store: Arc::new(store) })
    }

    /// Closes the store, once nobody reads it any more: an open one would go on writing into a directory that is renamed,
    /// and could not be opened again. A processor that stops waits for no reader: nothing of this comes after it.
    pub(super) fn close(self, partition: &Partition) -> StateDirectory {
        partition.registry.remove(partition.number);
        partition.closing.store(true, Ordering::Relaxed);
        let Self { directory, mut store } = self;
        let (since, mut is_said) = (Instant::now(), false);
        loop {
            match Arc::try_unwrap(store) {
                Ok(last) => {
                    drop(last);
                    return directory;
                }
                Err(_) if partition.is_stopping() => return directory,
                Err(shared) => store = shared,
            }
            if since.elapsed() > READERS_PATIENCE && !is_said {
                is_said = true;
                tracing::warn!(
                    partition = partition.number,
                    "the store is still read: it is closed as soon as that is over"
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// When the disk is full, what was set aside of damaged stores goes first.
pub(super) fn make_room(partition: &Partition, stores: &StoreSettings) {
    let number = partition.number.to_string();
    let path = stores.state_dir.join(&stores.namespace).join(number).join("store");
    match remove_aside(&path) {
        Ok(0) => {}
        Ok(removed) => tracing::warn!(
            partition = partition.number,
            removed,
            "the disk is full: stores that were damaged and set aside are removed"
        ),
        Err(error) => tracing::debug!(partition = partition.number, %error, "nothing could be removed"),
    }
}
