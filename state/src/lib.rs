//! What is remembered: typed tables in an ordered store, the overlay of one commit, and the changelog that rebuilds it.
//!
//! A processor opens a [`Txn`] over a [`Store`], reads and writes typed rows through it, and finishes it into a
//! [`Batch`]. The batch becomes changelog [`Record`]s that end in a [`BatchRecord`]; once these are committed the same
//! batch, with its [`Checkpoint`], goes into the store as one atomic write. [`Restore`] does the way back: it folds
//! committed changelog records into a store, whole batches at a time.
//!
//! **Invariant:** nothing here knows Kafka. Offsets are numbers that the caller brings, records are bytes.
//!
//! **Invariant:** nothing here is async, and nothing reads a clock, the environment or random numbers.
//!
//! **Invariant:** nothing here knows what a row means: no tasks, no workers, no pools.
//!
//! **Invariant:** a store never holds what was not committed: only [`Store::commit`] writes, and a [`Txn`] can't reach it.
//!
//! **Invariant:** only `codec.rs` names bincode, only `disk/` names RocksDB.

mod batch;
mod changelog;
pub mod chaos;
mod checkpoint;
mod codec;
mod directory;
#[cfg(feature = "disk")]
mod disk;
mod entry;
mod error;
mod hot;
mod key;
mod marker;
mod memory;
mod restore;
mod store;
mod table;
mod txn;

pub use batch::{Batch, Write};
pub use changelog::{BATCH_RING, BatchRecord, Digest, Record, Seal, batch_key, is_batch_key};
pub use checkpoint::{Checkpoint, NextOffset};
pub use codec::{decode, encode};
pub use directory::{StateDirectory, remove_aside, set_aside};
#[cfg(feature = "disk")]
pub use disk::{BlockCache, DiskFigures, DiskOptions, DiskStore};
pub use error::StateError;
pub use hot::HotRows;
pub use key::{KEY_END, KeyReader, KeyWriter, prefix_end};
pub use marker::Marker;
pub use memory::MemoryStore;
pub use restore::{Restore, RestoreOptions, RestoreReport, TornRow};
pub use store::{Store, StoreRead, Visit, is_empty, read_row, rows_digest, scan_rows};
pub use table::{Derived, Keyed, Schema, Table, TableClass};
pub use txn::Txn;
