//! The view without a terminal and without a server: answers and keys go in, the screen is read.

mod drawing;
mod keyboard;
mod looking;

use serde_json::{Value, json};

use super::model::{Ask, Miss, Model, News};
use super::place::{Place, Tab};
use super::shapes::{Grid, Head, Lately, List, Processor, Rows, Seen, Slots};
use super::words::Glyphs;
use super::{Key, Paint};

/// 13:46:40 UTC.
const NOW: u64 = 1_700_056_000_000;

fn paint() -> Paint {
    Paint {
        has_colours: true,
        glyphs: Glyphs::UNICODE,
        url: "http://127.0.0.1:9733".to_owned(),
        interval: "2.0s".to_owned(),
    }
}

fn numbers(queued: u64, running: u64, failed: u64, completed: u64) -> Value {
    json!({
        "counts": {"QUEUED": queued, "RUNNING": running, "FAILED": failed, "COMPLETED": completed},
        "live": queued + running,
        "total": queued + running + failed + completed,
    })
}

/// A row as the server sends it: these fields and the numbers of tasks.
fn row<T: serde::de::DeserializeOwned>(fields: Value, numbers: Value) -> T {
    let (mut all, Value::Object(numbers)) = (fields, numbers) else {
        panic!("numbers are an object");
    };
    all.as_object_mut().unwrap().extend(numbers);
    serde_json::from_value(all).unwrap()
}

fn grid(completed: u64) -> Seen {
    let slots = |workers, missing, slots, open| Some(Slots { workers, missing, slots, open });
    let mut risk: super::shapes::Pool = row(json!({"pool": "risk"}), numbers(12_345, 16, 3, completed));
    risk.slots = slots(4, 1, 16, 16);
    let mut idle: super::shapes::Pool = row(json!({"pool": "idle"}), numbers(0, 0, 0, 7));
    idle.slots = slots(1, 0, 4, 0);
    let served = |partition, sequence| Processor {
        partition,
        url: "http://127.0.0.1:9733".to_owned(),
        sequence,
        tasks: 10 * sequence,
        status: 20 * sequence,
        is_served: true,
    };
    Seen::Grid(Grid {
        pools: List { rows: vec![idle, risk], has_more: false },
        processors: vec![
            served(0, completed),
            Processor { partition: 1, ..Processor::default() },
            Processor { partition: 2, url: "http://other:1".to_owned(), ..Processor::default() },
        ],
        instances: 2,
        silent: vec!["http://other:1".to_owned()],
    })
}

fn stats() -> Head {
    let fields = json!({
        "queues": [], "workers": {"ACTIVE": 3, "LOST": 1}, "slots": 16, "open": 16, "truncated": [],
    });
    let lengths = |p50, p99, max| json!({"count": 9, "p50_ms": p50, "p99_ms": p99, "max_ms": max});
    let lately = json!({"queue_wait": lengths(120, 3_200, 4_000), "run_time": lengths(900, 61_000, 62_000)});
    let stats = row(fields, numbers(12_345, 16, 3, 800));
    Head::Pool(Box::new(stats), serde_json::from_value(lately).unwrap())
}

fn rows_of(tab: Tab) -> Rows {
    fn typed<T: serde::de::DeserializeOwned>(rows: Value) -> List<T> {
        List { rows: serde_json::from_value(rows).unwrap(), has_more: false }
    }
    match tab {
        Tab::Jobs => Rows::Jobs(List {
            rows: vec![
                row(
                    json!({"job": "old", "state": "DONE", "created_at_ms": NOW - 9_000_000}),
                    numbers(0, 0, 0, 10),
                ),
                row(
                    json!({"job": "night", "state": "ACTIVE", "created_at_ms": NOW - 60_000}),
                    numbers(50, 5, 0, 45),
                ),
            ],
            has_more: false,
        }),
        Tab::Workers => Rows::Workers(typed(json!([
            {"worker": "w-1", "state": "ACTIVE", "slots": 8, "open": 5, "labels": {"zone": "a"},
             "hello_at_ms": NOW - 7_500_000, "seen_at_ms": NOW - 900},
            {"worker": "w-2", "state": "LOST", "slots": 8, "open": 0, "labels": {},
             "hello_at_ms": NOW - 7_500_000, "seen_at_ms": NOW - 65_000, "drained_by_operator": true},
        ]))),
        Tab::Tasks => Rows::Tasks(typed(json!([
            {"id": "t-2", "state": "QUEUED", "queue": "default", "job": "night", "attempt": 0,
             "submitted_at_ms": NOW - 30_000, "reason": "SUBMITTED"},
            {"id": "t-9", "state": "FAILED", "queue": "default", "attempt": 3, "failures": 3, "worker": "w-1",
             "submitted_at_ms": NOW - 90_000, "started_at_ms": NOW - 80_000, "ended_at_ms": NOW - 70_000,
             "reason": "EXIT_CODE"},
            {"id": "t-1", "state": "RUNNING", "queue": "default", "job": "night", "attempt": 1, "worker": "w-1",
             "submitted_at_ms": NOW - 31_000, "started_at_ms": NOW - 1_500, "reason": "STARTED"},
        ]))),
        Tab::Queues | Tab::Pools | Tab::Processors | Tab::Timeline => Rows::Queues(List {
            rows: vec![
                row(json!({"queue": "slow"}), numbers(5, 1, 0, 0)),
                row(json!({"queue": "default"}), numbers(12_340, 15, 3, 800)),
            ],
            has_more: true,
        }),
    }
}

