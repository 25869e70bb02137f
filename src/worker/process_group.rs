//! One program and everything that it starts: a process group that is signalled as a whole and reaped once.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use wait4::{ResUse, Wait4};

use super::control::{Control, Stop};
use super::guard::Guard;

/// A running group. Its leader is reaped only after the rest of the group was killed, so that its number can't have
/// become another program's when a signal is sent. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    group: Pid,
    /// Not reaped yet.
    child: Option<Child>,
    leader_end: Arc<Mutex<Option<LeaderEnd>>>,
    watch: Option<JoinHandle<()>>,
    guard: Option<Arc<Guard>>,
}

/// The first process of the group has ended; others may be there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaderEnd {
    /// The order to stop that there was by then.
    pub(crate) stop: Option<Stop>,
}

/// The ends of the program's pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

impl ProcessGroup {
    /// Starts the command as the leader of a group of its own. `control` is woken when the leader has ended.
    pub(crate) fn start(
        command: &mut Command,
        control: Control,
        guard: Option<Arc<Guard>>,
    ) -> io::Result<(Self, Pipes)> {
        let mut child = command.process_group(0).spawn()?;
        let pipes =
            Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() };
        let group = Pid::from_raw(child.id().cast_signed());
        if let Some(guard) = &guard {
            guard.add(group);
        }
        let leader_end = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&leader_end);
        let mut started = Self { group, child: Some(child), leader_end, watch: None, guard };
        let watch = move || {
            await_end(group);
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(LeaderEnd { stop: control.stop_asked() });
            control.wake();
        };
        // Without it nobody would see the end: then the group is dropped, and so killed.
        started.watch = Some(thread::Builder::new().name("task-wait".to_owned()).spawn(watch)?);
        Ok((started, pipes))
    }

    /// Sends a signal to every process of the group.
    pub(crate) fn signal(&self, signal: Signal) {
        // ESRCH: it ended this moment.
        killpg(self.group, signal).ok();
    }

    /// Whether the leader has ended.
    pub(crate) fn leader_end(&self) -> Option<LeaderEnd> {
        *self.leader_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills what is left of it and says how its leader ended. What a program leaves behind must not outlive the attempt:
    /// the slot is free from now on.
    pub(crate) fn end(mut self) -> io::Result<ResUse> {
        self.close()
    }

    fn close(&mut self) -> io::Result<ResUse> {
        let Some(child) = self.child.take() else {
            return Err(io::Error::other("it was reaped before"));
        };
        self.signal(Signal::SIGKILL);
        if let Some(watch) = self.watch.take() {
            watch.join().ok();
        }
        if let Some(guard) = &self.guard {
            guard.remove(self.group);
        }
        child.wait4()
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.close().ok();
        }
    }
}

/// Until a child has ended, which stays to be reaped.
fn await_end(child: Pid) {
    while matches!(
        waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT),
        Err(nix::errno::Errno::EINTR)
    ) {}
}
