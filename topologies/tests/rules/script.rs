//! The language of the golden scripts, line by line:
//!
//! ```text
//! # a remark
//! +1500                              time passes
//! -> submit t1 priority=5 job=j      goes into the next batch; a line without `->` ends the batch
//! <- event accepted t1 QUEUED gen=0  what came out, in its order and nothing else: written by the test
//! tick                               a batch in which nothing comes in
//! ```

use std::collections::BTreeMap;

use yardmaster_topologies::driver::{BatchInput, CommandInput};
use yardmaster_topologies::event::{Action, AttemptRef, Command, Local, Status, StatusKind};
use yardmaster_topologies::id::{
    Attempt, Incarnation, JobId, MessageSeq, Pool, Priority, QueueName, RequestId, TaskId, Token, WorkerName,
};
use yardmaster_topologies::tables::WorkerTable;
use yardmaster_topologies::task::{Json, Report, Retry, RetryGiven, TaskSpec};
use yardmaster_topologies::time::Millis;

use crate::rig::{Rig, settings};

/// The words of a line: those without `=`, and those with.
struct Words<'w> {
    plain: Vec<&'w str>,
    named: BTreeMap<&'w str, &'w str>,
}

impl<'w> Words<'w> {
    fn of(line: &'w str) -> Self {
        let (named, plain): (Vec<_>, Vec<_>) = line.split_whitespace().partition(|word| word.contains('='));
        let named = named.into_iter().map(|word| word.split_once('=').unwrap()).collect();
        Self { plain, named }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.named.get(name).map(|text| text.parse().ok().unwrap())
    }

    fn at(&self, place: usize) -> &'w str {
        self.plain.get(place).copied().unwrap_or_else(|| panic!("word {place} of {:?}", self.plain))
    }

    fn note(&self, from: usize) -> String {
        self.plain.iter().skip(from).copied().collect::<Vec<_>>().join(" ")
    }
}

fn pool_of(words: &Words<'_>) -> Pool {
    words.named.get("pool").map_or_else(pool, |name| Pool::trusted(name))
}

pub(crate) fn pool() -> Pool {
    Pool::trusted("p")
}

fn spec(words: &Words<'_>, id: &str) -> TaskSpec {
    let payload: Option<usize> = words.number("payload");
    let tags = words.named.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("tag.")?;
        Some((name.to_owned(), (*value).to_owned()))
    });
    TaskSpec {
        id: TaskId::trusted(id),
        pool: pool_of(words),
        queue: QueueName::trusted(words.named.get("queue").unwrap_or(&"q")),
        job: words.named.get("job").map(|job| JobId::trusted(job)),
        priority: Priority(words.number("priority").unwrap_or(0)),
        tags: tags.collect(),
        command: vec!["./run".into()],
        env: BTreeMap::new(),
        cwd: None,
        payload: payload.map(|bytes| Json(format!("\"{}\"", "x".repeat(bytes - 2)).into())),
        payload_ref: None,
        run_timeout: words.number("run_timeout").map(Millis),
        queue_ttl: words.number("ttl").map(Millis),
        retry: Retry {
            max_failures: words.number("failures").unwrap_or(1),
            max_losses: words.number("losses").unwrap_or(10),
            backoff: Millis(words.number("backoff").unwrap_or(1_000)),
            backoff_max: Millis(60_000),
            given: RetryGiven::ALL,
        },
        reply_to: words.named.get("reply_to").map(|topic| (*topic).to_owned()),
    }
}

fn attempt(rig: &Rig, pool: Pool, text: &str) -> AttemptRef {
    let (name, token) = text.split_once('!').map_or((text, None), |(name, token)| (name, Some(token)));
    let (task, number) = name.rsplit_once('/').unwrap();
    let (task, attempt) = (TaskId::trusted(task), Attempt(number.parse().unwrap()));
    let known = rig.tokens.get(&(pool, task.clone(), attempt)).cloned();
    let token = token.map(Token::trusted).or(known).unwrap_or_else(|| Token::trusted("none"));
    AttemptRef { task, attempt, token }
}

fn listed(rig: &Rig, words: &Words<'_>) -> Vec<AttemptRef> {
    let names = words.named.get("running").copied().unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(|name| attempt(rig, pool_of(words), name)).collect()
}

fn report(words: &Words<'_>) -> Report {
    Report {
        error_kind: words.named.get("kind").map(|kind| (*kind).to_owned()),
        retryable: words.number("retryable"),
        ..Report::default()
    }
}

