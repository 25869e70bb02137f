//! Waiting for what the processor decides about a request.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::params::Params;
use super::parts::{Decision, Waiter};
use super::problem::{Answer, Problem};

/// How long a decision is waited for when the request doesn't say.
const WAIT_MS: u64 = 5_000;
/// The longest wait.
const WAIT_MS_MAX: u64 = 20_000;

/// Whether and how long a request waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(Option<Duration>);

/// How long a request with this query waits for a decision, at most; what is wrong with it is for its handler to say.
pub(crate) fn wait_of(query: &str) -> Duration {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let ms = value("wait_ms").and_then(|ms| ms.parse().ok()).unwrap_or(WAIT_MS).min(WAIT_MS_MAX);
    Duration::from_millis(if value("wait").is_some() { ms } else { 0 })
}

impl Wait {
    /// Takes `wait` and `wait_ms` out of a request.
    pub(crate) fn take(params: &mut Params) -> Answer<Self> {
        let ms = params.number("wait_ms", 1, WAIT_MS_MAX)?.unwrap_or(WAIT_MS);
        match params.one("wait")?.as_deref() {
            None => Ok(Self(None)),
            Some("applied") => Ok(Self(Some(Duration::from_millis(ms)))),
            Some(_) => Err(Problem::bad_field("wait", "`wait` can only be `applied`")
                .remedy("leave it out, or set it to `applied`")),
        }
    }

    /// Whether it waits at all.
    pub(crate) fn is_wanted(self) -> bool {
        self.0.is_some()
    }

    /// Hears decisions until `enough` says so, there will be no more, or the time is over.
    pub(crate) async fn hear(self, waiter: &mut Waiter, mut enough: impl FnMut(&Decision) -> bool) {
        let end = Instant::now() + self.0.unwrap_or_default();
        while let Ok(Some(decision)) = timeout_at(end, waiter.next()).await {
            if enough(&decision) {
                return;
            }
        }
    }
}
