//! When things happen: processors, each a thread over one partition, and the placement that says which of them run here.

mod channels;
mod clock;
mod deadletter;
mod early;
mod fences;
mod figures;
mod history;
mod laps;
mod membership;
mod mutants;
mod names;
mod partition;
mod placement;
mod pools;
mod processor;
mod registry;
mod restore;
mod restores;
mod send;
mod server;
mod session;
mod standbys;
mod standing;
mod step;
mod take;
mod waiters;
mod watchdog;

pub use clock::wall;
pub use names::Names;
pub use placement::place;
pub use pools::{in_key_order, pool_after};
pub use registry::{Committed, Location, OwnedPartition, Registry};
pub use restores::{RestoreProgress, Restores};
pub use server::Server;
pub use standbys::{Behind, StandbyPartition, Standbys};
pub use waiters::{Asked, Decision, Waiter};
