//! What the grid is busy with: submitters, simulated workers that also lie and die, and observers of what is decided. All of
//! them speak `docs/protocol.md` and share no code with the program.

mod client;
mod fleet;
mod observe;
mod pools;
mod submit;
mod worker;

pub(crate) use client::{Client, Outbox};
pub(crate) use fleet::{Fleet, FleetOptions, Manners};
pub(crate) use observe::{Observer, Sequences};
pub(crate) use pools::pools_of_each_partition;
pub(crate) use submit::{Acknowledged, Submitter, SubmitterOptions, task};
