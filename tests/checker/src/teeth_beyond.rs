//! The checker's own tests about what lies beside the events: the changelog, stores, answers, histories and logs.

use rocksdb::{DB, Options};
use serde_json::json;

use crate::teeth::{batch, clean, put, told};
use crate::{
    Answer, Evidence, FaultTrace, Invariant, LogFile, Op, QuietWindow, Raw, StoreDirectory, Topics, judge,
    parse_history,
};

/// The evidence of a clean run.
fn evidence() -> Evidence {
    Evidence { topics: clean(), ..Evidence::default() }
}

/// The violation is found, against this promise, and named like this.
fn finds(invariant: Invariant, words: &str, violate: impl FnOnce(&mut Evidence)) {
    let mut evidence = evidence();
    assert!(judge(&evidence).is_clean());
    violate(&mut evidence);
    let verdict = judge(&evidence);
    let is_it = |one: &crate::Violation| one.invariant == invariant && one.to_string().contains(words);
    assert!(verdict.violations.iter().any(is_it), "`{words}` is not among {:?}", verdict.violations);
}

fn passes(add: impl FnOnce(&mut Evidence)) {
    let mut evidence = evidence();
    add(&mut evidence);
    let verdict = judge(&evidence);
    assert!(verdict.is_clean(), "{}", verdict.words());
}

// --- the changelog ---------------------------------------------------------------------------------------------------

fn row(topics: &mut Topics, key: &str, value: Option<&str>) {
    let offset = i64::try_from(topics.changelog.len()).unwrap();
    topics.changelog.push(Raw {
        topic: "x.changelog".to_owned(),
        offset,
        key: Some(key.into()),
        value: value.map(Into::into),
        ..Raw::default()
    });
}

/// Small numbers only; inputs are (from, to) of both, doubled as the encoding has them.
fn sealed(topics: &mut Topics, sequence: u8, tasks: (u8, u8), rows: u8, epoch: u8) {
    let mut value =
        vec![1, sequence, 2, tasks.0 * 2, tasks.1 * 2, 0, 0, rows, 77, sequence, 9, 1, 5, epoch, 1];
    row(topics, &format!("__batch/{sequence}"), None);
    topics.changelog.last_mut().unwrap().value = Some(std::mem::take(&mut value));
}

/// As the two batches of the clean run.
fn changelog(topics: &mut Topics) {
    row(topics, "a", Some("1"));
    row(topics, "b", Some("1"));
    sealed(topics, 1, (0, 1), 2, 3);
    row(topics, "a", Some("2"));
    row(topics, "b", None);
    sealed(topics, 2, (1, 3), 2, 3);
}

#[test]
fn a_clean_changelog_passes() {
    passes(|evidence| changelog(&mut evidence.topics));
    // Compaction has taken the first batch, and rows of the second.
    passes(|evidence| {
        changelog(&mut evidence.topics);
        evidence.topics.changelog.drain(..4);
    });
}

#[test]
fn a_torn_batch_of_the_changelog_is_found() {
    finds(Invariant::WholeBatches, "no batch record claims", |evidence| {
        changelog(&mut evidence.topics);
        row(&mut evidence.topics, "c", Some("1"));
    });
    finds(Invariant::WholeBatches, "no batch record claims", |evidence| {
        changelog(&mut evidence.topics);
        row(&mut evidence.topics, "c", Some("1"));
        sealed(&mut evidence.topics, 3, (3, 3), 0, 3);
        batch(&mut evidence.topics, 3, (3, 3));
    });
    finds(Invariant::WholeBatches, "has an event and no batch record", |evidence| {
        changelog(&mut evidence.topics);
        evidence.topics.changelog.pop();
        evidence.topics.changelog.truncate(3);
    });
    finds(Invariant::WholeBatches, "has a batch record and no event", |evidence| {
        changelog(&mut evidence.topics);
        sealed(&mut evidence.topics, 3, (3, 3), 0, 3);
    });
    finds(Invariant::WholeBatches, "follows batch 2", |evidence| {
        changelog(&mut evidence.topics);
        sealed(&mut evidence.topics, 2, (3, 3), 0, 3);
    });
    finds(Invariant::WholeBatches, "the one before took", |evidence| {
        changelog(&mut evidence.topics);
        sealed(&mut evidence.topics, 3, (2, 3), 0, 3);
    });
    finds(Invariant::WholeBatches, "can't be read", |evidence| {
        changelog(&mut evidence.topics);
        evidence.topics.changelog.last_mut().unwrap().value = Some(vec![1, 255]);
    });
}

#[test]
fn a_stale_owner_is_found() {
    finds(Invariant::OneAttempt, "its owner has epoch 2, 3 wrote before", |evidence| {
        changelog(&mut evidence.topics);
        sealed(&mut evidence.topics, 3, (3, 3), 0, 2);
    });
}

// --- stores ----------------------------------------------------------------------------------------------------------

