//! What happens to single tasks: submitted twice, cancelled, failing, and left alone by a worker that died.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Watch, await_some, bootstrap, cancel, submit,
};
use yardmaster_checker::{Report, must_be_clean, read_all};

fn start(test: &str) -> (Server, Watch, String) {
    started(ServerOptions::new(test))
}

fn started(options: ServerOptions) -> (Server, Watch, String) {
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    (server, watch, options.namespace)
}

fn clean(namespace: &str) -> Report {
    must_be_clean(&read_all(&bootstrap(), namespace))
}

fn is(event: &Value, kind: &str, id: &str) -> bool {
    event["type"] == kind && event["id"] == id
}

#[test]
fn idempotent_submit() {
    let (server, watch, namespace) = start("idempotent");
    let fields = json!({"command":["true"],"tags":{"a":"1"}});
    submit(&namespace, "p", "same", &fields);
    submit(&namespace, "p", "same", &fields);
    watch
        .event("the repetition", &server, |event| is(event, "accepted", "same") && event["repeated"] == true);
    let mut changed = fields.clone();
    changed["command"] = json!(["false"]);
    submit(&namespace, "p", "same", &changed);
    let refused = watch.event("the refusal", &server, |event| is(event, "refused", "same"));
    assert_eq!((&refused["reason"], &refused["request_id"]), (&json!("conflict"), &json!("r-same")));
    let fleet = Fleet::start(FleetOptions::new(&namespace, "p"));
    watch.end_of("p/same", &server);
    // After its end its marker remembers it.
    submit(&namespace, "p", "same", &fields);
    let repeated = |event: &Value| is(event, "accepted", "same") && event["repeated"] == true;
    await_some(
        "the second repetition",
        || server.last_words(),
        || (watch.find(repeated).len() == 2).then_some(()),
    );
    submit(&namespace, "p", "same", &changed);
    await_some(
        "the second refusal",
        || server.last_words(),
        || (watch.find(|event| is(event, "refused", "same")).len() == 2).then_some(()),
    );
    drop(fleet);
    let report = clean(&namespace);
    assert_eq!((report.accepted, report.attempts, report.refused), (1, 1, 2), "{report:?}");
}

/// The same over HTTP, where the answer itself tells.
#[test]
fn idempotent_submit_over_http() {
    let (server, watch, namespace) = start("idempotent_http");
    let fleet = Fleet::start(FleetOptions::new(&namespace, "p"));
    let task = json!({"id":"h-1","pool":"p","command":["true"]});
    let first = server.http.post("/v1/tasks", &task);
    assert_eq!(first.status, 202, "{first:?}");
    assert!(first.location.as_deref().is_some_and(|to| to.ends_with("/v1/pools/p/tasks/h-1")), "{first:?}");
    // A submitter reads its own writes.
    let position = first.json()["position"].as_str().unwrap().to_owned();
    server.http.get(&format!("/v1/pools/p/tasks/h-1?min_position={position}")).expect(200);
    let again = server.http.post("/v1/tasks?wait=applied", &task);
    assert_eq!(again.expect(200)["tasks"][0]["outcome"], "repeated");
    let mut other = task;
    other["command"] = json!(["false"]);
    let conflict = server.http.post("/v1/tasks?wait=applied", &other);
    assert_eq!(conflict.status, 409, "{conflict:?}");
    assert!(conflict.content_type.starts_with("application/problem+json"), "{conflict:?}");
    watch.end_of("p/h-1", &server);
    let path = "/v1/pools/p/tasks/h-1";
    let page = await_some(
        "the end in the task's page",
        || format!("{:?}", server.http.try_get(path)),
        || Some(server.http.get(path)).filter(|answer| answer.body.contains("COMPLETED")),
    );
    let page = page.expect(200);
    assert_eq!((&page["state"], &page["attempts"][0]["outcome"]), (&json!("COMPLETED"), &json!("SUCCEEDED")));
    assert_eq!(page["timeline"][0]["what"], "submitted", "{page}");
    server.http.get("/v1/pools/p/tasks/nobody").expect(404);
    drop(fleet);
    assert_eq!(clean(&namespace).attempts, 1);
}

#[test]
fn cancel_running() {
    let (server, watch, namespace) = start("cancel");
    let mut options = FleetOptions::new(&namespace, "p");
    (options.workers, options.slots, options.runs) = (1, 1, None);
    let fleet = Fleet::start(options);
    submit(&namespace, "p", "runs", &json!({"job":"j"}));
    watch.event("the start", &server, |event| is(event, "started", "runs"));
    submit(&namespace, "p", "waits", &json!({"job":"j"}));
    watch.event("the acceptance", &server, |event| is(event, "accepted", "waits"));
    cancel(&namespace, "p", "waits");
    let waiting = watch.end_of("p/waits", &server);
    assert_eq!((&waiting["state"], &waiting["attempt"]), (&json!("CANCELLED"), &json!(0)), "{waiting}");
    cancel(&namespace, "p", "runs");
    let running = watch.end_of("p/runs", &server);
    assert_eq!(
        (&running["state"], &running["closes_attempt"]),
        (&json!("CANCELLED"), &json!(1)),
        "{running}"
    );
    assert_eq!(running["note"], "the test says so", "{running}");
    assert_eq!(fleet.cancelled(), 1, "the worker was told");
    // Its slot is free again.
    submit(&namespace, "p", "next", &json!({}));
    watch.event("the next start", &server, |event| is(event, "started", "next"));
    cancel(&namespace, "p", "next");
    watch.end_of("p/next", &server);
    // A cancel of what has ended changes nothing: the checker would see a second end.
    cancel(&namespace, "p", "next");
    submit(&namespace, "p", "last", &json!({}));
    watch.event("the last start", &server, |event| is(event, "started", "last"));
    cancel(&namespace, "p", "last");
    watch.end_of("p/last", &server);
    drop(fleet);
    assert_eq!(clean(&namespace).ended_as("CANCELLED"), 4);
}

