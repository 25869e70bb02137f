//! A program that runs: it is waited for, stopped when that is asked, and reported on.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use wait4::ResUse;
use yardmaster_topologies::task::{Report, Usage};
use yardmaster_topologies::time::WallMs;

use super::control::{Control, Stop, StopReason};
use super::handler::{Assignment, End, Finish};
use super::output::Reading;
use super::process_group::{LeaderEnd, ProcessGroup};
use super::result::{self, Taken};
use super::tail::Capture;

/// A program, and the threads that read it.
pub(crate) struct Running {
    pub(crate) group: ProcessGroup,
    pub(crate) stdout: Reading,
    pub(crate) stderr: Reading,
}

impl Running {
    /// To the end, and what is to be said about it.
    pub(crate) fn finish(self, assignment: &Assignment, control: &Control, started_at: WallMs) -> Finish {
        let LeaderEnd { stop } = self.wait(control);
        let Self { group, stdout, stderr } = self;
        let ended_at = wall_now();
        let ended = group.end();
        let mut report =
            Report { started_at: Some(started_at), ended_at: Some(ended_at), ..Report::default() };
        report.stderr_tail = stderr.finish(|capture, _| capture.tail());
        let limit = assignment.result_bytes_max;
        let look = |capture: &Capture, is_all| (capture.tail(), result::take(capture, is_all, limit));
        let (tail, taken) = stdout.finish(look);
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
        conclude(report, taken, ended.status.success(), stop, assignment)
    }

    /// Until it has ended. When it is to stop: SIGTERM to all of it, and SIGKILL after the grace, which is for everything
    /// that the program started and that still holds one of its pipes.
    fn wait(&self, control: &Control) -> LeaderEnd {
        let mut kill_at: Option<Instant> = None;
        let mut is_killed = false;
        loop {
            let seen = control.changes();
            let now = Instant::now();
            let is_late = kill_at.is_some_and(|at| now >= at);
            match (self.group.leader_end(), kill_at) {
                (Some(end), None) => return end,
                (Some(end), Some(_)) if is_late || (self.stdout.is_read() && self.stderr.is_read()) => {
                    return end;
                }
                (None, None) => {
                    if let Some(stop) = control.stop_asked() {
                        self.group.signal(Signal::SIGTERM);
                        kill_at = Some(now.checked_add(stop.grace).unwrap_or(now));
                    }
                }
                (None, Some(_)) if is_late && !is_killed => {
                    is_killed = true;
                    self.group.signal(Signal::SIGKILL);
                }
                (Some(_) | None, Some(_)) => {}
            }
            // After the last signal only the end is awaited.
            control.wait_change(seen, kill_at.filter(|_| !is_killed));
        }
    }
}

/// What the end means, once it is known why the program was stopped, if it was.
fn conclude(
    mut report: Report,
    taken: Taken,
    is_success: bool,
    stop: Option<Stop>,
    assignment: &Assignment,
) -> Finish {
    let timed_out = stop.is_some_and(|stop| stop.reason == StopReason::TimedOut);
    if is_success && !timed_out {
        report.result = taken.result;
        report.error_message = taken.note;
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

fn usage(ended: &ResUse) -> Usage {
    let cpu: Duration = ended.rusage.utime + ended.rusage.stime;
    Usage {
        cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
        max_rss_kb: ended.rusage.maxrss / 1024,
    }
}

/// The wall's clock, for display.
pub(crate) fn wall_now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
