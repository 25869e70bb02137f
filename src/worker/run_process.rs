//! The handler of `yardmaster worker`: runs each attempt's command as a process group and reports what it did.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;

use yardmaster_topologies::task::Json;
use yardmaster_topologies::wire::TAIL_BYTES_MAX;

use super::control::Control;
use super::guard::Guard;
use super::handler::{Assignment, Finish, Handler};
use super::log_file::{self, LogFile};
use super::output::Reading;
use super::process_group::{Pipes, ProcessGroup};
use super::running::{Running, wall_now};
use super::tail::Capture;

/// Yardmaster's own variables: a task must not talk to the server by accident.
const OWN_PREFIX: &str = "YARDMASTER_";

/// A pipe surely takes this much without a reader; more is written from a thread.
const PIPE_BYTES: usize = 4096;

/// Bytes of a log that wait for the disk before its program has to.
const LOG_ROOM: usize = 64 * 1024;

/// Runs programs.
#[derive(Debug, Clone, Default)]
pub struct RunProcess {
    /// One fixed command that gets every payload; the tasks' own commands are ignored.
    pub exec: Option<Vec<String>>,
    /// Keeps the whole output here: `<pool>/<task>.<attempt>.out` and `.err`.
    pub log_dir: Option<PathBuf>,
    /// Kills what runs when this process is gone, however it went. Without one programs live on beside the next attempt
    /// of their task.
    pub guard: Option<Arc<Guard>>,
}

impl RunProcess {
    /// With a guard, which is a second process of this yardmaster program. When there can be none, a warning says so, and
    /// the worker does without.
    #[must_use]
    pub fn guarded_by(mut self, yardmaster: &Path) -> Self {
        match Guard::start(yardmaster) {
            Ok(guard) => self.guard = Some(Arc::new(guard)),
            Err(error) => tracing::warn!(%error, "no guard: tasks would outlive a worker that is killed"),
        }
        self
    }

    /// Tries whether whole logs can be written where they are wanted. Later on a disk that fails costs only logs.
    ///
    /// # Errors
    /// They can't.
    pub fn check_log_dir(&self) -> io::Result<()> {
        self.log_dir.as_deref().map_or(Ok(()), log_file::probe)
    }
}

impl Handler for RunProcess {
    fn run(&self, assignment: Assignment, control: &Control) -> Finish {
        let started_at = wall_now();
        match self.start(&assignment, control) {
            Ok(running) => running.finish(&assignment, control, started_at),
            Err(finish) => {
                let mut finish = *finish;
                finish.report.started_at = Some(started_at);
                finish.report.ended_at = Some(wall_now());
                finish
            }
        }
    }
}

impl RunProcess {
    fn start(&self, assignment: &Assignment, control: &Control) -> Result<Running, Box<Finish>> {
        let words = self.exec.as_ref().unwrap_or(&assignment.command);
        let Some((program, arguments)) = words.split_first() else {
            let why = "the task has no command, and this worker has no --exec";
            return Err(Box::new(final_failure("spawn", why.to_owned())));
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        set_environment(&mut command, assignment);
        if let Some(cwd) = &assignment.cwd {
            command.current_dir(cwd);
        }
        let spawned = ProcessGroup::start(&mut command, control.clone(), self.guard.clone());
        let (group, pipes) = spawned.map_err(|error| Box::new(cannot_start(program, assignment, &error)))?;
        let Pipes { stdin, stdout, stderr } = pipes;
        // Where a thread is missing, `group` is dropped, and so killed: it must not run on beside the next attempt.
        let no_thread =
            |error| Box::new(Finish::failed("spawn", format!("no thread for the program's pipes: {error}")));
        give_payload(stdin, assignment.payload.as_ref()).map_err(no_thread)?;
        // One byte more than a result may have shows that it is too long.
        let head = assignment.result_bytes_max.saturating_add(1);
        let log = |stream, room| {
            let dir = self.log_dir.as_deref()?;
            LogFile::open(dir, assignment, stream, room)
        };
        // Whatever can be a result is read without waiting for the disk.
        let (out_log, err_log) = (log("out", head.saturating_add(LOG_ROOM)), log("err", LOG_ROOM));
        let capture = Capture::new(head, TAIL_BYTES_MAX);
        let stdout = Reading::start(stdout, capture, out_log, control.clone()).map_err(no_thread)?;
        let capture = Capture::new(0, TAIL_BYTES_MAX);
        let stderr = Reading::start(stderr, capture, err_log, control.clone()).map_err(no_thread)?;
        Ok(Running { group, stdout, stderr })
    }
}

fn set_environment(command: &mut Command, assignment: &Assignment) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(OWN_PREFIX.as_bytes()) {
            command.env_remove(name);
        }
    }
    command.envs(assignment.env.iter().filter(|(name, value)| is_settable(name, value)));
    command
        .env("TASK_ID", assignment.task.as_str())
        .env("TASK_POOL", assignment.pool.as_str())
        .env("TASK_WORKER", assignment.worker.as_str())
        .env("TASK_ATTEMPT", assignment.attempt.to_string())
        .env("TASK_TOKEN", assignment.token.as_str())
        .env_remove("TASK_JOB");
    if let Some(job) = &assignment.job {
        command.env("TASK_JOB", job.as_str());
    }
    if let Some(payload) = &assignment.payload_ref {
        command.env("TASK_PAYLOAD_URI", &payload.uri).env("TASK_PAYLOAD_SHA256", &payload.sha256);
    }
}

/// What std would refuse; the rest of the environment still counts.
fn is_settable(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

fn cannot_start(program: &str, assignment: &Assignment, error: &io::Error) -> Finish {
    let place = assignment.cwd.as_ref().map(|cwd| format!(" in {cwd}")).unwrap_or_default();
    let message = format!("`{program}` can't be started{place}: {error}");
    // Arguments that no machine takes are final; anything else may do at another time or place.
    if error.kind() == io::ErrorKind::InvalidInput {
        final_failure("spawn", message)
    } else {
        Finish::failed("spawn", message)
    }
}

fn final_failure(kind: &str, message: String) -> Finish {
    let mut finish = Finish::failed(kind, message);
    finish.report.retryable = Some(false);
    finish
}

/// Writes the payload and closes the pipe. A program that does not read is no error.
fn give_payload(stdin: Option<ChildStdin>, payload: Option<&Json>) -> io::Result<()> {
    let (Some(mut stdin), Some(payload)) = (stdin, payload) else {
        return Ok(());
    };
    let text = Arc::clone(&payload.0);
    if text.len() <= PIPE_BYTES {
        drop(stdin.write_all(text.as_bytes()));
        return Ok(());
    }
    let write = move || drop(stdin.write_all(text.as_bytes()));
    thread::Builder::new().name("task-stdin".to_owned()).stack_size(128 * 1024).spawn(write).map(drop)
}

#[cfg(test)]
#[path = "run_process_tests.rs"]
mod tests;