fn status(rig: &Rig, words: &Words<'_>) -> Option<StatusKind> {
    let named = || attempt(rig, pool_of(words), words.at(2));
    let report = report(words);
    Some(match words.at(0) {
        "hello" => StatusKind::Hello {
            protocols: vec![words.number("protocol").unwrap_or(1)],
            slots: words.number("slots").unwrap_or(1),
            labels: BTreeMap::new(),
            running: listed(rig, words),
        },
        "heartbeat" => StatusKind::Heartbeat {
            read_seq: read_seq(rig, words),
            free_slots: words.number("free").unwrap_or(0),
            draining: words.number("draining").unwrap_or(false),
            running: listed(rig, words),
        },
        "started" => StatusKind::Started { attempt: named() },
        "progress" => StatusKind::Progress { attempt: named(), note: Some(Json("50".into())) },
        "completed" => StatusKind::Completed { attempt: named(), report },
        "failed" => StatusKind::Failed { attempt: named(), report },
        "rejected" => StatusKind::Rejected { attempt: named(), message: "no room".into() },
        "stopped" => StatusKind::Cancelled { attempt: named(), report },
        "goodbye" => StatusKind::Goodbye,
        _ => return None,
    })
}

/// `read=last` is everything that was sent before this batch.
fn read_seq(rig: &Rig, words: &Words<'_>) -> MessageSeq {
    if words.named.get("read") == Some(&"last") {
        let worker = WorkerName::trusted(words.at(1).split_once('.').unwrap().0);
        return rig.row::<WorkerTable>(&(pool(), worker)).map_or(MessageSeq(0), |row| row.seq);
    }
    MessageSeq(words.number("read").unwrap_or(0))
}

fn action(words: &Words<'_>) -> Option<Action> {
    Some(match words.at(0) {
        "submit" => Action::Submit { tasks: vec![spec(words, words.at(1))] },
        "submit_many" => Action::Submit { tasks: words.at(1).split(',').map(|id| spec(words, id)).collect() },
        "cancel" => Action::CancelTask { id: TaskId::trusted(words.at(1)), note: words.note(2) },
        "cancel_job" => Action::CancelJob { job: JobId::trusted(words.at(1)), note: words.note(2) },
        "requeue" => Action::Requeue { task: Box::new(spec(words, words.at(1))) },
        "drain" => Action::Drain { worker: WorkerName::trusted(words.at(1)) },
        "undrain" => Action::Undrain { worker: WorkerName::trusted(words.at(1)) },
        _ => return None,
    })
}

/// The usual settings, some of them smaller.
fn configured(words: &Words<'_>) -> Local {
    let mut settings = settings();
    let limits = &mut settings.limits;
    for (name, limit) in [
        ("grants", &mut limits.grants_per_batch_max),
        ("losses", &mut limits.losses_per_tick_max),
        ("queues", &mut limits.queues_max),
        ("workers", &mut limits.workers_max),
    ] {
        *limit = words.number(name).unwrap_or(*limit);
    }
    Local::Configured(Box::new(settings))
}

fn local(words: &Words<'_>) -> Local {
    if words.at(0) == "settings" {
        return configured(words);
    }
    let (pool, worker) = (pool_of(words), WorkerName::trusted(words.at(1)));
    let topic = words.at(1).to_owned();
    match words.at(0) {
        "channel_ready" => Local::ChannelReady { pool, worker },
        "channel_lost" => Local::ChannelLost { pool, worker },
        "reply_ready" => Local::ReplyReady { topic },
        "reply_lost" => Local::ReplyLost { topic },
        other => panic!("`{other}` is no word of the language"),
    }
}

/// Adds one line to a batch. A status names its worker as `w1.i1`.
pub(crate) fn add(rig: &Rig, line: &str, batch: &mut BatchInput) {
    let words = Words::of(line);
    if let Some(kind) = status(rig, &words) {
        let (worker, incarnation) = words.at(1).split_once('.').unwrap();
        batch.status.push(Status {
            pool: pool_of(&words),
            worker: WorkerName::trusted(worker),
            incarnation: Incarnation::trusted(incarnation),
            kind,
        });
    } else if let Some(action) = action(&words) {
        batch.commands.push(CommandInput::Command(Command {
            pool: pool_of(&words),
            request_id: Some(RequestId::trusted(words.named.get("request").unwrap_or(&"r"))),
            action,
        }));
    } else {
        batch.local.push(local(&words));
    }
}

/// Runs some lines as one batch.
pub(crate) fn batch(rig: &Rig, lines: &[impl AsRef<str>]) -> BatchInput {
    let mut batch = BatchInput::default();
    lines.iter().for_each(|line| add(rig, line.as_ref(), &mut batch));
    batch
}
