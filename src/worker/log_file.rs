//! Whole logs, where they are wanted: written on threads of their own, so that a disk that is slow, full or gone costs
//! logs, never tasks or their results.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::handler::Assignment;

/// Between two warnings about logs: a full disk fails for every task.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);
/// Logs of ended programs that are still being written: with more, new ones are left out.
const LAGGING_MAX: usize = 32;
/// A file's name has at most 255 bytes; this leaves room for attempt and stream.
const NAME_BYTES_MAX: usize = 200;

static LAGGING: AtomicUsize = AtomicUsize::new(0);
static WARNED_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// A log that is being written. Dropping it says that all of it was given.
#[derive(Debug)]
pub(crate) struct LogFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    room: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_whole: bool,
    is_done: bool,
    is_lagging: bool,
}

impl LogFile {
    /// Begins one: `<dir>/<pool>/<task>.<attempt>.<stream>`. `room` bytes are taken without waiting for the disk.
    pub(crate) fn open(dir: &Path, assignment: &Assignment, stream: &str, room: usize) -> Option<Self> {
        if LAGGING.load(Ordering::SeqCst) >= LAGGING_MAX {
            warn(dir, "the disk does not keep up");
            return None;
        }
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new(), room });
        let (theirs, path) = (Arc::clone(&shared), log_path(dir, assignment, stream));
        let write = move || {
            if let Err(error) = write_all(&theirs, &path) {
                warn(&path, &error.to_string());
            }
            theirs.finish();
        };
        match thread::Builder::new().name("task-log".to_owned()).stack_size(128 * 1024).spawn(write) {
            Ok(_) => Some(Self { shared }),
            Err(error) => {
                warn(dir, &format!("no thread to write with: {error}"));
                None
            }
        }
    }

    /// More of it. Waits while there is no room: then the program has to wait for the disk, too.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let shared = &self.shared;
        let mut state = shared.lock();
        while state.waiting.len() >= shared.room && !state.is_done {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_done {
            state.waiting.extend_from_slice(bytes);
            shared.changed.notify_all();
        }
    }

    /// Something to wait for its end with.
    pub(crate) fn ending(&self) -> LogEnding {
        LogEnding { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.shared.lock().is_whole = true;
        self.shared.changed.notify_all();
    }
}

/// The end of a log.
#[derive(Debug)]
pub(crate) struct LogEnding {
    shared: Arc<Shared>,
}

impl LogEnding {
    /// Until all of it is on the disk, though not for long; after that it is written without anybody waiting.
    pub(crate) fn wait(&self, deadline: Instant) {
        let shared = &self.shared;
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut state, _) = shared
            .changed
            .wait_timeout_while(shared.lock(), left, |state| !state.is_done)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.is_done {
            state.is_lagging = true;
            LAGGING.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written next; `None` when that was all.
    fn take(&self) -> Option<Vec<u8>> {
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_whole;
        let mut state = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let bytes = std::mem::take(&mut state.waiting);
        self.changed.notify_all();
        (!bytes.is_empty()).then_some(bytes)
    }

    fn finish(&self) {
        let mut state = self.lock();
        state.is_done = true;
        state.waiting = Vec::new();
        if state.is_lagging {
            LAGGING.fetch_sub(1, Ordering::SeqCst);
        }
        self.changed.notify_all();
    }
}

fn write_all(shared: &Shared, path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = File::create(path)?;
    while let Some(bytes) = shared.take() {
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Whether logs can be written there at all: makes the directory, and a file in it that goes away again.
pub(crate) fn probe(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(format!(".probe-{}", std::process::id()));
    let written = fs::write(&path, [b' '; 4096]);
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// A log costs nothing else than itself, so the task goes on; somebody has to know.
fn warn(path: &Path, why: &str) {
    let mut warned_at = WARNED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if warned_at.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
        return;
    }
    *warned_at = Some(Instant::now());
    tracing::warn!(path = %path.display(), why, "a task's log is not whole; its task goes on without it");
}

/// Slashes of an id become directories' safe cousin `%2F`, so that no id can point outside. A name that would be too
/// long for a file ends in a hash of the id.
fn log_path(dir: &Path, assignment: &Assignment, stream: &str) -> PathBuf {
    let mut task = assignment.task.as_str().replace('/', "%2F");
    if task.len() > NAME_BYTES_MAX {
        let hash = Sha256::digest(assignment.task.as_str().as_bytes());
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // An id is ASCII.
        task.truncate(NAME_BYTES_MAX - hex.len() - 1);
        task = format!("{task}~{hex}");
    }
    dir.join(assignment.pool.as_str()).join(format!("{task}.{}.{stream}", assignment.attempt))
}
