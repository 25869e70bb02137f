//! Which pools a store has rows of: met one by one, without a look at what lies between.

use std::ops::ControlFlow;

use yardmaster_state::{KEY_END, KeyWriter, StateError, StoreRead, Table, prefix_end};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::tables::{CounterTable, WorkerTable};

/// The next pool with tasks or workers, in the order of keys (shorter names first); without `after` the first one.
///
/// # Errors
/// Whatever the store says.
pub fn pool_after(store: &dyn StoreRead, after: Option<&Pool>) -> Result<Option<Pool>, StateError> {
    let counted =
        key_after::<CounterTable>(store, after)?.map(|key| CounterTable::parse(&key)).transpose()?;
    let worked = key_after::<WorkerTable>(store, after)?.map(|key| WorkerTable::parse(&key)).transpose()?;
    let pools = counted.map(|key| key.pool).into_iter().chain(worked.map(|(pool, _)| pool));
    Ok(pools.min_by_key(in_key_order))
}

/// What sorts pools as their keys do.
#[must_use]
pub fn in_key_order(pool: &Pool) -> (usize, Pool) {
    (pool.as_str().len(), pool.clone())
}

/// The first key of a table behind all of a pool's.
fn key_after<T: Table>(store: &dyn StoreRead, after: Option<&Pool>) -> Result<Option<Vec<u8>>, StateError> {
    let from = match after {
        Some(pool) => prefix_end(&KeyWriter::new(T::ID).str(pool.as_str()).finish()),
        None => KeyWriter::new(T::ID).finish(),
    };
    let mut found = None;
    store.scan(T::CLASS, &from, KEY_END, 1, &mut |key, _| {
        found = (key.first() == Some(&T::ID)).then(|| key.to_vec());
        ControlFlow::Break(())
    })?;
    Ok(found)
}
