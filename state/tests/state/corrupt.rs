//! Damage to any file of a store, at any place: what opens is what was written or an earlier whole batch, everything else
//! is reported. Nothing is ever different in silence.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use yardmaster_state::{
    Batch, BlockCache, Checkpoint, DiskOptions, DiskStore, KEY_END, StateError, Store, StoreRead, TableClass,
};

use crate::kill::next_random;
use crate::toy::{Op, batch_of};

/// Damages of each class of file, of each kind, to each of two stores.
const TRIALS: u64 = 6;
/// After these batches all is flushed into tables...
const FLUSHED: [u64; 3] = [10, 20, 30];
/// ...and the rest is in logs alone.
const BATCHES: u64 = 60;
const ONE_LOG: &[u64] = &[BATCHES];
/// The last batch of each log.
const THREE_LOGS: &[u64] = &[40, 50, BATCHES];

type Rows = Vec<(TableClass, Vec<u8>, Vec<u8>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Sst,
    Manifest,
    Current,
    Log,
    Options,
    Identity,
    Lock,
}

impl Class {
    const ALL: [Self; 7] =
        [Self::Sst, Self::Manifest, Self::Current, Self::Log, Self::Options, Self::Identity, Self::Lock];

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "CURRENT" => Self::Current,
            "IDENTITY" => Self::Identity,
            "LOCK" => Self::Lock,
            _ if name.ends_with(".sst") => Self::Sst,
            _ if name.ends_with(".log") => Self::Log,
            _ if name.starts_with("MANIFEST-") => Self::Manifest,
            _ if name.starts_with("OPTIONS-") => Self::Options,
            // LOG is for people.
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Overwrite,
    Truncate,
    Delete,
}

impl Damage {
    const ALL: [Self; 4] = [Self::Flip, Self::Overwrite, Self::Truncate, Self::Delete];

    fn do_to(self, file: &Path, seed: &mut u64) {
        let mut bytes = fs::read(file).unwrap();
        let mut pick = |below: usize| usize::try_from(next_random(seed) % below.max(1) as u64).unwrap();
        let at = pick(bytes.len());
        match self {
            Self::Delete => return fs::remove_file(file).unwrap(),
            Self::Truncate => bytes.truncate(at),
            Self::Flip if bytes.is_empty() => {}
            Self::Flip => bytes[at] ^= 1 << pick(8),
            Self::Overwrite => {
                let end = (at + 1 + pick(64)).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = u8::try_from(pick(256)).unwrap());
            }
        }
        fs::write(file, bytes).unwrap();
    }
}

fn open(path: &Path) -> Result<DiskStore, StateError> {
    DiskStore::open(path, &DiskOptions::new(BlockCache::new(1 << 20)))
}

fn nth(store: &dyn StoreRead, sequence: u64) -> Batch {
    let mut seed = sequence;
    let mut pick = |below: u64| u32::try_from(next_random(&mut seed) % below).unwrap();
    let mut ops = Vec::new();
    for _ in 0..20 {
        ops.push(match pick(6) {
            0..=2 => Op::PutThing(pick(200), 1, i64::from(pick(100))),
            3 => Op::DeleteThing(pick(200)),
            4 => Op::PutPast(pick(40), pick(900)),
            _ => Op::PutCounter(1, pick(9).into()),
        });
    }
    let checkpoint = Checkpoint { sequence, ..Checkpoint::default() };
    Batch { checkpoint: Some(checkpoint), ..batch_of(store, &ops) }
}

