//! The command line against a server that is scripted: failovers, failures in the middle, and answers that are cut.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::cluster::guarded_program;

/// What a server does with a request.
enum Reply {
    Json(u16, Value),
    /// The bytes as they are, then the end of the connection.
    Raw(String),
    /// The end of the connection, without a word.
    Nothing,
}

/// A request: its method and target, and its body.
#[derive(Debug, Clone)]
struct Request {
    line: String,
    body: String,
}

/// A server whose replies are made from each request and the number of requests for the same path before it.
struct Scripted {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    fn start(script: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut counts: HashMap<String, usize> = HashMap::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else {
                    continue;
                };
                if request.line.starts_with("GET /healthz") {
                    send(&mut stream, Reply::Json(200, json!({})));
                    continue;
                }
                let path = request.line.split('?').next().unwrap_or_default().to_owned();
                let count = counts.entry(path).or_default();
                seen.lock().unwrap().push(request.clone());
                send(&mut stream, script(&request, *count));
                *count += 1;
            }
        });
        Self { url, requests }
    }

    fn run(&self, words: &[&str], stdin: &str) -> Output {
        let mut command = guarded_program();
        command.args(words).env("YARDMASTER_URL", &self.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
        child.wait_with_output().unwrap()
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(number) = header.to_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, body: String::from_utf8(body).unwrap() })
}

fn send(stream: &mut TcpStream, reply: Reply) {
    let bytes = match reply {
        Reply::Json(status, body) => {
            let body = body.to_string();
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        }
        Reply::Raw(bytes) => bytes,
        Reply::Nothing => return,
    };
    // The client may have gone.
    stream.write_all(bytes.as_bytes()).ok();
}

fn moving() -> Reply {
    Reply::Json(503, json!({"title": "Not now", "detail": "pool default is moving"}))
}

/// Every task of a submit, with these outcomes by id where they differ from `accepted`.
fn submitted(request: &Request, refused: Option<&str>) -> Reply {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let row = |task: &Value| {
        let outcome = if task["id"].as_str() == refused { "refused" } else { "accepted" };
        json!({"pool": task.get("pool").cloned().unwrap_or(json!("default")), "id": task["id"], "outcome": outcome})
    };
    let tasks: Vec<Value> = body["tasks"].as_array().unwrap().iter().map(row).collect();
    let status = if refused.is_some() { 409 } else { 201 };
    Reply::Json(status, json!({"detail": "no", "position": "p1.0-7", "tasks": tasks, "warnings": []}))
}

fn stdout(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_submit_is_repeated_word_for_word_until_it_is_answered() {
    let server = Scripted::start(|request, count| match count {
        0 => moving(),
        1 => Reply::Nothing,
        _ => submitted(request, None),
    });
    let output = server.run(&["submit", "--parsable", "--", "true"], "");
    let id = stdout(&output, 0);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.body == requests[0].body), "{requests:?}");
    assert!(requests[0].body.contains(id.trim()) && !id.trim().is_empty(), "{id} {requests:?}");
    assert!(requests[0].line.contains("wait=applied"), "{requests:?}");
}

#[test]
fn what_was_sent_is_told_when_the_rest_fails() {
    let server = Scripted::start(|request, count| match count {
        0 => submitted(request, None),
        _ => Reply::Json(500, json!({"detail": "the server failed"})),
    });
    let output = server.run(&["submit", "--each-line", "-", "--", "echo"], &lines(1_001));
    let text = stdout(&output, 1);
    assert_eq!(text.lines().filter(|line| line.ends_with(" accepted")).count(), 1_000);
    assert_eq!(text.lines().filter(|line| line.ends_with(" unsure")).count(), 1);
}

