//! Drives one session: the link and the handlers' threads on one side, the state machine on the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use yardmaster_topologies::id::Incarnation;
use yardmaster_topologies::wire::decode_to_worker;

use super::control::{Control, Note};
use super::handler::{Assignment, Finish, Handler};
use super::held::Key;
use super::link::Link;
use super::outbox::{Delivery, Outbox};
use super::session::{Action, Registrant, Session};

/// While something is under way: statuses that come within this time share a record.
const BUSY_WAIT: Duration = Duration::from_millis(3);
/// While nothing is: a message still comes at once, only orders wait so long.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Between two attempts to reach the broker.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A stop does not wait longer than this for the broker.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the worker as a whole is to do; only ever grows.
#[derive(Debug, Default)]
pub(crate) struct Orders(AtomicU8);

impl Orders {
    const DRAIN: u8 = 1;
    const STOP: u8 = 2;

    pub(crate) fn drain(&self) {
        self.0.fetch_max(Self::DRAIN, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.0.fetch_max(Self::STOP, Ordering::SeqCst);
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
    finishes: (Sender<Finished>, Receiver<Finished>),
    notes: Receiver<Note>,
    retry_at: Instant,
    stop_seen_at: Option<Instant>,
}

impl Registration {
    pub(crate) fn new(
        registrant: Registrant,
        link: Box<dyn Link>,
        handler: Arc<dyn Handler>,
        orders: Arc<Orders>,
    ) -> Self {
        let now = Instant::now();
        let (notes_out, notes) = channel();
        Self {
            session: Session::new(registrant, Some(notes_out), now),
            outbox: Outbox::default(),
            link,
            handler,
            orders,
            finishes: channel(),
            notes,
            retry_at: now,
            stop_seen_at: None,
        }
    }

    /// Until it is told to leave, or replaced.
    pub(crate) fn run(mut self) -> Departure {
        loop {
            let now = Instant::now();
            self.obey(now);
            if self.session.wants_join() && now >= self.retry_at {
                self.join(now);
            }
            self.receive();
            self.collect();
            self.session.tick(Instant::now());
            self.act();
            self.outbox.flush(&mut *self.link, Instant::now());
            self.hear();
            if self.session.is_over() && (self.outbox.is_empty() || self.has_waited_enough()) {
                let is_replaced = self.session.is_replaced();
                return if is_replaced { Departure::Replaced } else { Departure::Left };
            }
        }
    }

    fn obey(&mut self, now: Instant) {
        let orders = self.orders.0.load(Ordering::SeqCst);
        if orders >= Orders::STOP {
            self.session.stop();
        } else if orders >= Orders::DRAIN {
            self.session.drain(now);
        }
        if self.session.is_stopping() {
            self.stop_seen_at.get_or_insert(now);
        }
    }

    fn has_waited_enough(&self) -> bool {
        self.stop_seen_at.is_some_and(|at| at.elapsed() >= FAREWELL_TIMEOUT)
    }

    /// Steps 1 to 4 of joining.
    fn join(&mut self, now: Instant) {
        match self.link.channel_end() {
            Ok(end) => {
                let incarnation = ulid::Ulid::generate().to_string();
                self.session.join(Incarnation::trusted(&incarnation), Instant::now());
                self.act();
                self.outbox.flush(&mut *self.link, Instant::now());
                self.link.read_from(end);
            }
            Err(error) => {
                tracing::warn!(%error, "the broker does not answer, trying again");
                self.retry_at = now + RETRY_INTERVAL;
            }
        }
    }

    fn receive(&mut self) {
        let is_quiet = self.outbox.is_empty() && !self.session.is_busy();
        let wait = if is_quiet { IDLE_WAIT } else { BUSY_WAIT };
        if self.session.wants_join() {
            // There is no channel to wait on.
            thread::sleep(wait);
            return;
        }
        for value in self.link.poll(wait) {
            match decode_to_worker(&value) {
                Ok(message) => self.session.take(message, Instant::now()),
                Err(error) => tracing::warn!(%error, "a message that is not understood is skipped"),
            }
        }
    }

    fn collect(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            self.session.take_progress(&note.key, note.note);
        }
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
        let run = move || {
            let finish = catch_unwind(AssertUnwindSafe(|| handler.run(assignment, &control)));
            let finish = finish.unwrap_or_else(|_| Finish::failed("handler", "the handler panicked"));
            // The registration may be gone: then nobody wants to know.
            out.send((name, finish)).ok();
        };
        if let Err(error) = thread::Builder::new().name("task".to_owned()).stack_size(512 * 1024).spawn(run) {
            let why = format!("no thread to run it on: {error}");
            self.session.take_finish(&key, Finish::rejected(why));
        }
    }
}
