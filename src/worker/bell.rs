//! Wakes a registration that has nothing to do: one bell for everything that can happen to it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung from anywhere; however often, it wakes once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Bell {
    /// There is something to do.
    pub(crate) fn ring(&self) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.1.notify_all();
    }

    /// Waits until it is rung, or was since the last wait.
    pub(crate) fn wait(&self, at_most: Duration) {
        let rung = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.1.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_counts_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.wait(Duration::MAX);
        bell.wait(Duration::from_millis(1));
    }
}
