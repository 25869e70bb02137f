//! When each processor last began a turn: what it shows of itself stands still when it does, and must not look fresh.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::GaugeVec;

use super::recorder::INPUTS;

/// A processor takes many turns a second. One that took none for so long stands still.
const STILL_AFTER: Duration = Duration::from_secs(3);

/// The last turn of one processor.
#[derive(Debug)]
pub(super) struct Turn {
    since: Instant,
    /// Milliseconds after `since`.
    at: AtomicU64,
}

impl Turn {
    fn new() -> Self {
        Self { since: Instant::now(), at: AtomicU64::new(0) }
    }

    /// A turn begins.
    pub(super) fn begin(&self) {
        let at = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at.store(at, Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.at.load(Ordering::Relaxed)))
    }
}

/// Those of all processors here.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<i32, Arc<Turn>>>);

impl Turns {
    /// A partition's; it goes on through its sessions.
    pub(super) fn of(&self, partition: i32) -> Arc<Turn> {
        Arc::clone(self.lock().entry(partition).or_insert_with(|| Arc::new(Turn::new())))
    }

    /// A partition is not here any more.
    pub(super) fn forget(&self, partition: i32) {
        self.lock().remove(&partition);
    }

    /// Writes how long each stands still; one that does is behind by that much at least, whatever it said last.
    pub(super) fn show(&self, still: &GaugeVec, age: &GaugeVec) {
        for (partition, turn) in self.lock().iter() {
            show(&partition.to_string(), turn.age(), still, age);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<Turn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show(partition: &str, for_long: Duration, still: &GaugeVec, age: &GaugeVec) {
    let seconds = for_long.as_secs_f64();
    still.with_label_values(&[partition]).set(seconds);
    if for_long > STILL_AFTER {
        for (_, input) in INPUTS {
            let gauge = age.with_label_values(&[partition, input]);
            gauge.set(gauge.get().max(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn the_lag_of_a_processor_that_stands_still_grows() {
        let vec = |labels: &[&str]| GaugeVec::new(Opts::new("x", "x"), labels).unwrap();
        let (still, age) = (vec(&["partition"]), vec(&["partition", "input"]));
        let lag = || age.with_label_values(&["0", "status"]).get();
        show("0", Duration::from_millis(20), &still, &age);
        assert_eq!(lag(), 0.0, "the processor itself says how far it is behind");
        show("0", Duration::from_secs(7), &still, &age);
        assert_eq!((lag(), still.with_label_values(&["0"]).get()), (7.0, 7.0));
        show("0", Duration::from_secs(9), &still, &age);
        assert_eq!(lag(), 9.0);
    }

    #[test]
    fn a_turn_is_taken_anew() {
        let turns = Turns::default();
        let turn = turns.of(3);
        turn.begin();
        assert!(turn.age() < STILL_AFTER && Arc::ptr_eq(&turn, &turns.of(3)));
        turns.forget(3);
        assert!(!Arc::ptr_eq(&turn, &turns.of(3)));
    }
}
