//! The worker: takes assignments, runs them, reports. A library with a handler trait; `yardmaster worker` is its
//! smallest user.
//!
//! `session` is the protocol as a state machine without IO; `registration` drives it on a [`Link`]; a [`Handler`] runs
//! the attempts. One registration per pool, each on a thread of its own.
//!
//! **Invariant:** nothing here names a Kafka client: a [`Link`] is all that is known of it.

mod bell;
mod control;
mod guard;
mod guard_process;
mod handler;
mod held;
mod lease;
mod link;
mod log_file;
mod outbox;
mod output;
mod process_group;
mod registration;
mod result;
mod run_process;
mod running;
mod session;
mod start;
mod tail;

pub use control::{Control, Stop, StopReason};
pub use guard::{GUARD_COMMAND, Guard};
pub use guard_process::guard_groups;
pub use handler::{Assignment, End, Finish, Handler};
pub use lease::Lease;
pub use link::{Link, LinkError, Ticket};
pub use registration::Departure;
pub use run_process::RunProcess;
pub use session::OnServerLost;
pub use start::{Worker, WorkerOptions, WorkerOrders};
pub use tail::Capture;
