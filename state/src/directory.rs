//! The directory of one partition's state: private, locked, and marked with whose state it is.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::chaos::Mutant;
use crate::{Marker, StateError, fail_point};

const MARKER: &str = "marker";
const LOCK: &str = "lock";
const STORE: &str = "store";
const ASIDE: &str = ".corrupt-";
/// Directories that were set aside and are kept, for each one that is in use: enough to see what happened and whether it
/// repeats, and not so many that they fill the disk.
const ASIDE_MAX: usize = 3;
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
        let directory = Self::lock(state_dir, marker)?;
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

    /// Opens a directory whose marker is damaged or gone: nobody can say whose state it holds, so the store is set aside
    /// and a new marker is written. Returns where the store went, if there was one.
    ///
    /// # Errors
    /// As [`StateDirectory::open`], but for the marker.
    pub fn renew(state_dir: &Path, marker: &Marker) -> Result<(Self, Option<PathBuf>), StateError> {
        let directory = Self::lock(state_dir, marker)?;
        let (store, old) = (directory.store_path(), directory.path().join(MARKER));
        let aside = if store.exists() { Some(set_aside(&store)?) } else { None };
        let moved = match &aside {
            Some(aside) => fs::rename(&old, aside.join(MARKER)),
            None => fs::remove_file(&old),
        };
        match moved {
            Ok(()) => {}
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            Err(cause) => return Err(StateError::io("setting aside", &old, cause)),
        }
        write_marker(directory.path(), marker)?;
        Ok((directory, aside))
    }

    /// Whether state can be written here at all, before anything is begun: a file is written and removed.
    ///
    /// # Errors
    /// [`StateError::Foreign`] when the path is a symbolic link or a file, [`StateError::Io`] when the disk is read-only or
    /// the user may not write. A full disk is no error: it passes.
    pub fn probe(state_dir: &Path) -> Result<(), StateError> {
        create_root(state_dir)?;
        let path = state_dir.join(format!(".probe-{}", std::process::id()));
        let probed = File::create(&path).and_then(|mut file| file.write_all(b"can it be written"));
        let removed = fs::remove_file(&path);
        match probed.and(removed).map_err(|cause| StateError::io("writing", &path, cause)) {
            Ok(()) | Err(StateError::Full { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Creates what is missing and takes the lock.
    fn lock(state_dir: &Path, marker: &Marker) -> Result<Self, StateError> {
        let path = Self::path_of(state_dir, marker);
        create_root(state_dir)?;
        private_directory(&state_dir.join(&marker.namespace))?;
        private_directory(&path)?;
        let lock = lock(&path)?;
        Ok(Self { path, lock })
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

/// Renames a directory whose state can't be used to `<directory>.corrupt-<n>`, and returns that path: somebody may want to
/// know what happened. Of those that were set aside earlier, the last ones are kept, three in all. Close the store before.
///
/// # Errors
/// [`StateError::Io`] when it can't be renamed, or an old one can't be removed.
pub fn set_aside(directory: &Path) -> Result<PathBuf, StateError> {
    let before = asides(directory)?;
    let number = before.last_key_value().map_or(1, |(number, _)| number + 1);
    let mut name = directory.as_os_str().to_owned();
    name.push(format!("{ASIDE}{number}"));
    let target = PathBuf::from(name);
    fs::rename(directory, &target).map_err(|cause| StateError::io("setting aside", directory, cause))?;
    if let Some(parent) = directory.parent() {
        sync_directory(parent)?;
    }
    let too_many = (before.len() + 1).saturating_sub(ASIDE_MAX);
    before.values().take(too_many).try_for_each(|old| remove(old))?;
    Ok(target)
}

/// Removes what was set aside of a directory: when the disk is full, running comes before finding out. Returns how many.
///
/// # Errors
/// [`StateError::Io`] when one can't be removed.
pub fn remove_aside(directory: &Path) -> Result<usize, StateError> {
    let all = asides(directory)?;
    all.values().try_for_each(|old| remove(old))?;
    Ok(all.len())
}

/// What was set aside of a directory, by number.
fn asides(directory: &Path) -> Result<BTreeMap<u32, PathBuf>, StateError> {
    let failed = |cause| StateError::io("listing what lies beside", directory, cause);
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Ok(BTreeMap::new());
    };
    let start = format!("{}{ASIDE}", name.to_string_lossy());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(parent).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&start)?.parse().ok());
        if let Some(number) = number {
            found.insert(number, entry.path());
        }
    }
    Ok(found)
}

fn remove(directory: &Path) -> Result<(), StateError> {
    fs::remove_dir_all(directory).map_err(|cause| StateError::io("removing", directory, cause))
}

/// The root may be made by us, and then by nobody else through a link: where state really lies must be plain.
fn create_root(path: &Path) -> Result<(), StateError> {
    fs::create_dir_all(path).map_err(|cause| StateError::io("creating", path, cause))?;
    let metadata = fs::symlink_metadata(path).map_err(|cause| StateError::io("looking at", path, cause))?;
    if metadata.is_dir() { Ok(()) } else { Err(no_directory(path, &metadata)) }
}

fn no_directory(path: &Path, metadata: &fs::Metadata) -> StateError {
    StateError::Foreign {
        path: path.to_owned(),
        found: if metadata.is_symlink() { "a symbolic link" } else { "a file" }.into(),
        expected: "a directory".into(),
        remedy: "remove it, or choose another state directory (state_dir)",
    }
}

fn private_directory(path: &Path) -> Result<(), StateError> {
    match DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => return Ok(()),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(StateError::io("creating", path, cause)),
    }
    let metadata = fs::symlink_metadata(path).map_err(|cause| StateError::io("looking at", path, cause))?;
    if !metadata.is_dir() {
        return Err(no_directory(path, &metadata));
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
