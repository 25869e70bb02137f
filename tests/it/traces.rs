//! A trace from the command that submits, over server and worker, into the program; and as spans at a collector.

use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use yardmaster::kafka::{Connection, Topics};

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, await_some, bootstrap, guarded_program, program, reader,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Takes what is posted to it.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, taken) = (stream.unwrap(), Arc::clone(&taken));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = post(&mut reader) {
                        let spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
                        taken.lock().unwrap().extend(spans.iter().cloned());
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
                    }
                });
            }
        });
        Self { url, spans }
    }

    fn named(&self, name: &str) -> Option<Value> {
        self.spans
            .lock()
            .unwrap()
            .iter()
            .find(|span| span["name"] == name && span["traceId"] == TRACE)
            .cloned()
    }
}

/// The body of the next request; none at the connection's end.
fn post(reader: &mut impl std::io::BufRead) -> Option<Value> {
    let (mut length, mut first) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        if line.is_empty() {
            assert!(first.starts_with("post /v1/traces "), "{first}");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            return Some(serde_json::from_slice(&body).unwrap());
        }
    }
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn submit(server: &Server, span: &str) -> Output {
    let mut command = guarded_program();
    command.args([
        "submit",
        "--id",
        "t-1",
        "--wait",
        "--json",
        "--",
        "sh",
        "-c",
        "echo \"\\\"$TRACEPARENT\\\"\"",
    ]);
    command.env("YARDMASTER_URL", &server.http.url).env("TRACEPARENT", format!("00-{TRACE}-{span}-01"));
    command.output().unwrap()
}

#[test]
fn a_trace_goes_from_the_submit_into_the_program() {
    let collector = Collector::start();
    let options = ServerOptions::new("traces").with("YARDMASTER_OTEL_ENDPOINT", &collector.url);
    let server = Server::start(&options);
    let mut worker = program();
    worker.args(["worker", "--kafka", &bootstrap(), "--namespace", &options.namespace, "--slots", "1"]);
    worker.env("YARDMASTER_OTEL_ENDPOINT", &collector.url).stdin(Stdio::null()).stderr(Stdio::null());
    let _worker = Worker(worker.spawn().unwrap());
    let output = submit(&server, SPAN);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let task = &answer["tasks"][0];
    let span = |name: &str| {
        await_some(&format!("the span {name}"), || server.last_words(), || collector.named(name))
    };
    let (submitted, run) = (span("submit"), span("run"));
    assert_eq!(submitted["parentSpanId"], SPAN, "the command's own span is the parent");
    assert_eq!(run["parentSpanId"], submitted["spanId"]);
    let inside = format!("00-{TRACE}-{}-01", run["spanId"].as_str().unwrap());
    assert_eq!((&task["state"], &task["result"]), (&"COMPLETED".into(), &inside.into()), "{task}");
    // A client that tries again does so in another span: it is the same task all the same.
    let again = submit(&server, "00f067aa0ba902b8");
    assert_eq!(again.status.code(), Some(0), "{again:?}");
}

/// Produces a submit with a context in its headers, as a client that traces does.
fn submit_record(topic: &str, context: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap();
    let value = r#"{"v":1,"type":"submit","task":{"id":"t-1","pool":"p","command":["true"]}}"#;
    let header = Header { key: "traceparent", value: Some(context) };
    let record = BaseRecord::to(topic).key("p").payload(value).headers(OwnedHeaders::new().insert(header));
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// The context in the headers of the first assignment on a channel, and in the environment that it brings.
fn assigned(topic: &str) -> Option<(String, String)> {
    let consumer = reader(topic);
    loop {
        let message = consumer.poll(Duration::from_secs(2))?.ok()?;
        let value: Value = serde_json::from_slice(message.payload()?).unwrap();
        if value["type"] == "assign" {
            let found = message.headers()?.iter().find(|header| header.key == "traceparent")?;
            let header = String::from_utf8(found.value?.to_vec()).unwrap();
            return Some((header, value["env"]["TRACEPARENT"].as_str()?.to_owned()));
        }
    }
}

#[test]
fn a_trace_travels_in_the_headers_of_records() {
    let server = Server::start(&ServerOptions::new("trace-headers"));
    let namespace = &server.options.namespace;
    let mut options = FleetOptions::new(namespace, "p");
    options.workers = 1;
    let fleet = Fleet::start(options);
    await_some("a welcome", || server.last_words(), || (fleet.welcomed() > 0).then_some(()));
    let context = format!("00-{TRACE}-{SPAN}-01");
    submit_record(&server.topic("tasks"), &context);
    let channels = Topics::new(&Connection::new(bootstrap())).unwrap().names().unwrap();
    let prefix = server.topic("assign.p.");
    let channel = channels.into_iter().find(|name| name.starts_with(&prefix)).unwrap();
    let found = await_some("the assignment", || server.last_words(), || assigned(&channel));
    assert_eq!(found, (context.clone(), context));
}
