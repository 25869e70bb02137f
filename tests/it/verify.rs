//! `yardmaster verify`: says that a state is right while it is, online and after a stop, and names what is not.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::message::Message as _;
use serde_json::{Value, json};
use yardmaster::kafka::{Connection, Topics, partition_of};
use yardmaster::topologies::id::{Pool, TaskId};
use yardmaster::topologies::tables::{TaskTable, byte};
use yardmaster_state::{
    Batch, BlockCache, DiskOptions, DiskStore, KEY_END, Store as _, StoreRead as _, Table as _, TableClass,
    Write,
};

use crate::cluster::{
    Fleet, FleetOptions, Rng, Server, ServerOptions, Topic, Watch, await_some, bootstrap, cancel,
    guarded_program, reader, scaled, submit, submit_range,
};
use crate::replies::{create, submit_until_known};

const PARTITIONS: i32 = 2;
/// What reply topics begin with.
const ANSWERS: &str = "answers.";
const POOLS: [&str; 3] = ["alpha", "night", "grid"];

/// What the command printed with `--json`, and its exit code.
fn verify(namespace: &str, state_dir: &Path, flags: &[&str]) -> (i32, Value) {
    let mut command = guarded_program();
    command.args(["verify", "--json", "--kafka", &bootstrap(), "--namespace", namespace]);
    let output = command.arg("--state-dir").arg(state_dir).args(flags).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{said}"));
    (output.status.code().unwrap(), value)
}

/// Of a clean audit: the sum of a figure over all partitions.
fn sum(report: &Value, figure: &str) -> u64 {
    let parts = report["partitions"].as_array().unwrap();
    parts.iter().map(|part| part["compared"][figure].as_u64().unwrap()).sum()
}

fn must_be_right(namespace: &str, state_dir: &Path, flags: &[&str]) -> Value {
    let (code, report) = verify(namespace, state_dir, flags);
    assert_eq!(code, 0, "{report:#}");
    report
}

/// The one difference that is found, and in which partition.
fn difference(namespace: &str, state_dir: &Path, flags: &[&str]) -> (i64, Value) {
    let (code, report) = verify(namespace, state_dir, flags);
    assert_eq!(code, 1, "{report:#}");
    let parts = report["partitions"].as_array().unwrap();
    let wrong: Vec<&Value> = parts.iter().filter(|part| !part["difference"].is_null()).collect();
    assert_eq!(wrong.len(), 1, "{report:#}");
    (wrong[0]["partition"].as_i64().unwrap(), wrong[0]["difference"].clone())
}

fn home(pool: &str) -> i32 {
    partition_of(&Pool::parse(pool).unwrap(), PARTITIONS)
}

/// Two fleets that fail now and then, one of which is lost in the middle; cancels, records for nobody, two kills.
fn run(server: &mut Server, watch: &Watch) -> Vec<Fleet> {
    let namespace = server.options.namespace.clone();
    let mut rng = Rng::announced("verify");
    let mut fleet = |pool: &str, prefix: &str| {
        let mut options = FleetOptions::new(&namespace, pool);
        (options.slots, options.failures, options.seed) = (8, 10, rng.next());
        options.prefix = prefix.to_owned();
        options.runs = Some(Duration::from_millis(15));
        Fleet::start(options)
    };
    let lost = fleet("alpha", "lost");
    let fleets = vec![fleet("alpha", "stays"), fleet("night", "b")];
    let topic = Topic::new(&server.topic("tasks"));
    let each = scaled(150);
    let fields = json!({"job":"audit","command":["true"],"tags":{"kind":"test"},
        "retry":{"max_failures":3,"max_losses":50,"backoff_ms":20,"backoff_max_ms":60}});
    for round in 0..3 {
        for pool in ["alpha", "night"] {
            submit_range(&topic, pool, "t", round * each..(round + 1) * each, &fields);
        }
        // Bad ones: no JSON, and one for another partition.
        topic.send_to(Some(home("alpha")), Some(b"alpha"), Some(b"{\"not\": a command"));
        let there = json!({"v":1,"type":"submit","pool":"night",
            "task":{"id":format!("astray-{round}"),"command":["true"]}});
        topic.send_to(Some(1 - home("night")), Some(b"x"), Some(there.to_string().as_bytes()));
        submit(&namespace, "grid", &format!("waits-{round}"), &json!({"command":["true"]}));
        submit(&namespace, "grid", &format!("goes-{round}"), &json!({"command":["true"]}));
        cancel(&namespace, "grid", &format!("goes-{round}"));
        if round < 2 {
            std::thread::sleep(Duration::from_millis(rng.below(400)));
            server.kill();
            server.restart();
            lost.go_silent();
        }
        let report = must_be_right(&namespace, &server.state_dir(), &[]);
        eprintln!("online, round {round}: {}", figures(&report));
    }
    let ended = 1 + 2 * 3 * each + 3 + 3;
    watch.await_ends(ended, server);
    fleets
}

