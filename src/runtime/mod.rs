//! When things happen: processors, each a thread over one partition, and the placement that says which of them run here.

mod channels;
mod clock;
mod data_loss;
mod deadletter;
mod early;
mod figures;
mod halt;
mod history;
mod identity;
mod laps;
mod membership;
mod names;
mod opened;
mod partition;
mod placement;
mod pools;
mod processor;
mod registry;
mod send;
mod server;
mod session;
mod space;
mod standbys;
mod step;
mod take;
mod waiters;

pub use clock::wall;
pub use data_loss::DataLoss;
pub use halt::{Halt, HaltCause};
pub use names::Names;
pub use placement::place;
pub use pools::{in_key_order, pool_after};
pub use registry::{Committed, Location, OwnedPartition, Registry};
pub use server::Server;
pub use standbys::{Behind, StandbyPartition, Standbys};
pub use waiters::{Asked, Decision, Waiter};