#[test]
fn a_refusal_is_learnt_of_in_any_number_of_tasks() {
    let tasks: String = (0..1_500).map(|number| format!("{{\"id\":\"t-{number}\"}}\n")).collect();
    let server = Scripted::start(|request, count| submitted(request, (count == 1).then_some("t-1234")));
    let output = server.run(&["submit", "--file", "-"], &tasks);
    assert_eq!(stdout(&output, 1), "1500 tasks: 1499 accepted, 1 refused\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("default/t-1234"), "{output:?}");
}

fn state(id: &str, state: &str) -> Reply {
    Reply::Json(200, json!({"pool": "default", "id": id, "state": state, "reason": ""}))
}

#[test]
fn a_wait_outlives_a_failover() {
    let script = |_: &Request, count: usize| match count {
        0 => moving(),
        1 => Reply::Nothing,
        2 => state("t", "RUNNING"),
        _ => state("t", "COMPLETED"),
    };
    assert_eq!(stdout(&Scripted::start(script).run(&["task", "wait", "t"], ""), 0), "t COMPLETED\n");
    let job = |_: &Request, count: usize| match count {
        0 => moving(),
        _ => Reply::Json(
            200,
            json!({"job": "j", "live": 0, "ended": 1, "total": 1, "counts": {"COMPLETED": 1}}),
        ),
    };
    stdout(&Scripted::start(job).run(&["job", "wait", "j"], ""), 0);
    let silent = Scripted::start(|_, _| moving());
    stdout(&silent.run(&["task", "wait", "t", "--timeout", "1"], ""), 4);
}

#[test]
fn a_wait_reads_its_own_submit_in_the_pool_of_each_line() {
    let server = Scripted::start(|request, count| match (request.line.starts_with("POST"), count) {
        (true, _) => submitted(request, None),
        (false, 0) => Reply::Json(404, json!({"detail": "not known"})),
        (false, _) => state("t", "COMPLETED"),
    });
    let output =
        server.run(&["submit", "--file", "-", "--wait"], "{\"id\":\"a\",\"pool\":\"p\"}\n{\"id\":\"b\"}\n");
    stdout(&output, 0);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    for line in
        ["GET /v1/pools/p/tasks/a?min_position=p1.0-7", "GET /v1/pools/default/tasks/b?min_position=p1.0-7"]
    {
        assert!(asked.iter().any(|asked| asked == line), "{line} is not in {asked:?}");
    }
}

/// All tasks are looked at, not only the first that has not ended.
#[test]
fn progress_counts_whatever_has_ended() {
    let server = Scripted::start(|request, count| match (request.line.ends_with("/slow"), count) {
        (true, 0..3) => state("slow", "RUNNING"),
        _ => state("any", "COMPLETED"),
    });
    let output = server.run(&["task", "wait", "slow", "a", "b"], "");
    stdout(&output, 0);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    assert!(asked[1].ends_with("/a") && asked[2].ends_with("/b"), "{asked:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("2/3"), "{output:?}");
}

fn results(body: &'static str, length: usize) -> Scripted {
    Scripted::start(move |_, _| {
        Reply::Raw(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"))
    })
}

#[test]
fn results_are_printed_as_they_came() {
    let body = "{\"id\":\"t\",\"state\":\"COMPLETED\",\"result\":{\"z\":0.1000,\"a\":123456789012345678901234567890}}\n";
    let jsonl = results(body, body.len()).run(&["job", "results", "j", "--jsonl"], "");
    assert_eq!(stdout(&jsonl, 0), body);
    let json = stdout(&results(body, body.len()).run(&["job", "results", "j", "--json"], ""), 0);
    assert!(json.contains(body.trim_end()), "{json}");
    serde_json::from_str::<Value>(&json).unwrap();
    let plain = stdout(&results(body, body.len()).run(&["job", "results", "j"], ""), 0);
    assert_eq!(plain, "t COMPLETED {\"z\":0.1000,\"a\":123456789012345678901234567890}\n");
}

#[test]
fn results_that_are_cut_or_bad_are_a_failure() {
    let good = "{\"id\":\"t\",\"state\":\"COMPLETED\"}\n";
    // The connection ends before the promised length.
    let output = results(good, good.len() + 10).run(&["job", "results", "j", "--jsonl"], "");
    assert_eq!(stdout(&output, 1), good, "what came whole is printed");
    let unfinished = "{\"id\":\"t\",\"state\":\"COMPLETED\"}";
    stdout(&results(unfinished, unfinished.len()).run(&["job", "results", "j", "--jsonl"], ""), 1);
    let bad = "{\"id\":\n";
    stdout(&results(bad, bad.len()).run(&["job", "results", "j", "--jsonl"], ""), 1);
}

#[test]
fn wrong_usage_is_told_before_anybody_is_asked() {
    let nobody = Scripted::start(|_, _| Reply::Nothing);
    for words in [
        &["submit", "--timeout", "-1", "--", "true"][..],
        &["submit", "--wait", "--wait-timeout", "0", "--", "true"],
        &["task", "wait", "t", "--timeout=-1"],
        &["worker", "--pool", "a", "--pool", "a"],
        &["worker", "--slots", "100000"],
        &["worker", "--label", "a b=c"],
    ] {
        stdout(&nobody.run(words, ""), 2);
    }
    assert_eq!(nobody.requests().len(), 0);
}