/// All rows, or what a reader is told.
fn rows(store: &dyn StoreRead) -> Result<Rows, StateError> {
    let mut rows = Vec::new();
    for class in TableClass::ALL {
        store.scan(class, &[], KEY_END, usize::MAX, &mut |key, value| {
            rows.push((class, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}

/// A store as a process leaves it that is killed while all flushes since the last of the tables' still run: files of
/// several flushes, and the batches after them in logs. Returns what it held after each batch.
fn original(path: &Path, logs: &[u64]) -> Vec<Rows> {
    let (work, killed, trial) = (path.join("work"), path.join("killed"), path.join("trial"));
    let store = open(&work).unwrap();
    let mut states = vec![Rows::new()];
    for last in FLUSHED {
        commit_to(&store, last, &mut states);
        store.flush().unwrap();
    }
    // The files are copied one by one, and a compaction may remove some meanwhile: then again.
    while copy(&work, &killed).is_err() || !is_same(&killed, &trial, &states) {
        fs::remove_dir_all(&killed).unwrap();
    }
    // A log is whole before it is flushed, and gone behind that. To the copied tables it is still to be flushed.
    for last in logs {
        commit_to(&store, *last, &mut states);
        let log = files(&work)[&Class::Log].last().unwrap().clone();
        fs::copy(&log, killed.join(log.file_name().unwrap())).unwrap();
        store.flush().unwrap();
    }
    assert!(is_same(&killed, &trial, &states), "all batches are there");
    states
}

/// Commits up to this batch, and notes what is there after each.
fn commit_to(store: &DiskStore, last: u64, states: &mut Vec<Rows>) {
    for sequence in states.len() as u64..=last {
        store.commit(&nth(store, sequence)).unwrap();
        states.push(rows(store).unwrap());
    }
}

/// Whether a store opens with all batches; a copy of it is opened, since opening changes its files.
fn is_same(store: &Path, trial: &Path, states: &[Rows]) -> bool {
    let is_same = copy(store, trial).is_ok() && judge(trial, states, "the original") == Outcome::Same;
    fs::remove_dir_all(trial).unwrap();
    is_same
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn files(path: &Path) -> BTreeMap<Class, Vec<PathBuf>> {
    let mut files: BTreeMap<Class, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if let Some(class) = Class::of(path.file_name().unwrap().to_str().unwrap()) {
            files.entry(class).or_default().push(path);
        }
    }
    files.values_mut().for_each(|files| files.sort());
    files
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    Earlier,
    Reported,
}

/// What became of a damaged store; a panic for what is none of it.
fn judge(path: &Path, states: &[Rows], what: &str) -> Outcome {
    let store = match open(path) {
        Ok(store) => store,
        Err(StateError::Corrupted(_)) => return Outcome::Reported,
        Err(other) => panic!("{what}: an error that would not have the store rebuilt: {other}"),
    };
    let read = rows(&store).and_then(|rows| Ok((rows, store.checkpoint()?)));
    let (rows, checkpoint) = match read {
        Ok(read) => read,
        Err(StateError::Corrupted(_)) => {
            assert!(matches!(store.check(), Err(StateError::Corrupted(_))), "{what}: its owner is told");
            return Outcome::Reported;
        }
        Err(other) => panic!("{what}: an error that would not have the store rebuilt: {other}"),
    };
    let sequence = usize::try_from(checkpoint.map_or(0, |checkpoint| checkpoint.sequence)).unwrap();
    assert!(
        rows == states[sequence],
        "{what}: it says batch {sequence}, and has other rows: a silent difference"
    );
    if sequence + 1 == states.len() { Outcome::Same } else { Outcome::Earlier }
}

type Outcomes = BTreeMap<(Class, Outcome), usize>;

/// Damages copies of one store, each in another way. Returns how many they were.
fn damage_all(logs: &[u64], seeds: std::ops::Range<u64>, outcomes: &mut Outcomes) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let states = original(dir.path(), logs);
    let (killed, trial) = (dir.path().join("killed"), dir.path().join("trial"));
    let classes = files(&killed);
    assert_eq!(classes.keys().copied().collect::<Vec<_>>(), Class::ALL, "there is a file of each class");
    let mut trials = 0;
    for (class, files) in &classes {
        for damage in Damage::ALL {
            for seed in seeds.clone() {
                copy(&killed, &trial).unwrap();
                let mut random = seed;
                let file = &files[usize::try_from(next_random(&mut random)).unwrap() % files.len()];
                let file = trial.join(file.file_name().unwrap());
                damage.do_to(&file, &mut random);
                let what = format!("{damage:?} of {} with seed {seed}", file.display());
                let outcome = judge(&trial, &states, &what);
                *outcomes.entry((*class, outcome)).or_default() += 1;
                trials += 1;
                fs::remove_dir_all(&trial).unwrap();
            }
        }
    }
    trials
}

#[test]
fn damage_is_never_silent() {
    let (first, mut outcomes) = (0x5eed_u64, Outcomes::new());
    let mut trials = 0;
    for (logs, first) in [(ONE_LOG, first), (THREE_LOGS, first + TRIALS)] {
        trials += damage_all(logs, first..first + TRIALS, &mut outcomes);
    }
    eprintln!("{trials} damages, seeds from {first} on: {outcomes:?}, 0 silent");
    assert!(trials >= 200);
    // What names the tables, and the log, may lose its end: then the store is at an earlier batch, as it says. What is in tables
    // is there, or the store is reported.
    let may_be_earlier = |class: &Class| matches!(class, Class::Log | Class::Manifest);
    let mut earlier = outcomes.keys().filter(|(_, outcome)| *outcome == Outcome::Earlier);
    assert!(earlier.all(|(class, _)| may_be_earlier(class)), "{outcomes:?}");
    assert!(outcomes.contains_key(&(Class::Log, Outcome::Earlier)), "{outcomes:?}");
}

#[test]
fn damage_in_the_middle_of_a_log_takes_nothing_from_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let states = original(dir.path(), ONE_LOG);
    let killed = dir.path().join("killed");
    let log = files(&killed)[&Class::Log].last().unwrap().clone();
    let length = fs::metadata(&log).unwrap().len();
    let mut reached = Vec::new();
    for part in 1..20 {
        let path = dir.path().join("trial");
        copy(&killed, &path).unwrap();
        let file = path.join(log.file_name().unwrap());
        let mut bytes = fs::read(&file).unwrap();
        bytes[usize::try_from(length * part / 20).unwrap()] ^= 0x40;
        fs::write(&file, bytes).unwrap();
        judge(&path, &states, &format!("a flip after {part}/20 of the log"));
        reached.push(open(&path).unwrap().checkpoint().unwrap().map_or(0, |checkpoint| checkpoint.sequence));
        fs::remove_dir_all(&path).unwrap();
    }
    eprintln!("a flip after each twentieth of the log: batch {reached:?} of {BATCHES}");
    assert!(reached.is_sorted() && reached.iter().all(|sequence| *sequence < BATCHES), "{reached:?}");
    assert!(reached.first() < reached.last(), "what stands before the damage is there: {reached:?}");
}

#[test]
fn a_log_that_is_missing_between_two_others_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let states = original(dir.path(), THREE_LOGS);
    let killed = dir.path().join("killed");
    let mut missed = 0;
    for log in &files(&killed)[&Class::Log] {
        let path = dir.path().join("trial");
        copy(&killed, &path).unwrap();
        fs::remove_file(path.join(log.file_name().unwrap())).unwrap();
        let outcome = judge(&path, &states, &format!("without {}", log.display()));
        eprintln!("without {}: {outcome:?}", log.file_name().unwrap().display());
        missed += usize::from(outcome != Outcome::Same);
        fs::remove_dir_all(&path).unwrap();
    }
    assert_eq!(missed, THREE_LOGS.len(), "each log that is not flushed is missed");
}

#[test]
fn who_only_reads_is_told_of_damage_too() {
    let dir = tempfile::tempdir().unwrap();
    original(dir.path(), ONE_LOG);
    let killed = dir.path().join("killed");
    let look = || DiskStore::open_read_only(&killed, &DiskOptions::new(BlockCache::new(1 << 20)));
    assert_eq!(look().unwrap().checkpoint().unwrap().unwrap().sequence, BATCHES);
    fs::remove_file(&files(&killed)[&Class::Sst][0]).unwrap();
    assert!(matches!(look(), Err(StateError::Corrupted(_))), "a table is gone");
}

#[test]
fn when_a_store_was_current_is_kept_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.note_current(70).unwrap();
    assert_eq!(store.current_at().unwrap(), None, "an empty store has nothing that could be old");
    let checkpoint = |wall_ms| Some(Checkpoint { sequence: 1, wall_ms, ..Checkpoint::default() });
    store.commit(&Batch { checkpoint: checkpoint(50), ..Batch::default() }).unwrap();
    assert_eq!(store.current_at().unwrap(), Some(70));
    store.commit(&Batch { checkpoint: checkpoint(90), ..Batch::default() }).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).unwrap().current_at().unwrap(), Some(90));
}
