//! Faults that are more than a signal. Each returns what shows that it happened, or fails: a fault without a trace proves
//! nothing.

mod disk;
mod files;

pub(crate) use disk::SmallDisk;
pub(crate) use files::{Damage, FileClass, damage_one};
