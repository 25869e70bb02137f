//! Programs that are not ours: Python's Kafka client and kcat; and our own commands as a shell sees them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Watch, await_some, bootstrap, free_port, guarded_program,
    program, run_dir,
};
use yardmaster_checker::{must_be_clean, read_all};

/// A child that is killed by its pid when the test is over.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstdout:\n{out}\nstderr:\n{err}", output.status)
}

fn python(script: &str, namespace: &str) -> Command {
    let python = std::env::var_os("YARDMASTER_TEST_PYTHON").expect(
        "YARDMASTER_TEST_PYTHON names no Python with examples/python/requirements.txt: use `./yard test`",
    );
    let mut command = Command::new(python);
    command.arg(root().join("examples/python").join(script));
    command.args(["--kafka", &bootstrap(), "--namespace", namespace]);
    command
}

#[test]
fn python_clients() {
    let options = ServerOptions::new("python");
    let server = Server::start(&options);
    let namespace = &options.namespace;
    let mut worker = python("worker.py", namespace);
    worker.args(["--pool", "default", "--worker", "snake", "--slots", "2", "--exit-after", "12"]);
    let log = run_dir().join("python-worker.log");
    worker.stderr(fs::File::create(&log).unwrap());
    let mut worker = Running(worker.spawn().unwrap());
    let words = || format!("{}\n{}", fs::read_to_string(&log).unwrap_or_default(), server.last_words());
    let submit = |prefix: &str, count: &str, command: &[&str]| {
        let mut submit = python("submit.py", namespace);
        submit.args(["--pool", "default", "--job", "py", "--prefix", prefix, "--count", count]);
        submit.args(["--wait", "--timeout", "100", "--"]).args(command);
        submit.output().unwrap()
    };
    let good = submit("good", "10", &["cat"]);
    assert!(good.status.success(), "{}\n{}", shown(&good), words());
    let lines = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(lines.lines().filter(|line| line.contains("COMPLETED")).count(), 10, "{lines}");
    let bad = submit("bad", "2", &["false"]);
    assert_eq!(bad.status.code(), Some(1), "{}\n{}", shown(&bad), words());
    let left = await_some("the worker's goodbye", words, || worker.0.try_wait().unwrap());
    assert!(left.success(), "{left}\n{}", words());
    let watch = Watch::start(namespace);
    watch.event("the worker's leaving", &server, |event| event["type"] == "worker_left");
    let end = watch.end_of("default/good-7", &server);
    let report = &end["attempts"][0]["report"];
    assert_eq!(report["result"], json!({"number":7}), "cat gives the payload back: {end}");
    let report = must_be_clean(&read_all(&bootstrap(), namespace));
    assert_eq!((report.ended_as("COMPLETED"), report.ended_as("FAILED"), report.attempts), (10, 2, 12));
}

/// The lines of the README that start kcat, as they stand there, for this broker and namespace.
fn kcat_lines_of_readme(namespace: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let is_kcat = |line: &&str| line.contains("kcat -P ") || line.starts_with("kcat -C ");
    let lines = text.lines().filter(is_kcat);
    lines.map(|line| line.replace("-t yardmaster.", &format!("-t {namespace}."))).collect()
}

