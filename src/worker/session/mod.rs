//! One registration as a state machine without IO: messages, ends of handlers and the time go in; what to say, to start
//! and to do comes out. The protocol is `docs/protocol.md`.

mod messages;
mod reports;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use yardmaster_topologies::event::{Status, StatusKind};
use yardmaster_topologies::id::{Incarnation, MessageSeq, Pool, WorkerName};

use super::control::{Control, Note};
use super::handler::Assignment;
use super::held::Holdings;
use super::lease::Lease;

/// A hello that no welcome answered is said again after this.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);

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
    is_beat_under_way: bool,
    is_drained_by_server: bool,
    leaving: Leaving,
    goodbye_said: bool,
    /// Where running attempts say how far they are.
    notes: Option<Sender<Note>>,
    holdings: Holdings,
    actions: Vec<Action>,
}

impl Session {
    /// Not joined yet.
    pub(crate) fn new(registrant: Registrant, notes: Option<Sender<Note>>, now: Instant) -> Self {
        Self {
            registrant,
            incarnation: Incarnation::trusted("none"),
            phase: Phase::Apart,
            terms: Terms::default(),
            lease: None,
            read_seq: MessageSeq(0),
            next_beat: now,
            is_beat_under_way: false,
            is_drained_by_server: false,
            leaving: Leaving::No,
            goodbye_said: false,
            notes,
            holdings: Holdings::default(),
            actions: Vec::new(),
        }
    }

    /// Whether the driver is to note the channel's end and call `join`.
    pub(crate) fn wants_join(&self) -> bool {
        self.phase == Phase::Apart && self.leaving == Leaving::No
    }

    /// Says hello with an incarnation that was never used before. The channel's end was noted.
    pub(crate) fn join(&mut self, incarnation: Incarnation, now: Instant) {
        self.actions.push(Action::ClearOutbox);
        self.incarnation = incarnation;
        self.read_seq = MessageSeq(0);
        self.is_beat_under_way = false;
        self.is_drained_by_server = false;
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

    /// Whether it is to leave at once, whatever the broker says.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.leaving, Leaving::Stopping | Leaving::Replaced)
    }

    /// Whether nothing is left to do but to wait for the outbox.
    pub(crate) fn is_over(&self) -> bool {
        self.leaving != Leaving::No
            && self.holdings.attempts.is_empty()
            && (self.goodbye_said || self.is_replaced() || self.phase == Phase::Apart)
    }

    /// Whether handlers are at work: their ends are awaited.
    pub(crate) fn is_busy(&self) -> bool {
        self.holdings.busy() > 0
    }

    /// Everything that the time alone brings.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.check_lease(now);
        self.check_timeouts(now);
        match self.phase {
            Phase::Joining { first_at, last_at, acknowledged_at }
                if now.duration_since(last_at) >= WELCOME_TIMEOUT && self.leaving == Leaving::No =>
            {
                self.phase = Phase::Joining { first_at, last_at: now, acknowledged_at };
                self.say_hello();
            }
            Phase::Joined if now >= self.next_beat && !self.is_beat_under_way && !self.goodbye_said => {
                self.beat(now);
            }
            Phase::Apart | Phase::Joining { .. } | Phase::Joined => {}
        }
        self.start_waiting(now);
        self.say_goodbye();
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
        if self.phase == Phase::Joined && self.leaving == Leaving::No {
            self.phase = Phase::Apart;
        }
    }

    fn beat(&mut self, now: Instant) {
        self.next_beat = now + self.terms.heartbeat;
        self.is_beat_under_way = true;
        let slots = self.registrant.slots;
        let busy = u32::try_from(self.holdings.busy()).unwrap_or(u32::MAX);
        self.say(StatusKind::Heartbeat {
            read_seq: self.read_seq,
            free_slots: slots.saturating_sub(busy),
            draining: self.is_drained_by_server || self.leaving != Leaving::No,
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
