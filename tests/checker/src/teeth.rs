//! The checker's own tests: a clean run passes, and each seeded violation is found.

use serde_json::{Value, json};

use crate::{Raw, Topics, check};

pub(crate) fn put(list: &mut Vec<Raw>, topic: &str, key: &str, value: &Value) {
    let offset = i64::try_from(list.iter().filter(|raw| raw.topic == topic).count()).unwrap();
    list.push(Raw {
        topic: topic.to_owned(),
        offset,
        key: Some(key.into()),
        value: Some(value.to_string().into()),
        ..Raw::default()
    });
}

pub(crate) fn event(topics: &mut Topics, kind: &str, more: &Value) {
    let mut value = json!({"v":1,"type":kind,"at_ms":1,"pool":"p"});
    for (name, field) in more.as_object().unwrap() {
        value[name] = field.clone();
    }
    put(&mut topics.events, "x.events", "p", &value);
}

fn accepted(topics: &mut Topics, id: &str) {
    event(topics, "accepted", &json!({"id":id,"generation":0,"state":"QUEUED","repeated":false}));
}

fn assigned(topics: &mut Topics, id: &str, attempt: i64) {
    event(
        topics,
        "assigned",
        &json!({"id":id,"attempt":attempt,"worker":"w","incarnation":"i","generation":0}),
    );
}

fn closed(topics: &mut Topics, id: &str, attempt: i64) {
    let more =
        json!({"id":id,"attempt":attempt,"worker":"w","incarnation":"i","generation":0,"outcome":"FAILED"});
    event(topics, "attempt_closed", &more);
}

fn ended(topics: &mut Topics, id: &str, attempt: i64, closes: Option<i64>) {
    let mut more = json!({"id":id,"state":"COMPLETED","generation":0,"attempt":attempt});
    if let Some(closes) = closes {
        more["closes_attempt"] = json!(closes);
    }
    event(topics, "ended", &more);
}

pub(crate) fn told(topics: &mut Topics, seq: i64, id: &str, attempt: i64) {
    let value = json!({"v":1,"type":"assign","seq":seq,"pool":"p","worker":"w","incarnation":"i","task":id,
        "attempt":attempt,"token":format!("t-{id}-{attempt}")});
    put(&mut topics.assign, "x.assign.p.w", "p/w", &value);
}

pub(crate) fn batch(topics: &mut Topics, sequence: i64, tasks: (i64, i64)) {
    let value = json!({"v":1,"type":"batch","at_ms":1,"partition":0,"sequence":sequence,
        "tasks":{"from":tasks.0,"to":tasks.1},"status":{"from":0,"to":0}});
    put(&mut topics.events, "x.events", "#batch", &value);
}

fn submit(topics: &mut Topics, id: &str) {
    let value = json!({"v":1,"type":"submit","task":{"id":id,"pool":"p"}});
    put(&mut topics.tasks, "x.tasks", "p", &value);
}

fn bury(topics: &mut Topics, offset: i64, value: &[u8]) {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    topics.dead_letter.push(Raw {
        topic: "x.dead-letter".to_owned(),
        offset: i64::try_from(topics.dead_letter.len()).unwrap(),
        key: Some("p".into()),
        value: Some(value.to_vec()),
        headers: [
            header("topic", "x.tasks"),
            header("partition", "0"),
            header("offset", &offset.to_string()),
        ]
        .into(),
        ..Raw::default()
    });
}

/// Two tasks, one of which fails once, and a bad record, which is the last of three.
pub(crate) fn clean() -> Topics {
    let mut topics = Topics::default();
    submit(&mut topics, "a");
    submit(&mut topics, "b");
    put(&mut topics.tasks, "x.tasks", "p", &json!("no object"));
    batch(&mut topics, 1, (0, 1));
    accepted(&mut topics, "a");
    assigned(&mut topics, "a", 1);
    told(&mut topics, 1, "a", 1);
    closed(&mut topics, "a", 1);
    assigned(&mut topics, "a", 2);
    told(&mut topics, 2, "a", 2);
    ended(&mut topics, "a", 2, Some(2));
    accepted(&mut topics, "b");
    assigned(&mut topics, "b", 1);
    told(&mut topics, 3, "b", 1);
    ended(&mut topics, "b", 1, Some(1));
    batch(&mut topics, 2, (1, 3));
    bury(&mut topics, 2, b"\"no object\"");
    topics
}

