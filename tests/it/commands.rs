//! Commands on a real server and broker, as scripts use them: their JSON as docs/cli.md has it, several pools, topics.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::cluster::{Server, ServerOptions, bootstrap, fresh_namespace, guarded_program, program, run_dir};

#[path = "../../examples/handler.rs"]
#[expect(dead_code, reason = "an example has a main, which is not called here")]
mod handler;

/// A worker that is killed when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn worker(server: &Server, words: &[&str]) -> Running {
    let mut command = program();
    command.args(["worker", "--kafka", &bootstrap(), "--namespace", &server.options.namespace]).args(words);
    let log = fs::File::create(run_dir().join(format!("{}-worker.log", server.options.namespace))).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap())
}

/// A command's stdout, which ends with this code.
fn run(url: &str, words: &[&str], code: i32) -> String {
    let output = guarded_program().args(words).env("YARDMASTER_URL", url).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?} {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn file(name: &str, text: &str) -> String {
    let path = run_dir().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The fields that docs/cli.md promises: of the whole, and of the first row of a list.
const SHAPES: &[(&str, &[&str], &str, &[&str])] = &[
    ("task list", &["tasks"], "tasks", &["pool", "id", "state", "attempt", "queue", "job", "reason"]),
    (
        "task show j-1",
        &["pool", "id", "state", "spec", "result", "attempts", "timeline"],
        "timeline",
        &["at_ms", "what"],
    ),
    ("task wait j-1", &["tasks"], "tasks", &["pool", "id", "state", "result"]),
    ("task requeue j-2", &["tasks"], "tasks", &["id", "outcome"]),
    ("job list", &["jobs"], "jobs", &["pool", "job", "state", "total", "live", "ended", "counts"]),
    ("job show j", &["pool", "job", "state", "total", "live", "ended", "counts"], "", &[]),
    ("job results j", &["results"], "results", &["pool", "id", "state", "attempt", "result"]),
    ("worker list", &["workers"], "workers", &["pool", "worker", "state", "slots", "open", "labels"]),
    ("worker drain two", &["pool", "outcome"], "", &[]),
    ("worker undrain two", &["pool", "outcome"], "", &[]),
    ("queue list", &["queues"], "queues", &["pool", "queue", "live", "total", "counts"]),
    ("pool list", &["pools"], "pools", &["pool", "partition", "live", "total", "counts"]),
    (
        "pool stats",
        &["pool", "size", "kept_ms", "at_ms", "total"],
        "windows",
        &["from_ms", "counts", "queue_wait"],
    ),
    (
        "cluster show",
        &["answered_by", "epoch", "placer", "partitions", "drained"],
        "instances",
        &["id", "url", "standing", "placer", "since_at_ms", "owns", "copies"],
    ),
    ("cluster rebalance", &["outcome"], "", &[]),
    ("events", &["v", "type", "at_ms"], "", &[]),
    ("config show", &["keys"], "keys", &["key", "value", "default", "meaning"]),
    ("topology", &["inputs", "outputs", "tables", "topics"], "tables", &["table", "class", "version"]),
    ("submit --id j-3 --job j -- true", &["tasks"], "tasks", &["pool", "id", "outcome", "state"]),
    ("submit --id j-4 --wait -- true", &["tasks"], "tasks", &["pool", "id", "state", "attempts"]),
    ("job cancel j", &["pool", "outcome"], "", &[]),
    // What has ended can't be cancelled: this one waits for a worker.
    ("submit --id waits --pool nobody -- true", &["tasks"], "tasks", &["pool", "id", "outcome", "state"]),
    ("task cancel waits --pool nobody", &["tasks"], "tasks", &["id", "outcome"]),
];

fn check_shape(url: &str, (words, fields, list, row_fields): &(&str, &[&str], &str, &[&str])) {
    let (head, tail) = words.split_once(" --").map_or((*words, None), |(head, tail)| (head, Some(tail)));
    let mut all: Vec<&str> = head.split(' ').collect();
    all.push("--json");
    let tail = tail.map(|tail| format!("--{tail}")).unwrap_or_default();
    all.extend(tail.split(' ').filter(|word| !word.is_empty()));
    let text = run(url, &all, 0);
    let value: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words}: {error} in {text}"));
    let has =
        |value: &Value, field: &str| assert!(value.get(field).is_some(), "{words}: no {field} in {value}");
    fields.iter().for_each(|field| has(&value, field));
    row_fields.iter().for_each(|field| has(&value[list][0], field));
}

#[test]
fn json_of_every_command() {
    let server = Server::start(&ServerOptions::new("commands-json"));
    let url = server.http.url.clone();
    let _worker = worker(&server, &["--name", "two", "--label", "gpu=none", "--slots", "2"]);
    // Digits and order of a result are the program's.
    let exact = r#"{"z":0.1000,"a":123456789012345678901234567890}"#;
    run(&url, &["submit", "--id", "j-1", "--job", "j", "--wait", "--", "echo", exact], 0);
    run(&url, &["submit", "--id", "j-2", "--job", "j", "--wait", "--", "echo", "1"], 0);
    assert!(run(&url, &["job", "results", "j", "--jsonl"], 0).contains(exact));
    assert!(run(&url, &["task", "show", "j-1"], 0).contains(exact));
    SHAPES.iter().for_each(|shape| check_shape(&url, shape));
    let red = run(&url, &["submit", "--id", "red", "--wait", "--", "printf", "\u{1b}[31mred"], 0);
    assert!(red.contains("red") && !run(&url, &["task", "show", "red"], 0).contains('\u{1b}'));
}

#[test]
fn a_file_has_tasks_of_several_pools_with_payloads_as_they_are() {
    let mut server = Server::start(&ServerOptions::new("commands-pools"));
    let url = server.http.url.clone();
    let _worker = worker(&server, &["--pool", "a=1", "--pool", "b=1"]);
    let payload = r#"{"z":1.50,"a":[98765432109876543210]}"#;
    let line = |id: &str, pool: &str| {
        format!("{{\"id\":\"{id}\",\"pool\":\"{pool}\",\"command\":[\"cat\"],\"payload\":{payload}}}\n")
    };
    let tasks = file("pools.jsonl", &[line("1", "a"), line("2", "b"), line("3", "a")].concat());
    assert_eq!(run(&url, &["submit", "--file", &tasks, "--wait"], 0), "3 tasks: 3 accepted\n");
    assert_eq!(run(&url, &["submit", "--file", &tasks], 0), "3 tasks: 3 repeated\n");
    assert!(run(&url, &["task", "show", "2", "--pool", "b"], 0).contains(payload));
    // A terminal that is closed is an order to end.
    server.hang_up();
    assert_eq!(server.await_end(), Some(0), "{}", server.last_words());
}

#[test]
fn topics_are_checked_one_by_one_and_not_created() {
    let (kafka, namespace) = (bootstrap(), fresh_namespace("commands-topics"));
    let topics = |verb: &str, code: i32, more: &[&str]| {
        let words =
            [&["topics", verb, "--kafka", &kafka, "--namespace", &namespace, "--json"], more].concat();
        let answer: Value = serde_json::from_str(&run("", &words, code)).unwrap();
        let rows = answer["topics"].as_array().unwrap();
        rows.iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert!(topics("check", 1, &[]).iter().all(|state| state == "missing"));
    }
    assert!(topics("create", 0, &[]).iter().all(|state| state == "created"));
    assert!(topics("check", 0, &[]).iter().all(|state| state == "ok"));
    let wrong = topics("check", 1, &["--set", "partitions=3"]);
    assert_eq!(wrong.iter().filter(|state| state.starts_with("wrong: ")).count(), 5, "{wrong:?}");
    assert_eq!(wrong.iter().filter(|state| *state == "ok").count(), 2, "the others are looked at: {wrong:?}");
}

#[test]
fn a_worker_of_ones_own_is_an_example() {
    let server = Server::start(&ServerOptions::new("commands-handler"));
    let worker = handler::start(bootstrap(), &server.options.namespace).unwrap();
    let words = ["submit", "--pool", "squares", "--payload", "7", "--wait", "--json"];
    let answer: Value = serde_json::from_str(&run(&server.http.url, &words, 0)).unwrap();
    assert_eq!(answer["tasks"][0]["result"], 49);
    run(&server.http.url, &["submit", "--pool", "squares", "--payload", "\"x\"", "--wait"], 1);
    worker.orders().drain();
    worker.join();
}
