//! The cluster as this instance sees it, for people, and what they want of it. The thread that follows the placement fills
//! the one and carries out the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::oneshot;

use super::announcement::Progress;

/// One instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceView {
    /// Its HTTP address.
    pub url: String,
    /// Its rack or zone; empty when that is not known.
    pub rack: String,
    /// When it began, wall clock, in milliseconds since 1970; 0 when it doesn't say.
    pub since_ms: u64,
    /// What the placer may expect of it: settled, new, stopping or drained.
    pub standing: &'static str,
    /// The partitions that it serves.
    pub serves: Vec<i32>,
    /// The copies that it keeps.
    pub copies: BTreeMap<i32, Progress>,
}

/// Where one partition is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionView {
    /// Its owner.
    pub owner: String,
    /// Whether the owner says that it serves it.
    pub is_served: bool,
    /// Who is to keep copies.
    pub standbys: Vec<String>,
}

/// All of it, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The number of the placement.
    pub epoch: u64,
    /// This instance.
    pub me: String,
    /// The instance whose turn it is to place.
    pub placer: Option<String>,
    /// The instances that are heard.
    pub instances: BTreeMap<String, InstanceView>,
    /// Instances that an operator wants to be empty, heard or not.
    pub drained: Vec<String>,
    /// The partitions.
    pub partitions: BTreeMap<i32, PartitionView>,
}

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// An instance is to be emptied, or may be filled again.
    Drain {
        /// Which.
        instance: String,
        /// Whether it is to be empty.
        drained: bool,
    },
    /// The partitions are to be balanced at once.
    Rebalance,
}

/// A wish, and who wants to know what became of it.
pub(crate) type Asked = (Wish, oneshot::Sender<Result<(), String>>);

/// Wishes that wait at once, at most.
const WISHES_MAX: usize = 64;

/// The desk between HTTP and the thread that follows the placement.
#[derive(Default)]
pub struct Cluster {
    view: RwLock<Arc<ClusterView>>,
    wishes: Mutex<Vec<Asked>>,
}

impl Cluster {
    /// The cluster as it was seen last.
    #[must_use]
    pub fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands a wish over; the answer comes when Kafka has it. None when too many wait.
    pub fn ask(&self, wish: Wish) -> Option<oneshot::Receiver<Result<(), String>>> {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if wishes.len() >= WISHES_MAX {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        wishes.push((wish, sender));
        Some(receiver)
    }

    pub(crate) fn show(&self, view: ClusterView) {
        let mut shown = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if **shown != view {
            *shown = Arc::new(view);
        }
    }

    pub(crate) fn take_wishes(&self) -> Vec<Asked> {
        std::mem::take(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
