//! Real programs, as a worker runs them.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use yardmaster_topologies::id::{Attempt, JobId, Pool, TaskId, Token, WorkerName};

use super::*;
use crate::worker::control::{Stop, StopReason};
use crate::worker::handler::End;

fn shell(script: &str) -> Assignment {
    Assignment {
        pool: Pool::trusted("p"),
        worker: WorkerName::trusted("w"),
        task: TaskId::trusted("a/t"),
        attempt: Attempt(3),
        token: Token::trusted("f00"),
        job: Some(JobId::trusted("j")),
        command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: BTreeMap::from([("MODE".to_owned(), "fast".to_owned()), ("b=ad".to_owned(), String::new())]),
        cwd: None,
        payload: None,
        payload_ref: None,
        tags: BTreeMap::new(),
        run_timeout: None,
        result_bytes_max: 1024,
    }
}

fn control() -> Control {
    Control::default()
}

fn run(assignment: Assignment) -> Finish {
    RunProcess::default().run(assignment, &control())
}

/// Runs it, gives the order to stop when `ready` exists, and returns the end with the time that stopping took.
fn run_and_stop(script: &str, reason: StopReason, grace: Duration) -> (Finish, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let mut assignment = shell(script);
    assignment.env.insert("READY".to_owned(), ready.display().to_string());
    assignment.run_timeout = Some(Duration::from_millis(50));
    let control = control();
    let theirs = control.clone();
    let thread = thread::spawn(move || RunProcess::default().run(assignment, &theirs));
    while !ready.exists() {
        thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    control.stop(Stop { reason, grace });
    (thread.join().unwrap(), asked.elapsed())
}

#[test]
fn json_on_stdout_is_the_result() {
    let finish = run(shell("echo ' {\"pv\": 1.50} '; echo note >&2"));
    assert_eq!(finish.end, End::Completed);
    assert_eq!(
        finish.report.result,
        Some(Json(Arc::from("{\"pv\": 1.50}"))),
        "byte for byte as it was printed"
    );
    assert_eq!(finish.report.exit_code, Some(0));
    assert_eq!(finish.report.stderr_tail.as_deref(), Some("note\n"));
    assert!(finish.report.usage.unwrap().max_rss_kb > 100, "{finish:?}");
    assert!(finish.report.ended_at >= finish.report.started_at);
}

#[test]
fn other_output_is_a_tail_only() {
    let finish = run(shell("echo all good"));
    assert_eq!((finish.end, finish.report.result), (End::Completed, None));
    assert_eq!(finish.report.stdout_tail.as_deref(), Some("all good\n"));
}

#[test]
fn a_result_that_can_not_be_carried_is_spoken_of() {
    let too_long = run(shell("printf '\"%01025d\"' 0"));
    assert_eq!((too_long.end, too_long.report.result), (End::Completed, None));
    let note = too_long.report.error_message.unwrap();
    assert!(note.contains("1027 bytes") && note.contains("result_bytes_max is 1024"), "{note}");
    let deep = run(shell(&format!("printf '%s' '{}{}'", "[".repeat(100), "]".repeat(100))));
    assert_eq!(deep.report.result, None, "a record that deep would be refused");
    assert!(deep.report.error_message.unwrap().contains("deeper than"));
}

#[test]
fn what_may_be_only_part_of_a_result_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    // It leaves the group, so it keeps the pipe: nobody knows whether more than `12` is to come.
    let script = "setsid sh -c 'echo $$ > \"$PID.new\"; mv \"$PID.new\" \"$PID\"; exec sleep 63' & \
                  while ! [ -e \"$PID\" ]; do sleep 0.01; done; printf 12";
    let mut assignment = shell(script);
    assignment.env.insert("PID".to_owned(), pid.display().to_string());
    let finish = run(assignment);
    let stray: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(stray), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!((finish.end, finish.report.result), (End::Completed, None));
    assert!(finish.report.error_message.unwrap().contains("still open"));
    assert_eq!(finish.report.stdout_tail.as_deref(), Some("12"));
}