fn figures(report: &Value) -> String {
    let parts = report["partitions"].as_array().unwrap();
    parts.iter().map(|part| format!("{} {}; ", part["compared"], part["unchecked"])).collect()
}

/// A task whose end is told on a topic of its submitter.
fn one_reply(server: &Server, watch: &Watch) {
    let topic = format!("{ANSWERS}{}", server.options.namespace);
    create(&topic, "1048576");
    let fields = json!({"command":["true"],"reply_to":topic});
    let id = submit_until_known(server, watch, "told", &fields);
    cancel(&server.options.namespace, "p", &id);
    watch.end_of(&format!("p/{id}"), server);
}

fn options() -> ServerOptions {
    ServerOptions::new("verify")
        .with("YARDMASTER_REPLY_PREFIXES", ANSWERS)
        .with("YARDMASTER_PARTITIONS", "2")
        .with("YARDMASTER_WORKER_HEARTBEAT", "500ms")
        .with("YARDMASTER_WORKER_LEASE", "3s")
}

#[test]
fn verify_online_and_after_a_stop_and_what_it_finds() {
    assert!(POOLS.iter().any(|pool| home(pool) == 0) && POOLS.iter().any(|pool| home(pool) == 1));
    let mut server = Server::start(&options());
    let namespace = server.options.namespace.clone();
    let watch = Watch::start(&namespace);
    one_reply(&server, &watch);
    let fleets = run(&mut server, &watch);
    drop(fleets);
    server.stop();
    let state = server.state_dir();
    let report = must_be_right(&namespace, &state, &[]);
    eprintln!("stopped: {}", figures(&report));
    for part in report["partitions"].as_array().unwrap() {
        assert_eq!(part["unchecked"], json!([]), "{report:#}");
        assert_eq!(part["replayed_from"], 1);
        let compared = &part["compared"];
        assert_eq!(compared["batches"], compared["replayed_batches"], "{report:#}");
        assert_eq!(compared["store_rows"], compared["replayed_state_rows"], "{report:#}");
    }
    for figure in ["store_rows", "input_records", "assignments", "messages", "events", "dead_letters"] {
        assert!(sum(&report, figure) > 0, "{figure}: {report:#}");
    }
    assert_eq!(sum(&report, "replies"), 1, "{report:#}");
    in_words(&namespace, &state);
    from_the_middle(&namespace, &state, &report);
    damaged_rows(&namespace, &state);
    without_a_store(&namespace, &state);
    damaged_topics(&server);
}

