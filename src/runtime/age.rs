//! How long a store may have been away: deletions that it missed must still be in the changelog.

use std::time::Duration;

use yardmaster_state::{DiskStore, StateError, StoreRead as _};

use super::clock::wall;
use super::step::Broken;
use crate::kafka::{Connection, high_watermark};

/// A store that was away for too long may have missed deletions that the changelog has forgotten since: its rows would come
/// back to life. One that has nothing to catch up with has missed none.
pub(super) fn refuse_stale(
    conn: &Connection,
    (changelog, partition): (&str, i32),
    age_max: Duration,
    store: &DiskStore,
) -> Result<(), Broken> {
    let (Some(current_at), Some(checkpoint)) = (store.current_at()?, store.checkpoint()?) else {
        return Ok(());
    };
    let age = Duration::from_millis(wall().0.saturating_sub(current_at));
    if age <= age_max {
        return Ok(());
    }
    let (_, end) = high_watermark(conn, changelog, partition)?;
    // The last commit's marker has an offset of its own.
    if end <= checkpoint.changelog.0 + 1 {
        return Ok(());
    }
    Err(StateError::Rebuild(format!(
        "it was last current {} s ago, longer than half of the time for which the changelog keeps deletions \
         (delete.retention.ms; at most {} s): rows that were deleted meanwhile would come back",
        age.as_secs(),
        age_max.as_secs()
    ))
    .into())
}
