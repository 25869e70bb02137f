//! Tests of what is remembered, through the crate's public face.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod codec;
#[cfg(feature = "disk")]
mod corrupt;
mod directory;
mod keys;
#[cfg(feature = "disk")]
mod kill;
mod restore;
#[cfg(feature = "disk")]
mod stores;
mod toy;
mod txn;
