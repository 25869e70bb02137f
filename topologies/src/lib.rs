//! What is decided: a pure program over tables. Events in, effects and rows out.
//!
//! **Invariant:** no IO, no clock, no random, no async, no iteration over hash maps. The same batch over the same
//! store gives the same bytes, today and in a replay.
//! **Invariant:** nothing outside `wire` knows JSON's field names.

mod ctx;
pub mod dispatch;
pub mod driver;
pub mod effect;
pub mod event;
pub mod histogram;
pub mod id;
pub mod invariants;
pub mod job;
pub mod memory;
mod reason;
pub mod settings;
pub mod tables;
pub mod task;
pub mod time;
pub mod topology;
mod track;
pub mod window;
pub mod wire;
pub mod worker;

pub use track::ended::keep_record;
pub use track::retention::drop_hours;
