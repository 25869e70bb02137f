//! A row of each table as it was written once. Rows outlive the program that wrote them: when this test fails, the new
//! shape needs a new version, and the old one must still be read. `YARDMASTER_BLESS=1` adds what is missing and never
//! changes a line that is there.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::Path;

use yardmaster_state::{Table, encode};
use yardmaster_topologies::id::{
    Attempt, Generation, Incarnation, JobId, MessageSeq, Priority, QueueName, ReadySeq, TaskId, WorkerName,
};
use yardmaster_topologies::job::{CounterKey, CounterRow, Dimension, JobRow};
use yardmaster_topologies::tables::{
    CounterTable, HistoryKey, HistoryMark, HistoryPositionTable, HistoryTable, JobCancel, JobCancelTable,
    JobTable, LeaseTable, Line, PayloadTable, ReadyKey, ReadyTable, Sequences, SequencesTable, SettingsTable,
    TABLES, TaskTable, WindowTable, WorkerTable,
};
use yardmaster_topologies::task::{
    ClosedAttempt, ContentRef, Counts, DoneMarker, EndedTask, Json, LiveTask, OpenAttempt, Outcome, Reason,
    Report, Retry, RetryGiven, Stopping, TaskRow, TaskSpec, TaskState, Usage,
};
use yardmaster_topologies::time::{Millis, ProcessorMs, WallMs};
use yardmaster_topologies::window::{Happened, Tally, WindowKey, WindowRow, WindowSize};
use yardmaster_topologies::worker::{LeaseRow, WorkerRow, WorkerState};

use crate::rig::settings;
use crate::script::pool;

/// The lines by name: the key, and the row, in hexadecimal digits.
type Lines = BTreeMap<String, (String, String)>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn spec() -> TaskSpec {
    TaskSpec {
        id: TaskId::trusted("t"),
        pool: pool(),
        queue: QueueName::trusted("q"),
        job: Some(JobId::trusted("j")),
        priority: Priority(-5),
        tags: BTreeMap::from([("curve".into(), "USD".into())]),
        command: vec!["./price".into(), "7".into()],
        env: BTreeMap::from([("MODE".into(), "fast".into())]),
        cwd: Some("/tmp".into()),
        payload: Some(Json("[1]".into())),
        payload_ref: Some(content()),
        run_timeout: Some(Millis(60_000)),
        queue_ttl: Some(Millis(70_000)),
        retry: Retry {
            max_failures: 3,
            max_losses: 10,
            backoff: Millis(1_000),
            backoff_max: Millis(60_000),
            given: RetryGiven { max_failures: true, ..RetryGiven::default() },
        },
        reply_to: Some("answers-1".into()),
    }
}

fn content() -> ContentRef {
    ContentRef { uri: "s3://x".into(), sha256: "a".repeat(64) }
}

fn closed() -> ClosedAttempt {
    ClosedAttempt {
        attempt: Attempt(1),
        worker: WorkerName::trusted("w"),
        incarnation: Incarnation::trusted("i"),
        assigned_at: WallMs(1_750_000_000_000),
        started_at: Some(WallMs(1_750_000_000_001)),
        closed_at: WallMs(1_750_000_000_002),
        outcome: Outcome::TimedOut,
        reason: Reason::RunTimeout,
        report: Report {
            started_at: Some(WallMs(1)),
            ended_at: Some(WallMs(2)),
            exit_code: Some(-1),
            signal: Some(9),
            result: Some(Json("{}".into())),
            result_ref: Some(content()),
            usage: Some(Usage { cpu_ms: 12, max_rss_kb: 9_000 }),
            error_kind: Some("timeout".into()),
            error_message: Some("too long".into()),
            retryable: Some(false),
            stdout_tail: Some("out".into()),
            stderr_tail: Some("err".into()),
        },
    }
}

fn live() -> LiveTask {
    LiveTask {
        spec: spec().into(),
        payload_apart: true,
        spec_hash: 1 << 60,
        counted_hash: 1 << 61,
        requeued_by: Some(1 << 62),
        generation: Generation(1),
        state: TaskState::Cancelling,
        seq: ReadySeq(-7),
        attempt: Attempt(2),
        failures: 1,
        losses: 2,
        submitted_at: WallMs(1_750_000_000_000),
        since: WallMs(1_750_000_000_003),
        reason: Reason::TaskCancelled,
        open: Some(OpenAttempt {
            worker: WorkerName::trusted("w"),
            incarnation: Incarnation::trusted("i2"),
            given_to: Some(Incarnation::trusted("i")),
            seq: MessageSeq(300),
            assigned_at: WallMs(1_750_000_000_002),
            started_at: None,
            progress: Some(Json("50".into())),
        }),
        timer_at: Some(ProcessorMs(70_000)),
        ttl_at: Some(ProcessorMs(80_000)),
        stopping: Some(Stopping { target: TaskState::Cancelled, note: "wrong curve".into() }),
        closed: vec![closed()],
    }
}

fn marker() -> DoneMarker {
    DoneMarker {
        state: TaskState::Expired,
        at: WallMs(1_750_000_000_000),
        forget_at: ProcessorMs(90_000),
        spec_hash: 1 << 60,
        counted_hash: 1 << 61,
        requeued_by: None,
        generation: Generation(1),
        attempt: Attempt(2),
        is_reported: true,
    }
}

fn ended() -> EndedTask {
    EndedTask {
        spec: spec().into(),
        state: TaskState::Aborted,
        reason: Reason::Backoff,
        note: Some("note".into()),
        generation: Generation(1),
        attempt: Attempt(2),
        failures: 1,
        losses: 2,
        submitted_at: WallMs(1),
        ended_at: WallMs(2),
        attempts: vec![closed()],
    }
}

