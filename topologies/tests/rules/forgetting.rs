//! What is forgotten, and what must stay until then.

use yardmaster_topologies::driver::BatchInput;
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::id::{QueueName, TaskId};
use yardmaster_topologies::job::{CounterKey, CounterRow, Dimension};
use yardmaster_topologies::tables::{CounterTable, HistoryKey, HistoryTable, TaskTable};
use yardmaster_topologies::task::{TaskRow, TaskState};
use yardmaster_topologies::wire::Event;

use crate::rig::{Rig, settings};
use crate::script;

fn counter(rig: &Rig, dimension: Dimension) -> Option<CounterRow> {
    rig.row::<CounterTable>(&CounterKey { pool: script::pool(), dimension })
}

fn queue(name: &str) -> Dimension {
    Dimension::Queue(QueueName::trusted(name))
}

fn is_refused(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Publish { event: Event::Refused { .. } }))
}

#[test]
fn queues_and_tags_without_live_tasks_make_room() {
    let mut limited = settings();
    limited.limits.queues_max = 1;
    let kept = limited.job_kept.0;
    let mut rig = Rig::new(limited);
    rig.batch(script::batch(&rig, &["submit a queue=x tag.t=1"]));
    rig.pass(kept);
    assert!(is_refused(&rig.batch(script::batch(&rig, &["submit b queue=y"]))), "a waits in x");
    rig.batch(script::batch(&rig, &["cancel a"]));
    rig.pass(kept - 1);
    assert!(is_refused(&rig.batch(script::batch(&rig, &["submit b queue=y"]))), "x is still shown");
    // A task makes it stay, and its end begins the time again.
    rig.batch(script::batch(&rig, &["submit c queue=x", "cancel c"]));
    rig.pass(kept - 1);
    rig.batch(BatchInput::default());
    let row = counter(&rig, queue("x")).unwrap();
    assert_eq!(row.counts.of(TaskState::Cancelled), 2, "what is shown is exact");
    assert_eq!(counter(&rig, Dimension::Tag("t".into(), "1".into())), None, "the tag was a's alone");
    rig.pass(1);
    rig.batch(BatchInput::default());
    assert_eq!(counter(&rig, queue("x")), None);
    assert!(!is_refused(&rig.batch(script::batch(&rig, &["submit b queue=y"]))));
    let pool = counter(&rig, Dimension::Pool).unwrap();
    assert_eq!((pool.counts.of(TaskState::Cancelled), pool.counts.total()), (2, 3), "the pool remembers");
}

/// A requeue takes its task out of the counts, so they must be there for as long as it can come.
#[test]
fn counts_outlive_the_ids_that_they_count() {
    let mut short = settings();
    short.job_kept.0 = 10;
    let mut rig = Rig::new(short);
    rig.batch(script::batch(&rig, &["submit a queue=x job=j", "cancel a"]));
    rig.pass(settings().dedup.0 - 1);
    rig.batch(script::batch(&rig, &["submit b queue=x job=j", "cancel b"]));
    rig.batch(script::batch(&rig, &["requeue a queue=x job=j"]));
    let row = counter(&rig, queue("x")).unwrap();
    assert_eq!((row.counts.of(TaskState::Queued), row.counts.of(TaskState::Cancelled)), (1, 1));
}

#[test]
fn each_end_of_a_task_has_its_record_in_the_same_hour() {
    let mut rig = Rig::new(settings());
    rig.batch(script::batch(&rig, &["submit a", "cancel a first", "requeue a", "cancel a second"]));
    let (pool, id) = (script::pool(), TaskId::trusted("a"));
    let Some(TaskRow::Done(marker)) = rig.row::<TaskTable>(&(pool.clone(), id.clone())) else {
        panic!("it has ended");
    };
    let notes: Vec<_> = (0..2)
        .map(|generation| {
            let generation = yardmaster_topologies::id::Generation(generation);
            let key = HistoryKey::of((&pool, &id), generation, marker.state, marker.at);
            rig.row::<HistoryTable>(&key).and_then(|task| task.note).unwrap_or_default()
        })
        .collect();
    assert_eq!(notes, ["first", "second"]);
}

#[test]
fn an_id_that_comes_again_after_the_window_has_other_tokens() {
    let mut rig = Rig::new(settings());
    rig.batch(script::batch(&rig, &["hello w1.i1 slots=1"]));
    rig.batch(script::batch(&rig, &["channel_ready w1"]));
    rig.batch(script::batch(&rig, &["submit a"]));
    let key = (script::pool(), TaskId::trusted("a"), yardmaster_topologies::id::Attempt(1));
    let first = rig.tokens.get(&key).cloned();
    rig.batch(script::batch(&rig, &["completed w1.i1 a/1"]));
    let window = settings().dedup.0;
    for _ in 0..=window / 5_000 {
        rig.pass(5_000);
        rig.batch(script::batch(&rig, &["heartbeat w1.i1 read=last"]));
    }
    // The same worker, generation and attempt.
    rig.batch(script::batch(&rig, &["submit a"]));
    let second = rig.tokens.get(&key).cloned();
    assert!(first.is_some() && second.is_some() && first != second, "{first:?} {second:?}");
}
