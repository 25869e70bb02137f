//! Says which calls of the Kafka client don't come back. It can't end them: their threads wait inside librdkafka. But who
//! looks for the reason finds it in the log, in the metrics and at `/readyz`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::kafka::{OpenCall, open_calls};

/// How often calls are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often one that still does not come back is named again.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Looks until it is told to stop.
pub(super) fn watch(stop: &AtomicBool) {
    let mut watchdog = Watchdog::default();
    while !stop.load(Ordering::Relaxed) {
        watchdog.look(&open_calls(), Instant::now()).iter().for_each(|open| say(open));
        thread::sleep(LOOK_EVERY);
    }
}

fn say(open: &OpenCall) {
    tracing::warn!(
        call = open.call.name(),
        of = open.of,
        seconds = open.age().as_secs(),
        "a call of the Kafka client does not come back: what needs it waits. Look at the broker, and at the network to it"
    );
}

/// What was said already.
#[derive(Default)]
struct Watchdog {
    said: BTreeMap<u64, Instant>,
}

impl Watchdog {
    /// Those that have to be named now.
    fn look<'c>(&mut self, open: &'c [OpenCall], now: Instant) -> Vec<&'c OpenCall> {
        self.said.retain(|number, _| open.iter().any(|open| open.number == *number));
        let mut due = Vec::new();
        for open in open.iter().filter(|open| open.is_overdue()) {
            let is_said =
                self.said.get(&open.number).is_some_and(|said| now.duration_since(*said) < SAY_EVERY);
            if !is_said {
                self.said.insert(open.number, now);
                due.push(open);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Call;

    #[test]
    fn a_call_that_hangs_is_named_now_and_then() {
        let now = Instant::now();
        let open = |number, age| OpenCall {
            number,
            call: Call::Commit,
            of: "ns-0".to_owned(),
            since: now - Duration::from_secs(age),
        };
        let calls = [open(1, 60), open(2, 0)];
        let mut watchdog = Watchdog::default();
        let mut numbers = |calls: &[OpenCall], at| -> Vec<u64> {
            watchdog.look(calls, now + Duration::from_secs(at)).iter().map(|open| open.number).collect()
        };
        assert_eq!(numbers(&calls, 0), [1], "the other one is young");
        assert_eq!(numbers(&calls, 1), [] as [u64; 0]);
        assert_eq!(numbers(&calls, 31), [1]);
        assert_eq!(numbers(&[], 32), [] as [u64; 0]);
        assert_eq!(watchdog.said.len(), 0, "what has come back is forgotten");
    }
}
