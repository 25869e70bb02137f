//! The opened state of one partition: its directory, locked, and the store in it. What is damaged is set aside, what is still
//! read is waited for; a copy hands it to the processor that takes over, so that nothing is opened twice.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use yardmaster_state::{
    BlockCache, DiskOptions, DiskStore, Marker, StateDirectory, StateError, remove_aside, set_aside,
};

use super::identity::Identity;

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

/// A partition's state, which this process alone uses.
pub(super) struct Opened {
    /// Dropped first: its files lie in the directory.
    pub(super) store: Arc<DiskStore>,
    directory: StateDirectory,
    /// Keys of torn rows that a copy has met: whoever owns the partition next writes them again.
    pub(super) torn: Vec<Vec<u8>>,
}

impl Opened {
    /// Opens, and creates if need be, the state of a partition. What is damaged is set aside: the changelog has it.
    pub(super) fn open(
        number: i32,
        partitions: i32,
        identity: &Identity,
        stores: &StoreSettings,
    ) -> Result<Self, StateError> {
        let marker = Marker {
            namespace: stores.namespace.clone(),
            partition: u32::try_from(number).unwrap_or_default(),
            partitions: u32::try_from(partitions).unwrap_or_default(),
            topics: identity.ids(),
        };
        let directory = match StateDirectory::open(&stores.state_dir, &marker) {
            Ok(directory) => directory,
            Err(StateError::Corrupted(what)) => {
                let (directory, aside) = StateDirectory::renew(&stores.state_dir, &marker)?;
                tracing::error!(
                    partition = number,
                    what,
                    ?aside,
                    "the state directory was damaged: its store is set aside and rebuilt from the changelog"
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
                tracing::error!(partition = number, what, aside = %aside.display(), "the store was damaged: it is \
                     set aside and rebuilt from the changelog");
                DiskStore::open(&path, &options)?
            }
            Err(other) => return Err(other),
        };
        Ok(Self { store: Arc::new(store), directory, torn: Vec::new() })
    }

    /// Closes the store, once nobody reads it any more: an open one would go on writing into a directory that is renamed,
    /// and could not be opened again. Who stops waits for no reader: nothing of this comes after it.
    pub(super) fn close(self, number: i32, is_stopping: &dyn Fn() -> bool) -> StateDirectory {
        let Self { directory, mut store, .. } = self;
        let (since, mut is_said) = (Instant::now(), false);
        loop {
            match Arc::try_unwrap(store) {
                Ok(last) => {
                    drop(last);
                    return directory;
                }
                Err(_) if is_stopping() => return directory,
                Err(shared) => store = shared,
            }
            if since.elapsed() > READERS_PATIENCE && !is_said {
                is_said = true;
                tracing::warn!(
                    partition = number,
                    "the store is still read: it is closed as soon as that is over"
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Closes a store that can't be continued and sets it aside; who stops leaves it to whoever opens it next.
    pub(super) fn set_aside(
        self,
        number: i32,
        why: &str,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<(), StateError> {
        let directory = self.close(number, is_stopping);
        if is_stopping() {
            return Ok(());
        }
        let aside = set_aside(&directory.store_path())?;
        tracing::error!(partition = number, why, aside = %aside.display(), "the store is set aside and rebuilt from \
             the changelog");
        Ok(())
    }
}

/// When the disk is full, what was set aside of damaged stores goes first.
pub(super) fn make_room(number: i32, stores: &StoreSettings) {
    let path = stores.state_dir.join(&stores.namespace).join(number.to_string()).join("store");
    match remove_aside(&path) {
        Ok(0) => {}
        Ok(removed) => tracing::warn!(
            partition = number,
            removed,
            "the disk is full: stores that were damaged and set aside are removed"
        ),
        Err(error) => tracing::debug!(partition = number, %error, "nothing could be removed"),
    }
}