/// What a line writes. `timeout` is only a hang guard: exit code 124.
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).env("KAFKA", bootstrap()).output().unwrap();
    assert!(output.status.success(), "{line}\n{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn kcat_lines() {
    let kcat = Command::new("kcat").arg("-V").output();
    assert!(kcat.is_ok(), "kcat is not installed: apt-get install kcat, or use `./yard test`");
    let options = ServerOptions::new("kcat");
    let server = Server::start(&options);
    let namespace = &options.namespace;
    let lines = kcat_lines_of_readme(namespace);
    let (produce, consume): (Vec<&String>, Vec<&String>) =
        lines.iter().partition(|line| line.contains("kcat -P"));
    assert!(!produce.is_empty() && consume.len() >= 2, "the README's lines are gone: {lines:?}");
    let fleet = Fleet::start(FleetOptions::new(namespace, "default"));
    for line in produce {
        shell(line);
    }
    let bad = format!("echo 'not JSON' | kcat -P -b \"$KAFKA\" -t {namespace}.tasks -k default");
    shell(&bad);
    let watch = Watch::start(namespace);
    watch.end_of("default/t-2", &server);
    let line = |topic: &str| {
        let wanted = format!("{namespace}.{topic}");
        consume.iter().find(|line| line.contains(&wanted)).unwrap_or_else(|| panic!("no line reads {topic}"))
    };
    let events = shell(line("events"));
    assert!(events.contains("default/t-2") && events.contains(r#""state":"COMPLETED""#), "{events}");
    let letters = await_some(
        "the dead letter",
        || server.last_words(),
        || Some(shell(line("dead-letter"))).filter(|text| text.contains("not JSON")),
    );
    assert!(letters.contains("not_json"), "the reason is in the headers: {letters}");
    drop(fleet);
    assert_eq!(must_be_clean(&read_all(&bootstrap(), namespace)).dead_letters, 1);
}

/// One of our commands, against a server.
fn yardmaster(server: &Server, words: &[&str], stdin: &str) -> Output {
    let mut command = guarded_program();
    command.args(words).env("YARDMASTER_URL", &server.http.url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no stdin may have closed it.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn ends_with(server: &Server, words: &[&str], code: i32) -> String {
    let output = yardmaster(server, words, "");
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{}\n{}", shown(&output), server.last_words());
    String::from_utf8(output.stdout).unwrap()
}

/// A real worker that runs real processes.
pub(crate) fn real_worker(server: &Server) -> Running {
    let mut command = program();
    command.args(["worker", "--kafka", &bootstrap(), "--namespace", &server.options.namespace]);
    command.args(["--pool", "default", "--slots", "2"]);
    let log = fs::File::create(run_dir().join(format!("{}-worker.log", server.options.namespace))).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap())
}

/// A file's lines as a job, waited for, counted, and its results.
fn jobs_by_command(server: &Server) {
    let words = |words: &[&str], code: i32| ends_with(server, words, code);
    let lines = run_dir().join("cli-lines.txt");
    fs::write(&lines, "1\n2\n3\n").unwrap();
    words(&["submit", "--job", "j", "--each-line", lines.to_str().unwrap(), "--wait", "--", "echo"], 0);
    words(&["job", "wait", "j"], 0);
    let job: Value = serde_json::from_str(&words(&["job", "show", "j", "--json"], 0)).unwrap();
    assert!(job.to_string().contains(r#""COMPLETED":3"#), "{job}");
    assert_eq!(words(&["job", "results", "j", "--jsonl"], 0).lines().count(), 3);
}

#[test]
fn cli() {
    let options = ServerOptions::new("cli");
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let worker = real_worker(&server);
    let words = |words: &[&str], code: i32| ends_with(&server, words, code);
    assert_eq!(
        words(&["submit", "--parsable", "--id", "c-1", "--", "echo", r#"{"answer":42}"#], 0).trim(),
        "c-1"
    );
    words(&["task", "wait", "c-1"], 0);
    let shown: Value = serde_json::from_str(&words(&["task", "show", "c-1", "--json"], 0)).unwrap();
    assert!(shown.to_string().contains("COMPLETED") && shown.to_string().contains("42"), "{shown}");
    words(&["submit", "--id", "c-2", "--wait", "--", "false"], 1);
    words(&["submit", "--id", "c-3", "--", "sleep", "600"], 0);
    watch.event("the start of c-3", &server, |event| event["type"] == "started" && event["id"] == "c-3");
    words(&["task", "wait", "c-3", "--timeout", "1"], 4);
    words(&["task", "cancel", "c-3"], 0);
    words(&["task", "wait", "c-3"], 1);
    jobs_by_command(&server);
    assert!(words(&["task", "list", "--json"], 0).contains("c-1"));
    words(&["worker", "list"], 0);
    words(&["task", "show", "nobody"], 1);
    words(&["submit", "--no-such-flag"], 2);
    words(&["task", "list", "--url", &format!("http://127.0.0.1:{}", free_port())], 3);
    drop(worker);
    let report = must_be_clean(&read_all(&bootstrap(), &options.namespace));
    let ended = (report.ended_as("COMPLETED"), report.ended_as("FAILED"), report.ended_as("CANCELLED"));
    assert_eq!(ended, (4, 1, 1), "{report:?}");
}