/// As a person reads it.
fn in_words(namespace: &str, state: &Path) {
    let mut command = guarded_program();
    command.args(["verify", "--kafka", &bootstrap(), "--namespace", namespace, "--state-dir"]).arg(state);
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    eprintln!("{words}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(words.matches(": right as far as it was checked").count(), 2, "{words}");
    assert!(!words.contains("unchecked"), "{words}");
}

/// From any batch on it comes to the same.
fn from_the_middle(namespace: &str, state: &Path, whole: &Value) {
    let part = &whole["partitions"][0];
    let middle = (part["sequence"].as_u64().unwrap() / 2).to_string();
    let flags = ["--partition", "0", "--replay", "--from-sequence", &middle];
    let report = must_be_right(namespace, state, &flags);
    let late = &report["partitions"][0];
    assert_eq!(late["replayed_from"].to_string(), middle);
    assert_eq!(late["compared"]["replayed_state_rows"], part["compared"]["replayed_state_rows"]);
    assert_eq!(late["compared"]["store_rows"], 0, "only --replay was asked for");
    assert!(late["compared"]["messages"].as_u64().unwrap() > 0, "{report:#}");
}

/// Without a store the replay's end is compared with the changelog.
fn without_a_store(namespace: &str, state: &Path) {
    let report = must_be_right(namespace, &state.join("nothing-here"), &[]);
    assert!(sum(&report, "replayed_state_rows") > 0, "{report:#}");
    let said = report["partitions"][0]["unchecked"][0].as_str().unwrap();
    assert!(said.starts_with("no store"), "{said}");
}

/// A copy of the stores, to be damaged.
fn copy_of(state: &Path, name: &str) -> PathBuf {
    let to = state.with_file_name(name);
    copy(state, &to);
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

/// Changes one row of a store behind its back.
fn damage(
    state: &Path,
    namespace: &str,
    pool: &str,
    class: TableClass,
    key: &[u8],
    change: fn(&mut Vec<u8>) -> bool,
) {
    let path = state.join(namespace).join(home(pool).to_string()).join("store");
    let store = DiskStore::open(&path, &DiskOptions::new(BlockCache::new(8 << 20))).unwrap();
    let mut value = store.get(class, key).unwrap().expect("there is such a row");
    let value = change(&mut value).then_some(value);
    store
        .commit(&Batch { writes: vec![Write { key: key.into(), value, class }], ..Batch::default() })
        .unwrap();
}

/// The first key of a table in the store of a pool.
fn first_key(state: &Path, namespace: &str, pool: &str, class: TableClass, table: u8) -> Vec<u8> {
    let path = state.join(namespace).join(home(pool).to_string()).join("store");
    let store = DiskStore::open_read_only(&path, &DiskOptions::new(BlockCache::new(8 << 20))).unwrap();
    let mut found = Vec::new();
    store
        .scan(class, &[table], KEY_END, 1, &mut |key, _| {
            found = key.to_vec();
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(found.first(), Some(&table));
    found
}

fn damaged_rows(namespace: &str, state: &Path) {
    let task = TaskTable::key(&(Pool::parse("grid").unwrap(), TaskId::parse("waits-1").unwrap()));

    let flipped = copy_of(state, "flipped");
    damage(&flipped, namespace, "grid", TableClass::Logged, &task, |value| {
        *value.last_mut().unwrap() ^= 1;
        true
    });
    let (partition, found) = difference(namespace, &flipped, &[]);
    assert_eq!(partition, i64::from(home("grid")));
    assert_eq!((&found["what"], &found["table"]), (&json!("row"), &json!("task")), "{found:#}");
    assert_eq!(found["key"], "(grid, waits-1)", "{found:#}");
    assert!(found["expected"].as_str().unwrap().contains("waits-1"), "{found:#}");
    assert_ne!(found["expected"], found["found"]);
    assert_eq!(found["place"]["topic"], format!("{namespace}.changelog"), "{found:#}");

    let lacking = copy_of(state, "lacking");
    damage(&lacking, namespace, "grid", TableClass::Logged, &task, |_| false);
    let (_, found) = difference(namespace, &lacking, &["--fold"]);
    assert_eq!((&found["key"], &found["found"]), (&json!("(grid, waits-1)"), &Value::Null), "{found:#}");
    assert!(found["detail"].as_str().unwrap().contains("is missing"), "{found:#}");
    // What the inputs come to finds it as well.
    let (_, found) = difference(namespace, &lacking, &["--replay"]);
    assert_eq!(found["key"], "(grid, waits-1)", "{found:#}");

    let index = copy_of(state, "index");
    let key = first_key(state, namespace, "grid", TableClass::Derived, byte::READY);
    damage(&index, namespace, "grid", TableClass::Derived, &key, |_| false);
    let (_, found) = difference(namespace, &index, &["--fold"]);
    assert_eq!((&found["table"], &found["found"]), (&json!("ready"), &Value::Null), "{found:#}");
}

/// A second assignment, then a row of somebody else's.
fn damaged_topics(server: &Server) {
    let (namespace, state) = (&server.options.namespace, server.state_dir());
    let channel = server.topic("assign.night.b-0");
    let consumer = reader(&channel);
    let (key, value) = await_some("an assignment", String::new, || {
        let message = consumer.poll(Duration::from_millis(200))?.ok()?;
        let value = message.payload()?.to_vec();
        let json: Value = serde_json::from_slice(&value).ok()?;
        (json["type"] == "assign").then(|| (message.key().unwrap().to_vec(), value))
    });
    let topic = Topic::new(&channel);
    topic.send(Some(&key), Some(&value));
    topic.flush();
    let (partition, found) = difference(namespace, &state, &[]);
    assert_eq!((partition, &found["what"]), (i64::from(home("night")), &json!("message")), "{found:#}");
    assert_eq!(found["place"]["topic"], channel, "{found:#}");
    assert!(found["detail"].as_str().unwrap().contains("no batch has sent"), "{found:#}");
    assert_eq!(found["found"], String::from_utf8(value).unwrap());
    // Rows are not at fault.
    must_be_right(namespace, &state, &["--fold"]);

    let changelog = Topic::new(&server.topic("changelog"));
    let row = TaskTable::key(&(Pool::parse("grid").unwrap(), TaskId::parse("forged").unwrap()));
    changelog.send_to(Some(home("grid")), Some(&row), Some(b"whatever"));
    changelog.flush();
    let flags = ["--fold", "--partition", &home("grid").to_string()];
    let (_, found) = difference(namespace, &state, &flags);
    assert_eq!((&found["what"], &found["key"]), (&json!("changelog"), &json!("(grid, forged)")), "{found:#}");
    assert!(found["detail"].as_str().unwrap().contains("belongs to no batch"), "{found:#}");
    assert!(found["place"]["offset"].as_i64().unwrap() > 0, "{found:#}");
}

#[test]
fn verify_refuses_what_is_not_there() {
    let namespace = "no-such-namespace";
    let command = |flags: &[&str]| {
        let mut command = guarded_program();
        command.args(["verify", "--kafka", &bootstrap(), "--namespace", namespace]).args(flags);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, words) = command(&[]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("no-such-namespace.changelog does not exist"), "{words}");
    assert!(Topics::new(&Connection::new(bootstrap())).unwrap().partitions("nope").unwrap().is_none());
}
