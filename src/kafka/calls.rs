//! Calls into librdkafka that may hang: each is known while it goes on, so that one which passes its bound can be named
//! in the log, in the metrics and when a stop gives up on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is called, as the metrics' label has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `init_transactions`: claims a transactional id.
    Claim,
    /// Waiting until the records of a transaction have arrived.
    Deliver,
    /// `commit_transaction`.
    Commit,
    /// Sending a record outside of transactions, and waiting until it has arrived.
    Send,
    /// Asking where a partition begins and ends.
    Watermarks,
    /// Asking for topics: their ids, partitions and settings.
    Describe,
    /// Closing a client.
    Close,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Claim, Self::Deliver, Self::Commit, Self::Send, Self::Watermarks, Self::Describe, Self::Close];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Deliver => "deliver",
            Self::Commit => "commit",
            Self::Send => "send",
            Self::Watermarks => "watermarks",
            Self::Describe => "describe",
            Self::Close => "close",
        }
    }
}

/// A call takes less while all is well (a claim that ends the last owner's transaction takes a second), and librdkafka itself
/// allows more.
const BOUND: Duration = Duration::from_secs(5);

/// A call that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    /// Tells it from all others of this process.
    pub number: u64,
    /// What is called.
    pub call: Call,
    /// With what: a transactional id, a partition, a kind of client.
    pub of: String,
    /// Since when.
    pub since: Instant,
}

impl OpenCall {
    /// For how long it goes on.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it takes longer than it ever should.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.age() > BOUND
    }
}

impl std::fmt::Display for OpenCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} (for {} s)", self.call.name(), self.of, self.age().as_secs())
    }
}

/// One for the process: a client that hangs is everybody's business.
static OPEN: Mutex<Vec<OpenCall>> = Mutex::new(Vec::new());
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The calls that go on now, the oldest first.
#[must_use]
pub fn open_calls() -> Vec<OpenCall> {
    open().clone()
}

/// Makes a call that is known while it goes on.
pub(super) fn watched<T>(call: Call, of: &str, body: impl FnOnce() -> T) -> T {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    open().push(OpenCall { number, call, of: of.to_owned(), since: Instant::now() });
    let _ended = Ended(number);
    body()
}

/// Also when the call panics.
struct Ended(u64);

impl Drop for Ended {
    fn drop(&mut self) {
        open().retain(|open| open.number != self.0);
    }
}

fn open() -> MutexGuard<'static, Vec<OpenCall>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_while_it_goes_on() {
        let of = "a call of this test";
        let ours = || open_calls().into_iter().filter(|open| open.of == of).collect::<Vec<_>>();
        watched(Call::Close, of, || {
            watched(Call::Commit, of, || {
                let calls: Vec<Call> = ours().iter().map(|open| open.call).collect();
                assert_eq!(calls, [Call::Close, Call::Commit], "the oldest first");
                assert!(ours().iter().all(|open| !open.is_overdue()));
            });
            assert_eq!(ours().len(), 1);
            assert_eq!(ours()[0].to_string(), "close of a call of this test (for 0 s)");
        });
        assert_eq!(ours(), []);
    }

    #[test]
    fn a_call_past_its_bound_is_overdue() {
        let since = Instant::now() - BOUND - Duration::from_secs(1);
        let open = OpenCall { number: 0, call: Call::Commit, of: "ns-0".to_owned(), since };
        assert!(open.is_overdue());
    }
}
