//! RocksDB's errors sorted by reaction, and what a directory holds before RocksDB looks at it.

use std::io;
use std::path::Path;

use rocksdb::ErrorKind;

use crate::StateError;

/// RocksDB says in its message alone that the disk is full.
const NO_SPACE: &str = "No space left on device";

/// And so it says that a file is not there.
const NO_FILE: &str = "No such file or directory";

/// The file that names the manifest: without it RocksDB takes a store for a new one, and what it held for rubbish.
const CURRENT: &str = "CURRENT";

/// What RocksDB would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No store.
    Nothing,
    /// A store.
    Store,
}

/// Whether there is a store in a directory.
///
/// # Errors
/// [`StateError::Corrupted`] when there are files of one, but not the first one that RocksDB reads.
pub(super) fn look(path: &Path) -> Result<Found, StateError> {
    let failed = |cause| StateError::io("looking at", path, cause);
    if path.join(CURRENT).exists() {
        return Ok(Found::Store);
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(cause) => return Err(failed(cause)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.starts_with("MANIFEST-") || name.ends_with(".sst") || name.ends_with(".log") {
            let what = format!("{} has files of a store ({name}), but no {CURRENT}", path.display());
            return Err(StateError::Corrupted(what));
        }
    }
    Ok(Found::Nothing)
}

/// As [`sort`], of a store that is there and does not open: a file or a family that is gone is damage, too.
pub(super) fn sort_at_open(path: &Path, found: Found, cause: &rocksdb::Error) -> StateError {
    let doing = format!("opening the store in {}", path.display());
    let message = cause.to_string();
    let is_gone = message.contains(NO_FILE) || message.contains("Column families not opened");
    let is_unknown = cause.kind() == ErrorKind::InvalidArgument;
    if found == Found::Store && (is_gone || is_unknown) {
        return StateError::Corrupted(format!("{doing}: {message}"));
    }
    sort(&doing, cause)
}

/// Which reaction an error of RocksDB calls for.
pub(super) fn sort(doing: &str, cause: &rocksdb::Error) -> StateError {
    let message = cause.to_string();
    if message.contains(NO_SPACE) {
        return StateError::Full { doing: doing.to_owned() };
    }
    match cause.kind() {
        ErrorKind::Corruption => StateError::Corrupted(format!("{doing}: {message}")),
        ErrorKind::NotFound
        | ErrorKind::NotSupported
        | ErrorKind::InvalidArgument
        | ErrorKind::IOError
        | ErrorKind::MergeInProgress
        | ErrorKind::Incomplete
        | ErrorKind::ShutdownInProgress
        | ErrorKind::TimedOut
        | ErrorKind::Aborted
        | ErrorKind::Busy
        | ErrorKind::Expired
        | ErrorKind::TryAgain
        | ErrorKind::CompactionTooLarge
        | ErrorKind::ColumnFamilyDropped
        | ErrorKind::Unknown => StateError::Io { doing: doing.to_owned(), source: io::Error::other(message) },
    }
}
