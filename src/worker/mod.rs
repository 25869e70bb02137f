//! The worker: takes assignments, runs them, reports. A library with a handler trait; `yardmaster worker` is its
//! smallest user.
//!
//! `session` is the protocol as a state machine without IO; `registration` drives it on a [`Link`]; a [`Handler`] runs
//! the attempts. One registration per pool, each on a thread of its own.
//!
//! **Invariant:** nothing here names a Kafka client: a [`Link`] is all that is known of it.

mod control;
mod handler;
mod lease;
mod output;
mod process_group;
mod run_process;
mod tail;

pub use control::{Control, Stop, StopReason};
pub use handler::{Assignment, End, Finish, Handler};
pub use lease::Lease;
pub use run_process::RunProcess;
pub use tail::Capture;
