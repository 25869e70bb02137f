//! The handler of `yardmaster worker`: runs each attempt's command as a process group and reports what it did.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::value::RawValue;
use wait4::ResUse;
use yardmaster_topologies::task::{Json, Report, Usage};
use yardmaster_topologies::time::WallMs;
use yardmaster_topologies::wire::{DEPTH_MAX, TAIL_BYTES_MAX};

use super::control::{Control, Stop, StopReason};
use super::handler::{Assignment, End, Finish, Handler};
use super::output::{Reading, open_log};
use super::process_group::{Pipes, ProcessGroup};
use super::tail::Capture;

/// Yardmaster's own variables: a task must not talk to the server by accident.
const OWN_PREFIX: &str = "YARDMASTER_";

/// A pipe surely takes this much without a reader; more is written from a thread.
const PIPE_BYTES: usize = 4096;

/// A result sits inside a status inside a batch, so it may be a little less deep than a record.
const RESULT_DEPTH_MAX: usize = DEPTH_MAX - 8;

/// Runs programs.
#[derive(Debug, Clone, Default)]
pub struct RunProcess {
    /// One fixed command that gets every payload; the tasks' own commands are ignored.
    pub exec: Option<Vec<String>>,
    /// Keeps the whole output here: `<pool>/<task>.<attempt>.out` and `.err`.
    pub log_dir: Option<PathBuf>,
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

/// A program, and the threads that read it.
struct Running {
    group: ProcessGroup,
    stdout: Reading,
    stderr: Reading,
}

impl RunProcess {
    fn start(&self, assignment: &Assignment, control: &Control) -> Result<Running, Box<Finish>> {
        let words = self.exec.as_ref().unwrap_or(&assignment.command);
        let Some((program, arguments)) = words.split_first() else {
            let why = "the task has no command, and this worker has no --exec";
            return Err(Box::new(final_failure("spawn", why.to_owned())));
        };
        let log = |stream| {
            open_log(self.log_dir.as_deref(), assignment, stream).map_err(|error| {
                Box::new(Finish::failed("spawn", format!("the log can't be written: {error}")))
            })
        };
        let (out_log, err_log) = (log("out")?, log("err")?);
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        set_environment(&mut command, assignment);
        if let Some(cwd) = &assignment.cwd {
            command.current_dir(cwd);
        }
        let spawned = ProcessGroup::start(&mut command, control.clone());
        let (group, pipes) = spawned.map_err(|error| Box::new(cannot_start(program, assignment, &error)))?;
        let Pipes { stdin, stdout, stderr } = pipes;
        give_payload(stdin, assignment.payload.as_ref());
        let head = assignment.result_bytes_max.saturating_add(1);
        let read = |error: io::Error| {
            // It is reported as failed: it must not run on beside the next attempt.
            group.signal(Signal::SIGKILL);
            Box::new(Finish::failed("spawn", format!("no thread to read with: {error}")))
        };
        let stdout = Reading::start(stdout, Capture::new(head, TAIL_BYTES_MAX), out_log).map_err(&read)?;
        let stderr = Reading::start(stderr, Capture::new(0, TAIL_BYTES_MAX), err_log).map_err(&read)?;
        Ok(Running { group, stdout, stderr })
    }
}

impl Running {
    fn finish(self, assignment: &Assignment, control: &Control, started_at: WallMs) -> Finish {
        let ended = self.wait(control);
        let mut report =
            Report { started_at: Some(started_at), ended_at: Some(wall_now()), ..Report::default() };
        report.stderr_tail = self.stderr.finish(Capture::tail);
        let limit = assignment.result_bytes_max;
        let (tail, result) = self.stdout.finish(|capture| (capture.tail(), result(capture, limit)));
        report.stdout_tail = tail;
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                report.error_kind = Some("spawn".to_owned());
                report.error_message = Some(format!("the end of the program was not seen: {error}"));
                return Finish { end: End::Failed, report };
            }
        };
        report.exit_code = ended.status.code();
        report.signal = ended.status.signal();
        report.usage = Some(usage(&ended));
        conclude(report, result, ended.status.success(), control.stop_asked(), assignment)
    }

    /// Until it has ended; SIGTERM when it is to stop, SIGKILL after the grace.
    fn wait(&self, control: &Control) -> io::Result<ResUse> {
        let mut kill_at: Option<Instant> = None;
        let mut is_killed = false;
        loop {
            if let Some(ended) = self.group.take_end() {
                return ended;
            }
            match (control.stop_asked(), kill_at) {
                (None, _) => {
                    control.wait(Duration::from_secs(3600));
                }
                (Some(stop), None) => {
                    self.group.signal(Signal::SIGTERM);
                    kill_at = Some(Instant::now() + stop.grace);
                }
                (Some(_), Some(at)) => {
                    if Instant::now() >= at && !is_killed {
                        is_killed = true;
                        self.group.signal(Signal::SIGKILL);
                    }
                    // Both orders are given: what is left is the kernel's work, watched in small steps.
                    thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }
}

/// What the end means, once it is known why the program was stopped, if it was.
fn conclude(
    mut report: Report,
    result: Option<Json>,
    is_success: bool,
    stop: Option<Stop>,
    assignment: &Assignment,
) -> Finish {
    let timed_out = stop.is_some_and(|stop| stop.reason == StopReason::TimedOut);
    if is_success && !timed_out {
        report.result = result;
        return Finish { end: End::Completed, report };
    }
    if timed_out {
        let limit = assignment.run_timeout.unwrap_or_default().as_millis();
        report.error_kind = Some("timeout".to_owned());
        report.error_message = Some(format!("stopped after its run timeout of {limit} ms"));
        return Finish { end: End::Failed, report };
    }
    if stop.is_some() {
        return Finish { end: End::Stopped, report };
    }
    match (report.exit_code, report.signal) {
        (_, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            report.error_kind = Some("signal".to_owned());
            report.error_message = Some(format!("killed by signal {signal} ({name})"));
        }
        (code, None) => {
            report.error_kind = Some("exit".to_owned());
            report.error_message = Some(format!("exit code {}", code.unwrap_or(-1)));
        }
    }
    Finish { end: End::Failed, report }
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
fn give_payload(stdin: Option<ChildStdin>, payload: Option<&Json>) {
    let (Some(mut stdin), Some(payload)) = (stdin, payload) else {
        return;
    };
    let text = Arc::clone(&payload.0);
    if text.len() <= PIPE_BYTES {
        drop(stdin.write_all(text.as_bytes()));
        return;
    }
    let write = move || drop(stdin.write_all(text.as_bytes()));
    if let Err(error) =
        thread::Builder::new().name("task-stdin".to_owned()).stack_size(128 * 1024).spawn(write)
    {
        tracing::warn!(%error, "no thread to write a payload with: the program sees an empty one");
    }
}

/// Stdout as the result: when it is one JSON value within the limit.
fn result(capture: &Capture, limit: usize) -> Option<Json> {
    let text = std::str::from_utf8(capture.whole()?).ok()?.trim();
    if text.is_empty() || text.len() > limit || depth(text) > RESULT_DEPTH_MAX {
        return None;
    }
    serde_json::from_str::<&RawValue>(text).ok().map(|raw| Json(Arc::from(raw.get())))
}

/// How deep the brackets outside strings nest.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open, mut in_string, mut is_escaped) = (0, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn usage(ended: &ResUse) -> Usage {
    let cpu = ended.rusage.utime + ended.rusage.stime;
    Usage {
        cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
        max_rss_kb: ended.rusage.maxrss / 1024,
    }
}

fn wall_now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "run_process_tests.rs"]
mod tests;
