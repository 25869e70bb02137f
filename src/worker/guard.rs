//! The worker's side of its guard: a second process that kills the tasks' process groups when this one is gone, however
//! it went. The other side is `guard_process`.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// The subcommand of yardmaster that is a guard.
pub const GUARD_COMMAND: &str = "guard-tasks";

/// What a guard says once no signal can end it by accident.
pub(super) const GUARD_READY: &[u8] = b"ready\n";

/// Between two tries to replace a guard.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// A guard that has not spoken by then is none.
const READY_TIMEOUT_MS: u16 = 20_000;

/// Holds the guard's line. Its end, which the kernel sees to when this process dies, is the guard's order.
#[derive(Debug)]
pub struct Guard {
    program: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    line: Option<Line>,
    /// When no other could be started.
    failed_at: Option<Instant>,
    groups: BTreeSet<i32>,
}

#[derive(Debug)]
struct Line {
    child: Child,
    stdin: ChildStdin,
}

impl Guard {
    /// Starts one. `yardmaster` is the path of a yardmaster program: another one that does not know the subcommand is
    /// found out by what it says.
    ///
    /// # Errors
    /// When the program can't be started or is no guard.
    pub fn start(yardmaster: &Path) -> io::Result<Self> {
        let line = Line::start(yardmaster)?;
        let state = State { line: Some(line), failed_at: None, groups: BTreeSet::new() };
        Ok(Self { program: yardmaster.to_owned(), state: Mutex::new(state) })
    }

    /// From now on this group must not outlive the worker. Nothing is known of one whose worker is killed in the few
    /// microseconds between its start and this.
    pub(crate) fn add(&self, group: Pid) {
        let mut state = self.lock();
        state.groups.insert(group.as_raw());
        self.say(&mut state, &format!("+{group}\n"));
    }

    /// The group is over. To be said before its leader is reaped: after that the number can be another's.
    pub(crate) fn remove(&self, group: Pid) {
        let mut state = self.lock();
        state.groups.remove(&group.as_raw());
        self.say(&mut state, &format!("-{group}\n"));
    }

    /// Tells the guard; one that is gone is replaced and told everything.
    fn say(&self, state: &mut State, words: &str) {
        let told = state.line.as_mut().map(|line| line.stdin.write_all(words.as_bytes()));
        if matches!(told, Some(Ok(()))) {
            return;
        }
        if let Some(line) = state.line.take() {
            tracing::warn!("the guard of the tasks' processes is gone, starting another");
            line.end();
        } else if state.failed_at.is_some_and(|at| at.elapsed() < RETRY_INTERVAL) {
            return;
        }
        let again: String = state.groups.iter().map(|group| format!("+{group}\n")).collect();
        let started = Line::start(&self.program).and_then(|mut line| {
            line.stdin.write_all(again.as_bytes())?;
            Ok(line)
        });
        match started {
            Ok(line) => state.line = Some(line),
            Err(error) => {
                state.failed_at = Some(Instant::now());
                tracing::warn!(%error, "no guard: tasks would outlive a worker that is killed");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> i32 {
        self.lock().line.as_ref().map_or(0, |line| line.child.id().cast_signed())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(line) = self.lock().line.take() {
            line.end();
        }
    }
}

impl Line {
    fn start(program: &Path) -> io::Result<Self> {
        // A group of its own: what kills the worker's whole group, or Ctrl-C, must not reach it.
        let mut child = Command::new(program)
            .arg(GUARD_COMMAND)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        match (is_ready(&mut child), child.stdin.take()) {
            (true, Some(stdin)) => Ok(Self { child, stdin }),
            _no_guard => {
                child.kill().ok();
                child.wait()?;
                Err(io::Error::other(format!("{} is no yardmaster program", program.display())))
            }
        }
    }

    /// Closes the line and reaps the guard, without making anybody wait.
    fn end(self) {
        let Self { mut child, stdin } = self;
        drop(stdin);
        let reap = move || drop(child.wait());
        if let Err(error) = thread::Builder::new().name("guard-end".to_owned()).spawn(reap) {
            tracing::debug!(%error, "the guard ends by itself");
        }
    }
}

fn is_ready(child: &mut Child) -> bool {
    let Some(stdout) = &mut child.stdout else { return false };
    let mut said = [0_u8; GUARD_READY.len()];
    let mut wanted = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
    let mut polled = poll(&mut wanted, PollTimeout::from(READY_TIMEOUT_MS));
    while polled == Err(Errno::EINTR) {
        polled = poll(&mut wanted, PollTimeout::from(READY_TIMEOUT_MS));
    }
    matches!(polled, Ok(1..)) && stdout.read_exact(&mut said).is_ok() && said == *GUARD_READY
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::signal::{Signal, kill};

    use super::*;

    /// A program of this script, and the file that it may write to as `$0.log`.
    fn program(dir: &Path, script: &str) -> (PathBuf, PathBuf) {
        let path = dir.join("program");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (path, dir.join("program.log"))
    }

    fn await_text(path: &Path, wanted: &str) {
        while !fs::read_to_string(path).unwrap_or_default().ends_with(wanted) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_guard_that_is_gone_is_replaced_and_told_what_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = program(dir.path(), "echo ready; exec cat >> \"$0.log\"");
        let guard = Guard::start(&path).unwrap();
        guard.add(Pid::from_raw(70_001));
        guard.add(Pid::from_raw(70_002));
        guard.remove(Pid::from_raw(70_001));
        await_text(&log, "+70001\n+70002\n-70001\n");
        let first = guard.pid();
        kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
        // What is written while it dies is lost, which is why all is said again.
        while guard.pid() == first {
            guard.add(Pid::from_raw(70_003));
        }
        await_text(&log, "+70002\n+70003\n");
    }

    #[test]
    fn another_program_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        for script in ["echo hello", "exit 1", "echo ready? no"] {
            let (path, _) = program(dir.path(), script);
            let error = Guard::start(&path).unwrap_err();
            assert!(error.to_string().contains("is no yardmaster program"), "{script}: {error}");
        }
        assert!(Guard::start(&dir.path().join("nothing")).is_err());
    }
}
