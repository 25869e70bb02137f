//! RocksDB's errors sorted by reaction.

use std::io;

use rocksdb::ErrorKind;

use crate::StateError;

/// RocksDB says in its message alone that the disk is full.
const NO_SPACE: &str = "No space left on device";

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
