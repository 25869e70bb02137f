//! Domain values at random, inside the limits of the protocol.

use std::collections::BTreeMap;

use proptest::option::of;
use proptest::prelude::*;

use crate::event::{Action, AttemptRef, Command, Status, StatusKind};
use crate::id::{
    Attempt, Incarnation, JobId, MessageSeq, Pool, Priority, QueueName, RequestId, TaskId, Token, WorkerName,
};
use crate::task::{ContentRef, Json, Report, Retry, RetryGiven, TaskSpec, Usage};
use crate::time::{Millis, WallMs};
use crate::wire::{Address, Defaults, ToWorker, Work};

use super::events::reason;

pub(super) fn id() -> BoxedStrategy<TaskId> {
    "[A-Za-z0-9._:/-]{1,20}".prop_map(|text| TaskId::trusted(&text)).boxed()
}

pub(super) fn job() -> impl Strategy<Value = Option<JobId>> {
    of("[A-Za-z0-9._:/-]{1,20}".prop_map(|text| JobId::trusted(&text)))
}

pub(super) fn pool() -> impl Strategy<Value = Pool> {
    "[A-Za-z0-9-]{1,64}".prop_map(|text| Pool::trusted(&text))
}

pub(super) fn queue() -> impl Strategy<Value = QueueName> {
    "[A-Za-z0-9.-]{1,20}".prop_map(|text| QueueName::trusted(&text))
}

pub(super) fn worker() -> impl Strategy<Value = WorkerName> {
    "[A-Za-z0-9.-]{1,20}".prop_map(|text| WorkerName::trusted(&text))
}

pub(super) fn incarnation() -> impl Strategy<Value = Incarnation> {
    "[A-Za-z0-9._:-]{1,26}".prop_map(|text| Incarnation::trusted(&text))
}

pub(super) fn request() -> impl Strategy<Value = Option<RequestId>> {
    of("[A-Za-z0-9._:/-]{1,20}".prop_map(|text| RequestId::trusted(&text)))
}

/// Text with quotes, backslashes, control characters and more than one byte per character, but without NUL.
pub(super) fn text() -> BoxedStrategy<String> {
    "[a-z\"\\\\\n\t\u{1}é☃\u{1f600} ]{0,12}".boxed()
}

pub(super) fn json() -> BoxedStrategy<Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        text().prop_map(serde_json::Value::from),
    ];
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    tree.prop_map(|value| Json(value.to_string().into())).boxed()
}

fn content_ref() -> BoxedStrategy<ContentRef> {
    ("[a-z:/]{1,20}", "[0-9a-f]{64}").prop_map(|(uri, sha256)| ContentRef { uri, sha256 }).boxed()
}

pub(super) fn tags() -> BoxedStrategy<BTreeMap<String, String>> {
    prop::collection::btree_map("[A-Za-z0-9._-]{1,64}", text(), 0..4).boxed()
}

fn env() -> BoxedStrategy<BTreeMap<String, String>> {
    prop::collection::btree_map("[A-Z_]{1,8}", text(), 0..4).boxed()
}

/// Given in full, or left to the server.
fn retry() -> BoxedStrategy<Retry> {
    let given = (1_u32..=1_000, 1_u32..=1_000, 0_u64..=1_000_000, 0_u64..=1_000_000);
    let given = given.prop_map(|(failures, losses, a, b)| Retry {
        max_failures: failures,
        max_losses: losses,
        backoff: Millis(a.min(b)),
        backoff_max: Millis(a.max(b)),
        given: RetryGiven::ALL,
    });
    prop_oneof![given, Just(Defaults::default().retry)].boxed()
}

/// As it is read back from where every default is filled in.
pub(super) fn filled_in(mut spec: TaskSpec) -> TaskSpec {
    spec.retry.given = RetryGiven::ALL;
    spec
}

fn wait() -> impl Strategy<Value = Option<Millis>> {
    of((1_u64..=crate::wire::WAIT_MS_MAX).prop_map(Millis))
}

pub(super) fn spec() -> BoxedStrategy<TaskSpec> {
    let names = (id(), pool(), queue(), job(), any::<i32>());
    let command = prop::collection::vec("[a-z\"é]{1,8}", 0..4);
    let program = (command, env(), of("[a-z/]{1,10}"), of(json()), of(content_ref()));
    let rest = (tags(), wait(), wait(), retry(), of("[a-z][a-z.]{0,10}"));
    (names, program, rest)
        .prop_map(|(names, program, rest)| TaskSpec {
            id: names.0,
            pool: names.1,
            queue: names.2,
            job: names.3,
            priority: Priority(names.4),
            tags: rest.0,
            command: program.0,
            env: program.1,
            cwd: program.2,
            payload_ref: if program.3.is_some() { None } else { program.4 },
            payload: program.3,
            run_timeout: rest.1,
            queue_ttl: rest.2,
            retry: rest.3,
            reply_to: rest.4,
        })
        .boxed()
}

fn specs(pool: Pool) -> BoxedStrategy<Action> {
    prop::collection::vec(spec(), 1..4)
        .prop_map(move |mut tasks| {
            for (index, task) in tasks.iter_mut().enumerate() {
                task.pool = pool.clone();
                task.id = TaskId::trusted(&format!("{index}-{}", task.id));
            }
            Action::Submit { tasks }
        })
        .boxed()
}

