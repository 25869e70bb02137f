//! What this instance owns, as HTTP and the metrics see it: only what is committed, and who owns the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{DiskStore, NextOffset, Store};
use yardmaster_topologies::driver::CommandInput;
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::id::{Pool, RequestId};

use super::cluster::Cluster;
use super::halt::Halt;
use super::restores::Restores;
use super::standbys::Standbys;
use super::waiters::{Asked, Waiter, Waiters};
use crate::kafka::partition_of;

/// How far a processor has committed. It only grows while the partition stays here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The next command to read.
    pub tasks: NextOffset,
    /// The next status to read.
    pub status: NextOffset,
    /// The last batch.
    pub sequence: u64,
    /// The processor's clock at that batch, in milliseconds.
    pub at_ms: u64,
}

/// One partition that is owned and restored.
pub struct OwnedPartition {
    /// Which.
    pub partition: i32,
    /// Its rows; nothing uncommitted is ever in there.
    pub store: Arc<dyn Store>,
    /// The same store, where it is one on disk: only for its sizes.
    pub disk: Option<Arc<DiskStore>>,
    /// Changes with every commit: a reader waits on it for its own write.
    pub committed: watch::Receiver<Committed>,
    /// Becomes true when it is not served here any more.
    has_left: watch::Sender<bool>,
}

impl OwnedPartition {
    /// A partition that is restored.
    #[must_use]
    pub fn new(partition: i32, store: Arc<dyn Store>, committed: watch::Receiver<Committed>) -> Self {
        Self { partition, store, disk: None, committed, has_left: watch::channel(false).0 }
    }

    /// As [`OwnedPartition::new`], of a store whose sizes can be asked for.
    #[must_use]
    pub fn on_disk(partition: i32, store: Arc<DiskStore>, committed: watch::Receiver<Committed>) -> Self {
        let shared: Arc<dyn Store> = Arc::<DiskStore>::clone(&store);
        Self { disk: Some(store), ..Self::new(partition, shared, committed) }
    }

    /// Whether it has left. Long reads look: a store that somebody still reads stays open, and can't be opened again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.has_left.borrow()
    }

    /// Waits until it has left.
    pub async fn closed(&self) {
        let mut left = self.has_left.subscribe();
        // An error would mean that its sender is gone, which lives as long as this.
        drop(left.wait_for(|left| *left).await);
    }
}

/// Where a pool's state can be asked for.
pub enum Location {
    /// Here.
    Here(Arc<OwnedPartition>),
    /// At another instance, whose HTTP address this is.
    Elsewhere(String),
    /// On its way: ask again soon.
    Moving,
}

/// The partitions of the namespace, as this instance knows them.
pub struct Registry {
    partitions: i32,
    owned: RwLock<BTreeMap<i32, Arc<OwnedPartition>>>,
    elsewhere: RwLock<BTreeMap<i32, String>>,
    standbys: Standbys,
    restores: Restores,
    cluster: Cluster,
    waiters: Waiters,
    /// Why partitions that are placed here stand still.
    halts: RwLock<BTreeMap<i32, Halt>>,
    /// When the placement was last seen.
    placed_at: RwLock<Option<Instant>>,
}

impl Registry {
    /// An instance that owns nothing yet, of a namespace with `partitions` partitions.
    #[must_use]
    pub fn new(partitions: i32) -> Self {
        Self {
            partitions,
            owned: RwLock::default(),
            elsewhere: RwLock::default(),
            standbys: Standbys::default(),
            restores: Restores::default(),
            cluster: Cluster::default(),
            waiters: Waiters::default(),
            halts: RwLock::default(),
            placed_at: RwLock::default(),
        }
    }

    /// How many partitions the namespace has.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Where `pool` can be asked for now.
    #[must_use]
    pub fn locate(&self, pool: &Pool) -> Location {
        let partition = partition_of(pool, self.partitions);
        if let Some(owned) = self.owned.read().unwrap_or_else(PoisonError::into_inner).get(&partition) {
            return Location::Here(Arc::clone(owned));
        }
        match self.elsewhere.read().unwrap_or_else(PoisonError::into_inner).get(&partition) {
            Some(url) => Location::Elsewhere(url.clone()),
            None => Location::Moving,
        }
    }

    /// Everything that is owned here, by partition.
    #[must_use]
    pub fn owned(&self) -> Vec<Arc<OwnedPartition>> {
        self.owned.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The owners of the partitions that are not here: partition to HTTP address.
    #[must_use]
    pub fn elsewhere(&self) -> BTreeMap<i32, String> {
        self.elsewhere.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The warm copies of partitions that others own.
    #[must_use]
    pub fn standbys(&self) -> &Standbys {
        &self.standbys
    }

    /// Partitions that are placed here and stand still, with the reason.
    #[must_use]
    pub fn halts(&self) -> BTreeMap<i32, Halt> {
        self.halts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A partition stands still.
    pub fn halt(&self, partition: i32, halt: Halt) {
        self.halts.write().unwrap_or_else(PoisonError::into_inner).insert(partition, halt);
    }

    /// What held a partition is over.
    pub fn go_on(&self, partition: i32) {
        self.halts.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    /// The partitions that are being restored here.
    #[must_use]
    pub fn restores(&self) -> &Restores {
        &self.restores
    }

    /// The cluster as it is seen here, and what operators want of it.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A partition is restored and processes from now on.
    pub fn add(&self, owned: OwnedPartition) {
        let partition = owned.partition;
        self.go_on(partition);
        self.owned.write().unwrap_or_else(PoisonError::into_inner).insert(partition, Arc::new(owned));
    }

    /// A partition is not served here any more: reads that take long give its store back.
    pub fn remove(&self, partition: i32) {
        let left = self.owned.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        if let Some(left) = left {
            left.has_left.send_replace(true);
        }
    }

    /// The placement as it is now, as far as it concerns others: who serves which partition.
    pub fn place_elsewhere(&self, owners: BTreeMap<i32, String>) {
        *self.elsewhere.write().unwrap_or_else(PoisonError::into_inner) = owners;
        *self.placed_at.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the placement was seen within a time: an instance that is cut off from Kafka may have lost everything.
    #[must_use]
    pub fn is_following(&self, within: Duration) -> bool {
        let placed_at = *self.placed_at.read().unwrap_or_else(PoisonError::into_inner);
        placed_at.is_some_and(|at| at.elapsed() < within)
    }

    /// Waits for what is decided about so many commands of a request. To be called before the first of them is sent.
    pub fn wait_for(&self, id: RequestId, commands: usize) -> Waiter {
        self.waiters.wait_for(id, commands)
    }

    /// Those of a batch's commands that a request here waits for.
    #[must_use]
    pub fn asked(&self, commands: &[CommandInput]) -> Asked {
        self.waiters.asked(commands)
    }

    /// Told by a processor after the commit of the batch that these commands were in.
    pub fn answer<'e>(&self, asked: Asked, effects: impl IntoIterator<Item = &'e Effect>) {
        self.waiters.answer(asked, effects);
    }
}
