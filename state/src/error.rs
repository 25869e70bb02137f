//! What can go wrong with remembered state, named by what has to be done about it.

use std::io;
use std::path::{Path, PathBuf};

/// An error by reaction: each variant is something else to do.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Bytes are not what was written. Set the directory aside and restore from the changelog; if the changelog itself
    /// says so, stop and call an operator.
    #[error("corrupted: {0}")]
    Corrupted(String),
    /// Written by a newer version of this program. Stop: an older one must not guess.
    #[error("{what} has version {found}, this program knows versions up to {known}: start the newer program")]
    TooNew {
        /// What was being read.
        what: &'static str,
        /// The version that was found.
        found: u32,
        /// The newest version that can be read.
        known: u32,
    },
    /// The directory belongs to another cluster, topic or partition. Stop: reading it would mix two states.
    #[error("{path} holds {found}, but {expected} was asked for: {remedy}", path = path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What its marker says.
        found: String,
        /// What was asked for.
        expected: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Another process has the directory open. Wait or stop.
    #[error("{path} is in use by process {pid}: stop it, or choose another state directory", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds the lock, as it wrote it down.
        pid: String,
    },
    /// The disk has no space left. Close the store and wait for space; nothing is lost, the changelog has what is missing.
    #[error("no space left while {doing}: free disk space, then it goes on by itself")]
    Full {
        /// What was being done.
        doing: String,
    },
    /// The store is sound as far as it goes but can't be continued. Set the directory aside and restore from the start.
    #[error(
        "the store can't be continued: {0}; set its directory aside and restore from the start of the changelog"
    )]
    Rebuild(String),
    /// The operating system or the disk failed. Close the store and open it again: a failed write is never tried again on
    /// the same handle, since nobody knows what of it is on the disk.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The cause.
        source: io::Error,
    },
}

impl StateError {
    /// Shorthand for [`StateError::Corrupted`].
    pub fn corrupted(what: impl Into<String>) -> Self {
        Self::Corrupted(what.into())
    }

    /// Sorts an error of the operating system: a full disk is its own reaction.
    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if full { Self::Full { doing } } else { Self::Io { doing, source } }
    }
}
