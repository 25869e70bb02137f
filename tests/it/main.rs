//! Integration tests: the real binary against a real broker, as a user's programs see it. One broker for all of them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails may panic, and says on stderr what it did"
)]

mod answers;
mod cluster;
mod commands;
mod deploy;
mod doors;
mod failover;
mod faults;
mod fencing;
mod identity;
mod instances;
mod kills;
mod life;
mod log_lines;
mod monitoring;
mod outside;
mod poison;
mod reading;
mod replies;
mod restoring;
mod schemas;
mod scripted;
mod settings;
mod shutdown;
mod stale;
mod storage;
mod tasks;
mod tidy;
mod top;
mod traces;
mod verify;
mod windows;
mod workers;
