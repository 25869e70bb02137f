//! One registration as a state machine without IO: messages, ends of handlers and the time go in; what to say, to start
//! and to do comes out. The protocol is `docs/protocol.md`.

mod messages;
mod reports;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use yardmaster_topologies::event::{Status, StatusKind};
use yardmaster_topologies::id::{Incarnation, MessageSeq, Pool, WorkerName};

use super::control::Control;
use super::handler::Assignment;
use super::held::Holdings;
use super::lease::Lease;

/// A hello that no welcome answered is said again after this.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// An attempt that is over sooner is reported with its end alone.
const STARTED_DELAY: Duration = Duration::from_millis(50);
/// Between two notes of an attempt.
const NOTES_INTERVAL: Duration = Duration::from_millis(200);

/// What becomes of running programs when the worker's lease is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnServerLost {
    /// They are stopped: no two attempts of a task ever overlap.
    #[default]
    Stop,
    /// They go on, and are offered to the server when it is back: it may have given the tasks to others meanwhile.
    FinishRunning,
}

/// Who registers.
#[derive(Debug, Clone)]
pub(crate) struct Registrant {
    pub(crate) pool: Pool,
    pub(crate) worker: WorkerName,
    pub(crate) slots: u32,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) on_server_lost: OnServerLost,
}

/// What the welcome fixed.
#[derive(Debug, Clone, Copy)]
struct Terms {
    heartbeat: Duration,
    grace: Duration,
    result_bytes_max: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(2), grace: Duration::from_secs(5), result_bytes_max: 16 * 1024 }
    }
}

/// How far the joining is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The driver is to note the channel's end and call [`Session::join`].
    Apart,
    /// Hello was said.
    Joining { first_at: Instant, last_at: Instant, acknowledged_at: Option<Instant> },
    /// Messages count.
    Joined,
}

/// How a registration is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// It stays.
    No,
    /// Takes nothing new and goes when everything is reported.
    Draining,
    /// Stops everything and goes.
    Stopping,
    /// Another incarnation is here: stops everything and goes without a word.
    Replaced,
}

/// What the driver is to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful at a time, handed over at once")]
pub(crate) enum Action {
    /// Put it into the outbox.
    Say(Status),
    /// Forget what the outbox holds: it spoke for an earlier incarnation.
    ClearOutbox,
    /// Call the handler on a thread of its own.
    Start(Box<Assignment>, Control),
}

/// One registration: (pool, worker).
#[derive(Debug)]
pub(crate) struct Session {
    registrant: Registrant,
    incarnation: Incarnation,
    phase: Phase,
    terms: Terms,
    lease: Option<Lease>,
    read_seq: MessageSeq,
    next_beat: Instant,
    next_notes: Instant,
    is_beat_under_way: bool,
    leaving: Leaving,
    goodbye_said: bool,
    holdings: Holdings,
    actions: Vec<Action>,
}

impl Session {
    /// Not joined yet.
    pub(crate) fn new(registrant: Registrant, now: Instant) -> Self {
        Self {
            registrant,
            incarnation: Incarnation::trusted("none"),
            phase: Phase::Apart,
            terms: Terms::default(),
            lease: None,
            read_seq: MessageSeq(0),
            next_beat: now,
            next_notes: now,
            is_beat_under_way: false,
            leaving: Leaving::No,
            goodbye_said: false,
            holdings: Holdings::default(),
            actions: Vec::new(),
        }
    }

    /// Whether the driver is to note the channel's end and call `join`.
    pub(crate) fn wants_join(&self) -> bool {
        let has_reason = match self.leaving {
            Leaving::No => true,
            // Under a new incarnation what runs still, or could not be reported, may be the worker's own again.
            Leaving::Draining => self.holdings.is_any_listed(),
            Leaving::Stopping | Leaving::Replaced => false,
        };
        self.phase == Phase::Apart && has_reason
    }

    /// Says hello with an incarnation that was never used before. The channel's end was noted.
    pub(crate) fn join(&mut self, incarnation: Incarnation, now: Instant) {
        self.actions.push(Action::ClearOutbox);
        self.incarnation = incarnation;
        self.read_seq = MessageSeq(0);
        self.is_beat_under_way = false;
        self.phase = Phase::Joining { first_at: now, last_at: now, acknowledged_at: None };
        self.say_hello();
    }

    /// Takes nothing new, finishes what runs, then goes.
    pub(crate) fn drain(&mut self, now: Instant) {
        if self.leaving != Leaving::No {
            return;
        }
        self.leaving = Leaving::Draining;
        self.next_beat = now;
        while let Some(key) = self.holdings.next_waiting() {
            self.reject(&key, "the worker is leaving");
        }
    }

    /// Stops everything, then goes. What was running is given to others.
    pub(crate) fn stop(&mut self) {
        if matches!(self.leaving, Leaving::No | Leaving::Draining) {
            self.leaving = Leaving::Stopping;
            self.holdings.abandon_all(self.terms.grace);
        }
    }

    /// Whether it was said that a newer incarnation is here.
    pub(crate) fn is_replaced(&self) -> bool {
        self.leaving == Leaving::Replaced
    }

