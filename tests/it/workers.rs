//! Real worker processes that run real programs: what becomes of both when somebody ends them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::json;

use crate::cluster::{
    Server, ServerOptions, Watch, await_some, bootstrap, fresh_namespace, program, run_dir, submit,
};

/// A worker as a child, in a process group of its own; killed by its pid when the test is over.
struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    fn start(namespace: &str, kafka: &str, more: &[&str]) -> Self {
        let log = run_dir().join(format!("{}-worker.log", fresh_namespace(namespace)));
        let mut command = program();
        command.args(["worker", "--kafka", kafka, "--namespace", namespace, "--slots", "1"]);
        command.args(more).process_group(0).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn await_word(&self, word: &str) {
        await_some(word, || self.words(), || self.words().contains(word).then_some(()));
    }

    /// The process that watches over its programs.
    fn guard(&self) -> i32 {
        let is_guard = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains("guard-tasks") && parent(*pid) == self.pid().as_raw()
        };
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.into_iter().find(is_guard).expect("a worker has a guard")
    }

    fn code(&mut self) -> Option<i32> {
        let log = self.log.clone();
        let words = || fs::read_to_string(&log).unwrap_or_default();
        await_some("the worker's end", words, || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The fields of a process after its name.
fn stat(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

fn parent(pid: i32) -> i32 {
    stat(pid).and_then(|rest| rest.split(' ').nth(1)?.parse().ok()).unwrap_or_default()
}

/// Until it has ended; whoever inherited it may not have reaped it yet.
fn await_gone(what: &str, pid: i32) {
    let is_gone = || stat(pid).is_none_or(|rest| rest.starts_with('Z')).then_some(());
    await_some(&format!("the end of {what}"), || format!("{pid} is {:?}", stat(pid)), is_gone);
}

/// Submits a program that ignores SIGTERM and has a child; returns both when they run.
fn submit_pair(server: &Server, id: &str) -> (i32, i32) {
    let file = run_dir().join(format!("{}-{id}.pids", server.options.namespace));
    let script = "trap '' TERM; sleep 600 & echo $$ $! > \"$PIDS.new\"; mv \"$PIDS.new\" \"$PIDS\"; \
                  while :; do sleep 600; done";
    let fields = json!({"command":["sh", "-c", script], "env":{"PIDS": file}});
    submit(&server.options.namespace, "default", id, &fields);
    let text = await_some("the program", || server.last_words(), || fs::read_to_string(&file).ok());
    let (leader, child) = text.trim().split_once(' ').unwrap();
    (leader.parse().unwrap(), child.parse().unwrap())
}

#[test]
fn killed_workers() {
    let options = ServerOptions::new("killed-workers");
    let server = Server::start(&options);
    for id in ["alone", "with-its-group"] {
        let mut worker = Worker::start(&options.namespace, &bootstrap(), &["--name", id]);
        let (leader, child) = submit_pair(&server, id);
        let guard = worker.guard();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            kill(Pid::from_raw(guard), signal).unwrap();
        }
        if id == "alone" {
            kill(worker.pid(), Signal::SIGKILL).unwrap();
        } else {
            killpg(worker.pid(), Signal::SIGKILL).unwrap();
        }
        assert_eq!(worker.code(), None, "{}", worker.words());
        await_gone("the task's program", leader);
        await_gone("its child", child);
        await_gone("the guard", guard);
    }
}

#[test]
fn signalled_worker() {
    let options = ServerOptions::new("signalled-worker");
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let mut worker = Worker::start(&options.namespace, &bootstrap(), &[]);
    submit(&options.namespace, "default", "short", &json!({"command":["true"]}));
    watch.end_of("default/short", &server);
    let guard = worker.guard();
    kill(worker.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(worker.code(), Some(0), "{}", worker.words());
    await_gone("the guard", guard);
    watch.event("a goodbye", &server, |event| event["type"] == "worker_left");

    let mut worker = Worker::start(&options.namespace, &bootstrap(), &[]);
    let (leader, child) = submit_pair(&server, "stubborn");
    for word in ["draining", "stopping", "ending at once"] {
        kill(worker.pid(), Signal::SIGTERM).unwrap();
        worker.await_word(word);
    }
    assert_eq!(worker.code(), Some(1), "{}", worker.words());
    await_gone("the task's program", leader);
    await_gone("its child", child);
}

#[test]
fn worker_without_kafka() {
    let nobody = format!("127.0.0.1:{}", crate::cluster::free_port());
    let mut worker = Worker::start("nowhere", &nobody, &[]);
    worker.await_word("the broker does not answer");
    kill(worker.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(worker.code(), Some(0), "{}", worker.words());
    let mut worker = Worker::start("nowhere", &nobody, &["--log-dir", "/dev/null/logs"]);
    assert_eq!(worker.code(), Some(2), "{}", worker.words());
    assert!(
        worker.words().contains("--log-dir /dev/null/logs: no logs can be written"),
        "{}",
        worker.words()
    );
}
