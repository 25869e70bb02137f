//! What should happen, written down a second time: as plain as possible, with states of its own, and nothing of the
//! program's but the events that say who got which task.

use std::collections::{BTreeMap, BTreeSet};

use crate::rig::settings;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Waiting,
    Backoff,
    Given,
    Going,
    Stopping,
    Over(&'static str),
}

/// What was asked for, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) priority: i32,
    pub(crate) job: Option<u8>,
    pub(crate) is_tagged: bool,
    pub(crate) failures: u32,
    pub(crate) losses: u32,
    pub(crate) run_timeout: Option<u64>,
    pub(crate) ttl: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) wish: Wish,
    pub(crate) phase: Phase,
    pub(crate) place: i64,
    pub(crate) attempt: u32,
    pub(crate) generation: u32,
    pub(crate) failures: u32,
    pub(crate) losses: u32,
    pub(crate) holder: Option<u8>,
    /// When it was given out, in the order of its holder's channel.
    pub(crate) given: u64,
    pub(crate) timer: Option<u64>,
    pub(crate) ttl: Option<u64>,
    /// The request that made it run again.
    pub(crate) requeued_by: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Joining,
    Active,
    Draining,
    Away,
}

#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) life: u32,
    pub(crate) place: Place,
    /// An operator drained it.
    pub(crate) is_ordered: bool,
    /// It drains by its own word.
    pub(crate) is_willing: bool,
    /// It rejected something since its last heartbeat.
    pub(crate) is_full: bool,
    pub(crate) is_suspect: bool,
    pub(crate) suspect_at: Option<u64>,
    pub(crate) slots: u32,
    pub(crate) has_channel: bool,
    pub(crate) lease_until: u64,
}

impl Worker {
    /// It was heard of, or welcomed: now its heartbeats are waited for.
    fn speaks(&mut self, now: u64) {
        (self.is_full, self.is_suspect) = (false, false);
        self.suspect_at = Some(now + 3 * settings().heartbeat.0);
    }
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed { retryable: bool },
    Rejected,
    Stopped,
    Lost { is_counted: bool },
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) tasks: BTreeMap<u8, Task>,
    pub(crate) workers: BTreeMap<u8, Worker>,
    jobs: BTreeSet<u8>,
    pub(crate) cancelled: BTreeSet<u8>,
    pub(crate) back: i64,
    pub(crate) front: i64,
    pub(crate) given: u64,
}

impl Model {
    fn is_cancelled(&self, job: Option<u8>) -> bool {
        job.is_some_and(|job| self.cancelled.contains(&job))
    }

    fn begin(&mut self, id: u8, wish: Wish, attempt: u32, generation: u32, requeued_by: Option<u8>) {
        self.back += 1;
        self.jobs.extend(wish.job);
        let phase = if self.is_cancelled(wish.job) { Phase::Over("CANCELLED") } else { Phase::Waiting };
        let ttl = wish.ttl.map(|ttl| self.now + ttl);
        let task = Task {
            wish,
            phase,
            place: self.back,
            attempt,
            generation,
            failures: 0,
            losses: 0,
            holder: None,
            given: 0,
            timer: None,
            ttl,
            requeued_by,
        };
        self.tasks.insert(id, task);
    }

    pub(crate) fn submit(&mut self, id: u8, wish: Wish) {
        if !self.tasks.contains_key(&id) {
            self.begin(id, wish, 0, 0, None);
        }
    }

    pub(crate) fn requeue(&mut self, id: u8, wish: Wish, request: u8) {
        let Some(task) = self.tasks.get(&id) else { return };
        let is_repeated = task.requeued_by == Some(request);
        let is_same = task.wish.job == wish.job && task.wish.is_tagged == wish.is_tagged;
        if !is_repeated && is_same && matches!(task.phase, Phase::Over(_)) && !self.is_cancelled(wish.job) {
            let (attempt, generation) = (task.attempt, task.generation + 1);
            self.begin(id, wish, attempt, generation, Some(request));
        }
    }

    pub(crate) fn cancel(&mut self, id: u8) {
        let stop_by = self.now + 2 * settings().grace.0;
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        match task.phase {
            Phase::Waiting | Phase::Backoff => task.phase = Phase::Over("CANCELLED"),
            Phase::Given | Phase::Going => {
                task.phase = Phase::Stopping;
                task.timer = Some(stop_by);
            }
            Phase::Stopping | Phase::Over(_) => {}
        }
    }

    pub(crate) fn cancel_job(&mut self, job: u8) {
        if self.jobs.contains(&job) {
            self.cancelled.insert(job);
        }
    }

    /// The attempts of a worker, first given out first.
    pub(crate) fn held(&self, worker: u8) -> Vec<(u8, u32)> {
        let mut held: Vec<_> = self.tasks.iter().filter(|(_, task)| task.holder == Some(worker)).collect();
        // Those that were taken over by a later life come first, the last name before.
        held.sort_by_key(|(id, task)| (task.given, std::cmp::Reverse(**id)));
        held.into_iter().map(|(id, task)| (*id, task.attempt)).collect()
    }

    fn lose(&mut self, attempts: &[(u8, u32)], is_counted: bool) {
        for (id, _) in attempts.iter().rev() {
            self.close(*id, End::Lost { is_counted });
        }
    }