fn store(next: u8, rows: &[(&str, &str)]) -> (tempfile::TempDir, StoreDirectory) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0/store");
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let db = DB::open_cf(&options, &path, ["default", "rows"]).unwrap();
    db.put_cf(&db.cf_handle("default").unwrap(), b"checkpoint", [1, next * 2, 0]).unwrap();
    for (key, value) in rows {
        db.put_cf(&db.cf_handle("rows").unwrap(), key, value).unwrap();
    }
    drop(db);
    let found = crate::find_stores(dir.path());
    assert_eq!(found, [StoreDirectory { partition: 0, path }]);
    (dir, found.into_iter().next().unwrap())
}

fn with_store(evidence: &mut Evidence, next: u8, rows: &[(&str, &str)]) -> tempfile::TempDir {
    changelog(&mut evidence.topics);
    let (dir, store) = store(next, rows);
    evidence.stores.push(store);
    dir
}

#[test]
fn a_store_that_is_the_fold_passes() {
    let mut evidence = evidence();
    let dirs = [with_store(&mut evidence, 6, &[("a", "2")])];
    let verdict = judge(&evidence);
    assert!(verdict.is_clean() && verdict.figures.rows_compared == 1, "{}", verdict.words());
    drop(dirs);
    // A warm copy that is one batch behind: keys that come again are left out.
    let mut evidence = self::evidence();
    let dir = with_store(&mut evidence, 3, &[("a", "1"), ("b", "1")]);
    let verdict = judge(&evidence);
    assert!(verdict.is_clean(), "{}", verdict.words());
    drop(dir);
}

#[test]
fn a_store_with_another_row_is_found() {
    for (rows, words) in [
        (&[("a", "1")][..], "the key a has [31] in the store and [32]"),
        (&[("a", "2"), ("b", "1")], "the key b has [31] in the store and nothing"),
        (&[], "the key a has nothing in the store"),
    ] {
        let mut dir = None;
        finds(Invariant::SameStore, words, |evidence| dir = Some(with_store(evidence, 6, rows)));
    }
    finds(Invariant::SameStore, "can't be read", |evidence| {
        evidence.stores.push(StoreDirectory { partition: 0, path: "/nowhere".into() });
    });
}

// --- workers that know too early -------------------------------------------------------------------------------------

fn said(topics: &mut Topics, task: &str, attempt: i64, token: &str) {
    let value = json!({"v":1,"type":"started","pool":"p","worker":"w","incarnation":"i","task":task,
        "attempt":attempt,"token":token});
    put(&mut topics.status, "x.status", "p", &value);
}

/// The second batch takes the first status.
fn takes_status(topics: &mut Topics, from: i64, to: i64) {
    let last = topics.events.iter().rposition(|raw| raw.json().unwrap()["type"] == "batch").unwrap();
    let mut value = topics.events[last].json().unwrap();
    value["status"] = json!({"from":from,"to":to});
    topics.events[last].value = Some(value.to_string().into());
}

#[test]
fn a_worker_that_read_what_was_not_committed_is_found() {
    finds(Invariant::OneAttempt, "spoke of p/b attempt 1 before it was given out", |evidence| {
        takes_status(&mut evidence.topics, 0, 1);
        said(&mut evidence.topics, "b", 1, "t-b-1");
    });
    passes(|evidence| {
        takes_status(&mut evidence.topics, 0, 1);
        said(&mut evidence.topics, "b", 1, "guessed");
    });
    passes(|evidence| {
        batch(&mut evidence.topics, 3, (3, 3));
        takes_status(&mut evidence.topics, 0, 1);
        said(&mut evidence.topics, "b", 1, "t-b-1");
    });
}

#[test]
fn a_token_of_two_tasks_is_found() {
    finds(Invariant::OneAttempt, "have the same token", |evidence| {
        let value = json!({"v":1,"type":"assign","seq":4,"pool":"p","worker":"w","incarnation":"i","task":"c",
            "attempt":1,"token":"t-b-1"});
        put(&mut evidence.topics.assign, "x.assign.p.w", "p/w", &value);
    });
}

// --- answers, histories, logs ----------------------------------------------------------------------------------------

fn answer(body: serde_json::Value) -> Answer {
    Answer { path: "/v1/pools/p/stats".to_owned(), body }
}

#[test]
fn numbers_that_differ_from_the_events_are_found() {
    passes(|evidence| {
        evidence.answers.push(answer(json!({"pool":"p","partition":0,"counts":{"COMPLETED":2,"QUEUED":0},
            "tags":[{"name":"n","value":"v","counts":{"COMPLETED":1}}]})));
        evidence.answers.push(answer(json!([{"pool":"p","id":"a","state":"COMPLETED","source":"history"}])));
    });
    finds(Invariant::SameState, r#"pool p shows {"COMPLETED": 1}"#, |evidence| {
        evidence.answers.push(answer(json!({"pool":"p","counts":{"COMPLETED":1}})));
    });
    finds(Invariant::SameState, "job p/j shows", |evidence| {
        evidence.answers.push(answer(json!({"jobs":[{"pool":"p","job":"j","counts":{"COMPLETED":1}}]})));
    });
    finds(Invariant::SameState, "queue q of p shows", |evidence| {
        evidence.answers.push(answer(json!({"queues":[{"pool":"p","queue":"q","counts":{"COMPLETED":1}}]})));
    });
    finds(Invariant::SameState, "p/a is shown as RUNNING, by the events it is COMPLETED", |evidence| {
        evidence.answers.push(answer(json!({"pool":"p","id":"a","state":"RUNNING","source":"live"})));
    });
}