fn worker() -> WorkerRow {
    WorkerRow {
        worker: WorkerName::trusted("w"),
        incarnation: Incarnation::trusted("i"),
        state: WorkerState::Draining,
        drained_by_operator: true,
        drains_itself: false,
        undrained_seq: MessageSeq(4),
        is_full: true,
        is_suspect: false,
        slots: 8,
        open: 3,
        labels: BTreeMap::from([("gpu".into(), "a100".into())]),
        seq: MessageSeq(300),
        channel_ready: true,
        hello_at: WallMs(1_750_000_000_000),
        left_at: Some(ProcessorMs(5)),
    }
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    Happened::ALL.into_iter().for_each(|what| tally.count(what));
    for ms in [3, 3, 70, 90_000] {
        tally.queued.record(Millis(ms));
        tally.running.record(Millis(ms * 1_000));
    }
    tally
}

/// What is written today, and what is there is read as.
struct Fixtures {
    known: Lines,
    now: Lines,
}

impl Fixtures {
    fn row<T: Table>(&mut self, kind: &str, key: &T::Key, row: &T::Row)
    where
        T::Row: PartialEq + Debug,
        T::Key: PartialEq + Debug,
    {
        let name = format!("{}.v{}{kind}", T::NAME, T::VERSION);
        self.now.insert(name.clone(), (hex(&T::key(key)), hex(&encode(T::VERSION, row))));
        if let Some((key_hex, row_hex)) = self.known.get(&name) {
            assert_eq!(&T::parse(&bytes(key_hex)).unwrap(), key, "{name}");
            assert_eq!(&T::decode(&bytes(row_hex)).unwrap(), row, "{name}");
        }
    }
}

fn all(fixtures: &mut Fixtures) {
    let task = (pool(), TaskId::trusted("t"));
    let (job, name) = ((pool(), JobId::trusted("j")), (pool(), WorkerName::trusted("w")));
    let counts = Counts(std::array::from_fn(|state| state as u64));
    fixtures.row::<TaskTable>(".live", &task, &TaskRow::Live(live()));
    fixtures.row::<TaskTable>(".done", &task, &TaskRow::Done(marker()));
    fixtures.row::<PayloadTable>("", &task, &Json("[1]".into()));
    fixtures.row::<WorkerTable>("", &name, &worker());
    let lease = LeaseRow {
        expires_at: ProcessorMs(15_000),
        suspect_at: Some(ProcessorMs(6_000)),
        seen_at: WallMs(1),
        read_seq: MessageSeq(3),
        free_slots: 5,
    };
    fixtures.row::<LeaseTable>("", &name, &lease);
    let flag = JobCancel { note: "enough".into(), at: WallMs(1), is_sweeping: true };
    fixtures.row::<JobCancelTable>("", &job, &flag);
    fixtures.row::<SettingsTable>("", &(), &settings());
    fixtures.row::<SequencesTable>("", &(), &Sequences { back: ReadySeq(7), front: ReadySeq(-8) });
    let line =
        Line { pool: pool(), priority: Priority(-5), queue: QueueName::trusted("q"), job: None, class: 0 };
    fixtures.row::<ReadyTable>("", &ReadyKey { line, seq: ReadySeq(-7) }, &TaskId::trusted("t"));
    let (done_at, forget_at) = (Some(WallMs(2)), Some(ProcessorMs(3)));
    fixtures.row::<JobTable>("", &job, &JobRow { created_at: WallMs(1), counts, done_at, forget_at });
    let tag = CounterKey { pool: pool(), dimension: Dimension::Tag("curve".into(), "USD".into()) };
    fixtures.row::<CounterTable>("", &tag, &CounterRow { counts, forget_at });
    for (kind, queue) in [(".pool", None), (".queue", Some(QueueName::trusted("q")))] {
        let start = WindowSize::Hour.start_of(WallMs(1_750_000_000_000));
        let (size, slot) = (WindowSize::Hour, WindowSize::Hour.slot_of(start));
        let key = WindowKey { pool: pool(), queue, size, slot };
        fixtures.row::<WindowTable>(kind, &key, &WindowRow { start, tally: tally() });
    }
    let key = HistoryKey::of((&task.0, &task.1), Generation(1), TaskState::Failed, WallMs(1_750_000_000_000));
    fixtures.row::<HistoryTable>("", &key, &ended());
    fixtures.row::<HistoryPositionTable>("", &HistoryMark::RefillEnd, &7);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads and writes its own files")]
fn rows_of_every_version_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rows.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let parse = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, (words.next()?, words.next()?)))
    };
    let known: Lines = text.lines().filter_map(parse).collect();
    let mut fixtures = Fixtures { known: known.clone(), now: Lines::new() };
    all(&mut fixtures);
    // Index rows without a value and reply topics hold nothing but their key.
    let empty = ["reply_topic", "history_by_job", "counter_due"];
    for card in TABLES {
        let is_empty = empty.contains(&card.name) || (0x21..=0x29).contains(&card.id);
        let has_line = fixtures.now.keys().any(|name| name.starts_with(&format!("{}.v", card.name)));
        assert!(is_empty != has_line, "{} has a row and no fixture, or the other way round", card.name);
    }
    if std::env::var_os("YARDMASTER_BLESS").is_some() {
        let mut lines = fixtures.now.clone();
        lines.extend(known);
        let lines = lines.iter().map(|(name, (key, row))| format!("{name} {key} {row}\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
    } else {
        for (name, line) in fixtures.now {
            assert_eq!(known.get(&name), Some(&line), "{name}: its shape changed, so it needs a new version");
        }
    }
}
