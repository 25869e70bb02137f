//! What is done to the frames of one proxy, switched on and off while they pass. Each fault counts what it did: a fault that
//! left no trace proves nothing.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::frame::{Header, api};
use super::hold::{HoldId, Holds, Wanted};

/// Requests to the transaction coordinator.
pub(crate) const COORDINATOR: [i16; 5] = [
    api::FIND_COORDINATOR,
    api::INIT_PRODUCER_ID,
    api::ADD_PARTITIONS_TO_TXN,
    api::ADD_OFFSETS_TO_TXN,
    api::END_TXN,
];

/// What the faults have done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) delayed: u64,
    pub(crate) held: u64,
    pub(crate) released: u64,
    pub(crate) swallowed: u64,
    pub(crate) muted: u64,
    pub(crate) stalled: u64,
    pub(crate) cut: u64,
    pub(crate) refused: u64,
}

/// What is to be done with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    Drop,
}

#[derive(Debug, Default)]
struct State {
    latency: Option<(Duration, Duration)>,
    bytes_per_second: Option<u64>,
    is_stalled: bool,
    is_cut: bool,
    /// Requests that never arrive.
    swallowed: BTreeSet<i16>,
    /// Requests whose answers never arrive.
    muted: BTreeSet<i16>,
    holds: Holds,
    counts: Counts,
    jitter: u64,
}

/// The switches of one proxy.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the switches")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Each frame waits so long, give or take the second.
    pub(crate) fn delay(&self, latency: Duration, jitter: Duration) {
        self.change(|state| state.latency = Some((latency, jitter)));
    }

    /// Frames crawl.
    pub(crate) fn trickle(&self, bytes_per_second: u64) {
        self.change(|state| state.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// Nothing passes, nothing is closed: a half-open network.
    pub(crate) fn stall(&self) {
        self.change(|state| state.is_stalled = true);
    }

    /// New connections are refused; [`super::Proxy::cut`] closes the old ones.
    pub(super) fn refuse(&self) {
        self.change(|state| state.is_cut = true);
    }

    /// These requests never arrive, all others do: one way of a partition.
    pub(crate) fn swallow(&self, apis: &[i16]) {
        self.change(|state| state.swallowed.extend(apis));
    }

    /// These requests arrive, their answers do not.
    pub(crate) fn mute(&self, apis: &[i16]) {
        self.change(|state| state.muted.extend(apis));
    }

    /// Keeps one request back, once it comes.
    pub(crate) fn hold(&self, wanted: Wanted) -> HoldId {
        self.lock().holds.arm(wanted)
    }

    pub(crate) fn is_caught(&self, id: HoldId) -> bool {
        self.lock().holds.is_caught(id)
    }

    /// Requests of the same transaction that passed meanwhile.
    pub(crate) fn passed(&self, id: HoldId) -> Vec<i16> {
        self.lock().holds.passed(id)
    }

    /// Lets it go; whether there was something to let go.
    pub(crate) fn release(&self, id: HoldId) -> bool {
        let mut had = false;
        self.change(|state| {
            had = state.holds.release(id);
            state.counts.released += u64::from(had);
        });
        had
    }

    /// Everything passes again.
    pub(crate) fn heal(&self) {
        self.change(|state| {
            state.holds.release_all();
            *state = State {
                holds: std::mem::take(&mut state.holds),
                counts: state.counts,
                jitter: state.jitter,
                ..State::default()
            };
        });
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(super) fn is_refusing(&self) -> bool {
        let mut state = self.lock();
        state.counts.refused += u64::from(state.is_cut);
        state.is_cut
    }

    pub(super) fn count_cut(&self) {
        self.lock().counts.cut += 1;
    }

    pub(super) fn pace(&self) -> Option<u64> {
        self.lock().bytes_per_second
    }

    /// Waits as long as the faults say; then what becomes of the request.
    pub(super) fn request(&self, header: Option<&Header>) -> Fate {
        let mut state = self.wait_latency(self.lock());
        if let Some(header) = header {
            if state.swallowed.contains(&header.api) {
                state.counts.swallowed += 1;
                return Fate::Drop;
            }
            if let Some(id) = state.holds.meet(header) {
                state.counts.held += 1;
                state = self
                    .changed
                    .wait_while(state, |state| !state.holds.is_released(id))
                    .expect("no thread panics while it holds the switches");
            }
        }
        state = self.wait_stall(state);
        state.counts.passed += 1;
        Fate::Pass
    }

    /// As [`Faults::request`], for the answer to a request of this kind.
    pub(super) fn response(&self, api: Option<i16>) -> Fate {
        let state = self.wait_latency(self.lock());
        let mut state = self.wait_stall(state);
        if api.is_some_and(|api| state.muted.contains(&api)) {
            state.counts.muted += 1;
            return Fate::Drop;
        }
        Fate::Pass
    }

    fn wait_stall<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if !state.is_stalled {
            return state;
        }
        state.counts.stalled += 1;
        self.changed
            .wait_while(state, |state| state.is_stalled)
            .expect("no thread panics while it holds the switches")
    }

    fn wait_latency<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some((latency, jitter)) = state.latency else {
            return state;
        };
        state.counts.delayed += 1;
        state.jitter = state.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let part = jitter.mul_f64(f64::from((state.jitter >> 40) as u32 & 0xffff) / 65_536.0);
        let until = Instant::now() + latency + part;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            let waited = self.changed.wait_timeout(state, left);
            state = waited.expect("no thread panics while it holds the switches").0;
            if state.latency.is_none() {
                break;
            }
        }
        state
    }
}