#[test]
fn failures_say_how() {
    let exit = run(shell("echo no such book >&2; exit 3"));
    assert_eq!((exit.end, exit.report.exit_code), (End::Failed, Some(3)));
    assert_eq!(exit.report.error_kind.as_deref(), Some("exit"));
    assert_eq!(exit.report.stderr_tail.as_deref(), Some("no such book\n"));
    let signal = run(shell("kill -SEGV $$"));
    assert_eq!((signal.end, signal.report.signal), (End::Failed, Some(11)));
    assert_eq!(signal.report.error_message.as_deref(), Some("killed by signal 11 (SIGSEGV)"));
    let missing = run(Assignment { command: vec!["/no/such/program".to_owned()], ..shell("") });
    assert_eq!((missing.end, missing.report.error_kind.as_deref()), (End::Failed, Some("spawn")));
    let nothing = run(Assignment { command: Vec::new(), ..shell("") });
    assert_eq!(nothing.report.retryable, Some(false));
}

#[test]
fn the_payload_comes_on_stdin_whatever_its_size() {
    for size in [0, 10, 5_000, 300_000] {
        let payload = format!("\"{}\"", "x".repeat(size));
        let finish = run(Assignment { payload: Some(Json(Arc::from(payload.as_str()))), ..shell("wc -c") });
        let count: usize = finish.report.result.unwrap().0.parse().unwrap();
        assert_eq!(count, size + 2);
    }
    let ignored = Assignment { payload: Some(Json(Arc::from("\"x\"".repeat(90_000)))), ..shell("exec true") };
    assert_eq!(run(ignored).end, End::Completed, "a program that does not read is no error");
}

#[test]
fn the_environment_names_the_attempt() {
    let script =
        "echo $TASK_POOL $TASK_ID $TASK_ATTEMPT $TASK_JOB $TASK_TOKEN $MODE; env | grep -c ^YARDMASTER_";
    let finish = run(shell(script));
    assert_eq!(finish.report.stdout_tail.as_deref(), Some("p a/t 3 j f00 fast\n0\n"));
}

#[test]
fn one_fixed_command_and_whole_logs() {
    let dir = tempfile::tempdir().unwrap();
    let exec = ["sh", "-c", "cat; seq 3000"].map(str::to_owned).to_vec();
    let handler = RunProcess { exec: Some(exec), log_dir: Some(dir.path().to_owned()), guard: None };
    let assignment = Assignment { command: Vec::new(), payload: Some(Json(Arc::from("[7]"))), ..shell("") };
    let finish = handler.run(assignment, &control());
    assert_eq!(finish.end, End::Completed);
    assert_eq!(finish.report.stdout_tail.unwrap().len(), TAIL_BYTES_MAX);
    let log = fs::read_to_string(dir.path().join("p/a%2Ft.3.out")).unwrap();
    assert!(log.starts_with("[7]1\n2\n") && log.ends_with("3000\n"));
}

fn logging_to(dir: &Path) -> RunProcess {
    RunProcess { log_dir: Some(dir.to_owned()), ..RunProcess::default() }
}

#[test]
fn a_log_that_can_not_be_written_costs_the_log_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for bad in [file.join("below"), "/dev/full/below".into()] {
        let handler = logging_to(&bad);
        assert!(handler.check_log_dir().is_err(), "{bad:?}");
        let finish = handler.run(shell("seq 100000; echo; exit 0"), &control());
        assert_eq!((finish.end, finish.report.exit_code), (End::Completed, Some(0)), "{finish:?}");
    }
    let good = logging_to(dir.path());
    good.check_log_dir().unwrap();
    // The disk is full from the first byte on.
    fs::create_dir(dir.path().join("p")).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("p/a%2Ft.3.out")).unwrap();
    let finish = good.run(shell("echo 7"), &control());
    assert_eq!((finish.end, finish.report.result), (End::Completed, Some(Json("7".into()))));
    let finish = good.run(shell("seq 100000"), &control());
    assert_eq!(finish.end, End::Completed);
}

#[test]
fn a_disk_that_stalls_does_not_touch_the_result() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("p")).unwrap();
    // Opening a pipe that nobody reads blocks, as a disk that hangs does.
    let stalled = dir.path().join("p/a%2Ft.3.out");
    assert!(Command::new("mkfifo").arg(&stalled).status().unwrap().success());
    let finish = logging_to(dir.path()).run(shell("printf 123; sleep 0.1; printf 456"), &control());
    assert_eq!((finish.end, finish.report.result), (End::Completed, Some(Json("123456".into()))));
    assert_eq!(fs::read_to_string(&stalled).unwrap(), "123456", "and the log is written when it can be");
}

