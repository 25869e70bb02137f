//! A reserve of free disk space: a processor stops before a batch for which there might be no room, since what is committed
//! into Kafka has to get into the store as well.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use yardmaster_state::StateError;

/// How often the disk is asked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What has to be free on a disk.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes_min: u64,
    looked_at: Option<Instant>,
}

impl Reserve {
    /// So many bytes on the disk of a directory; 0 asks for nothing.
    pub(super) fn new(path: PathBuf, bytes_min: u64) -> Self {
        Self { path, bytes_min, looked_at: None }
    }

    /// Whether the reserve is there; looks now and then only.
    pub(super) fn check(&mut self) -> Result<(), StateError> {
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked_at = Some(Instant::now());
        self.need(self.bytes_min)
    }

    /// Whether a store may be opened: a quarter more is asked for, so that it does not stop again at once.
    pub(super) fn check_to_begin(&self) -> Result<(), StateError> {
        self.need(self.bytes_min.saturating_add(self.bytes_min / 4))
    }

    fn need(&self, bytes: u64) -> Result<(), StateError> {
        if bytes == 0 {
            return Ok(());
        }
        // A disk that can't be asked is judged by its writes.
        let Ok(disk) = nix::sys::statvfs::statvfs(&self.path) else { return Ok(()) };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        if free >= bytes {
            return Ok(());
        }
        let (path, reserve) = (self.path.display(), self.bytes_min);
        Err(StateError::Full {
            doing: format!(
                "looking for a reserve of {reserve} bytes (state.free_bytes_min) in {path}, where {free} bytes are free"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_disk_has_is_missed_and_nothing_is_always_there() {
        let path = std::env::temp_dir();
        let error = Reserve::new(path.clone(), u64::MAX / 2).check().unwrap_err();
        assert!(matches!(error, StateError::Full { .. }), "{error}");
        assert!(error.to_string().contains("state.free_bytes_min"), "{error}");
        Reserve::new(path, 0).check().unwrap();
    }

    #[test]
    fn a_path_that_is_not_there_is_no_full_disk() {
        Reserve::new("/nowhere/at/all".into(), u64::MAX / 2).check().unwrap();
    }
}
