//! The directory of one partition's state: private, locked, and marked with whose state it is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::chaos::Mutant;
use crate::{Marker, StateError, fail_point};

const MARKER: &str = "marker";
const LOCK: &str = "lock";
const STORE: &str = "store";
/// Only the user that runs the process may look: rows hold command lines and results.
const MODE: u32 = 0o700;

const REMEDY: &str =
    "if the topics were created again, remove the directory; otherwise choose another state directory";

/// A directory that this process alone uses, until it is dropped.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// The lock goes with the file handle, also when the process is killed.
    lock: File,
}

impl StateDirectory {
    /// Opens, and creates if need be, `<state_dir>/<namespace>/<partition>`.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it; [`StateError::Foreign`] when the marker says that it is
    /// another partition's, or a part of the path is a symbolic link; [`StateError::Corrupted`] when the marker is
    /// damaged, or missing though there is a store.
    pub fn open(state_dir: &Path, marker: &Marker) -> Result<Self, StateError> {
        let path = Self::path_of(state_dir, marker);
        fs::create_dir_all(state_dir).map_err(|cause| StateError::io("creating", state_dir, cause))?;
        private_directory(&state_dir.join(&marker.namespace))?;
        private_directory(&path)?;
        let lock = lock(&path)?;
        let directory = Self { path, lock };
        let path = directory.path();
        match fs::read(path.join(MARKER)) {
            Ok(bytes) => check(path, &bytes, marker)?,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                if path.join(STORE).exists() {
                    return Err(StateError::corrupted(format!(
                        "{} has a store but no marker",
                        path.display()
                    )));
                }
                write_marker(path, marker)?;
            }
            Err(cause) => return Err(StateError::io("reading the marker in", path, cause)),
        }
        Ok(directory)
    }

    /// Where the directory of a partition is.
    #[must_use]
    pub fn path_of(state_dir: &Path, marker: &Marker) -> PathBuf {
        state_dir.join(&marker.namespace).join(marker.partition.to_string())
    }

    /// Where the store of a partition is, for those who only read it.
    #[must_use]
    pub fn store_of(state_dir: &Path, namespace: &str, partition: u32) -> PathBuf {
        state_dir.join(namespace).join(partition.to_string()).join(STORE)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store's own directory inside.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.path.join(STORE)
    }
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        // A process that is just being started has a copy of the handle until its own program runs, so closing ours
        // would not release the lock at once.
        if let Err(cause) = self.lock.unlock() {
            tracing::warn!(%cause, path = %self.path.display(), "the state directory could not be unlocked");
        }
    }
}

/// Renames a directory whose state can't be used to `<directory>.corrupt-<n>`, and returns that path. Nothing is
/// deleted: somebody may want to know what happened. Close the store before.
///
/// # Errors
/// [`StateError::Io`] when it can't be renamed.
pub fn set_aside(directory: &Path) -> Result<PathBuf, StateError> {
    let mut number = 1_u32;
    let target = loop {
        let mut name = directory.as_os_str().to_owned();
        name.push(format!(".corrupt-{number}"));
        let target = PathBuf::from(name);
        if fs::symlink_metadata(&target).is_err() {
            break target;
        }
        number += 1;
    };
    fs::rename(directory, &target).map_err(|cause| StateError::io("setting aside", directory, cause))?;
    if let Some(parent) = directory.parent() {
        sync_directory(parent)?;
    }
    Ok(target)
}

fn private_directory(path: &Path) -> Result<(), StateError> {
    match DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => return Ok(()),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(StateError::io("creating", path, cause)),
    }
    let metadata = fs::symlink_metadata(path).map_err(|cause| StateError::io("looking at", path, cause))?;
    if !metadata.is_dir() {
        return Err(StateError::Foreign {
            path: path.to_owned(),
            found: if metadata.is_symlink() { "a symbolic link" } else { "a file" }.into(),
            expected: "a directory".into(),
            remedy: "remove it, or choose another state directory",
        });
    }
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
        .map_err(|cause| StateError::io("making private", path, cause))
}

fn lock(directory: &Path) -> Result<File, StateError> {
    let path = directory.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|cause| StateError::io("opening", &path, cause))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            return Err(StateError::Locked { path: directory.to_owned(), pid });
        }
        Err(TryLockError::Error(cause)) => return Err(StateError::io("locking", &path, cause)),
    }
    // For people only: the lock itself is the kernel's.
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|cause| StateError::io("writing", &path, cause))?;
    Ok(file)
}

fn check(directory: &Path, bytes: &[u8], expected: &Marker) -> Result<(), StateError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| StateError::corrupted("the marker of the state directory is not text"))?;
    let mut found = Marker::parse(text)?;
    if Mutant::AnyTopicId.is_on() {
        found.topics.clone_from(&expected.topics);
    }
    if found == *expected {
        return Ok(());
    }
    Err(StateError::Foreign {
        path: directory.to_owned(),
        found: found.to_string(),
        expected: expected.to_string(),
        remedy: REMEDY,
    })
}

/// The marker appears whole or not at all, and stays: the file is on the disk before its name is.
fn write_marker(directory: &Path, marker: &Marker) -> Result<(), StateError> {
    let path = directory.join("marker.tmp");
    let failed = |cause| StateError::io("writing", &path, cause);
    let mut file = File::create(&path).map_err(failed)?;
    file.write_all(marker.render().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fail_point!("format_marker_tmp_written");
    fs::rename(&path, directory.join(MARKER)).map_err(failed)?;
    fail_point!("format_marker_renamed_before_dirsync");
    sync_directory(directory)
}

fn sync_directory(path: &Path) -> Result<(), StateError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|cause| StateError::io("syncing", path, cause))
}
