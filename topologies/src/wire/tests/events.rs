//! Events at random.

use std::sync::Arc;

use proptest::option::of;
use proptest::prelude::*;

use super::generate::{
    at, filled_in, id, incarnation, job, json, pool, queue, report, request, spec, tags, text, worker,
};
use crate::id::{Attempt, Generation, Incarnation, Pool, Priority, TaskId, WorkerName};
use crate::task::{ClosedAttempt, EndedTask, Outcome, Reason, TaskState};
use crate::time::{ProcessorMs, WallMs};
use crate::wire::{
    BatchLog, Event, InputRange, RefusedReason, WorkerFact, outcome_from_name, reason_from_name,
};

pub(super) fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(vec![
        "submitted",
        "lease_expired",
        "run_timeout",
        "goodbye",
        "backoff",
        "job_cancelled",
    ])
    .prop_map(|name| reason_from_name(name).unwrap())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec!["SUCCEEDED", "FAILED", "TIMED_OUT", "LOST", "REJECTED", "CANCELLED"])
        .prop_map(|name| outcome_from_name(name).unwrap())
}

fn state() -> impl Strategy<Value = TaskState> {
    prop::sample::select(TaskState::ALL.to_vec())
}

fn closed() -> BoxedStrategy<ClosedAttempt> {
    (1_u32.., worker(), incarnation(), at(), of(at()), at(), outcome(), reason(), report())
        .prop_map(|all| ClosedAttempt {
            attempt: Attempt(all.0),
            worker: all.1,
            incarnation: all.2,
            assigned_at: all.3,
            started_at: all.4,
            closed_at: all.5,
            outcome: all.6,
            reason: all.7,
            report: all.8,
        })
        .boxed()
}

fn ended() -> BoxedStrategy<Event> {
    let numbers = any::<[u32; 4]>();
    let rest = (of(text()), at(), at(), prop::collection::vec(closed(), 0..3), of(any::<u32>()));
    (spec(), state(), reason(), numbers, rest)
        .prop_map(|(spec, state, reason, numbers, rest)| Event::Ended {
            task: Arc::new(EndedTask {
                spec: Arc::new(filled_in(spec)),
                state,
                reason,
                note: rest.0,
                generation: Generation(numbers[0]),
                attempt: Attempt(numbers[1]),
                failures: numbers[2],
                losses: numbers[3],
                submitted_at: rest.1,
                ended_at: rest.2,
                attempts: rest.3,
            }),
            closes_attempt: rest.4.map(Attempt),
        })
        .boxed()
}

type Holder = (Pool, TaskId, WorkerName, Incarnation, WallMs);

fn holder() -> BoxedStrategy<Holder> {
    (pool(), id(), worker(), incarnation(), at()).boxed()
}

fn attempts() -> BoxedStrategy<Event> {
    (holder(), job(), queue(), any::<[u32; 2]>(), of(json()), 0_u8..3)
        .prop_map(|((pool, id, worker, incarnation, at), job, queue, numbers, note, which)| {
            let (attempt, generation) = (Attempt(numbers[0]), Generation(numbers[1]));
            match which {
                0 => Event::Assigned { pool, id, job, queue, attempt, worker, incarnation, generation, at },
                1 => Event::Started { pool, id, attempt, worker, incarnation, at },
                _ => Event::Progress { pool, id, attempt, worker, incarnation, note, at },
            }
        })
        .boxed()
}

fn changes() -> BoxedStrategy<Event> {
    let base = || (pool(), id(), job(), queue(), any::<u32>().prop_map(Generation), state(), at());
    prop_oneof![
        (base(), any::<i32>(), tags(), request(), any::<bool>()).prop_map(
            |((pool, id, job, queue, generation, state, at), priority, tags, request_id, repeated)| {
                Event::Accepted {
                    pool,
                    id,
                    job,
                    queue,
                    priority: Priority(priority),
                    tags,
                    generation,
                    state,
                    request_id,
                    repeated,
                    at,
                }
            }
        ),
        (base(), reason(), of(text())).prop_map(
            |((pool, id, job, queue, generation, state, at), reason, note)| {
                Event::State { pool, id, job, queue, generation, state, reason, note, at }
            }
        ),
    ]
    .boxed()
}

fn refused() -> BoxedStrategy<Event> {
    let names = (pool(), request(), of(id()), job(), of(worker()));
    let why = prop::sample::select(RefusedReason::ALL.to_vec());
    (names, "[a-z_]{1,12}", why, of(text()), text(), at())
        .prop_map(|((pool, request_id, id, job, worker), action, reason, field, detail, at)| Event::Refused {
            pool,
            request_id,
            id,
            job,
            worker,
            action,
            reason,
            field,
            detail,
            at,
        })
        .boxed()
}

fn workers() -> BoxedStrategy<Event> {
    (holder(), of(reason()), 0_u8..5)
        .prop_map(|((pool, _, worker, incarnation, at), reason, which)| {
            let fact = WorkerFact { pool, worker, incarnation, reason, at };
            match which {
                0 => Event::WorkerJoined(fact),
                1 => Event::WorkerLost(fact),
                2 => Event::WorkerLeft(fact),
                3 => Event::WorkerDrained(fact),
                _ => Event::WorkerUndrained(fact),
            }
        })
        .boxed()
}

fn log() -> BoxedStrategy<BatchLog> {
    (any::<[u64; 3]>(), any::<[u32; 2]>(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|([clock, digest, owner_epoch], [rows, code_version], local)| BatchLog {
            clock: ProcessorMs(clock),
            rows,
            digest,
            owner_epoch,
            code_version,
            local,
        })
        .boxed()
}

pub(super) fn event() -> BoxedStrategy<Event> {
    let range = || any::<(i64, i64)>().prop_map(|(from, to)| InputRange { from, to });
    let batch = (any::<i32>(), any::<u64>(), range(), range(), at(), of(log())).prop_map(
        |(partition, sequence, tasks, status, at, log)| Event::Batch {
            partition,
            sequence,
            tasks,
            status,
            at,
            log: log.map(Box::new),
        },
    );
    let closed = (pool(), id(), any::<u32>(), closed(), state(), of(at())).prop_map(
        |(pool, id, generation, closed, next, due)| Event::AttemptClosed {
            pool,
            id,
            generation: Generation(generation),
            closed: Box::new(closed),
            next,
            due,
        },
    );
    prop_oneof![attempts(), changes(), refused(), workers(), ended(), batch, closed].boxed()
}
