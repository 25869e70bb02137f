//! A process that is killed while it commits leaves whole batches behind.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use yardmaster_state::{
    Batch, BlockCache, Checkpoint, DiskOptions, DiskStore, MemoryStore, NextOffset, Store, StoreRead,
};

use crate::toy::{Op, batch_of, check_index, contents};

const DIRECTORY: &str = "YARDMASTER_TEST_KILL_DIR";
const KILLS: u64 = 12;
/// Between two commits of the process that is killed.
const PACE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> DiskOptions {
    // Small buffers, so that flushes and compactions are hit too.
    DiskOptions { write_buffer_bytes: 512 << 10, ..DiskOptions::new(BlockCache::new(8 << 20)) }
}

fn open(path: &Path) -> DiskStore {
    DiskStore::open(path, &options()).unwrap()
}

/// The n-th batch follows from the number and from what was there before.
fn nth(store: &dyn StoreRead, sequence: u64) -> Batch {
    let mut seed = sequence;
    let mut pick = |below: u64| u32::try_from(next_random(&mut seed) % below).unwrap();
    let mut ops = Vec::new();
    for _ in 0..20 {
        ops.push(match pick(8) {
            0..=3 => Op::PutThing(pick(400), 1, i64::from(pick(100))),
            4 => Op::DeleteThing(pick(400)),
            5 => Op::PutCounter(1, pick(9).into()),
            6 => Op::PutPast(pick(40), pick(900)),
            _ if pick(20) == 0 => {
                let from = pick(40);
                Op::DropPast(from, from + 5)
            }
            _ => Op::DeleteCounter(1),
        });
    }
    let checkpoint =
        Checkpoint { sequence, changelog: NextOffset(sequence.cast_signed() * 3), ..Checkpoint::default() };
    Batch { checkpoint: Some(checkpoint), ..batch_of(store, &ops) }
}

fn sequence_of(store: &dyn StoreRead) -> u64 {
    store.checkpoint().unwrap().map_or(0, |checkpoint| checkpoint.sequence)
}

/// Not a test by itself: the process that is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = open(Path::new(&dir));
    loop {
        store.commit(&nth(&store, sequence_of(&store) + 1)).unwrap();
        // Slower than whoever looks folds the same batches, or each look would have more to fold than the one before.
        std::thread::sleep(PACE);
    }
}

/// The process that commits until it is killed; also a test that fails leaves none behind.
struct Committing(Child);

impl Committing {
    fn start(dir: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::child", "--exact", "--nocapture"])
            .env(DIRECTORY, dir)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn kill(mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "it commits until it is killed");
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Brings the model to the batch at which the store is, and compares.
fn check_fold(store: &DiskStore, model: &MemoryStore, what: &str) {
    let reached = sequence_of(store);
    while sequence_of(model) < reached {
        model.commit(&nth(model, sequence_of(model) + 1)).unwrap();
    }
    assert!(contents(store) == contents(model), "{what}, batch {reached}: not the fold of the batches");
    assert_eq!(store.checkpoint().unwrap(), model.checkpoint().unwrap());
    check_index(store);
}

#[test]
fn a_killed_process_leaves_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let model = MemoryStore::new();
    let mut seed = std::process::id().into();
    for kill in 0..KILLS {
        let mut wait = Duration::from_millis(150 + next_random(&mut seed) % 250);
        let store = loop {
            let child = Committing::start(dir.path());
            std::thread::sleep(wait);
            child.kill();
            let store = open(dir.path());
            if sequence_of(&store) > sequence_of(&model) {
                break store;
            }
            // On a busy machine the child did not come to its first commit.
            wait *= 2;
            assert!(wait < PATIENCE, "kill {kill}: nothing was committed in between");
        };
        check_fold(&store, &model, &format!("kill {kill}"));
    }
}

/// Random numbers from a seed (splitmix64).
pub(crate) fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
