//! What is under test: one broker, a proxy for each instance, and instances of the program as processes.

mod broker;
mod http;
mod instance;
mod worker_process;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub(crate) use broker::TestBroker;
pub(crate) use http::Http;
pub(crate) use instance::Instance;
pub(crate) use worker_process::WorkerProcess;

/// A hang guard for whatever is waited for; nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Tries until it gives something.
pub(crate) fn await_some<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain for {what}", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Tries until it is true.
pub(crate) fn await_that(what: &str, patience: Duration, mut look: impl FnMut() -> bool) -> Result<()> {
    await_some(what, patience, || look().then_some(()))
}

/// A directory, made.
pub(crate) fn made(dir: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// The end of a log, for a person.
pub(crate) fn last_lines(path: &Path, count: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    format!("the last lines of {}:\n{}", path.display(), lines.get(from..).unwrap_or_default().join("\n"))
}
