//! The broker's process: starts the JVM so that it can't outlive this process, and ends it.
//!
//! The JVM must die when its parent does, SIGKILL included, or each killed test leaves a broker behind. So a small
//! shell starts a watcher and then *becomes* the JVM (`exec`, the pid stays): the watcher reads a pipe whose other end
//! this process holds, and when that end closes it kills the JVM. No unsafe code, no polling.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::EmbeddedError;

/// `$0` and on is the JVM's command line. The watcher only kills the process that is still its parent, because the
/// number of a JVM that ended on its own may already belong to another process.
const WRAPPER: &str = r#"
jvm=$$
exec 3<&0
(
    while read -r _line; do :; done
    read -r _pid _name _state parent _rest </proc/self/stat
    if [ "$parent" = "$jvm" ]; then kill -KILL "$jvm"; fi
) <&3 >/dev/null 2>&1 &
exec 3<&-
exec "$0" "$@" </dev/null
"#;

/// How often a process that should end soon is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What every JVM of this module is started with.
#[derive(Debug)]
pub(super) struct Jvm {
    /// The `java` to run.
    pub(super) java: PathBuf,
    /// The folder with the jars.
    pub(super) jars: PathBuf,
    /// The largest heap, in MiB.
    pub(super) heap_mb: u32,
    /// Arguments of the JVM itself.
    pub(super) options: Vec<String>,
}

impl Jvm {
    /// Runs a class to its end and returns what it printed.
    pub(super) fn run(&self, class: &str, arguments: &[&str]) -> Result<(bool, String), EmbeddedError> {
        let mut command = Command::new(&self.java);
        command.args(self.arguments()).arg(class).args(arguments).stdin(Stdio::null());
        let output = command.output().map_err(EmbeddedError::io("run", &self.java))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        Ok((output.status.success(), format!("{stdout}{stderr}")))
    }

    /// Starts a class as a process that ends with this one; both its outputs go to `log`.
    pub(super) fn start(
        &self,
        class: &str,
        arguments: &[&str],
        log: &File,
    ) -> Result<Process, EmbeddedError> {
        let duplicate = || log.try_clone().map_err(EmbeddedError::io("start", &self.java));
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(WRAPPER).arg(&self.java).args(self.arguments()).arg(class).args(arguments);
        // A group of its own: Ctrl-C on the terminal is for this process, which stops the broker in its turn.
        command.process_group(0).stdin(Stdio::piped()).stdout(duplicate()?).stderr(duplicate()?);
        let child = command.spawn().map_err(EmbeddedError::io("start", Path::new("/bin/sh")))?;
        Ok(Process { child, ended: None })
    }

    fn arguments(&self) -> Vec<String> {
        let class_path = format!("{}/*", self.jars.display());
        let heap = format!("-Xmx{}m", self.heap_mb);
        let mut arguments = vec![heap, "-Djava.awt.headless=true".to_owned(), "-cp".to_owned(), class_path];
        arguments.extend(self.options.iter().cloned());
        arguments
    }
}

/// A running JVM; dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    /// Holds the pipe, too: it closes when this is dropped or this process dies.
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// The JVM's process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if it has ended.
    pub(super) fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            // The only error is "no such child", and then it has ended as well.
            self.ended = self.child.try_wait().unwrap_or_default();
        }
        self.ended
    }

    /// Asks it to end (SIGTERM), waits up to `patience`, then kills it.
    pub(super) fn stop(&mut self, patience: Duration) {
        if self.try_wait().is_none() {
            self.terminate();
        }
        let deadline = Instant::now() + patience;
        while self.try_wait().is_none() {
            if Instant::now() >= deadline {
                return self.kill();
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(super) fn kill(&mut self) {
        if self.ended.is_some() {
            return;
        }
        // Fails only when it has ended, which the wait tells as well.
        let _killed = self.child.kill();
        self.ended = self.child.wait().ok();
    }

    fn terminate(&self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            // Not yet waited for, so the number can't belong to another process.
            let _sent = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
