//! Reads what a program prints while it runs, and keeps whole logs where that is wanted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::handler::Assignment;
use super::tail::Capture;

/// A program that ended can have left its pipe to somebody else: this long is waited for the rest.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// One stream of a program, being read.
#[derive(Debug)]
pub(crate) struct Reading {
    shared: Arc<(Mutex<(Capture, bool)>, Condvar)>,
}

impl Reading {
    /// Reads on a thread of its own until the end.
    pub(crate) fn start(
        stream: Option<impl Read + Send + 'static>,
        capture: Capture,
        log: Option<File>,
    ) -> io::Result<Self> {
        let shared = Arc::new((Mutex::new((capture, false)), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let read = move || {
            if let Some(stream) = stream {
                read_all(stream, log, |bytes| lock(&theirs.0).0.push(bytes));
            }
            lock(&theirs.0).1 = true;
            theirs.1.notify_all();
        };
        thread::Builder::new().name("task-output".to_owned()).stack_size(128 * 1024).spawn(read)?;
        Ok(Self { shared })
    }

    /// Waits for the end of the stream, though not for long, and looks at what came.
    pub(crate) fn finish<T>(&self, look: impl FnOnce(&Capture) -> T) -> T {
        let guard = lock(&self.shared.0);
        let (guard, _) = self
            .shared
            .1
            .wait_timeout_while(guard, REST_TIMEOUT, |(_, is_read)| !*is_read)
            .unwrap_or_else(PoisonError::into_inner);
        look(&guard.0)
    }
}

fn lock(mutex: &Mutex<(Capture, bool)>) -> std::sync::MutexGuard<'_, (Capture, bool)> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_all(mut stream: impl Read, mut log: Option<File>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0_u8; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                take(bytes);
                if let Some(Err(error)) = log.as_mut().map(|file| file.write_all(bytes)) {
                    // A full disk costs the log, not the task.
                    tracing::warn!(%error, "a task's log could not be written, it ends here");
                    log = None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The file for a stream of an attempt: `<dir>/<pool>/<task>.<attempt>.out`. Slashes of an id become directories' safe
/// cousin `%2F`, so that no id can point outside.
pub(crate) fn open_log(
    dir: Option<&Path>,
    assignment: &Assignment,
    stream: &str,
) -> io::Result<Option<File>> {
    let Some(dir) = dir else { return Ok(None) };
    let dir = dir.join(assignment.pool.as_str());
    fs::create_dir_all(&dir)?;
    File::create(log_path(&dir, assignment, stream)).map(Some)
}

fn log_path(dir: &Path, assignment: &Assignment, stream: &str) -> PathBuf {
    let task = assignment.task.as_str().replace('/', "%2F");
    dir.join(format!("{task}.{}.{stream}", assignment.attempt))
}
