//! The pure core: each command and event with its exact effects, random histories, and the same bytes for the same input.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic, and looks at the few kinds that it asks about"
)]

mod commands;
mod invariants;
mod random;
mod reports;
mod workers;
mod world;
