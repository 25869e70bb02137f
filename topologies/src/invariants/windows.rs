//! What must hold of the windows of statistics.

use std::collections::{BTreeMap, BTreeSet};

use yardmaster_state::StateError;

use super::{Check, all};
use crate::id::{Pool, QueueName};
use crate::job::Dimension;
use crate::tables::{CounterTable, WindowTable};
use crate::time::WallMs;
use crate::window::{Happened, Tally, WindowKey, WindowRow, WindowSize};

impl Check<'_> {
    /// A row lies in the slot of its window; a pool's has at least what those of its queues have together; and no queue
    /// has any that is not counted itself, so that `limits.queues_max` bounds them.
    pub(super) fn windows(&mut self) -> Result<(), StateError> {
        let mut pools: BTreeMap<(Pool, WindowSize, WallMs), Tally> = BTreeMap::new();
        let mut queues = pools.clone();
        let known = self.known_queues()?;
        for (key, row) in all::<WindowTable>(self.store)? {
            self.window(&key, &row);
            let window = (key.pool.clone(), key.size, row.start);
            match key.queue {
                None => pools.entry(window).or_default().merge(&row.tally),
                Some(queue) => {
                    let is_known = known.contains(&(key.pool, queue.clone()));
                    self.expect(is_known, || format!("queue {queue} has windows and is not counted"));
                    queues.entry(window).or_default().merge(&row.tally);
                }
            }
        }
        for (window, parts) in queues {
            // The pool's row is gone when a newer window of the pool has its slot.
            if let Some(whole) = pools.get(&window) {
                self.expect(covers(whole, &parts), || {
                    format!("{window:?}: the queues have {parts:?}, the pool has {whole:?}")
                });
            }
        }
        Ok(())
    }

    fn known_queues(&self) -> Result<BTreeSet<(Pool, QueueName)>, StateError> {
        let queue_of = |dimension| match dimension {
            Dimension::Queue(queue) => Some(queue),
            Dimension::Pool | Dimension::Tag(..) => None,
        };
        let counters = all::<CounterTable>(self.store)?.into_iter();
        Ok(counters.filter_map(|(key, _)| Some((key.pool, queue_of(key.dimension)?))).collect())
    }

    fn window(&mut self, key: &WindowKey, row: &WindowRow) {
        let (size, start) = (key.size, row.start);
        self.expect(size.start_of(start) == start && size.slot_of(start) == key.slot, || {
            format!("{key:?} holds the window of {}", start.0)
        });
        let tally = &row.tally;
        let lengths = [&tally.queued, &tally.starting, &tally.running];
        self.expect(lengths.iter().all(|lengths| lengths.is_sound()), || {
            format!("{key:?} is not sound: {tally:?}")
        });
        self.expect(tally.queued.count() == tally.of(Happened::Assigned), || {
            format!(
                "{key:?}: {} were assigned and {} waited",
                tally.of(Happened::Assigned),
                tally.queued.count()
            )
        });
        self.expect(tally.starting.count() == tally.of(Happened::Started), || {
            format!("{key:?}: {} started and {} waited", tally.of(Happened::Started), tally.starting.count())
        });
        self.expect(Happened::ALL.into_iter().any(|what| tally.of(what) > 0), || {
            format!("{key:?} was written and nothing happened")
        });
    }
}

fn covers(whole: &Tally, parts: &Tally) -> bool {
    let counts = Happened::ALL.into_iter().all(|what| whole.of(what) >= parts.of(what));
    counts && whole.running.count() >= parts.running.count() && whole.running.sum() >= parts.running.sum()
}
