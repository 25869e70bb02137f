//! How a running attempt learns that it is to stop, and how it says how far it is.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use yardmaster_topologies::id::{Attempt, TaskId};
use yardmaster_topologies::task::Json;

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// The task was cancelled or expired: its end is reported as cancelled.
    Cancelled,
    /// It ran longer than allowed: its end is reported as a failure.
    TimedOut,
    /// It is not this worker's any more, or the worker ends: nothing is reported.
    Abandoned,
}

/// The order to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// The time between the polite and the last signal.
    pub grace: Duration,
}

/// Something that a running attempt says to its session.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) key: (TaskId, Attempt),
    pub(crate) note: Json,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    woken: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The line between a running attempt and its worker.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    key: (TaskId, Attempt),
    notes: Option<Sender<Note>>,
}

impl Control {
    /// For an attempt; without `notes` progress goes nowhere.
    pub(crate) fn new(task: TaskId, attempt: Attempt, notes: Option<Sender<Note>>) -> Self {
        Self { shared: Arc::default(), key: (task, attempt), notes }
    }

    /// A line that nobody holds the other end of: for trying a handler out.
    #[must_use]
    pub fn detached(task: TaskId, attempt: Attempt) -> Self {
        Self::new(task, attempt, None)
    }

    /// The order to stop, if there was one.
    #[must_use]
    pub fn stop_asked(&self) -> Option<Stop> {
        self.lock().stop
    }

    /// Waits until there is an order to stop, `wake` was called, or the time is over.
    pub fn wait(&self, at_most: Duration) -> Option<Stop> {
        let deadline = Instant::now().checked_add(at_most);
        let mut state = self.lock();
        while state.stop.is_none() && !state.woken {
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                break;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.stop
    }

    /// Ends a `wait` before its time; it stays so.
    pub fn wake(&self) {
        self.lock().woken = true;
        self.shared.changed.notify_all();
    }

    /// Says how far the work is: any JSON up to 1 KiB.
    pub fn progress(&self, note: Json) {
        if let Some(notes) = &self.notes {
            // The session may have ended; then nobody wants to know.
            drop(notes.send(Note { key: self.key.clone(), note }));
        }
    }

    /// Gives the order. The first reason stays, but an attempt that was abandoned has nothing more to report.
    pub(crate) fn stop(&self, stop: Stop) {
        let mut state = self.lock();
        match &mut state.stop {
            Some(before) if before.reason < stop.reason && stop.reason == StopReason::Abandoned => {
                *before = stop
            }
            Some(_) => {}
            none => *none = Some(stop),
        }
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(reason: StopReason) -> Stop {
        Stop { reason, grace: Duration::from_secs(1) }
    }

    #[test]
    fn the_first_reason_stays_unless_the_attempt_is_abandoned() {
        let control = Control::detached(TaskId::trusted("t"), Attempt(1));
        assert_eq!(control.stop_asked(), None);
        control.stop(order(StopReason::Cancelled));
        control.stop(order(StopReason::TimedOut));
        assert_eq!(control.wait(Duration::MAX), Some(order(StopReason::Cancelled)));
        control.stop(order(StopReason::Abandoned));
        assert_eq!(control.stop_asked(), Some(order(StopReason::Abandoned)));
    }

    #[test]
    fn waiting_ends_in_time_or_when_woken() {
        let control = Control::detached(TaskId::trusted("t"), Attempt(1));
        assert_eq!(control.wait(Duration::from_millis(1)), None);
        control.wake();
        assert_eq!(control.wait(Duration::MAX), None);
    }
}