fn ops(lines: &[&str]) -> Vec<Op> {
    parse_history(&lines.join("\n")).unwrap()
}

#[test]
fn a_reader_that_goes_back_is_found() {
    let read = |value: &str| format!(r#"{{"at_ms":1,"process":"r","type":"ok","f":"read","value":{value}}}"#);
    let ended = read(
        r#"{"pool":"p","id":"a","state":"COMPLETED","generation":0,"attempt":2,"partition":0,"sequence":9}"#,
    );
    for (later, words) in [
        (
            r#"{"pool":"p","id":"a","state":"RUNNING","generation":0,"attempt":2}"#,
            "was COMPLETED and is RUNNING",
        ),
        (r#"{"pool":"p","id":"a","state":"RUNNING","generation":0,"attempt":1}"#, "went back from"),
        (r#"{"pool":"p","id":"a"}"#, "was there, and is not any more"),
        (r#"{"pool":"p","id":"b","state":"QUEUED","partition":0,"sequence":8}"#, "at batch 8, after batch 9"),
    ] {
        finds(Invariant::Forward, words, |evidence| evidence.history = ops(&[&ended, &read(later)]));
    }
    let requeued = read(
        r#"{"pool":"p","id":"a","state":"QUEUED","generation":1,"attempt":2,"partition":0,"sequence":9}"#,
    );
    passes(|evidence| evidence.history = ops(&[&ended, &ended, "", &requeued]));
    assert!(parse_history("{}\nno JSON").unwrap_err().starts_with("line 2"));
}

#[test]
fn readers_that_differ_are_found() {
    passes(|evidence| evidence.again = Some(evidence.topics.clone()));
    finds(Invariant::SameAssignments, "two readers of events", |evidence| {
        let mut again = evidence.topics.clone();
        again.events.pop();
        evidence.again = Some(again);
    });
    finds(Invariant::SameAssignments, "two readers of assign", |evidence| {
        let mut again = evidence.topics.clone();
        told(&mut again, 4, "b", 1);
        evidence.again = Some(again);
    });
}

#[test]
fn an_acknowledged_task_that_is_lost_is_found() {
    finds(Invariant::Kept, "p/lost was acknowledged", |evidence| {
        evidence.acknowledged.insert(("p".to_owned(), "lost".to_owned()));
    });
    let line = r#"{"at_ms":1,"process":"http","type":"ok","f":"submit","value":{"pool":"p","id":"gone"}}"#;
    finds(Invariant::Kept, "p/gone was acknowledged", |evidence| evidence.history = ops(&[line]));
    passes(|evidence| evidence.acknowledged.extend([("p".to_owned(), "a".to_owned())]));
}

#[test]
fn a_standstill_without_a_fault_is_found() {
    passes(|evidence| evidence.quiet.push(QuietWindow { from_ms: 0, to_ms: 2 }));
    finds(Invariant::Alive, "no task came in and ended", |evidence| {
        evidence.quiet.push(QuietWindow { from_ms: 2, to_ms: 9 });
    });
}

#[test]
fn logs_are_read() {
    let log = |text: &str| LogFile { name: "one.log".to_owned(), text: text.to_owned() };
    passes(|evidence| {
        evidence.logs.push(log("2026 INFO all is well: ERROR is only a word\n2026  WARN so so"))
    });
    finds(Invariant::Log, "a panic: thread 'x' panicked at", |evidence| {
        evidence.logs.push(log("fine\nthread 'x' panicked at src/a.rs"));
    });
    let coloured = "\u{1b}[2m2026\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m yardmaster: this partition is halted";
    finds(Invariant::Log, "no fault explains", |evidence| evidence.logs.push(log(coloured)));
    finds(Invariant::Log, "no fault explains", |evidence| evidence.logs.push(log(r#"{"level":"ERROR"}"#)));
    passes(|evidence| {
        evidence.logs.push(log(coloured));
        evidence.explained.push("this partition is halted".to_owned());
    });
    let secret = |evidence: &mut Evidence| evidence.secrets.push("canary-5f3".to_owned());
    finds(Invariant::Secret, "the secret can...", |evidence| {
        secret(evidence);
        evidence.logs.push(log("2026 INFO password=canary-5f3"));
    });
    finds(Invariant::Secret, "the secret can...", |evidence| {
        secret(evidence);
        evidence.answers.push(answer(json!({"config":{"x":"canary-5f3"}})));
    });
}

#[test]
fn a_fault_without_a_trace_makes_the_run_invalid() {
    let mut evidence = evidence();
    let fault = |left_trace| FaultTrace { name: "kill".to_owned(), left_trace };
    evidence.faults = vec![fault(true), fault(false)];
    let verdict = judge(&evidence);
    assert_eq!((verdict.violations.len(), verdict.figures.faults), (0, 1));
    assert!(!verdict.is_clean() && verdict.words().contains("kill left no trace"), "{}", verdict.words());
}
