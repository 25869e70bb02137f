//! One program and everything that it starts: a process group that is signalled as a whole and reaped once.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use wait4::{ResUse, Wait4};

use super::control::Control;

/// A running group. Its leader is reaped only after the rest of the group was killed, so that its number can't have
/// become another program's when a signal is sent.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    group: Pid,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: Option<io::Result<ResUse>>,
    is_over: bool,
}

impl ProcessGroup {
    /// Starts the command as the leader of a group of its own. `control` is woken when it has ended.
    pub(crate) fn start(command: &mut Command, control: Control) -> io::Result<(Self, Pipes)> {
        let mut child = command.process_group(0).spawn()?;
        let pipes =
            Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() };
        let group = Pid::from_raw(child.id().cast_signed());
        let shared = Arc::new(Mutex::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        let watched = thread::Builder::new().name("task-wait".to_owned()).spawn(move || {
            let ended = wait(child, group, &theirs);
            lock(&theirs).ended = Some(ended);
            control.wake();
        });
        if let Err(error) = watched {
            // Nobody would see its end: it must not run on beside the next attempt.
            killpg(group, Signal::SIGKILL).ok();
            nix::sys::wait::waitpid(group, None).ok();
            return Err(error);
        }
        Ok((Self { group, shared }, pipes))
    }

    /// Sends a signal to every process of the group, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let shared = lock(&self.shared);
        if !shared.is_over {
            // ESRCH: it ended this moment.
            killpg(self.group, signal).ok();
        }
    }

    /// How it ended, once.
    pub(crate) fn take_end(&self) -> Option<io::Result<ResUse>> {
        lock(&self.shared).ended.take()
    }
}

/// The ends of the program's pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<std::process::ChildStdin>,
    pub(crate) stdout: Option<std::process::ChildStdout>,
    pub(crate) stderr: Option<std::process::ChildStderr>,
}

fn wait(child: Child, group: Pid, shared: &Mutex<Shared>) -> io::Result<ResUse> {
    loop {
        match waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(_) => break,
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut shared = lock(shared);
    // What it left behind must not outlive the attempt: the slot is free from now on.
    killpg(group, Signal::SIGKILL).ok();
    shared.is_over = true;
    child.wait4()
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