#[test]
fn retry_and_backoff() {
    let (server, watch, namespace) = start("retry");
    let mut options = FleetOptions::new(&namespace, "p");
    options.failures = 100;
    let fleet = Fleet::start(options);
    let retry = json!({"retry":{"max_failures":3,"backoff_ms":50,"backoff_max_ms":200}});
    submit(&namespace, "p", "thrice", &retry);
    submit(&namespace, "p", "once", &json!({"retry":{"max_failures":1}}));
    let thrice = watch.end_of("p/thrice", &server);
    let once = watch.end_of("p/once", &server);
    assert_eq!((&once["state"], &once["attempt"]), (&json!("FAILED"), &json!(1)), "{once}");
    assert_eq!(
        (&thrice["state"], &thrice["attempt"], &thrice["failures"]),
        (&json!("FAILED"), &json!(3), &json!(3))
    );
    assert_eq!(thrice["attempts"].as_array().map(Vec::len), Some(3), "{thrice}");
    let closed = watch.find(|event| is(event, "attempt_closed", "thrice"));
    assert_eq!(closed.len(), 2, "the last one closes with the end");
    for event in &closed {
        assert_eq!((&event["outcome"], &event["next"]), (&json!("FAILED"), &json!("SCHEDULED")), "{event}");
        let (due, at) = (event["due_ms"].as_u64().unwrap(), event["at_ms"].as_u64().unwrap());
        assert!(due <= at + 200, "{event}");
        let next = event["attempt"].as_i64().unwrap() + 1;
        let again = watch.find(|other| is(other, "assigned", "thrice") && other["attempt"] == next);
        // The timer runs on the processor's clock, `due_ms` is for display on the wall's: each is cut to milliseconds.
        assert!(
            again[0]["at_ms"].as_u64().unwrap() + 5 >= due,
            "before its backoff was over at {due}: {again:?}"
        );
    }
    drop(fleet);
    let topics = read_all(&bootstrap(), &namespace);
    let report = must_be_clean(&topics);
    assert_eq!((report.ended_as("FAILED"), report.attempts), (2, 4), "{report:?}");
    let buried: Vec<Value> = topics.dead_letter.iter().filter_map(|raw| raw.json()).collect();
    assert_eq!(
        buried.len(),
        2,
        "tasks that have FAILED lie in the dead letters, with their attempts: {buried:?}"
    );
}

/// Nothing is heard of a worker any more: its tasks go to another one, first in their line, with a new attempt.
#[test]
fn lost_worker() {
    let options = ServerOptions::new("lost");
    let options = options.with("YARDMASTER_WORKER_HEARTBEAT", "1s").with("YARDMASTER_WORKER_LEASE", "5s");
    let (server, watch, namespace) = started(options);
    let mut dies = FleetOptions::new(&namespace, "p");
    (dies.prefix, dies.workers, dies.slots, dies.runs) = ("dies".to_owned(), 1, 4, None);
    let dies = Fleet::start(dies);
    for number in 0..8 {
        submit(&namespace, "p", &format!("t-{number}"), &json!({"retry":{"max_losses":3}}));
    }
    await_some(
        "four starts",
        || server.last_words(),
        || (watch.find(|event| event["type"] == "started").len() == 4).then_some(()),
    );
    let lost = dies.running();
    assert_eq!(lost.len(), 4, "{lost:?}");
    dies.go_silent();
    let fact = watch.event("the worker's loss", &server, |event| event["type"] == "worker_lost");
    assert_eq!(fact["worker"], "dies-0");
    let mut lives = FleetOptions::new(&namespace, "p");
    (lives.prefix, lives.workers, lives.slots) = ("lives".to_owned(), 1, 1);
    lives.runs = Some(Duration::from_millis(5));
    let lives = Fleet::start(lives);
    watch.await_ends(8, &server);
    assert_eq!(lives.welcomed(), 1);
    let second = watch.find(|event| event["type"] == "assigned" && event["worker"] == "lives-0");
    let first_four: Vec<&str> = second.iter().take(4).filter_map(|event| event["id"].as_str()).collect();
    assert!(first_four.iter().all(|id| lost.contains(*id)), "{first_four:?} came before the lost {lost:?}");
    drop((dies, lives));
    let report = clean(&namespace);
    assert_eq!(report.closed.get("LOST"), Some(&4), "{report:?}");
    assert_eq!(report.ended_as("COMPLETED"), 8);
}
