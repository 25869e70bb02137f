//! When and where it happens: all IO of yardmaster. What is decided lies in `topologies`, what is remembered in `state`.
//!
//! **Invariant:** nothing outside `kafka/` names rdkafka.
//! **Invariant:** nothing here decides about a task; it feeds `topologies` and carries out what comes back.

pub mod chaos;
pub mod cli;
pub mod config;
pub mod embedded;
pub mod http;
pub mod kafka;
pub mod logs;
pub mod metrics;
pub mod runtime;
mod trace;
pub mod verify;
pub mod worker;

/// Ids, tasks and reports: what a [`worker::Handler`] gets and what [`worker::WorkerOptions`] are made of.
pub use yardmaster_topologies as topologies;