pub(super) fn command() -> BoxedStrategy<Command> {
    (pool(), request())
        .prop_flat_map(|(pool, request_id)| {
            let own = pool.clone();
            let action = prop_oneof![
                specs(pool.clone()),
                (id(), text()).prop_map(|(id, note)| Action::CancelTask { id, note }),
                (job(), text()).prop_map(|(job, note)| Action::CancelJob {
                    job: job.unwrap_or_else(|| JobId::trusted("j")),
                    note
                }),
                spec().prop_map(move |task| Action::Requeue {
                    task: Box::new(filled_in(TaskSpec { pool: own.clone(), ..task }))
                }),
                worker().prop_map(|worker| Action::Drain { worker }),
                worker().prop_map(|worker| Action::Undrain { worker }),
            ];
            action.prop_map(move |action| Command {
                pool: pool.clone(),
                request_id: request_id.clone(),
                action,
            })
        })
        .boxed()
}

fn attempt() -> impl Strategy<Value = AttemptRef> {
    (id(), 1_u32.., "[A-Za-z0-9]{1,64}").prop_map(|(task, attempt, token)| AttemptRef {
        task,
        attempt: Attempt(attempt),
        token: Token::trusted(&token),
    })
}

fn running() -> impl Strategy<Value = Vec<AttemptRef>> {
    prop::collection::vec(attempt(), 0..4)
}

pub(super) fn at() -> impl Strategy<Value = WallMs> {
    any::<u64>().prop_map(WallMs)
}

pub(super) fn report() -> BoxedStrategy<Report> {
    let usage =
        of((any::<u64>(), any::<u64>()).prop_map(|(cpu_ms, max_rss_kb)| Usage { cpu_ms, max_rss_kb }));
    let times = (of(at()), of(at()), of(any::<i32>()), of(any::<i32>()));
    let result = (of(json()), of(content_ref()), usage);
    let words = (of("[a-z]{1,8}"), of(text()), of(any::<bool>()), of(text()), of(text()));
    (times, result, words)
        .prop_map(|(times, result, words)| Report {
            started_at: times.0,
            ended_at: times.1,
            exit_code: times.2,
            signal: times.3,
            result: result.0,
            result_ref: result.1,
            usage: result.2,
            error_kind: words.0,
            error_message: words.1,
            retryable: words.2,
            stdout_tail: words.3,
            stderr_tail: words.4,
        })
        .boxed()
}

fn kind() -> BoxedStrategy<StatusKind> {
    prop_oneof![
        (prop::collection::vec(any::<u32>(), 1..3), 0_u32..=4_096, tags(), running()).prop_map(
            |(protocols, slots, labels, running)| StatusKind::Hello { protocols, slots, labels, running }
        ),
        (any::<u64>(), any::<u32>(), any::<bool>(), running()).prop_map(
            |(seq, free_slots, draining, running)| {
                StatusKind::Heartbeat { read_seq: MessageSeq(seq), free_slots, draining, running }
            }
        ),
        attempt().prop_map(|attempt| StatusKind::Started { attempt }),
        (attempt(), of(json())).prop_map(|(attempt, note)| StatusKind::Progress { attempt, note }),
        (attempt(), report()).prop_map(|(attempt, report)| StatusKind::Completed { attempt, report }),
        (attempt(), report()).prop_map(|(attempt, report)| StatusKind::Failed { attempt, report }),
        (attempt(), report()).prop_map(|(attempt, report)| StatusKind::Cancelled { attempt, report }),
        (attempt(), text()).prop_map(|(attempt, message)| StatusKind::Rejected { attempt, message }),
        Just(StatusKind::Goodbye),
    ]
    .boxed()
}

pub(super) fn status() -> BoxedStrategy<Status> {
    (pool(), worker(), incarnation(), kind())
        .prop_map(|(pool, worker, incarnation, kind)| Status { pool, worker, incarnation, kind })
        .boxed()
}

pub(super) fn to_worker() -> BoxedStrategy<ToWorker> {
    let to = (pool(), worker(), incarnation(), any::<u64>()).prop_map(|(pool, worker, incarnation, seq)| {
        Address { pool, worker, incarnation, seq: MessageSeq(seq) }
    });
    (to, attempt(), spec(), reason(), running(), any::<[u32; 3]>(), 0_u8..7)
        .prop_map(|(to, attempt, spec, reason, adopt, numbers, which)| match which {
            0 => ToWorker::Welcome {
                to,
                protocol: 1,
                heartbeat: Millis(numbers[0].into()),
                lease: Millis(numbers[1].into()),
                grace: Millis(numbers[2].into()),
                result_bytes_max: numbers[0],
                adopt,
            },
            1 => ToWorker::Assign { to, attempt, work: Box::new(work(spec)) },
            2 => ToWorker::Cancel { to, attempt, grace: Millis(numbers[2].into()), reason },
            3 => ToWorker::Drain { to },
            4 => ToWorker::Undrain { to },
            5 => ToWorker::Rehello { to },
            _ => ToWorker::Replaced { to },
        })
        .boxed()
}

fn work(spec: TaskSpec) -> Work {
    Work {
        job: spec.job,
        command: spec.command,
        env: spec.env,
        cwd: spec.cwd,
        payload: spec.payload,
        payload_ref: spec.payload_ref,
        tags: spec.tags,
        run_timeout: spec.run_timeout,
    }
}