    /// Whether nothing is left to do but to wait for the outbox.
    pub(crate) fn is_over(&self) -> bool {
        self.leaving != Leaving::No
            && self.holdings.attempts.is_empty()
            && (self.goodbye_said || self.is_replaced() || self.phase == Phase::Apart)
    }

    /// Whether it is leaving and only words are left: the driver waits for a broker that takes them, but not for ever.
    /// While the lease lasts an end that is not reported yet can still count.
    pub(crate) fn are_words_left_only(&self) -> bool {
        let are_words_late = self.holdings.attempts.is_empty() || self.lease.is_none();
        self.leaving != Leaving::No && self.holdings.busy() == 0 && are_words_late
    }

    /// Ends that the server has not got.
    pub(crate) fn unreported(&self) -> usize {
        self.holdings.attempts.len()
    }

    /// Whether the server has answered the hello.
    pub(crate) fn is_joined(&self) -> bool {
        self.phase == Phase::Joined
    }

    /// When the time alone brings something next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let is_joined = self.is_joined();
        let beat = (is_joined && !self.is_beat_under_way && !self.goodbye_said).then_some(self.next_beat);
        let notes = (is_joined && self.holdings.busy() > 0).then_some(self.next_notes);
        let lease = self.lease.map(|lease| lease.ends_at());
        [beat, notes, lease, self.holdings.next_due(is_joined)].into_iter().flatten().min()
    }

    /// Everything that the time alone brings.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.check_lease(now);
        self.check_timeouts(now);
        self.holdings.forget(now);
        self.greet_again(now);
        self.start_waiting(now);
        self.tell_notes(now);
        self.tell_started(now);
        if self.phase == Phase::Joined
            && now >= self.next_beat
            && !self.is_beat_under_way
            && !self.goodbye_said
        {
            self.beat(now);
        }
        self.say_goodbye();
    }

    /// A hello that nothing answers is repeated, and somebody is told.
    fn greet_again(&mut self, now: Instant) {
        let Phase::Joining { first_at, last_at, acknowledged_at } = self.phase else {
            return;
        };
        let may_join = match self.leaving {
            Leaving::No | Leaving::Draining => true,
            Leaving::Stopping | Leaving::Replaced => false,
        };
        if !may_join || now.duration_since(last_at) < WELCOME_TIMEOUT {
            return;
        }
        let pool = &self.registrant.pool;
        let waited_s = now.duration_since(first_at).as_secs();
        let cause = why_no_welcome(acknowledged_at.is_some());
        tracing::warn!(%pool, waited_s, "no welcome from a server yet, saying hello again: {cause}");
        self.phase = Phase::Joining { first_at, last_at: now, acknowledged_at };
        self.say_hello();
    }

    /// What is to be done, in order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When the lease is over nothing may go on (unless the user wants it), and only a new incarnation gets work.
    fn check_lease(&mut self, now: Instant) {
        if !self.lease.is_some_and(|lease| lease.is_over(now)) {
            return;
        }
        self.lease = None;
        tracing::warn!(pool = %self.registrant.pool, "no heartbeat was acknowledged in time: the lease is over");
        match self.registrant.on_server_lost {
            OnServerLost::Stop => self.holdings.abandon_all(self.terms.grace.min(self.terms.heartbeat)),
            OnServerLost::FinishRunning => {}
        }
        if self.phase == Phase::Joined && matches!(self.leaving, Leaving::No | Leaving::Draining) {
            self.phase = Phase::Apart;
        }
    }

    fn beat(&mut self, now: Instant) {
        self.next_beat = now + self.terms.heartbeat;
        self.is_beat_under_way = true;
        let slots = self.registrant.slots;
        let busy = u32::try_from(self.holdings.busy()).unwrap_or(u32::MAX);
        // Whoever is listed is known to run.
        self.holdings.told_all();
        self.say(StatusKind::Heartbeat {
            read_seq: self.read_seq,
            free_slots: slots.saturating_sub(busy),
            // Its own word only: the server's order is the server's to remember.
            draining: self.leaving != Leaving::No,
            running: self.holdings.list(),
        });
    }

    fn say_hello(&mut self) {
        self.say(StatusKind::Hello {
            protocols: vec![1],
            slots: self.registrant.slots,
            labels: self.registrant.labels.clone(),
            running: self.holdings.list(),
        });
    }

    fn say_goodbye(&mut self) {
        let is_leaving = matches!(self.leaving, Leaving::Draining | Leaving::Stopping);
        if is_leaving && !self.goodbye_said && self.holdings.attempts.is_empty() && self.phase != Phase::Apart
        {
            self.goodbye_said = true;
            self.say(StatusKind::Goodbye);
        }
    }

    fn say(&mut self, kind: StatusKind) {
        self.actions.push(Action::Say(Status {
            pool: self.registrant.pool.clone(),
            worker: self.registrant.worker.clone(),
            incarnation: self.incarnation.clone(),
            kind,
        }));
    }
}

/// What to look at when a hello is not answered.
fn why_no_welcome(is_acknowledged: bool) -> &'static str {
    if is_acknowledged {
        "Kafka has it, so look whether a server runs on this namespace, owns the pool's partition and is ready, whether \
         limits.workers_max is reached, and whether <namespace>.dead-letter holds the hello"
    } else {
        "Kafka has not taken it yet, so look at kafka.bootstrap, and whether this client may write to <namespace>.status"
    }
}