    /// Closes the open attempt of a task.
    pub(crate) fn close(&mut self, id: u8, end: End) {
        let front = self.front - 1;
        let is_job_over = self.is_cancelled(self.tasks[&id].wish.job);
        let task = self.tasks.get_mut(&id).unwrap();
        let is_stopping = task.phase == Phase::Stopping;
        (task.holder, task.timer) = (None, None);
        match end {
            End::Failed { .. } => {
                task.failures += 1;
                task.ttl = None;
            }
            End::Lost { is_counted: true } => task.losses += 1,
            End::Stopped if !is_stopping => task.losses += 1,
            End::Completed | End::Rejected | End::Stopped | End::Lost { is_counted: false } => {}
        }
        task.phase = match end {
            End::Completed => Phase::Over("COMPLETED"),
            _ if is_stopping || is_job_over => Phase::Over("CANCELLED"),
            End::Failed { retryable } if !retryable || task.failures >= task.wish.failures => {
                Phase::Over("FAILED")
            }
            End::Failed { .. } => Phase::Backoff,
            End::Lost { .. } | End::Stopped if task.losses >= task.wish.losses => Phase::Over("FAILED"),
            End::Lost { .. } | End::Stopped | End::Rejected => {
                task.place = front;
                self.front = front;
                Phase::Waiting
            }
        };
    }

    /// Whether this is the open attempt of that life of that worker.
    pub(crate) fn is_open(&self, worker: u8, life: u32, id: u8, attempt: u32) -> bool {
        self.workers.get(&worker).is_some_and(|known| known.life == life)
            && self.tasks.get(&id).is_some_and(|task| task.holder == Some(worker) && task.attempt == attempt)
    }

    pub(crate) fn start(&mut self, id: u8) {
        let now = self.now;
        let task = self.tasks.get_mut(&id).unwrap();
        if task.phase == Phase::Given {
            task.phase = Phase::Going;
            task.ttl = None;
            task.timer = task.wish.run_timeout.map(|limit| now + limit + 2 * settings().grace.0);
        }
    }

    pub(crate) fn hello(&mut self, worker: u8, life: u32, slots: u32, listed: &[(u8, u32)]) {
        let before = self.workers.get(&worker).cloned();
        let lease_until = self.now + settings().lease.0;
        if before.as_ref().is_some_and(|known| known.life == life && known.place != Place::Away) {
            let known = self.workers.get_mut(&worker).unwrap();
            if known.place == Place::Joining {
                known.lease_until = lease_until;
            }
            return;
        }
        let (kept, lost): (Vec<_>, Vec<_>) =
            self.held(worker).into_iter().partition(|held| listed.contains(held));
        self.lose(&lost, true);
        for (id, _) in kept {
            self.tasks.get_mut(&id).unwrap().given = 0;
        }
        let row = Worker {
            life,
            place: Place::Joining,
            is_ordered: before.as_ref().is_some_and(|known| known.is_ordered),
            is_willing: false,
            is_full: false,
            is_suspect: false,
            suspect_at: None,
            slots,
            has_channel: before.is_some_and(|known| known.has_channel),
            lease_until,
        };
        self.workers.insert(worker, row);
        self.welcome(worker);
    }

    fn welcome(&mut self, worker: u8) {
        let now = self.now;
        let Some(known) = self.workers.get_mut(&worker) else {
            return;
        };
        if known.has_channel && known.place == Place::Joining {
            known.place = if known.is_ordered || known.is_willing { Place::Draining } else { Place::Active };
            known.speaks(now);
        }
    }

    pub(crate) fn channel(&mut self, worker: u8, is_there: bool) {
        let Some(known) = self.workers.get_mut(&worker).filter(|known| known.has_channel != is_there) else {
            return;
        };
        known.has_channel = is_there;
        if is_there {
            self.welcome(worker);
        } else {
            if known.place != Place::Away {
                known.place = Place::Joining;
            }
            self.lose(&self.held(worker), true);
        }
    }

    pub(crate) fn heartbeat(&mut self, worker: u8, life: u32, draining: bool, listed: &[(u8, u32)]) {
        let lease_until = self.now + settings().lease.0;
        let known = self.workers.entry(worker).or_insert(Worker {
            life,
            place: Place::Away,
            is_ordered: false,
            is_willing: false,
            is_full: false,
            is_suspect: false,
            suspect_at: None,
            slots: 0,
            has_channel: false,
            lease_until: 0,
        });
        if known.life != life || known.place == Place::Away {
            return;
        }
        known.lease_until = lease_until;
        if known.place == Place::Joining {
            known.suspect_at = None;
            return;
        }
        known.is_willing = draining;
        known.place = if draining || known.is_ordered { Place::Draining } else { Place::Active };
        known.speaks(self.now);
        let (seen, missed): (Vec<_>, Vec<_>) =
            self.held(worker).into_iter().partition(|held| listed.contains(held));
        seen.iter().for_each(|(id, _)| self.start(*id));
        self.lose(&missed, true);
    }

    pub(crate) fn goodbye(&mut self, worker: u8, life: u32) {
        let known = self.workers.get(&worker);
        if let Some(known) = known.filter(|known| known.life == life && known.place != Place::Away) {
            let is_counted = known.place != Place::Draining && !known.is_ordered && !known.is_willing;
            self.leave(worker, is_counted);
        }
    }

    pub(crate) fn leave(&mut self, worker: u8, is_counted: bool) {
        self.lose(&self.held(worker), is_counted);
        self.workers.get_mut(&worker).unwrap().place = Place::Away;
    }
}
