//! Windowed statistics on a real broker: what `events` says, to the number, through kills and on a new disk.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Fleet, FleetOptions, Rng, Server, ServerOptions, Topic, Watch, scaled, submit_range};

const POOL: &str = "windows";
const QUEUES: [&str; 2] = ["x", "y"];
/// By their names, with their milliseconds.
const SIZES: [(&str, u64); 3] = [("5s", 5_000), ("1m", 60_000), ("1h", 3_600_000)];

/// Counts by window and name.
type Counts = BTreeMap<u64, BTreeMap<&'static str, u64>>;

fn windows(server: &Server, size: &str, queue: Option<&str>) -> Value {
    let queue = queue.map(|queue| format!("&queue={queue}")).unwrap_or_default();
    let path = format!("/v1/pools/{POOL}/stats/windows?size={size}&limit=1000{queue}");
    let mut windows = server.http.get(&path).expect(200)["windows"].take();
    for window in windows.as_array_mut().unwrap() {
        // Those of the present window change with the time.
        window.as_object_mut().unwrap().remove("rates");
    }
    windows
}

/// All windows that can be asked for.
fn all_windows(server: &Server) -> Vec<Value> {
    let queues = QUEUES.map(Some).into_iter().chain([None]);
    queues.flat_map(|queue| SIZES.map(|(size, _)| windows(server, size, queue))).collect()
}

/// What an event is counted as.
fn name_of(event: &Value) -> Option<&'static str> {
    match (event["type"].as_str()?, event["state"].as_str().unwrap_or_default()) {
        ("accepted", _) if event["repeated"] != true => Some("submitted"),
        ("assigned", _) => Some("assigned"),
        ("attempt_closed", _) => Some("retried"),
        ("ended", "COMPLETED") => Some("completed"),
        ("ended", "FAILED") => Some("failed"),
        _ => None,
    }
}

/// Every window has what the events of its time come to, and there are no others.
fn windows_agree_with_events(server: &Server, events: &[Value]) {
    for (size, length) in SIZES {
        let mut wanted = Counts::new();
        for event in events.iter().filter(|event| event["pool"] == POOL) {
            let Some(name) = name_of(event) else { continue };
            let start = event["at_ms"].as_u64().unwrap() / length * length;
            *wanted.entry(start).or_default().entry(name).or_default() += 1;
        }
        let found = windows(server, size, None);
        let found: Counts = found.as_array().unwrap().iter().map(|window| counts_of(window)).collect();
        // A window in which nothing but a start was taken in has none of these.
        let found: Counts = found.into_iter().filter(|(_, counts)| !counts.is_empty()).collect();
        assert_eq!(found, wanted, "windows of {size}\n{}", server.last_words());
    }
}

fn counts_of(window: &Value) -> (u64, BTreeMap<&'static str, u64>) {
    let count = |name: &str| window["counts"][name].as_u64().unwrap();
    assert_eq!(window["queue_wait"]["count"], count("assigned"), "{window}");
    assert_eq!(window["start_wait"]["count"], count("started"), "{window}");
    let names = ["submitted", "assigned", "retried", "completed", "failed"];
    let counts = names.map(|name| (name, count(name))).into_iter().filter(|(_, count)| *count > 0);
    (window["from_ms"].as_u64().unwrap(), counts.collect())
}

/// A window has percentiles exactly when something was assigned in it: in the last ones tasks may only have ended.
fn waits_are_shown(windows: &Value) {
    let was_assigned = |window: &Value| window["queue_wait"]["count"].as_u64().unwrap() > 0;
    let windows = windows.as_array().unwrap();
    assert!(windows.iter().any(was_assigned), "{windows:?}");
    for window in windows {
        assert_eq!(window["queue_wait"]["p99_ms"].is_u64(), was_assigned(window), "{window}");
    }
}

#[test]
fn windows_survive_kills_and_a_lost_disk() {
    let mut rng = Rng::announced("windows_survive");
    let options = ServerOptions::new("windows");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let mut fleet = FleetOptions::new(&options.namespace, POOL);
    (fleet.failures, fleet.seed, fleet.runs) = (20, rng.next(), Some(Duration::from_millis(10)));
    let fleet = Fleet::start(fleet);
    let topic = Topic::new(&server.topic("tasks"));
    let (rounds, each) = (4, scaled(100));
    for round in 0..rounds {
        for queue in QUEUES {
            let fields = json!({"queue":queue,"command":["true"],
                "retry":{"max_failures":2,"max_losses":50,"backoff_ms":20,"backoff_max_ms":50}});
            submit_range(&topic, POOL, queue, round * each..(round + 1) * each, &fields);
        }
        // Any moment of any batch; every second time the disk is lost as well.
        std::thread::sleep(Duration::from_millis(rng.below(500)));
        server.kill();
        if round % 2 == 1 {
            server.wipe();
        }
        server.restart();
    }
    watch.await_ends(rounds * each * QUEUES.len(), &server);
    drop(fleet);
    windows_agree_with_events(&server, &watch.find(|_| true));
    let before = all_windows(&server);
    before.iter().for_each(waits_are_shown);
    server.kill();
    server.wipe();
    server.restart();
    assert_eq!(all_windows(&server), before, "on a new disk\n{}", server.last_words());
}