/// The violation is found, and named like this.
fn finds(words: &str, violate: impl FnOnce(&mut Topics)) {
    let mut topics = clean();
    violate(&mut topics);
    let faults = check(&topics).expect_err(words);
    assert!(faults.iter().any(|fault| fault.contains(words)), "`{words}` is not among {faults:?}");
}

fn drop_event(topics: &mut Topics, kind: &str, id: &str) {
    let place = topics.events.iter().rposition(|raw| {
        let json = raw.json().unwrap();
        json["type"] == kind && json["id"] == id
    });
    topics.events.remove(place.unwrap());
}

#[test]
fn a_clean_run_passes() {
    let report = check(&clean()).unwrap();
    assert_eq!((report.submitted, report.accepted, report.attempts), (2, 2, 3));
    assert_eq!((report.ended_as("COMPLETED"), report.dead_letters, report.batches), (2, 1, 2));
}

#[test]
fn an_empty_run_is_at_fault() {
    assert!(check(&Topics::default()).unwrap_err()[0].contains("the run is empty"));
}

#[test]
fn a_lost_task_is_found() {
    finds("was neither accepted nor refused", |topics| submit(topics, "c"));
    finds("was never taken", |topics| submit(topics, "c"));
    finds("p/b has not ended", |topics| drop_event(topics, "ended", "b"));
    finds("2 tasks were accepted, 1 have ended", |topics| drop_event(topics, "ended", "b"));
    finds("nobody submitted it", |topics| {
        accepted(topics, "ghost");
        ended(topics, "ghost", 0, None);
    });
}

#[test]
fn a_doubled_task_is_found() {
    finds("something happened after its end", |topics| ended(topics, "a", 2, None));
    finds("accepted twice", |topics| accepted(topics, "a"));
    finds("happened before it was accepted", |topics| drop_event(topics, "accepted", "b"));
}

#[test]
fn a_doubled_attempt_is_found() {
    finds("was assigned twice", |topics| told(topics, 4, "a", 2));
    finds("opened while 1 is open", |topics| drop_event(topics, "attempt_closed", "a"));
    finds("was never closed", |topics| drop_event(topics, "ended", "a"));
    finds("attempt 1 comes after 1", |topics| {
        submit(topics, "c");
        accepted(topics, "c");
        assigned(topics, "c", 1);
        closed(topics, "c", 1);
        assigned(topics, "c", 1);
    });
    finds("something happened after its end", |topics| assigned(topics, "a", 3));
}

#[test]
fn an_attempt_that_is_only_half_there_is_found() {
    finds("but never opened", |topics| told(topics, 4, "a", 3));
    finds("was not told", |topics| drop(topics.assign.pop()));
    finds("its end closes attempt None", |topics| {
        drop_event(topics, "ended", "b");
        ended(topics, "b", 1, None);
    });
    finds("its end counts other attempts", |topics| {
        drop_event(topics, "ended", "b");
        ended(topics, "b", 2, Some(1));
    });
    finds("but none is open", |topics| {
        submit(topics, "c");
        accepted(topics, "c");
        closed(topics, "c", 1);
    });
    finds("seq 5 follows 3", |topics| told(topics, 5, "a", 2));
}

#[test]
fn a_bad_dead_letter_is_found() {
    finds("which is not there", |topics| bury(topics, 99, b"x"));
    finds("became two dead letters", |topics| bury(topics, 2, b"\"no object\""));
    finds("does not carry the bytes", |topics| topics.dead_letter[0].value = Some(b"x".to_vec()));
    finds("does not carry the key", |topics| topics.dead_letter[0].key = None);
    finds("is bad and no dead letter", |topics| topics.dead_letter.clear());
    finds("names no record and is no task", |topics| topics.dead_letter[0].headers.clear());
}

#[test]
fn a_batch_that_goes_back_is_found() {
    finds("goes back in its input", |topics| batch(topics, 3, (3, 2)));
    finds("belong to no batch", |topics| closed(topics, "b", 1));
    finds("or another partition", |topics| {
        event(topics, "batch", &json!({"partition":5,"sequence":3}));
    });
}

#[test]
fn a_torn_batch_is_found() {
    finds("batch 4 of partition 0", |topics| batch(topics, 4, (3, 3)));
    finds("batch 3 of partition 0", |topics| batch(topics, 3, (2, 3)));
}

#[test]
fn a_pool_on_two_partitions_is_found() {
    finds("has events on partitions", |topics| topics.events[1].partition = 1);
}
