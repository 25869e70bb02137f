//! What the tests stand on: one broker for all, a namespace, servers and simulated workers for each.

mod admin;
mod broker;
mod commands;
mod http;
mod rng;
mod server;
mod watch;
mod workers;

use std::time::{Duration, Instant};

pub(crate) use admin::{add_partitions, configure_broker, configure_topic, create_topic, delete_records};
pub(crate) use broker::{Topic, bootstrap, fresh_namespace, produce, reader, run_dir};
pub(crate) use commands::{cancel, submit, submit_range};
pub(crate) use http::{Answer, Http};
pub(crate) use rng::Rng;
pub(crate) use server::{Server, ServerOptions, free_port, guarded_program, program};
pub(crate) use watch::Watch;
pub(crate) use workers::{Fleet, FleetOptions};

/// A hang guard for anything that is waited for; nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Sizes of long tests are multiplied by `YARDMASTER_TEST_SCALE` (default 1).
pub(crate) fn scaled(number: usize) -> usize {
    let scale: f64 =
        std::env::var("YARDMASTER_TEST_SCALE").map_or(1.0, |text| text.parse().expect("a number"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small and positive"
    )]
    let scaled = (number as f64 * scale).ceil() as usize;
    scaled.max(1)
}

/// Tries until it gives something; on the hang guard's end says what was awaited and what the words at hand are.
pub(crate) fn await_some<T>(
    what: &str,
    words: impl Fn() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", words());
        std::thread::sleep(Duration::from_millis(20));
    }
}
