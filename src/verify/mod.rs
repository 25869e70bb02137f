//! A user's audit: is the state what the log says, and is the log what the inputs say?
//!
//! For each partition two passes, both streaming. The first folds the changelog through the same restore that a server uses,
//! checks batch records and digests on the way, and compares the rows with those of a store. The second decides every batch
//! again and compares rows, messages, events, replies and dead letters. The first difference ends a partition's audit.
//!
//! **Invariant:** nothing is written but to a scratch directory: not to a topic, not to a state directory.
//! **Invariant:** what can't be checked is said, with the reason; it never counts as right.

mod claims;
mod decisions;
mod ends;
mod event_log;
mod failure;
mod fold;
mod outputs;
mod partition;
mod replay;
mod report;
mod rows;
mod scratch;
mod start;
mod trail;
mod written;

use std::path::PathBuf;

pub use failure::VerifyError;
pub use report::{Compared, Difference, PartitionReport, Place};

use crate::kafka::{Connection, Topics};
use crate::runtime::Names;

/// What to audit.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Where the topics are.
    pub conn: Connection,
    /// Whose.
    pub namespace: String,
    /// Which partitions; all when empty.
    pub partitions: Vec<i32>,
    /// Where stores lie that are compared: of a server, running or not, of a standby, or a copy.
    pub state_dir: Option<PathBuf>,
    /// Fold the changelog and compare rows with the store.
    pub fold: bool,
    /// Decide every batch again.
    pub replay: bool,
    /// Begin the replay with this batch.
    pub from_sequence: Option<u64>,
}

impl Audit {
    /// Everything that can be checked.
    #[must_use]
    pub fn new(conn: Connection, namespace: &str) -> Self {
        Self {
            conn,
            namespace: namespace.to_owned(),
            partitions: Vec::new(),
            state_dir: None,
            fold: true,
            replay: true,
            from_sequence: None,
        }
    }
}

/// How far an audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The partition.
    pub partition: i32,
    /// What is being done with it.
    pub doing: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// Audits the partitions one after the other; `show` hears now and then how far it is.
///
/// # Errors
/// When something can't be read. A difference is no error: it stands in the report of its partition.
pub fn verify(audit: &Audit, show: &mut dyn FnMut(&Progress)) -> Result<Vec<PartitionReport>, VerifyError> {
    let names = Names::new(&audit.namespace);
    let topics = Topics::new(&audit.conn)?;
    let Some(partitions) = topics.partitions(&names.changelog())? else {
        return Err(VerifyError::Refused(format!(
            "topic {} does not exist: is {} the namespace, and is this the right broker?",
            names.changelog(),
            audit.namespace
        )));
    };
    let wanted: Vec<i32> =
        if audit.partitions.is_empty() { (0..partitions).collect() } else { audit.partitions.clone() };
    if let Some(unknown) = wanted.iter().find(|number| !(0..partitions).contains(*number)) {
        return Err(VerifyError::Refused(format!(
            "there is no partition {unknown}: {} has partitions 0 to {}",
            names.changelog(),
            partitions - 1
        )));
    }
    let whole = partition::Whole { audit, names: &names, topics: &topics, partitions };
    wanted.into_iter().map(|number| partition::audit(&whole, number, show)).collect()
}
