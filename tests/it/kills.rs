//! The server is killed at random moments, and its disk is lost: what `events` says stays exactly-once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use yardmaster_state::{BlockCache, DiskOptions, DiskStore};

use crate::cluster::{
    Fleet, FleetOptions, Rng, Server, ServerOptions, Topic, Watch, await_some, bootstrap, scaled,
    submit_range,
};
use yardmaster_checker::{Report, must_be_clean, read_all};

/// The default.
const PARTITIONS: usize = 8;
const POOLS: [&str; 3] = ["alpha", "beta", "gamma"];
const KILLS: usize = 20;

fn fleets(namespace: &str, rng: &mut Rng) -> Vec<Fleet> {
    let fleet = |pool: &&str| {
        let mut fleet = FleetOptions::new(namespace, pool);
        (fleet.slots, fleet.failures, fleet.seed) = (16, 10, rng.next());
        fleet.runs = Some(Duration::from_millis(rng.below(30)));
        Fleet::start(fleet)
    };
    POOLS.iter().map(fleet).collect()
}

fn fields() -> serde_json::Value {
    json!({"job":"kills","command":["true"],
        "retry":{"max_failures":4,"max_losses":50,"backoff_ms":20,"backoff_max_ms":100}})
}

#[test]
fn kill_server() {
    let mut rng = Rng::announced("kill_server");
    let options = ServerOptions::new("kills");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleets = fleets(&options.namespace, &mut rng);
    let topic = Topic::new(&server.topic("tasks"));
    let (rounds, each) = (scaled(KILLS).max(KILLS), 60);
    let mut last_restored = 0;
    for round in 0..rounds {
        for pool in POOLS {
            submit_range(&topic, pool, "t", round * each..(round + 1) * each, &fields());
        }
        // Some of it is done, some is not: any moment of any batch.
        std::thread::sleep(Duration::from_millis(rng.below(700)));
        server.kill();
        server.restart();
        last_restored = restored(&server);
    }
    let count = rounds * each * POOLS.len();
    watch.await_ends(count, &server);
    drop(fleets);
    let report = checked(&options.namespace, count);
    assert!(report.batches > rounds, "{report:?}");
    // The last restart had nearly the whole run behind it, and read only what the last kill cut off.
    let records = changelog_records(&options.namespace);
    eprintln!("kill_server: {report:?}; the last restart read {last_restored} of {records} records");
    assert!(
        last_restored * 4 < records,
        "a restart read {last_restored} of {records} records: not just a tail"
    );
}

/// What the last start has read of the changelog, over all partitions.
fn restored(server: &Server) -> u64 {
    let all = await_some(
        "a log line about the restore of each partition",
        || server.last_words(),
        || Some(server.restored()).filter(|reads| reads.len() >= PARTITIONS),
    );
    all.iter().sum()
}

fn checked(namespace: &str, count: usize) -> Report {
    let report = must_be_clean(&read_all(&bootstrap(), namespace));
    assert_eq!((report.submitted, report.accepted, report.refused), (count, count, 0), "{report:?}");
    report
}

/// How far the changelog has come, over all partitions: offsets count what was compacted, and markers.
fn changelog_records(namespace: &str) -> u64 {
    let ends = yardmaster_checker::end_offsets(&bootstrap(), &format!("{namespace}.changelog"));
    u64::try_from(ends.iter().sum::<i64>()).unwrap()
}

/// After a clean stop the rows of each partition have a digest; a disk that was lost comes back with the same.
#[test]
fn rebuild() {
    let options = ServerOptions::new("rebuild");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let mut rng = Rng::new(7);
    let fleets = fleets(&options.namespace, &mut rng);
    let topic = Topic::new(&server.topic("tasks"));
    let each = scaled(300);
    for pool in POOLS {
        submit_range(&topic, pool, "t", 0..each, &fields());
    }
    watch.await_ends(each * POOLS.len(), &server);
    drop(fleets);
    // Live rows too, not only markers: nobody serves this pool.
    submit_range(&topic, "delta", "waits", 0..each, &fields());
    let accepted = || watch.find(|event| event["type"] == "accepted" && event["pool"] == "delta").len();
    await_some("the last tasks' acceptance", || server.last_words(), || (accepted() == each).then_some(()));
    server.stop();
    let before = digests(&server);
    server.wipe();
    server.restart();
    history_is_back(&server, each);
    server.stop();
    let after = digests(&server);
    assert!(!before.is_empty(), "no store was found under {}", server.state_dir().display());
    assert_eq!(before, after, "\n{}", server.last_words());
}

/// What has ended is not in the changelog: it is read back from the events, in the background.
fn history_is_back(server: &Server, each: usize) {
    let found = || {
        let whole = |pool: &&str| {
            let path = format!("/v1/pools/{pool}/tasks/t-{}", each - 1);
            server.http.get(&path).json()["source"] == "history"
        };
        POOLS.iter().all(whole).then_some(())
    };
    await_some("history on the new disk", || server.last_words(), found);
}

/// By the stores' paths.
fn digests(server: &Server) -> BTreeMap<PathBuf, u64> {
    let mut found = Vec::new();
    find_stores(&server.state_dir(), &mut found);
    let digest = |path: PathBuf| {
        let options = DiskOptions::new(BlockCache::new(8 << 20));
        let store = DiskStore::open(&path, &options).unwrap();
        (path, store.rows_digest().unwrap())
    };
    found.into_iter().map(digest).collect()
}

/// Directories that RocksDB calls its own.
fn find_stores(dir: &Path, found: &mut Vec<PathBuf>) {
    if dir.join("CURRENT").exists() {
        found.push(dir.to_path_buf());
        return;
    }
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            find_stores(&entry.path(), found);
        }
    }
}
