//! A grid over a store in memory. Each batch is decided twice, with kept and with rebuilt memory, and every invariant is
//! checked behind it.

use std::collections::BTreeMap;

use yardmaster_state::{Batch, Checkpoint, MemoryStore, Store, StoreRead};
use yardmaster_topologies::driver::{BatchInput, Grid};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::Local;
use yardmaster_topologies::id::{Attempt, Pool, TaskId, Token};
use yardmaster_topologies::invariants::check_invariants;
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::time::{Millis, Now, ProcessorMs, WallMs};
use yardmaster_topologies::wire::{Defaults, ToWorker};

/// The wall clock's lead over the processor's, so that nobody takes one for the other.
pub(crate) const WALL_LEAD_MS: u64 = 1_000_000_000;

/// Settings with round numbers.
pub(crate) fn settings() -> Settings {
    Settings {
        secret: [7; 32],
        heartbeat: Millis(2_000),
        lease: Millis(10_000),
        grace: Millis(1_000),
        dedup: Millis(1_000_000),
        history_completed: Millis(3_600_000),
        history_failed: Millis(7_200_000),
        job_kept: Millis(2_000_000),
        channel_kept: Millis(500_000),
        max_failures: 1,
        max_losses: 10,
        backoff: Millis(1_000),
        backoff_max: Millis(60_000),
        reply_prefixes: vec!["answers-".into()],
        limits: Defaults::default().limits,
    }
}

/// A processor without Kafka.
pub(crate) struct Rig {
    pub(crate) store: MemoryStore,
    grid: Grid,
    /// The processor's clock.
    pub(crate) now: u64,
    pub(crate) due_at: Option<ProcessorMs>,
    pub(crate) more: bool,
    sequence: u64,
    /// The tokens that were given out, as the workers know them.
    pub(crate) tokens: BTreeMap<(Pool, TaskId, Attempt), Token>,
    /// Whether each batch is checked; the long run is not.
    is_checked: bool,
}

impl Rig {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut rig = Self::unchecked(settings);
        rig.is_checked = true;
        rig
    }

    pub(crate) fn unchecked(settings: Settings) -> Self {
        let mut rig = Self {
            store: MemoryStore::new(),
            grid: Grid::new(),
            now: 0,
            due_at: None,
            more: false,
            sequence: 0,
            tokens: BTreeMap::new(),
            is_checked: false,
        };
        rig.batch(BatchInput { local: vec![Local::Configured(Box::new(settings))], ..BatchInput::default() });
        rig
    }

    pub(crate) fn time(&self) -> Now {
        Now { processor: ProcessorMs(self.now), wall: WallMs(self.now + WALL_LEAD_MS) }
    }

    /// Decides and commits one batch at the present time.
    pub(crate) fn batch(&mut self, input: BatchInput) -> Vec<Effect> {
        self.batch_with_rows(input).0
    }

    /// As [`Rig::batch`], with the rows.
    pub(crate) fn batch_with_rows(&mut self, mut input: BatchInput) -> (Vec<Effect>, Batch) {
        input.now = self.time();
        let twin = self.is_checked.then(|| input.clone());
        let decided = self.grid.decide(&self.store, input).unwrap();
        if let Some(twin) = twin {
            let mut fresh = Grid::resume(&self.store).unwrap();
            let again = fresh.decide(&self.store, twin).unwrap();
            assert_eq!(decided.effects, again.effects, "rebuilt memory decides the same");
            assert_eq!(decided.batch, again.batch, "rebuilt memory writes the same bytes");
            assert_eq!(decided.more, again.more);
            assert!(
                decided.due_at.map_or(u64::MAX, |at| at.0) <= again.due_at.map_or(u64::MAX, |at| at.0),
                "kept memory is never late: {:?}, {:?}",
                decided.due_at,
                again.due_at
            );
        }
        (self.due_at, self.more) = (decided.due_at, decided.more);
        self.learn(&decided.effects);
        self.commit(decided.batch.clone());
        if self.is_checked && !self.more {
            self.check_quiet();
        }
        (decided.effects, decided.batch)
    }

    fn commit(&mut self, mut batch: Batch) {
        self.sequence += 1;
        batch.checkpoint = Some(Checkpoint {
            sequence: self.sequence,
            at_ms: self.now,
            wall_ms: self.time().wall.0,
            ..Checkpoint::default()
        });
        self.store.commit(&batch).unwrap();
        if self.is_checked {
            let wrong = check_invariants(&self.store).unwrap();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }

    /// Until the moment at which something is due, time changes nothing.
    fn check_quiet(&self) {
        let before = self.due_at.map_or(self.now + 1_000_000_000, |at| at.0.saturating_sub(1));
        if before <= self.now {
            return;
        }
        let now = Now { processor: ProcessorMs(before), wall: self.time().wall };
        let quiet = Grid::resume(&self.store).unwrap();
        let decided = { quiet }.decide(&self.store, BatchInput { now, ..BatchInput::default() }).unwrap();
        assert_eq!(decided.effects, [], "an empty batch at {before}, before {:?}", self.due_at);
        assert!(decided.batch.writes.is_empty(), "{:?} before {:?}", decided.batch.writes, self.due_at);
    }

    fn learn(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Send { pool, message: ToWorker::Assign { attempt, .. }, .. } = effect {
                let key = (pool.clone(), attempt.task.clone(), attempt.attempt);
                // A number comes again only when the dedup window is over and the id is as good as new.
                let before = self.tokens.insert(key, attempt.token.clone());
                assert_ne!(
                    before.as_ref(),
                    Some(&attempt.token),
                    "a token of {} is given out once",
                    attempt.task
                );
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    /// Reads what a row is now.
    pub(crate) fn row<T: yardmaster_state::Table>(&self, key: &T::Key) -> Option<T::Row> {
        let store: &dyn StoreRead = &self.store;
        yardmaster_state::read_row::<T>(store, key).unwrap()
    }
}
