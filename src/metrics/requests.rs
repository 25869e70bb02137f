//! HTTP requests by route template, never by path: paths are what users send.

use std::time::Duration;

use prometheus::{CounterVec, IntCounterVec};

use super::names;
use super::vecs::Vecs;

/// The methods that a label may have; all others are `other`.
const METHODS: [&str; 5] = ["GET", "POST", "HEAD", "OPTIONS", "DELETE"];

/// Counts requests.
#[derive(Clone)]
pub struct Requests {
    count: IntCounterVec,
    seconds: CounterVec,
}

impl Requests {
    pub(super) fn new(vecs: &Vecs) -> Self {
        Self { count: vecs.counter(&names::HTTP_REQUESTS), seconds: vecs.seconds(&names::HTTP_SECONDS) }
    }

    /// A request was answered. `route` is the template that it matched, if any.
    pub fn answered(&self, method: &str, route: Option<&str>, code: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = route.unwrap_or("unmatched");
        self.count.with_label_values(&[method, route, &code.to_string()]).inc();
        self.seconds.with_label_values(&[route]).inc_by(took.as_secs_f64());
    }
}

impl Default for Requests {
    /// Counts for nobody: tests.
    fn default() -> Self {
        Self::new(&Vecs::default())
    }
}
