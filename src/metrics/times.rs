//! How long tasks wait and run, by pool: the first few pools that have an ended task get their own series.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::HistogramVec;
use prometheus::local::LocalHistogram;
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::task::EndedTask;
use yardmaster_topologies::time::WallMs;

use super::bounded::OVERFLOW;
use super::names;
use super::vecs::{TASK_TIMES, Vecs};

/// Pools that have histograms of their own.
const POOLS_MAX: usize = 5;

/// The histograms of the process, and which pools have a name in them.
pub(super) struct Times {
    vecs: [HistogramVec; 4],
    named: Mutex<BTreeSet<Pool>>,
}

/// What one processor observes: kept apart until it is flushed, so that an observation costs next to nothing.
#[derive(Default)]
pub(super) struct LocalTimes {
    pools: Vec<(Pool, PoolTimes)>,
    others: Option<PoolTimes>,
}

/// Submit to assign, assign to start, run, all of it.
struct PoolTimes([LocalHistogram; 4]);

impl Times {
    /// Nothing observed yet.
    pub(super) fn new(vecs: &Vecs) -> Self {
        let all = [names::DISPATCH_SECONDS, names::START_SECONDS, names::RUN_SECONDS, names::TASK_SECONDS];
        Self { vecs: all.map(|metric| vecs.histogram(&metric, &TASK_TIMES)), named: Mutex::default() }
    }

    fn is_named(&self, pool: &Pool) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < POOLS_MAX {
            named.insert(pool.clone());
        }
        named.contains(pool)
    }

    fn local(&self, label: &str) -> PoolTimes {
        PoolTimes(self.vecs.each_ref().map(|vec| vec.with_label_values(&[label]).local()))
    }
}

impl LocalTimes {
    /// Observes all times of a task that has ended.
    pub(super) fn observe(&mut self, times: &Times, task: &EndedTask) {
        self.of(times, &task.spec.pool).observe(task);
    }

    /// Makes visible what was observed.
    pub(super) fn flush(&self) {
        let own = self.pools.iter().map(|(_, times)| times);
        own.chain(&self.others).flat_map(|times| &times.0).for_each(LocalHistogram::flush);
    }

    fn of(&mut self, times: &Times, pool: &Pool) -> &PoolTimes {
        let mut at = self.pools.iter().position(|(known, _)| known == pool);
        if at.is_none() && self.pools.len() < POOLS_MAX && times.is_named(pool) {
            at = Some(self.pools.len());
            self.pools.push((pool.clone(), times.local(pool.as_str())));
        }
        match at.and_then(|at| self.pools.get(at)) {
            Some((_, times)) => times,
            None => self.others.get_or_insert_with(|| times.local(OVERFLOW)),
        }
    }
}

impl PoolTimes {
    fn observe(&self, task: &EndedTask) {
        let Self([dispatch, start, run, whole]) = self;
        if let Some(first) = task.attempts.first().filter(|first| first.attempt.0 == 1) {
            dispatch.observe(seconds(task.submitted_at, first.assigned_at));
        }
        for attempt in &task.attempts {
            if let Some(started_at) = attempt.started_at {
                start.observe(seconds(attempt.assigned_at, started_at));
                run.observe(seconds(started_at, attempt.closed_at));
            }
        }
        whole.observe(seconds(task.submitted_at, task.ended_at));
    }
}

fn seconds(from: WallMs, to: WallMs) -> f64 {
    Duration::from_millis(to.0.saturating_sub(from.0)).as_secs_f64()
}
