//! What the server's messages change.

use std::collections::BTreeMap;
use std::time::Instant;

use yardmaster_topologies::event::{AttemptRef, StatusKind};
use yardmaster_topologies::task::{Reason, Report};
use yardmaster_topologies::wire::{ToWorker, Work};

use super::{Leaving, Phase, Session, Terms};
use crate::worker::control::{Stop, StopReason};
use crate::worker::handler::Assignment;
use crate::worker::held::{Held, Key, Stage};
use crate::worker::lease::Lease;

impl Session {
    /// A message from the channel. What is for another incarnation, or comes before the welcome, is not for us.
    pub(crate) fn take(&mut self, message: ToWorker, now: Instant) {
        let to = message.to();
        if to.incarnation != self.incarnation
            || to.worker != self.registrant.worker
            || to.pool != self.registrant.pool
        {
            return;
        }
        let seq = to.seq;
        match (message, self.phase) {
            (ToWorker::Replaced { .. }, _) => {
                tracing::error!(pool = %self.registrant.pool, "another worker of this name is here: stopping");
                self.leaving = Leaving::Replaced;
                self.holdings.abandon_all(self.terms.grace);
            }
            (ToWorker::Rehello { .. }, Phase::Joined) => {
                tracing::info!(pool = %self.registrant.pool, "the server does not know this worker any more");
                match self.leaving {
                    Leaving::No | Leaving::Draining => self.phase = Phase::Apart,
                    // It has nothing to join for: what it holds is not its own any more.
                    Leaving::Stopping | Leaving::Replaced => self.holdings.abandon_all(self.terms.grace),
                }
            }
            (
                ToWorker::Welcome { heartbeat, lease, grace, result_bytes_max, adopt, .. },
                Phase::Joining { first_at, acknowledged_at, .. },
            ) => {
                self.terms = Terms {
                    heartbeat: heartbeat.as_duration(),
                    grace: grace.as_duration(),
                    result_bytes_max: usize::try_from(result_bytes_max).unwrap_or(usize::MAX),
                };
                let said_at = acknowledged_at.unwrap_or(first_at);
                self.lease = Some(Lease::new(said_at, lease.as_duration(), heartbeat.as_duration()));
                self.phase = Phase::Joined;
                // The server is to know at once that nothing new is wanted.
                let is_leaving = self.leaving != Leaving::No;
                self.next_beat = if is_leaving { now } else { now + self.terms.heartbeat };
                self.adopt(adopt);
                tracing::info!(pool = %self.registrant.pool, incarnation = %self.incarnation, "joined");
            }
            (ToWorker::Assign { attempt, work, .. }, Phase::Joined) => self.take_assignment(attempt, *work),
            (ToWorker::Cancel { attempt, grace, reason, .. }, Phase::Joined) => {
                let reason =
                    if reason == Reason::RunTimeout { StopReason::TimedOut } else { StopReason::Cancelled };
                self.cancel(&attempt, Stop { reason, grace: grace.as_duration() });
            }
            // The server remembers its own order, and keeps to it.
            (ToWorker::Drain { .. }, Phase::Joined) => {
                tracing::info!(pool = %self.registrant.pool, "drained: nothing new comes until it is undrained");
            }
            (ToWorker::Undrain { .. }, Phase::Joined) => {
                tracing::info!(pool = %self.registrant.pool, "not drained any more");
            }
            (
                ToWorker::Welcome { .. }
                | ToWorker::Rehello { .. }
                | ToWorker::Assign { .. }
                | ToWorker::Cancel { .. }
                | ToWorker::Drain { .. }
                | ToWorker::Undrain { .. },
                Phase::Apart | Phase::Joining { .. } | Phase::Joined,
            ) => {}
        }
        self.read_seq = self.read_seq.max(seq);
    }

    /// Goes on with what the server left to us, under the tokens that it gave; stops the rest.
    fn adopt(&mut self, adopt: Vec<AttemptRef>) {
        let mut tokens: BTreeMap<Key, _> =
            adopt.into_iter().map(|one| ((one.task, one.attempt), one.token)).collect();
        let keys: Vec<Key> = self.holdings.attempts.keys().cloned().collect();
        for key in keys {
            match (tokens.remove(&key), self.holdings.attempts.get_mut(&key)) {
                (Some(token), Some(held)) => held.token = token,
                (None, _) => self.holdings.abandon(&key, self.terms.grace),
                (Some(_), None) => {}
            }
            self.report_again(&key);
        }
    }

    fn take_assignment(&mut self, attempt: AttemptRef, work: Work) {
        let AttemptRef { task, attempt, token } = attempt;
        if !self.holdings.is_new(&task, attempt) {
            return;
        }
        // A higher attempt of a task that still runs here: the old one is not ours any more.
        let old: Vec<Key> =
            self.holdings.attempts.keys().filter(|(other, _)| *other == task).cloned().collect();
        for key in old {
            self.holdings.abandon(&key, std::time::Duration::ZERO);
        }
        let key = (task.clone(), attempt);
        let assignment = Assignment {
            pool: self.registrant.pool.clone(),
            worker: self.registrant.worker.clone(),
            task,
            attempt,
            token: token.clone(),
            job: work.job,
            command: work.command,
            env: work.env,
            cwd: work.cwd,
            payload: work.payload,
            payload_ref: work.payload_ref,
            tags: work.tags,
            run_timeout: work.run_timeout.map(|limit| limit.as_duration()),
            result_bytes_max: self.terms.result_bytes_max,
        };
        self.holdings
            .attempts
            .insert(key.clone(), Held { token, stage: Stage::Waiting(Box::new(assignment)) });
        if self.leaving != Leaving::No {
            self.reject(&key, "the worker is leaving");
        }
    }

    fn cancel(&mut self, attempt: &AttemptRef, stop: Stop) {
        let key = (attempt.task.clone(), attempt.attempt);
        let Some(held) = self.holdings.attempts.get_mut(&key) else {
            return;
        };
        match &held.stage {
            Stage::Running { control, .. } => control.stop(stop),
            Stage::Waiting(_) => {
                self.holdings.remove(&key);
                self.say(StatusKind::Cancelled { attempt: attempt.clone(), report: Report::default() });
            }
            // Its end is on the way.
            Stage::Ended(_) | Stage::Reported(_) | Stage::Abandoned => {}
        }
    }
}
