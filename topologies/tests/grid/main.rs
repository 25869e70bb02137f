//! The pure core: each command and event with its exact effects, random histories, and the same bytes for the same input.

mod commands;
mod invariants;
mod random;
mod workers;
mod world;