#[test]
fn the_longest_id_has_a_log_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    for last in ["a", "b"] {
        let task = TaskId::trusted(&format!("{}{last}", "/".repeat(127)));
        logging_to(dir.path()).run(Assignment { task, ..shell("echo 1") }, &control());
    }
    let names = fs::read_dir(dir.path().join("p")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    assert!(names.len() == 4 && names.iter().all(|name| name.starts_with("%2F%2F")), "{names:?}");
}

#[test]
fn a_cancel_stops_it_politely() {
    let (finish, took) =
        run_and_stop(": > \"$READY\"; exec sleep 60", StopReason::Cancelled, Duration::from_secs(30));
    assert_eq!((finish.end, finish.report.signal), (End::Stopped, Some(15)));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let ended_well = "trap 'echo 1; exit 0' TERM; : > \"$READY\"; while :; do sleep 0.01; done";
    let (finish, _) = run_and_stop(ended_well, StopReason::Cancelled, Duration::from_secs(30));
    assert_eq!(finish.end, End::Completed, "what ended well meanwhile is completed");
}

#[test]
fn a_child_that_ignores_the_polite_signal_is_killed_with_its_whole_group() {
    let script = "trap '' TERM; sleep 61 & echo $!; : > \"$READY\"; while :; do sleep 60; done";
    let (finish, took) = run_and_stop(script, StopReason::Cancelled, Duration::from_millis(100));
    assert_eq!((finish.end, finish.report.signal), (End::Stopped, Some(9)));
    assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(20), "{took:?}");
    let child: i32 = finish.report.stdout_tail.unwrap().trim().parse().unwrap();
    assert!(is_gone(child), "the grandchild lives on");
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let finish = run(shell("sleep 62 & echo $!"));
    assert_eq!(finish.end, End::Completed);
    assert!(is_gone(finish.report.result.unwrap().0.parse().unwrap()));
}

#[test]
fn the_grace_is_for_everything_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let cleaned = dir.path().join("cleaned");
    // The outer shell dies of the signal at once; its child needs a while, and writes a file.
    let child = format!(
        "trap 'sleep 0.3; : > {}; exit 0' TERM; : > \"$READY\"; while :; do sleep 0.01; done",
        cleaned.display()
    );
    let script = format!("sh -c '{}' ; echo", child.replace('\'', "'\\''"));
    let (finish, _) = run_and_stop(&script, StopReason::Cancelled, Duration::from_secs(60));
    assert_eq!((finish.end, finish.report.signal), (End::Stopped, Some(15)));
    assert!(cleaned.exists(), "the child was killed before its grace was over");
}

#[test]
fn an_order_that_comes_after_the_end_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    // The stray holds the pipes, so that the end is seen long before the report is made.
    let script = "setsid sh -c 'echo $$ > \"$PID.new\"; mv \"$PID.new\" \"$PID\"; exec sleep 64' & \
                  while ! [ -e \"$PID\" ]; do sleep 0.01; done; echo $$";
    let mut assignment = shell(script);
    assignment.env.insert("PID".to_owned(), pid.display().to_string());
    let control = control();
    let (theirs, before) = (control.clone(), control.changes());
    let thread = thread::spawn(move || RunProcess::default().run(assignment, &theirs));
    control.wait_change(before, None);
    control.stop(Stop { reason: StopReason::TimedOut, grace: Duration::ZERO });
    let finish = thread.join().unwrap();
    let stray: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(stray), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(finish.end, End::Completed, "{finish:?}");
}

#[test]
fn a_timeout_is_a_failure_even_if_the_program_says_otherwise() {
    let script = "trap 'exit 0' TERM; : > \"$READY\"; while :; do sleep 0.01; done";
    let (finish, _) = run_and_stop(script, StopReason::TimedOut, Duration::from_secs(30));
    assert_eq!((finish.end, finish.report.error_kind.as_deref()), (End::Failed, Some("timeout")));
    assert_eq!(finish.report.error_message.as_deref(), Some("stopped after its run timeout of 50 ms"));
}

/// Whether a process has ended; whoever inherited it may not have reaped it yet.
fn is_gone(pid: i32) -> bool {
    for _ in 0..500 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}
