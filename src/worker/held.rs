//! The attempts that a worker has, from the assignment to the acknowledged report, and the highest ones it has seen.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use yardmaster_topologies::event::AttemptRef;
use yardmaster_topologies::id::{Attempt, TaskId, Token};

use super::control::{Control, Stop, StopReason};
use super::handler::{Assignment, Finish};

/// Tasks whose highest attempt is remembered after they ended here.
const SEEN_MAX: usize = 100_000;
/// For so long: a duplicate comes sooner, and later the task's id may be used again, from attempt 1 on.
const SEEN_TIME: Duration = Duration::from_secs(600);

/// Names an attempt.
pub(crate) type Key = (TaskId, Attempt);

/// Where an attempt stands on this worker.
#[derive(Debug)]
pub(crate) enum Stage {
    /// There is no free slot yet.
    Waiting(Box<Assignment>),
    /// A handler has it.
    Running {
        control: Control,
        /// The end of its run timeout.
        stop_at: Option<Instant>,
        /// When it is to be said that it runs, unless something else says so before.
        tell_at: Option<Instant>,
    },
    /// It is over and can't be reported before the next welcome.
    Ended(Box<Finish>),
    /// It is over and reported; the broker has not acknowledged that.
    Reported(Box<Finish>),
    /// It is not ours any more, but the handler has not returned: it takes a slot and is not spoken of.
    Abandoned,
}

/// An attempt and the token to speak of it with.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) stage: Stage,
}

/// All attempts of one registration.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) attempts: BTreeMap<Key, Held>,
    seen: BTreeMap<TaskId, Attempt>,
    /// Attempts that have ended since the last look at the clock, and when the earlier ones did.
    just_ended: Vec<Key>,
    ended: VecDeque<(Instant, Key)>,
}

impl Holdings {
    /// Whether an attempt is new; from now on it and all before it are not.
    pub(crate) fn is_new(&mut self, task: &TaskId, attempt: Attempt) -> bool {
        match self.seen.get_mut(task) {
            Some(highest) if *highest >= attempt => return false,
            Some(highest) => *highest = attempt,
            None => {
                self.seen.insert(task.clone(), attempt);
            }
        }
        true
    }

    /// Lets go of an attempt.
    pub(crate) fn remove(&mut self, key: &Key) {
        if self.attempts.remove(key).is_some() {
            self.just_ended.push(key.clone());
        }
    }

    /// Forgets what ended long ago.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.ended.extend(self.just_ended.drain(..).map(|key| (now, key)));
        while let Some((ended_at, _)) = self.ended.front()
            && (self.ended.len() > SEEN_MAX || now.duration_since(*ended_at) >= SEEN_TIME)
        {
            // A higher attempt has an end of its own.
            if let Some((_, (task, attempt))) = self.ended.pop_front()
                && self.seen.get(&task) == Some(&attempt)
            {
                self.seen.remove(&task);
            }
        }
    }

    /// How many handlers are at work.
    pub(crate) fn busy(&self) -> usize {
        self.count(|stage| matches!(stage, Stage::Running { .. } | Stage::Abandoned))
    }

    /// Whether the server is still to hear of anything.
    pub(crate) fn is_any_listed(&self) -> bool {
        self.attempts.values().any(|held| is_listed(&held))
    }

    /// Nobody has to be told any more that these run.
    pub(crate) fn told_all(&mut self) {
        for held in self.attempts.values_mut() {
            if let Stage::Running { tell_at, .. } = &mut held.stage {
                *tell_at = None;
            }
        }
    }

    /// When something is to be stopped next, or told where that can be.
    pub(crate) fn next_due(&self, can_tell: bool) -> Option<Instant> {
        let times = |held: &Held| match held.stage {
            Stage::Running { stop_at, tell_at, .. } => [stop_at, tell_at.filter(|_| can_tell)],
            Stage::Waiting(_) | Stage::Ended(_) | Stage::Reported(_) | Stage::Abandoned => [None, None],
        };
        self.attempts.values().flat_map(times).flatten().min()
    }

    /// Every attempt whose end the server may not know.
    pub(crate) fn list(&self) -> Vec<AttemptRef> {
        let name = |((task, attempt), held): (&Key, &Held)| AttemptRef {
            task: task.clone(),
            attempt: *attempt,
            token: held.token.clone(),
        };
        self.attempts.iter().filter(|(_, held)| is_listed(held)).map(name).collect()
    }

    /// Gives up everything: programs are stopped, nothing will be reported.
    pub(crate) fn abandon_all(&mut self, grace: Duration) {
        let keys: Vec<Key> = self.attempts.keys().cloned().collect();
        for key in keys {
            self.abandon(&key, grace);
        }
    }

    /// Gives up one attempt.
    pub(crate) fn abandon(&mut self, key: &Key, grace: Duration) {
        let Some(held) = self.attempts.get_mut(key) else {
            return;
        };
        match &held.stage {
            Stage::Running { control, .. } => {
                control.stop(Stop { reason: StopReason::Abandoned, grace });
                held.stage = Stage::Abandoned;
            }
            Stage::Abandoned => {}
            Stage::Waiting(_) | Stage::Ended(_) | Stage::Reported(_) => self.remove(key),
        }
    }

    /// The first attempt that waits for a slot.
    pub(crate) fn next_waiting(&self) -> Option<Key> {
        let is_waiting = |held: &Held| matches!(held.stage, Stage::Waiting(_));
        self.attempts.iter().find(|(_, held)| is_waiting(held)).map(|(key, _)| key.clone())
    }

    fn count(&self, is_counted: impl Fn(&Stage) -> bool) -> usize {
        self.attempts.values().filter(|held| is_counted(&held.stage)).count()
    }
}

fn is_listed(held: &&Held) -> bool {
    !matches!(held.stage, Stage::Abandoned)
}
