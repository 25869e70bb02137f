//! Series come and go as they should, and never too many of them.

use std::sync::Arc;
use std::time::Duration;

use yardmaster_state::DiskFigures;
use yardmaster_topologies::effect::{Counted, Effect};
use yardmaster_topologies::id::{
    Attempt, Generation, Incarnation, Pool, Priority, QueueName, TaskId, WorkerName,
};
use yardmaster_topologies::task::{
    ClosedAttempt, Counts, EndedTask, Outcome, Reason, Report, Retry, RetryGiven, TaskSpec, TaskState,
};
use yardmaster_topologies::time::{Millis, WallMs};
use yardmaster_topologies::wire::{BadReason, Event, RefusedReason, WorkerFact};

use super::*;
use crate::kafka::{ClientReport, Delivered};

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().unwrap()
}

/// A task that waited 1 s, started 2 s later, ran 4 s, and ended 1 s after that.
fn ended(pool: &str) -> EndedTask {
    let retry = Retry {
        max_failures: 1,
        max_losses: 1,
        backoff: Millis(0),
        backoff_max: Millis(0),
        given: RetryGiven::default(),
    };
    let spec = TaskSpec {
        id: TaskId::trusted("t"),
        pool: Pool::trusted(pool),
        queue: QueueName::trusted("q"),
        job: None,
        priority: Priority(0),
        tags: [].into(),
        command: Vec::new(),
        env: [].into(),
        cwd: None,
        payload: None,
        payload_ref: None,
        run_timeout: None,
        queue_ttl: None,
        retry,
        reply_to: None,
    };
    let attempt = ClosedAttempt {
        attempt: Attempt(1),
        worker: WorkerName::trusted("w"),
        incarnation: Incarnation::trusted("i"),
        assigned_at: WallMs(1_000),
        started_at: Some(WallMs(3_000)),
        closed_at: WallMs(7_000),
        outcome: Outcome::Succeeded,
        reason: Reason::Completed,
        report: Report::default(),
    };
    EndedTask {
        spec: Arc::new(spec),
        state: TaskState::Completed,
        reason: Reason::Completed,
        note: None,
        generation: Generation(0),
        attempt: Attempt(1),
        failures: 0,
        losses: 0,
        submitted_at: WallMs(0),
        ended_at: WallMs(8_000),
        attempts: vec![attempt],
    }
}

fn publish(task: EndedTask) -> Effect {
    Effect::Publish { event: Event::Ended { task: Arc::new(task), closes_attempt: Some(Attempt(1)) } }
}

fn delivered() -> Delivered {
    Delivered { watched: [None; 2], records: 7, bytes: 70 }
}

#[test]
fn the_times_of_a_task_are_observed_at_its_end() {
    let metrics = Arc::new(Metrics::new());
    let mut recorder = Recorder::new(&metrics, 0);
    recorder.effects([publish(ended("a"))].iter(), 0);
    let laps = [("commit", Duration::from_millis(20))];
    recorder.batch(3, &delivered(), &laps, Duration::from_millis(50));
    let text = metrics.render(&Live::default());
    for (name, seconds) in [("dispatch", 1.0), ("start", 2.0), ("run", 4.0), ("task", 8.0)] {
        let sum = value(&text, &format!("yardmaster_{name}_seconds_sum{{pool=\"a\"}}"));
        assert!((sum - seconds).abs() < 1e-9, "{name}: {sum}");
    }
    let is =
        |series: &str, wanted: f64| assert!((value(&text, series) - wanted).abs() < 1e-9, "{series}\n{text}");
    is("yardmaster_tasks_ended_total{reason=\"completed\",state=\"COMPLETED\"}", 1.0);
    is("yardmaster_attempts_closed_total{outcome=\"SUCCEEDED\",reason=\"completed\"}", 1.0);
    is("yardmaster_commit_seconds_sum", 0.02);
    is("yardmaster_transaction_partitions_sum", 2.0);
    is("yardmaster_records_produced_total{partition=\"0\"}", 7.0);
}

#[test]
fn a_client_s_totals_are_added_also_after_it_was_made_anew() {
    let metrics = Metrics::new();
    let report = |bytes| ClientReport { sent_bytes: bytes, brokers_up: 1, ..ClientReport::default() };
    let first = metrics.inputs_listener(0);
    first(&report(10));
    first(&report(15));
    metrics.inputs_listener(0)(&report(4));
    let text = metrics.render(&Live::default());
    let sent = value(&text, "yardmaster_kafka_bytes_total{client=\"inputs\",direction=\"sent\"}");
    assert!((sent - 19.0).abs() < 1e-9, "{sent}");
}

#[test]
fn a_partition_that_has_left_has_no_series() {
    let metrics = Arc::new(Metrics::new());
    for partition in [3, 4] {
        metrics.restoring(partition, 9).end(7);
        metrics.refilling(partition).set(1.0);
        metrics.recovered(partition, "session");
        metrics.inputs_listener(partition)(&ClientReport {
            rtt: Some(Duration::ZERO),
            ..ClientReport::default()
        });
        let mut recorder = Recorder::new(&metrics, partition);
        recorder.batch(1, &delivered(), &[("take", Duration::ZERO)], Duration::ZERO);
        recorder.lag(0, Some(3), 1);
        recorder.age(1, Duration::ZERO);
    }
    metrics.forget(3);
    let text = metrics.render(&Live::default());
    assert!(!text.contains("partition=\"3\"") && text.contains("partition=\"4\""), "{text}");
}