fn task() -> Seen {
    let detail = json!({
        "id": "t-9", "state": "FAILED", "queue": "default", "job": "night", "priority": 5, "attempt": 2,
        "failures": 1, "losses": 1, "tags": {"curve": "USD"}, "command": ["./price", "--book", "7"],
        "submitted_at_ms": NOW - 90_000, "started_at_ms": NOW - 80_000, "ended_at_ms": NOW - 70_000,
        "since_at_ms": NOW - 70_000, "reason": "EXIT_CODE", "worker": "w-1", "exit_code": 2,
        "attempts": [{}, {"report": {"error": {"kind": "exit", "message": "exit code 2"}, "stderr_tail": "no such\u{1b}[2J book\nsorry\n"}}],
        "timeline": [
            {"at_ms": NOW - 90_000, "what": "submitted"},
            {"at_ms": NOW - 89_000, "what": "assigned", "attempt": 1, "worker": "w-2"},
            {"at_ms": NOW - 85_000, "what": "closed", "attempt": 1, "worker": "w-2", "outcome": "LOST",
             "reason": "LEASE_EXPIRED"},
            {"at_ms": NOW - 80_500, "what": "assigned", "attempt": 2, "worker": "w-1"},
            {"at_ms": NOW - 80_000, "what": "started", "attempt": 2, "worker": "w-1"},
            {"at_ms": NOW - 70_000, "what": "closed", "attempt": 2, "worker": "w-1", "outcome": "FAILED",
             "reason": "EXIT_CODE"},
            {"at_ms": NOW - 70_000, "what": "failed", "reason": "EXIT_CODE"},
        ],
    });
    Seen::Task(Box::new(serde_json::from_value(detail).unwrap()))
}

/// What a server says to what is wanted now.
fn answer(model: &mut Model, at_ms: u64) {
    let wanted = model.wanted();
    let head = |numbers: Value| -> super::shapes::Queue { row(json!({}), numbers) };
    let found = match &wanted.place {
        Place::Grid => grid(800 + (at_ms.saturating_sub(NOW)) / 100),
        Place::Pool { .. } => Seen::Pool(stats(), rows_of(wanted.tab)),
        Place::Tasks { .. } => {
            Seen::Pool(Head::Queue(head(numbers(2, 1, 1, 4)).numbers, Lately::default()), rows_of(Tab::Tasks))
        }
        Place::Task { .. } => task(),
    };
    model.learn(News { wanted, at_ms, found: Ok(found) });
}

/// A model that has been answered.
fn model(pool: Option<&str>) -> Model {
    let mut model = Model::new(pool, Glyphs::UNICODE);
    answer(&mut model, NOW);
    model
}

/// Presses keys, each answered at once; returns what was asked for apart from looking.
fn press(model: &mut Model, keys: &[Key]) -> Vec<Ask> {
    let mut asked = Vec::new();
    for key in keys {
        for ask in model.press(*key) {
            if ask == Ask::Look(model.wanted()) {
                answer(model, NOW);
            } else {
                asked.push(ask);
            }
        }
    }
    asked
}

fn miss(text: &str, is_silence: bool) -> Miss {
    Miss { text: text.to_owned(), is_silence }
}

fn letters(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}
