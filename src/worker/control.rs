//! How a running attempt learns that it is to stop, and how it says how far it is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use yardmaster_topologies::task::Json;
use yardmaster_topologies::wire::PROGRESS_BYTES_MAX;

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

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    woken: bool,
    /// Counts orders and wakes.
    changes: u64,
    /// The latest that was not told yet.
    note: Option<Json>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The line between a running attempt and its worker. Made by itself it is one that nobody holds the other end of: for
/// trying a handler out.
#[derive(Debug, Clone, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
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
        let mut state = self.lock();
        state.woken = true;
        state.changes += 1;
        self.shared.changed.notify_all();
    }

    /// Says how far the work is: any JSON. It is told a few times a second at most, the latest only, and of a note above
    /// 1 KiB only the head, as a string.
    pub fn progress(&self, note: Json) {
        self.lock().note = Some(shorten(note));
    }

    /// What is to be told, once.
    pub(crate) fn take_note(&self) -> Option<Json> {
        self.lock().note.take()
    }

    /// How often something has changed: an order, a wake.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Waits for more changes than were seen; without a deadline for ever.
    pub(crate) fn wait_change(&self, seen: u64, deadline: Option<Instant>) {
        let mut state = self.lock();
        while state.changes == seen {
            let changed = &self.shared.changed;
            let Some(deadline) = deadline else {
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
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
        state.changes += 1;
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the server would cut it: the head as a JSON string, which escaping at most doubles.
fn shorten(note: Json) -> Json {
    if note.0.len() <= PROGRESS_BYTES_MAX {
        return note;
    }
    let mut end = PROGRESS_BYTES_MAX / 2 - 1;
    while !note.0.is_char_boundary(end) {
        end -= 1;
    }
    let head = serde_json::Value::from(note.0.get(..end).unwrap_or_default());
    Json(Arc::from(head.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(reason: StopReason) -> Stop {
        Stop { reason, grace: Duration::from_secs(1) }
    }

    #[test]
    fn the_first_reason_stays_unless_the_attempt_is_abandoned() {
        let control = Control::default();
        assert_eq!(control.stop_asked(), None);
        control.stop(order(StopReason::Cancelled));
        control.stop(order(StopReason::TimedOut));
        assert_eq!(control.wait(Duration::MAX), Some(order(StopReason::Cancelled)));
        control.stop(order(StopReason::Abandoned));
        assert_eq!(control.stop_asked(), Some(order(StopReason::Abandoned)));
    }

    #[test]
    fn waiting_ends_in_time_or_when_woken() {
        let control = Control::default();
        assert_eq!(control.wait(Duration::from_millis(1)), None);
        control.wake();
        assert_eq!(control.wait(Duration::MAX), None);
    }

    #[test]
    fn only_the_latest_note_is_kept_and_a_long_one_keeps_its_head() {
        let control = Control::default();
        control.progress(Json("1".into()));
        control.progress(Json("2".into()));
        assert_eq!((control.take_note(), control.take_note()), (Some(Json("2".into())), None));
        control.progress(Json(format!("\"{}\"", "é".repeat(2_000)).into()));
        let note = control.take_note().unwrap();
        let head: String = serde_json::from_str(&note.0).unwrap();
        assert!(head.starts_with("\"éé") && note.0.len() <= PROGRESS_BYTES_MAX, "{note:?}");
    }
}
