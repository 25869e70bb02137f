//! Drives one session: the link and the handlers' threads on one side, the state machine on the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use yardmaster_topologies::id::Incarnation;
use yardmaster_topologies::wire::decode_to_worker;

use super::bell::Bell;
use super::control::Control;
use super::handler::{Assignment, Finish, Handler};
use super::held::Key;
use super::link::Link;
use super::outbox::{Delivery, GATHER_TIME, Outbox};
use super::session::{Action, Registrant, Session};
use crate::trace::Run;

/// The longest sleep: what a link has to do by itself, and what nobody rings for.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// The longest sleep while a channel is awaited, which nobody rings for.
const AWAITING_SLEEP_MAX: Duration = Duration::from_millis(50);
/// Between two attempts to reach the broker.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Words are all that is left: the worker does not wait longer than this for a broker that takes them.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the worker as a whole is to do; only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    level: AtomicU8,
    bells: Vec<Bell>,
}

impl Orders {
    const DRAIN: u8 = 1;
    const STOP: u8 = 2;

    /// For registrations that these bells wake.
    pub(crate) fn new(bells: Vec<Bell>) -> Self {
        Self { level: AtomicU8::new(0), bells }
    }

    pub(crate) fn drain(&self) {
        self.raise(Self::DRAIN);
    }

    pub(crate) fn stop(&self) {
        self.raise(Self::STOP);
    }

    fn raise(&self, level: u8) {
        self.level.fetch_max(level, Ordering::SeqCst);
        self.bells.iter().for_each(Bell::ring);
    }
}

/// How a registration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// As it was told to.
    Left,
    /// Another worker of the same name came.
    Replaced,
}

/// An attempt's thread is done.
type Finished = (Key, Finish);

/// One session and what it works with.
pub(crate) struct Registration {
    session: Session,
    outbox: Outbox,
    link: Box<dyn Link>,
    handler: Arc<dyn Handler>,
    orders: Arc<Orders>,
    bell: Bell,
    finishes: (Sender<Finished>, Receiver<Finished>),
    retry_at: Instant,
    /// Since when words are all that is left.
    words_left_at: Option<Instant>,
}

impl Registration {
    pub(crate) fn new(
        registrant: Registrant,
        mut link: Box<dyn Link>,
        handler: Arc<dyn Handler>,
        orders: Arc<Orders>,
        bell: Bell,
    ) -> Self {
        let now = Instant::now();
        let theirs = bell.clone();
        link.on_arrival(Arc::new(move || theirs.ring()));
        Self {
            session: Session::new(registrant, now),
            outbox: Outbox::default(),
            link,
            handler,
            orders,
            bell,
            finishes: channel(),
            retry_at: now,
            words_left_at: None,
        }
    }

    /// Until it is told to leave, or replaced.
    pub(crate) fn run(mut self) -> Departure {
        loop {
            let now = Instant::now();
            self.obey(now);
            if self.session.wants_join() && now >= self.retry_at {
                self.join();
            }
            let is_quiet = self.receive();
            self.collect();
            self.session.tick(Instant::now());
            self.act();
            self.outbox.flush(&mut *self.link, Instant::now());
            self.hear();
            if self.may_leave() {
                let is_replaced = self.session.is_replaced();
                return if is_replaced { Departure::Replaced } else { Departure::Left };
            }
            if is_quiet {
                self.bell.wait(self.sleep());
            }
        }
    }

    fn obey(&mut self, now: Instant) {
        let orders = self.orders.level.load(Ordering::SeqCst);
        if orders >= Orders::STOP {
            self.session.stop();
        } else if orders >= Orders::DRAIN {
            self.session.drain(now);
        }
    }

    /// Whether all is said, or nobody has listened for long enough.
    fn may_leave(&mut self) -> bool {
        if self.session.is_over() && self.outbox.is_empty() {
            return true;
        }
        if !self.session.are_words_left_only() {
            self.words_left_at = None;
            return false;
        }
        let has_waited = self.words_left_at.get_or_insert_with(Instant::now).elapsed() >= FAREWELL_TIMEOUT;
        let unreported = self.session.unreported();
        if has_waited && unreported > 0 {
            tracing::warn!(
                unreported,
                "leaving without a broker: these ends are lost, their tasks run again"
            );
        }
        has_waited
    }

    /// How long nothing can happen that does not ring.
    fn sleep(&self) -> Duration {
        let now = Instant::now();
        let until_due = |due: Instant| due.saturating_duration_since(now);
        let mut sleep = if self.session.is_joined() { SLEEP_MAX } else { AWAITING_SLEEP_MAX };
        if !self.outbox.is_empty() {
            // Deliveries are polled for.
            sleep = sleep.min(GATHER_TIME);
        }
        self.session.next_due().map_or(sleep, |due| sleep.min(until_due(due)))
    }

    /// Steps 1 to 4 of joining.
    fn join(&mut self) {
        match self.link.channel_end() {
            Ok(end) => {
                let incarnation = ulid::Ulid::generate().to_string();
                self.session.join(Incarnation::trusted(&incarnation), Instant::now());
                self.act();
                self.outbox.flush(&mut *self.link, Instant::now());
                self.link.read_from(end);
            }
            Err(error) => {
                tracing::warn!(%error, "the broker does not answer, so no tasks come; trying again. If it stays so, check --kafka");
                // From now on, not from before the question: in between orders and timeouts have their turn.
                self.retry_at = Instant::now() + RETRY_INTERVAL;
            }
        }
    }

    /// Takes in what has come; true when that was nothing.
    fn receive(&mut self) -> bool {
        if self.session.wants_join() {
            return true;
        }
        let values = self.link.poll();
        for value in &values {
            match decode_to_worker(value) {
                Ok(message) => self.session.take(message, Instant::now()),
                Err(error) => tracing::warn!(%error, "a message that is not understood is skipped"),
            }
        }
        values.is_empty()
    }

    fn collect(&mut self) {
        while let Ok((key, finish)) = self.finishes.1.try_recv() {
            self.session.take_finish(&key, finish);
        }
    }

    fn hear(&mut self) {
        for delivery in self.outbox.take_deliveries(&mut *self.link) {
            match delivery {
                Delivery::Acknowledged(sent) => self.session.take_acknowledged(&sent.statuses, sent.sent_at),
                Delivery::Lost(sent) => self.session.take_lost(&sent.statuses),
            }
        }
    }

    fn act(&mut self) {
        for action in self.session.take_actions() {
            match action {
                Action::Say(status) => self.outbox.push(status),
                Action::ClearOutbox => self.outbox.clear(),
                Action::Start(assignment, control) => self.start(*assignment, control),
            }
        }
    }

    fn start(&mut self, assignment: Assignment, control: Control) {
        let key = (assignment.task.clone(), assignment.attempt);
        let (handler, out, name) = (Arc::clone(&self.handler), self.finishes.0.clone(), key.clone());
        let bell = self.bell.clone();
        let run = move || {
            let mut assignment = assignment;
            let trace = Run::begin(&mut assignment);
            let finish = catch_unwind(AssertUnwindSafe(|| handler.run(assignment, &control)));
            let finish = finish.unwrap_or_else(|_| Finish::failed("handler", "the handler panicked"));
            trace.into_iter().for_each(|trace| trace.end(&finish));
            // The registration may be gone: then nobody wants to know.
            out.send((name, finish)).ok();
            bell.ring();
        };
        if let Err(error) = thread::Builder::new().name("task".to_owned()).stack_size(512 * 1024).spawn(run) {
            let why = format!("no thread to run it on: {error}");
            self.session.take_finish(&key, Finish::rejected(why));
        }
    }
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