#[test]
fn each_scrape_has_its_own_numbers() {
    let metrics = Metrics::new();
    let live = |pool: &str| {
        let mut live = Live::default();
        let mut tasks = Counts::default();
        tasks.shift(None, Some(TaskState::Queued));
        live.add_pool(pool.to_owned(), PoolFigures { tasks, ..PoolFigures::default() });
        live
    };
    let (one, other) = (metrics.render(&live("a")), metrics.render(&live("b")));
    assert!(one.contains("yardmaster_tasks{pool=\"a\",state=\"QUEUED\"} 1"), "{one}");
    assert!(!other.contains("pool=\"a\""), "{other}");
}

/// Everything that can be counted at all, in 8 partitions, with as many names as anybody likes to send.
#[test]
fn a_flood_of_names_stays_below_two_thousand_series() {
    let metrics = Arc::new(Metrics::new());
    for partition in 0..8 {
        flood(&metrics, partition);
    }
    let requests = metrics.requests();
    for route in 0..25 {
        for (method, code) in [("GET", 200), ("GET", 404), ("POST", 202), ("POST", 400), ("made-up", 405)] {
            requests.answered(method, Some(&format!("/v1/route-{route}")), code, Duration::ZERO);
        }
    }
    (0..9_000).for_each(|n| requests.answered(&format!("M{n}"), None, 404, Duration::ZERO));
    let text = metrics.render(&flooded());
    let series = series(&text);
    assert!(series < 2_000, "{series} series\n{text}");
    assert!(value(&text, "yardmaster_metrics_series") > 1_000.0, "the flood has come in: {series}");
    let others = value(&text, &format!("yardmaster_task_seconds_count{{pool=\"{OVERFLOW}\"}}"));
    assert!((others - 8.0 * 2_000.0 + 5.0).abs() < 1e-9, "{others}");
}

fn flood(metrics: &Arc<Metrics>, partition: i32) {
    let mut recorder = Recorder::new(metrics, partition);
    let pools = (0..2_000).map(|n| publish(ended(&format!("p-{partition}-{n}"))));
    let mut effects: Vec<Effect> = pools.collect();
    let fact = |reason| WorkerFact {
        pool: Pool::trusted("p"),
        worker: WorkerName::trusted("w"),
        incarnation: Incarnation::trusted("i"),
        reason,
        at: WallMs(0),
    };
    for reason in [None, Some(Reason::LeaseExpired), Some(Reason::ChannelLost), Some(Reason::Goodbye)] {
        effects.push(Effect::Publish { event: Event::WorkerLost(fact(reason)) });
        effects.push(Effect::Publish { event: Event::WorkerLeft(fact(reason)) });
    }
    let refused = |reason: &RefusedReason| Event::Refused {
        pool: Pool::trusted("p"),
        request_id: None,
        id: None,
        job: None,
        worker: None,
        action: "submit".to_owned(),
        reason: *reason,
        field: None,
        detail: String::new(),
        at: WallMs(0),
    };
    effects.extend(RefusedReason::ALL.iter().map(|reason| Effect::Publish { event: refused(reason) }));
    let words =
        ["read_seq", "wrong_worker", "unknown", "reported", "stale_attempt", "hello", "submit", "cancel"];
    for what in [Counted::Fenced, Counted::Duplicate, Counted::Illegal, Counted::Repeated] {
        effects.extend(words.map(|reason| Effect::Count { what, reason }));
    }
    recorder.effects(effects.iter(), 1);
    BadReason::ALL.iter().for_each(|reason| recorder.dead_letter(*reason));
    let laps = PHASES.map(|phase| (phase, Duration::ZERO));
    recorder.batch(1, &delivered(), &laps, Duration::ZERO);
    for input in 0..2 {
        recorder.lag(input, Some(1), 0);
        recorder.age(input, Duration::ZERO);
    }
    metrics.restoring(partition, 0).end(0);
    metrics.refilling(partition).set(0.0);
    ["session", "store"].into_iter().for_each(|what| metrics.recovered(partition, what));
    let report = ClientReport { rtt: Some(Duration::ZERO), ..ClientReport::default() };
    metrics.inputs_listener(partition)(&report);
    metrics.transactions_listener(partition)(&report);
}

fn flooded() -> Live {
    let mut live = Live::default();
    for n in 0..5_000 {
        let workers = ["ACTIVE", "DRAINING", "GONE", "JOINING", "LOST", "SUSPECT"].map(|state| (state, 1));
        live.add_pool(format!("p-{n}"), PoolFigures { workers: workers.into(), ..PoolFigures::default() });
        let queue = QueueFigures { oldest_seconds: Some(1.0), ..QueueFigures::default() };
        live.add_queue(format!("p-{n}"), "q".to_owned(), queue);
    }
    let store =
        |partition| StoreFigures { partition, disk: Some(DiskFigures::default()), ..StoreFigures::default() };
    live.stores = (0..8).map(store).collect();
    live.standbys =
        (0..8).map(|partition| StandbyFigures { partition, ..StandbyFigures::default() }).collect();
    live
}
