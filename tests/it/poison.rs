//! Bad input of every kind: each record becomes exactly one dead letter or refusal, and the good ones around it pass.

use serde_json::{Value, json};

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap, submit,
};
use yardmaster_checker::{Topics, must_be_clean, read_all};

/// What a bad record must become.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    DeadLetter,
    Refused,
}
use Fate::{DeadLetter, Refused};

struct Bad {
    key: Option<&'static str>,
    value: Option<Vec<u8>>,
    fate: Fate,
}

fn bad(fate: Fate, value: impl Into<Vec<u8>>) -> Bad {
    Bad { key: Some("p"), value: Some(value.into()), fate }
}

fn task(fields: &str) -> String {
    format!(r#"{{"v":1,"type":"submit","task":{{"id":"bad","pool":"p",{fields}}}}}"#)
}

/// Texts that are no command at all.
const UNREADABLE: &[&str] = &[
    "",
    " ",
    "x",
    "{",
    "}",
    "{}",
    "[]",
    "[1]",
    "null",
    "true",
    "7",
    "\"text\"",
    "{} {}",
    "nan",
    "{\"v\":1,}",
    "{'v':1}",
    "{\"v\":NaN}",
    "{\"v\":01}",
    "\u{feff}{\"v\":1,\"type\":\"drain\",\"pool\":\"p\"}",
    r#"{"type":"drain","pool":"p","worker":"w"}"#,
    r#"{"v":2,"type":"drain","pool":"p","worker":"w"}"#,
    r#"{"v":"1","type":"drain","pool":"p","worker":"w"}"#,
    r#"{"v":null,"type":"drain","pool":"p"}"#,
    r#"{"v":-1,"type":"drain","pool":"p"}"#,
    r#"{"v":1.5,"type":"drain","pool":"p"}"#,
    r#"{"v":99999999999999999999,"type":"drain","pool":"p"}"#,
    r#"{"v":1,"pool":"p"}"#,
    r#"{"v":1,"type":7,"pool":"p"}"#,
    r#"{"v":1,"type":null,"pool":"p"}"#,
    r#"{"v":1,"type":"drain","worker":"w"}"#,
    r#"{"v":1,"type":"drain","pool":"a_b","worker":"w"}"#,
    r#"{"v":1,"type":"drain","pool":"","worker":"w"}"#,
    r#"{"v":1,"type":"drain","pool":7,"worker":"w"}"#,
    r#"{"v":1,"v":1,"type":"drain","pool":"p"}"#,
    r#"{"v":1,"type":"submit","tasks":[]}"#,
    r#"{"v":1,"type":"submit","task":{"id":"bad","pool":"a#b"}}"#,
];

/// Bytes that are no command at all.
fn unreadable() -> Vec<Bad> {
    let nest = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let mut list: Vec<Bad> = UNREADABLE.iter().map(|text| bad(DeadLetter, *text)).collect();
    list.push(bad(DeadLetter, vec![0xff, 0xfe, 0x00]));
    list.push(bad(DeadLetter, b"{\"v\":1,\"type\":\"\xc3\x28\",\"pool\":\"p\"}".to_vec()));
    list.push(bad(DeadLetter, vec![0_u8; 1_000]));
    list.push(bad(DeadLetter, nest(10_000)));
    list.push(bad(DeadLetter, deep_object));
    list.push(bad(DeadLetter, task(&format!(r#""payload":{}"#, nest(200)))));
    list.push(bad(DeadLetter, task(&format!(r#""payload":"{}""#, "x".repeat(950_000)))));
    list.push(Bad { key: Some("p"), value: None, fate: DeadLetter });
    list.push(Bad { key: None, value: Some(b"no key, no JSON".to_vec()), fate: DeadLetter });
    list.push(Bad { key: Some(""), value: Some(b"empty key, no JSON".to_vec()), fate: DeadLetter });
    list
}

/// Commands that can be read and not be taken.
fn refused() -> Vec<Bad> {
    let long = |length: usize| "x".repeat(length);
    let mut list: Vec<Bad> = [
        r#""prio":1"#,
        r#""priority":"high""#,
        r#""priority":1.5"#,
        r#""priority":4294967296"#,
        r#""queue":"a_b""#,
        r#""queue":7"#,
        r#""job":"""#,
        r#""tags":[]"#,
        r#""tags":{"a":1}"#,
        r#""tags":{"a b":"1"}"#,
        r#""command":"true""#,
        r#""command":[1]"#,
        r#""command":[""]"#,
        r#""env":{"A":1}"#,
        r#""env":{"A=B":"1"}"#,
        r#""env":{"":"1"}"#,
        r#""cwd":"""#,
        r#""cwd":7"#,
        r#""run_timeout_ms":0"#,
        r#""run_timeout_ms":-1"#,
        r#""run_timeout_ms":99999999999999"#,
        r#""retry":{"max_failures":0}"#,
        r#""retry":{"max_failures":100000}"#,
        r#""retry":{"max":1}"#,
        r#""retry":{"backoff_ms":100,"backoff_max_ms":10}"#,
        r#""payload_ref":{"uri":"x","sha256":"short"}"#,
        r#""payload":1,"payload_ref":{"uri":"x","sha256":"short"}"#,
        r#""reply_to":"a b""#,
        r#""reply_to":"nowhere""#,
        r#""not_before":1"#,
        r#""depends_on":["a"]"#,
        r#""cwd":"a","cwd":"b""#,
        r#""cwd":"nul\u0000nul""#,
    ]
    .into_iter()
    .map(|fields| bad(Refused, task(fields)))
    .collect();
    list.push(bad(Refused, task(&format!(r#""payload":"{}""#, long(70_000)))));
    list.push(bad(Refused, task(&format!(r#""tags":{{"a":"{}"}}"#, long(200)))));
    for text in [
        r#"{"v":1,"type":"fly","pool":"p"}"#,
        r#"{"v":1,"type":"hold","pool":"p","id":"x"}"#,
        r#"{"v":1,"type":"submit","pool":"p"}"#,
        r#"{"v":1,"type":"submit","pool":"p","task":7}"#,
        r#"{"v":1,"type":"submit","request_id":"r-id","pool":"p","task":{"id":"a b"}}"#,
        r#"{"v":1,"type":"submit","pool":"p","task":{"pool":"p"}}"#,
        r#"{"v":1,"type":"submit","pool":"p","task":{"id":"x","pool":"q"}}"#,
        r#"{"v":1,"type":"submit_many","pool":"p","tasks":[]}"#,
        r#"{"v":1,"type":"submit_many","request_id":"r-same","pool":"p","tasks":[{"id":"same"},{"id":"same"}]}"#,
        r#"{"v":1,"type":"cancel","pool":"p"}"#,
        r#"{"v":1,"type":"cancel","pool":"p","id":"a","job":"b"}"#,
        r#"{"v":1,"type":"cancel","pool":"p","id":"nobody"}"#,
        r#"{"v":1,"type":"requeue","pool":"p"}"#,
        r#"{"v":1,"type":"drain","pool":"p"}"#,
        r#"{"v":1,"type":"drain","pool":"p","worker":"w","when":"now"}"#,
    ] {
        list.push(bad(Refused, text));
    }
    list
}

/// Bad records of `status`; there is nobody to refuse, so all are dead letters.
fn bad_statuses() -> Vec<Bad> {
    [
        "x", "{}", "[]", r#"{"v":2,"type":"goodbye","pool":"p","worker":"w","incarnation":"i"}"#,
        r#"{"v":1,"type":"goodbye","pool":"p","worker":"w"}"#,
        r#"{"v":1,"type":"goodbye","pool":"p","incarnation":"i"}"#,
        r#"{"v":1,"type":"dance","pool":"p","worker":"w","incarnation":"i"}"#,
        r#"{"v":1,"type":"completed","pool":"p","worker":"w","incarnation":"i"}"#,
        r#"{"v":1,"type":"completed","pool":"p","worker":"w","incarnation":"i","task":"t","attempt":"1","token":"t"}"#,
        r#"{"v":1,"type":"hello","pool":"p","worker":"w","incarnation":"i","protocols":[1],"slots":-1}"#,
        r#"{"v":1,"type":"batch","pool":"p","worker":"w","incarnation":"i","events":[{"type":"batch","events":[]}]}"#,
        r#"{"v":1,"type":"batch","pool":"p","worker":"w","incarnation":"i","events":[7]}"#,
    ]
    .into_iter()
    .map(|text| bad(DeadLetter, text))
    .collect()
}

/// Whether a bad command is among the dead letters is as it should be; names those of which it isn't.
fn each_has_its_fate(commands: &[Bad], topics: &Topics) {
    let copies: Vec<&[u8]> = topics.dead_letter.iter().filter_map(|raw| raw.value.as_deref()).collect();
    let is_buried = |bad: &Bad| {
        let whole = bad.value.as_deref().unwrap_or_default();
        copies.iter().any(|copy| if copy.len() < 65_536 { *copy == whole } else { whole.starts_with(copy) })
    };
    let wrong: Vec<String> = commands
        .iter()
        .filter(|bad| is_buried(bad) != (bad.fate == DeadLetter))
        .map(|bad| {
            let text = String::from_utf8_lossy(bad.value.as_deref().unwrap_or_default()).into_owned();
            format!("not {:?}: {}", bad.fate, text.chars().take(150).collect::<String>())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn poison() {
    let options = ServerOptions::new("poison");
    let server = Server::start(&options);
    let namespace = &options.namespace;
    let watch = Watch::start(namespace);
    let fleet = Fleet::start(FleetOptions::new(namespace, "p"));
    let (tasks, statuses) = (Topic::new(&server.topic("tasks")), Topic::new(&server.topic("status")));
    let commands: Vec<Bad> = unreadable().into_iter().chain(refused()).collect();
    assert!(commands.len() >= 50, "only {} bad records", commands.len());
    for (number, bad) in commands.iter().enumerate() {
        let good = json!({"v":1,"type":"submit","task":{"id":format!("good-{number}"),"pool":"p"}});
        tasks.send(Some(b"p"), Some(good.to_string().as_bytes()));
        tasks.send(bad.key.map(str::as_bytes), bad.value.as_deref());
    }
    let status_poison = bad_statuses();
    for bad in &status_poison {
        statuses.send(bad.key.map(str::as_bytes), bad.value.as_deref());
    }
    tasks.flush();
    statuses.flush();
    watch.await_ends(commands.len(), &server);
    let count = |fate: Fate| commands.iter().filter(|bad| bad.fate == fate).count();
    let wanted = (count(Refused), count(DeadLetter) + status_poison.len());
    let seen = || {
        let refused = watch.find(|event| event["type"] == "refused").len();
        (refused, read_all(&bootstrap(), namespace).dead_letter.len())
    };
    await_some(
        &format!("{wanted:?} refusals and dead letters"),
        || format!("{:?} came\n{}", seen(), server.last_words()),
        || Some(seen()).filter(|seen| seen.0 + seen.1 >= wanted.0 + wanted.1),
    );
    each_has_its_fate(&commands, &read_all(&bootstrap(), namespace));
    drop(fleet);
    let topics = read_all(&bootstrap(), namespace);
    let report = must_be_clean(&topics);
    assert_eq!((report.refused, report.dead_letters), wanted);
    assert_eq!(report.ended_as("COMPLETED"), commands.len());
    for raw in &topics.dead_letter {
        let reason = raw.headers.iter().find(|(name, _)| name.ends_with("reason"));
        assert!(reason.is_some_and(|(_, reason)| !reason.is_empty()), "{raw:?}");
    }
}

#[test]
fn bad_http_bodies_are_answered_and_nothing_is_stored() {
    let options = ServerOptions::new("bad_http");
    let server = Server::start(&options);
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "{",
        "null",
        "7",
        "\"x\"",
        "[]",
        "[7]",
        r#"{"tasks":7}"#,
        r#"{"pool":"a_b"}"#,
        r#"{"id":"t"} x"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push(vec![0xff, 0xfe]);
    bodies.push("[".repeat(10_000).into_bytes());
    bodies.push(vec![b' '; 64 << 20]);
    let command = |value: &[u8]| -> Option<Vec<u8>> {
        let json: Value = serde_json::from_slice(value).ok()?;
        (json["type"] == "submit" && json["task"].is_object() && json["task"]["id"] == "bad")
            .then(|| serde_json::to_vec(&json["task"]).unwrap())
    };
    bodies.extend(
        refused()
            .iter()
            .filter(|bad| {
                // Duplicate keys vanish in this way of writing; an unknown topic is found only when it is decided.
                let text = String::from_utf8_lossy(bad.value.as_deref().unwrap_or_default()).into_owned();
                !text.contains(r#""cwd":"a","cwd""#) && !text.contains("nowhere")
            })
            .filter_map(|bad| command(bad.value.as_deref()?)),
    );
    for body in &bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        // A body that is far too large may be cut off instead of being answered.
        let Some(answer) = server.http.try_post_bytes("/v1/tasks", "application/json", body) else {
            assert!(body.len() > 1 << 20, "no answer to {shown}");
            continue;
        };
        assert!((400..500).contains(&answer.status), "{shown} got {answer:?}");
        assert!(answer.content_type.starts_with("application/problem+json"), "{shown} got {answer:?}");
    }
    let wrong_kind =
        server.http.try_post_bytes("/v1/tasks", "text/plain", br#"{"id":"t","pool":"p"}"#).unwrap();
    assert_eq!(wrong_kind.status, 415, "{wrong_kind:?}");
    let topics = read_all(&bootstrap(), &options.namespace);
    assert_eq!(topics.tasks.len(), 0, "{:?}", topics.tasks);
}

/// librdkafka's default puts most pools on another partition than Java's does.
#[test]
fn misrouted() {
    let options = ServerOptions::new("misrouted");
    let server = Server::start(&options);
    let namespace = &options.namespace;
    let watch = Watch::start(namespace);
    let pools = ["default", "alpha", "beta", "gamma"];
    let fleets = pools.map(|pool| Fleet::start(FleetOptions::new(namespace, pool)));
    let crc = Topic::with_partitioner(&server.topic("tasks"), "consistent_random");
    for number in 0..50 {
        for pool in pools {
            let record = json!({"v":1,"type":"submit","pool":pool,"task":{"id":format!("t-{number}")}});
            crc.send(Some(pool.as_bytes()), Some(record.to_string().as_bytes()));
        }
    }
    crc.flush();
    submit(namespace, "default", "well-routed", &json!({}));
    watch.await_ends(50 * pools.len() + 1, &server);
    drop(fleets);
    let topics = read_all(&bootstrap(), namespace);
    let report = must_be_clean(&topics);
    assert_eq!((report.accepted, report.dead_letters), (50 * pools.len() + 1, 0));
    let rerouted = topics.tasks.len() - (50 * pools.len() + 1);
    assert!(rerouted >= 50, "only {rerouted} records were produced again: did the partitioners agree?");
}
