//! Servers are killed, stopped, paused and drained under load: others go on at once with warm copies, and nothing is lost
//! or doubled. How long each took is printed, not judged: the machine is shared.

mod grid;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use self::grid::{Grid, PARTITIONS, now_ms};
use crate::cluster::{await_some, bootstrap, scaled};
use yardmaster_checker::end_offsets;

/// The median and the longest of what was measured, for a person.
fn shown(gaps: &[u64]) -> String {
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    format!("without dispatch: median {median} ms, longest {} ms", gaps.last().copied().unwrap_or_default())
}

fn changelog_records(grid: &Grid, id: &str) -> u64 {
    let ends = end_offsets(&bootstrap(), &grid.servers[id].topic("changelog"));
    u64::try_from(ends.iter().sum::<i64>()).unwrap()
}

/// How many partitions a server owns, as another one sees it.
fn owned(grid: &Grid, seen_by: &str, id: &str) -> Option<usize> {
    let view = grid.view(seen_by)?;
    let partitions = view["partitions"].as_array()?;
    Some(partitions.iter().filter(|place| place["owner"] == id).count())
}

/// The one that is killed first has the lowest id: it is the placer, too.
#[test]
fn the_copies_of_a_killed_server_take_over() {
    let mut grid = Grid::start("failover-kill", &["a", "b"]);
    let metrics = grid.server("a").http.get("/metrics").body;
    for name in ["yardmaster_standby_lag_records{partition=", "yardmaster_standby_lag_seconds{partition="] {
        assert!(metrics.contains(name), "no {name}\n{metrics}");
    }
    for round in 0..scaled(2) {
        let (dead, other) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        let restored_before = grid.server(other).restored().len();
        let at = now_ms();
        grid.server(dead).kill();
        grid.await_served(other, &[other]);
        grid.await_dispatch(now_ms());
        let gaps: Vec<u64> = grid.gaps(at).into_iter().filter(|gap| *gap > 1_000).collect();
        let restored: u64 = grid.server(other).restored().iter().skip(restored_before).sum();
        let all = changelog_records(&grid, other);
        eprintln!(
            "kill -9 of {dead}, round {round}: {}; {other} read {restored} of {all} records",
            shown(&gaps)
        );
        assert!(restored * 4 < all, "{other} read {restored} of {all} records: its copies were not warm");
        grid.server(dead).restart();
        grid.await_rest(&["a", "b"]);
    }
    grid.finish();
}

#[test]
fn a_server_that_is_killed_and_started_again_goes_on_with_what_it_had() {
    let mut grid = Grid::start("failover-restart", &["a", "b"]);
    for round in 0..scaled(2) {
        let id = if round % 2 == 0 { "a" } else { "b" };
        let at = now_ms();
        grid.server(id).kill();
        grid.server(id).restart();
        grid.await_dispatch(now_ms());
        eprintln!("kill -9 and restart of {id}: {}", shown(&grid.gaps(at)));
        grid.await_rest(&["a", "b"]);
    }
    grid.finish();
}

/// Each hands over before it stops.
#[test]
fn a_rolling_restart() {
    let ids = ["a", "b", "c"];
    let mut grid = Grid::start("failover-rolling", &ids);
    for id in ids {
        let at = now_ms();
        assert_eq!(grid.server(id).stop(), Some(0), "{}", grid.words());
        let stopped_ms = now_ms() - at;
        let others: Vec<&str> = ids.into_iter().filter(|other| *other != id).collect();
        grid.await_served(others[0], &others);
        grid.await_dispatch(now_ms());
        eprintln!("stop of {id} in {stopped_ms} ms: {}", shown(&grid.gaps(at)));
        let log = grid.server(id).log();
        assert!(!log.contains("fenced"), "{id} was fenced while it handed over\n{log}");
        let at = now_ms();
        grid.server(id).restart();
        grid.await_rest(&ids);
        grid.await_dispatch(now_ms());
        eprintln!("return of {id}: {}", shown(&grid.gaps(at)));
    }
    grid.finish();
}

/// Others have what it owned when it wakes; it finds that out by the fence alone, and commits nothing.
#[test]
fn a_server_that_was_paused_commits_nothing_when_it_wakes() {
    let mut grid = Grid::start("failover-pause", &["a", "b"]);
    for (paused, other) in [("a", "b"), ("b", "a")] {
        let at = now_ms();
        grid.server(paused).signal(Signal::SIGSTOP);
        grid.await_served(other, &[other]);
        grid.await_dispatch(now_ms());
        eprintln!("pause of {paused}: {}", shown(&grid.gaps(at)));
        grid.server(paused).signal(Signal::SIGCONT);
        grid.await_rest(&["a", "b"]);
    }
    grid.finish();
}

/// What operators want outlives the placer that read it first, and the instance itself.
#[test]
fn a_drain_holds_over_placers_and_restarts() {
    let mut grid = Grid::start("failover-drain", &["a", "b", "c"]);
    let unknown = grid.servers["b"].http.post("/v1/cluster/instances/nobody/drain", &json!({}));
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let at = now_ms();
    grid.servers["b"].http.post("/v1/cluster/instances/c/drain", &json!({})).expect(202);
    let is_empty = |view: &Value| {
        let c = view["instances"].as_array().unwrap().iter().find(|instance| instance["id"] == "c").cloned();
        let places = view["partitions"].as_array().unwrap();
        let is_elsewhere = |place: &Value| {
            let standbys = place["standbys"].as_array().unwrap();
            place["owner"] != "c" && place["served"] == true && !standbys.contains(&json!("c"))
        };
        view["drained"] == json!(["c"])
            && c.is_none_or(|c| c["standing"] == "drained" && c["owns"] == json!([]))
            && places.len() == PARTITIONS
            && places.iter().all(is_elsewhere)
    };
    let await_empty = |grid: &Grid, seen_by: &str| {
        let look = || grid.view(seen_by).filter(|view| is_empty(view)).map(|_| ());
        await_some("c being empty", || grid.words(), look);
    };
    await_empty(&grid, "a");
    grid.await_dispatch(now_ms());
    eprintln!("drain of c: {}", shown(&grid.gaps(at)));
    grid.server("a").kill();
    grid.await_served("b", &["b"]);
    grid.server("c").stop();
    grid.server("c").restart();
    await_empty(&grid, "b");
    grid.server("a").restart();
    grid.servers["c"].http.post("/v1/cluster/instances/c/undrain", &json!({})).expect(202);
    grid.servers["c"].http.post("/v1/cluster/rebalance", &json!({})).expect(202);
    grid.await_rest(&["a", "b", "c"]);
    let share = owned(&grid, "a", "c").unwrap();
    assert!((2..=3).contains(&share), "c owns {share} of {PARTITIONS}");
    grid.finish();
}
