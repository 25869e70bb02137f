//! A grid over a store in memory: says what comes in, looks at what goes out, and checks the invariants after every batch.

use std::collections::BTreeMap;

use yardmaster_state::{
    Checkpoint, KEY_END, MemoryStore, NextOffset, Restore, Seal, Store, StoreRead, TableClass, rows_digest,
};
use yardmaster_topologies::driver::{BatchInput, CommandInput, Decided, Grid};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{Action, AttemptRef, Command, Local, Status, StatusKind};
use yardmaster_topologies::id::{
    Attempt, Incarnation, JobId, MessageSeq, Pool, Priority, QueueName, TaskId, WorkerName,
};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::tables::GridSchema;
use yardmaster_topologies::task::{Report, Retry, RetryGiven, TaskSpec};
use yardmaster_topologies::time::{Millis, Now, ProcessorMs, WallMs};
use yardmaster_topologies::wire::{Defaults, Event, ToWorker};

use crate::invariants;

/// The wall's time at the processor's zero.
const WALL: u64 = 1_700_000_000_000;

pub(crate) fn settings() -> Settings {
    Settings {
        secret: [7; 32],
        heartbeat: Millis(2_000),
        lease: Millis(15_000),
        grace: Millis(5_000),
        dedup: Millis(60_000),
        history_completed: Millis(3_600_000),
        history_failed: Millis(7_200_000),
        job_kept: Millis(120_000),
        channel_kept: Millis(30_000),
        max_failures: 1,
        max_losses: 10,
        backoff: Millis(1_000),
        backoff_max: Millis(600_000),
        reply_prefixes: vec!["replies.".into()],
        limits: Defaults::default().limits,
    }
}

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    grid: Grid,
    pub(crate) now: u64,
    sequence: u64,
    changelog: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Decide every batch once more with memory that was just rebuilt, and compare.
    pub(crate) compares: bool,
    pub(crate) checks: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new();
        let grid = Grid::resume(&store).unwrap();
        let mut world = Self {
            store,
            grid,
            now: 1_000,
            sequence: 0,
            changelog: Vec::new(),
            compares: true,
            checks: true,
        };
        world.local(Local::Configured(Box::new(settings())));
        world
    }

    /// The wall's time.
    pub(crate) fn wall(&self) -> WallMs {
        WallMs(WALL + self.now)
    }

    pub(crate) fn batch(&mut self, input: BatchInput) -> Vec<Effect> {
        let input = BatchInput { now: Now { processor: ProcessorMs(self.now), wall: self.wall() }, ..input };
        let fresh = self.compares.then(|| {
            let decided = Grid::resume(&self.store).unwrap().decide(&self.store, input.clone()).unwrap();
            (decided.batch.writes, decided.effects)
        });
        let Decided { mut batch, effects, .. } = self.grid.decide(&self.store, input).unwrap();
        if let Some((writes, other)) = fresh {
            assert_eq!(other, effects, "memory that was kept decides as memory that was rebuilt");
            assert_eq!(writes, batch.writes, "memory that was kept writes as memory that was rebuilt");
        }
        self.sequence += 1;
        let seal = Seal { sequence: self.sequence, at_ms: self.now, ..Seal::default() };
        self.changelog.extend(batch.changelog(seal).into_iter().map(|record| (record.key, record.value)));
        let changelog = NextOffset(i64::try_from(self.changelog.len()).unwrap());
        batch.checkpoint =
            Some(Checkpoint { changelog, sequence: self.sequence, at_ms: self.now, ..Checkpoint::default() });
        self.store.commit(&batch).unwrap();
        if self.checks {
            invariants::check(&self.store);
        }
        effects
    }

    /// A store that is rebuilt from the changelog alone has the same rows and index rows.
    pub(crate) fn rebuilt_is_equal(&self) {
        let other = MemoryStore::new();
        let end = NextOffset(i64::try_from(self.changelog.len()).unwrap());
        let mut restore = Restore::new(&GridSchema, &other, None, end).unwrap();
        for (offset, (key, value)) in self.changelog.iter().enumerate() {
            restore.feed(i64::try_from(offset).unwrap(), key, value.as_deref()).unwrap();
        }
        let report = restore.finish().unwrap();
        assert!(report.torn.is_empty());
        assert_eq!(rows_digest(&other).unwrap(), rows_digest(&self.store).unwrap());
    }

    pub(crate) fn bytes(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        for class in TableClass::ALL {
            self.store
                .scan(class, &[], KEY_END, usize::MAX, &mut |key, value| {
                    rows.push((key.to_vec(), value.to_vec()));
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
        }
        rows
    }

    pub(crate) fn local(&mut self, event: Local) -> Vec<Effect> {
        self.batch(BatchInput { local: vec![event], ..BatchInput::default() })
    }

    pub(crate) fn command(&mut self, action: Action) -> Vec<Effect> {
        let command = Command { pool: pool(), request_id: None, action };
        self.batch(BatchInput { commands: vec![CommandInput::Command(command)], ..BatchInput::default() })
    }

    pub(crate) fn submit(&mut self, tasks: Vec<TaskSpec>) -> Vec<Effect> {
        self.command(Action::Submit { tasks })
    }

    pub(crate) fn status(&mut self, worker: &str, kind: StatusKind) -> Vec<Effect> {
        self.status_of(worker, "i1", kind)
    }

    pub(crate) fn status_of(&mut self, worker: &str, incarnation: &str, kind: StatusKind) -> Vec<Effect> {
        let status = Status {
            pool: pool(),
            worker: name(worker),
            incarnation: Incarnation::trusted(incarnation),
            kind,
        };
        self.batch(BatchInput { status: vec![status], ..BatchInput::default() })
    }

    pub(crate) fn tick(&mut self, passed: u64) -> Vec<Effect> {
        self.now += passed;
        self.batch(BatchInput::default())
    }

    /// A worker says hello and its channel becomes ready.
    pub(crate) fn join(&mut self, worker: &str, slots: u32) -> Vec<Effect> {
        self.status(worker, hello(slots, Vec::new()));
        self.local(Local::ChannelReady { pool: pool(), worker: name(worker) })
    }
}

pub(crate) fn hello(slots: u32, running: Vec<AttemptRef>) -> StatusKind {
    StatusKind::Hello { protocols: vec![1], slots, labels: BTreeMap::new(), running }
}

pub(crate) fn heartbeat(read_seq: u64, running: Vec<AttemptRef>) -> StatusKind {
    StatusKind::Heartbeat { read_seq: MessageSeq(read_seq), free_slots: 0, draining: false, running }
}

pub(crate) fn completed(attempt: AttemptRef) -> StatusKind {
    StatusKind::Completed { attempt, report: Report::default() }
}

pub(crate) fn failed(attempt: AttemptRef) -> StatusKind {
    StatusKind::Failed { attempt, report: Report::default() }
}

pub(crate) fn pool() -> Pool {
    Pool::trusted("p")
}

pub(crate) fn name(worker: &str) -> WorkerName {
    WorkerName::trusted(worker)
}

pub(crate) fn id(task: &str) -> TaskId {
    TaskId::trusted(task)
}

pub(crate) fn task(id: &str) -> TaskSpec {
    TaskSpec {
        id: TaskId::trusted(id),
        pool: pool(),
        queue: QueueName::trusted("q"),
        job: None,
        priority: Priority(0),
        tags: BTreeMap::new(),
        command: vec!["true".into()],
        env: BTreeMap::new(),
        cwd: None,
        payload: None,
        payload_ref: None,
        run_timeout: None,
        queue_ttl: None,
        retry: Retry {
            max_failures: 1,
            max_losses: 10,
            backoff: Millis(1_000),
            backoff_max: Millis(600_000),
            given: RetryGiven::ALL,
        },
        reply_to: None,
    }
}

pub(crate) fn in_job(id: &str, job: &str) -> TaskSpec {
    TaskSpec { job: Some(JobId::trusted(job)), ..task(id) }
}

/// The attempts that a batch gave out: (worker, attempt).
pub(crate) fn given(effects: &[Effect]) -> Vec<(String, AttemptRef)> {
    let assigned = effects.iter().filter_map(|effect| match effect {
        Effect::Send { worker, message: ToWorker::Assign { attempt, .. }, .. } => {
            Some((worker.to_string(), attempt.clone()))
        }
        _ => None,
    });
    assigned.collect()
}

/// The one attempt that a batch gave out.
pub(crate) fn only(effects: &[Effect]) -> AttemptRef {
    let given = given(effects);
    assert_eq!(given.len(), 1, "{effects:?}");
    given.into_iter().next().unwrap().1
}

/// The effects of a batch in short words, in order.
pub(crate) fn words(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(word).collect()
}

fn word(effect: &Effect) -> String {
    match effect {
        Effect::Send { worker, message, .. } => match message {
            ToWorker::Assign { attempt, .. } => {
                format!("{worker} <- assign {}#{}", attempt.task, attempt.attempt)
            }
            ToWorker::Cancel { attempt, reason, .. } => {
                format!("{worker} <- cancel {}#{} {}", attempt.task, attempt.attempt, reason.name())
            }
            other => format!("{worker} <- {}", other.type_name()),
        },
        Effect::Publish { event } => event_word(event),
        Effect::Reply { topic, .. } => format!("reply {topic}"),
        Effect::Bury { .. } => "bury".into(),
        Effect::EnsureChannel { worker, .. } => format!("ensure channel {worker}"),
        Effect::ForgetChannel { worker, .. } => format!("forget channel {worker}"),
        Effect::EnsureReply { topic } => format!("ensure reply {topic}"),
        Effect::Count { what, reason } => format!("count {} {reason}", what.name()),
    }
}

fn event_word(event: &Event) -> String {
    match event {
        Event::Accepted { id, state, repeated, .. } => {
            format!("accepted {id} {}{}", state.name(), if *repeated { " again" } else { "" })
        }
        Event::Refused { action, reason, .. } => format!("refused {action} {}", reason.name()),
        Event::AttemptClosed { id, closed, next, .. } => {
            format!(
                "closed {id}#{} {} {} -> {}",
                closed.attempt,
                closed.outcome.name(),
                closed.reason.name(),
                next.name()
            )
        }
        Event::Ended { task, .. } => {
            format!("ended {} {} {}", task.spec.id, task.state.name(), task.reason.name())
        }
        Event::State { id, state, reason, .. } => format!("state {id} {} {}", state.name(), reason.name()),
        Event::Assigned { id, attempt, worker, .. } => format!("assigned {id}#{attempt} {worker}"),
        Event::Started { id, attempt, .. } => format!("started {id}#{attempt}"),
        other => other.type_name().to_owned(),
    }
}

pub(crate) fn first_attempt(n: u32) -> Attempt {
    Attempt(n)
}
