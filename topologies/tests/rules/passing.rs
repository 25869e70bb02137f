//! The model goes on: what time does, and who may be given what.

use crate::model::{End, Model, Phase, Place, Task};
use crate::rig::settings;

impl Model {
    pub(crate) fn drain(&mut self, worker: u8, is_ordered: bool) {
        let Some(known) = self.workers.get_mut(&worker).filter(|known| known.is_ordered != is_ordered) else {
            return;
        };
        known.is_ordered = is_ordered;
        known.place = match known.place {
            Place::Active if is_ordered => Place::Draining,
            Place::Draining if !is_ordered && !known.is_willing => Place::Active,
            Place::Joining | Place::Active | Place::Draining | Place::Away => known.place,
        };
    }

    /// What time does.
    pub(crate) fn tick(&mut self) {
        let here = self.workers.iter().filter(|(_, known)| known.place != Place::Away);
        let mut silent: Vec<_> = here.map(|(worker, known)| (known.lease_until, *worker)).collect();
        silent.retain(|(until, _)| *until <= self.now);
        silent.sort_unstable();
        for (_, worker) in silent {
            self.leave(worker, true);
        }
        for known in
            self.workers.values_mut().filter(|known| known.suspect_at.is_some_and(|at| at <= self.now))
        {
            (known.suspect_at, known.is_suspect) = (None, true);
        }
        let mut due = Vec::new();
        for (id, task) in &self.tasks {
            due.extend(self.live_timer(task).map(|at| (at, 0, *id)));
            let waits = matches!(task.phase, Phase::Waiting | Phase::Backoff);
            due.extend(task.ttl.filter(|_| waits).map(|at| (at, 1, *id)));
        }
        due.retain(|(at, _, _)| *at <= self.now);
        due.sort_unstable();
        for (at, kind, id) in due {
            self.fire(at, kind == 1, id);
        }
        let jobs = self.cancelled.clone();
        let is_over = |task: &Task| task.wish.job.is_some_and(|job| jobs.contains(&job));
        let over: Vec<u8> = self.tasks.iter().filter(|(_, task)| is_over(task)).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.cancel(id));
    }

    fn live_timer(&self, task: &Task) -> Option<u64> {
        task.timer.filter(|_| !matches!(task.phase, Phase::Over(_) | Phase::Waiting))
    }

    fn fire(&mut self, at: u64, is_ttl: bool, id: u8) {
        let back = self.back + 1;
        let task = self.tasks.get_mut(&id).unwrap();
        let still = if is_ttl { task.ttl } else { task.timer };
        match task.phase {
            _ if still != Some(at) => {}
            Phase::Waiting | Phase::Backoff if is_ttl => task.phase = Phase::Over("EXPIRED"),
            Phase::Backoff => {
                (task.phase, task.timer) = (Phase::Waiting, None);
                task.place = back;
                self.back = back;
            }
            Phase::Given | Phase::Going => self.close(id, End::Failed { retryable: true }),
            Phase::Stopping => self.close(id, End::Stopped),
            Phase::Waiting | Phase::Over(_) => {}
        }
    }

    fn free(&self, worker: u8) -> u32 {
        let known = &self.workers[&worker];
        let held = u32::try_from(self.held(worker).len()).unwrap();
        let may = known.place == Place::Active && known.has_channel && !known.is_full && !known.is_suspect;
        if may { known.slots.saturating_sub(held) } else { 0 }
    }

    fn next(&self) -> Option<u8> {
        let waiting = self.tasks.iter().filter(|(_, task)| task.phase == Phase::Waiting);
        waiting.min_by_key(|(_, task)| (-task.wish.priority, task.place)).map(|(id, _)| *id)
    }

    fn most_free(&self) -> u32 {
        self.workers.keys().map(|worker| self.free(*worker)).max().unwrap_or_default()
    }

    /// The program gave a task to a worker: it must be the next one, and nobody had more free slots.
    pub(crate) fn give(&mut self, id: u8, attempt: u32, worker: u8) {
        assert_eq!(self.next(), Some(id), "the next task is given out");
        let free = self.free(worker);
        assert!(free > 0 && free == self.most_free(), "w{worker} has {free} free slots");
        self.given += 1;
        let (now, given) = (self.now, self.given);
        let task = self.tasks.get_mut(&id).unwrap();
        task.attempt += 1;
        assert_eq!(task.attempt, attempt, "attempts are counted");
        (task.phase, task.holder, task.given) = (Phase::Given, Some(worker), given);
        task.timer = task.wish.run_timeout.map(|limit| now + limit + 2 * settings().grace.0);
    }

    /// Nothing that could be given out was left.
    pub(crate) fn check_all_given(&self) {
        assert!(self.next().is_none() || self.most_free() == 0, "a task waits and a slot is free");
    }
}
