//! A server ends within the time that it gives itself, whatever its broker does: it says `stopped`, or what it gave up
//! waiting for, and its exit code is 0. How long it took is printed, not judged: the server has a clock of its own.

use std::net::TcpStream;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use yardmaster::embedded::{Broker, BrokerOptions};

use crate::cluster::{Server, ServerOptions, await_some, run_dir};

/// Ends it, and says how.
fn stop(server: &mut Server, state: &str) {
    let began = Instant::now();
    let code = server.stop();
    let log = server.log_since_start();
    let last = log.lines().rfind(|line| line.ends_with("stopped") || line.contains("gave up waiting for"));
    let last = last.or_else(|| log.lines().rfind(|line| line.contains("stopped before it was up")));
    eprintln!(
        "shutdown: {state}: {} ms, code {code:?}: {}",
        began.elapsed().as_millis(),
        last.unwrap_or("-")
    );
    assert_eq!(code, Some(0), "{state}\n{}", server.last_words());
    assert!(last.is_some(), "{state}: not a word about the end\n{}", server.last_words());
}

fn await_unready(server: &Server) {
    let unready = || server.http.try_get("/readyz").filter(|answer| answer.status == 503).map(|_| ());
    await_some("a server that sees that its broker is away", || server.last_words(), unready);
}

fn signal(broker: &Broker, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(broker.pid()).unwrap()), signal).unwrap();
}

/// At `/readyz`, in the log and in the metrics; and what a processor said last does not look fresh.
fn what_hangs_is_shown(server: &Server) {
    let overdue = || {
        let ready = server.http.get("/readyz").json();
        // A processor asks for its topics before it claims anything.
        ready["overdue"].as_array().unwrap().iter().find(|open| open["call"] == "describe").cloned()
    };
    let open = await_some("a question that is overdue", || server.last_words(), overdue);
    eprintln!("shutdown: {open}");
    let named = || server.log().contains("does not come back").then_some(());
    await_some("the watchdog's word", || server.last_words(), named);
    let text = server.http.get("/metrics").body;
    let value = |series: &str| -> f64 {
        let found = text.lines().find_map(|line| line.strip_prefix(series));
        found.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().unwrap()
    };
    assert!(value("yardmaster_kafka_calls_overdue{call=\"describe\"}") >= 1.0);
    let still = value("yardmaster_processor_still_seconds{partition=\"0\"}");
    let lag = value("yardmaster_input_lag_seconds{input=\"tasks\",partition=\"0\"}");
    assert!(still > 3.0 && lag >= still, "still for {still} s, behind by {lag} s");
}

#[test]
fn a_server_ends_in_time_whatever_its_broker_does() {
    let mut broker = Broker::start(BrokerOptions::new(run_dir().join("kafka-shutdown"))).unwrap();
    let mut options = ServerOptions::new("shutdown").with("YARDMASTER_PARTITIONS", "4");
    options.bootstrap = Some(broker.bootstrap());
    let mut server = Server::start(&options);
    stop(&mut server, "idle");

    // The task expires while the broker stands still, so a transaction is open then.
    server.restart();
    let task = json!({"id":"t-1","command":["true"],"queue_ttl_ms":1500});
    server.http.post("/v1/tasks?wait=applied&wait_ms=20000", &task).expect(201);
    signal(&broker, Signal::SIGSTOP);
    await_unready(&server);
    stop(&mut server, "in a transaction, with a broker that stands still");
    signal(&broker, Signal::SIGCONT);

    server.restart();
    broker.kill();
    await_unready(&server);
    what_hangs_is_shown(&server);
    stop(&mut server, "idle, with a broker that is gone");

    server.restart_unready();
    let address = server.http.url.trim_start_matches("http://").to_owned();
    let bound = || TcpStream::connect(&address).ok().map(drop);
    await_some("the listener of a server that starts", || server.last_words(), bound);
    stop(&mut server, "starting up, with a broker that is gone");
}
