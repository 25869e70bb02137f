//! S11: the owner of some partitions is killed. For each of them: from the last batch that could be seen of it to the first
//! one of its successor. Then the same with a single instance that is started again at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::steps::{conclude, millis, note, quiet_window};
use crate::cluster::{PATIENCE, await_that};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::report::percentiles;
use crate::rng::Rng;
use crate::workload::Manners;

const PEER_P50_MS: u64 = 4_500;
const PEER_P99_MS: u64 = 6_000;
const RESTART_P99_MS: u64 = 3_000;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let trials = lab.plan.trials(20);
    let mut outcome = failovers(lab, trials)?;
    let restarts = restarts(lab, trials.div_ceil(2))?;
    let (p50, p99) = percentiles(&outcome.recoveries_ms);
    if p50 > PEER_P50_MS || p99 > PEER_P99_MS {
        let limit = format!("at most {PEER_P50_MS} and {PEER_P99_MS} are wanted");
        outcome.violations.push(format!("failover took p50 {p50} ms, p99 {p99} ms: {limit}"));
    }
    let (r50, r99) = percentiles(&restarts.recoveries_ms);
    if r99 > RESTART_P99_MS {
        outcome.violations.push(format!("a restart took p99 {r99} ms: at most {RESTART_P99_MS} are wanted"));
    }
    outcome.notes.push(format!(
        "restart of the same instance: p50 {r50} ms, p99 {r99} ms, n={}",
        restarts.recoveries_ms.len()
    ));
    outcome.trials += restarts.trials;
    outcome.violations.extend(restarts.violations);
    outcome.invalid.extend(restarts.invalid);
    Ok(outcome)
}

/// Busy on every partition, honest, quick: batches follow each other closely.
fn options(instances: usize) -> GridOptions {
    let manners = Manners::good();
    GridOptions {
        manners,
        every: Duration::from_millis(100),
        over_http: false,
        ..GridOptions::new(instances)
    }
}

fn failovers(lab: &Lab, trials: u32) -> Result<Outcome> {
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let mut grid = Grid::start(lab, "s11", options(2), &mut rng)?;
    for trial in 1..=trials {
        grid.all_ready()?;
        await_that("both instances to own something", PATIENCE, || {
            grid.instances.iter().all(|instance| !instance.owned().is_empty())
        })?;
        if !quiet_window(&grid, &format!("trial {trial}"), &mut Outcome::default()) {
            outcome.violations.push(format!("I11: trial {trial}: nothing is completed before the kill"));
            break;
        }
        let victim = usize::try_from(rng.below(2)).unwrap_or(0);
        let lost = grid.at(victim)?.owned();
        let killed_at = Instant::now();
        grid.at(victim)?.kill()?;
        note(lab, "kill", &format!("i{victim}"));
        let gaps = gaps_after(&grid, &lost, killed_at)?;
        say("S11", &format!("failover {trial} of {trials}: partitions {lost:?} after {gaps:?} ms"));
        outcome.recoveries_ms.extend(gaps);
        outcome.trials += 1;
        grid.at(victim)?.start(&[])?;
    }
    grid.all_ready()?;
    conclude(lab, &mut grid, "S11", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

fn restarts(lab: &Lab, trials: u32) -> Result<Outcome> {
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let mut grid = Grid::start(lab, "s11r", options(1), &mut rng)?;
    for trial in 1..=trials {
        grid.all_ready()?;
        grid.probe()?;
        let lost = grid.at(0)?.owned();
        let killed_at = Instant::now();
        grid.at(0)?.kill()?;
        grid.at(0)?.start(&[])?;
        note(lab, "restart", "i0");
        let gaps = gaps_after(&grid, &lost, killed_at)?;
        say("S11", &format!("restart {trial} of {trials}: {gaps:?} ms"));
        outcome.recoveries_ms.extend(gaps);
        outcome.trials += 1;
    }
    grid.all_ready()?;
    conclude(lab, &mut grid, "S11 restart", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

/// For each partition: from the last batch that was seen up to the kill, or on its way then, to the next one.
pub(super) fn gaps_after(grid: &Grid, partitions: &[i32], killed_at: Instant) -> Result<Vec<u64>> {
    let mut gaps = Vec::new();
    // What was committed before the kill may be seen a moment later.
    let on_its_way = killed_at + Duration::from_millis(400);
    for partition in partitions {
        let look = || {
            let seen = grid.observers[0].seen();
            let of = seen.batches.iter().filter(|batch| batch.partition == *partition);
            let (mut last, mut next) = (None, BTreeMap::new());
            for batch in of {
                if batch.seen_at <= on_its_way {
                    last = Some(*batch);
                } else {
                    next.entry(batch.sequence).or_insert(*batch);
                }
            }
            Some((last, *next.first_key_value()?.1))
        };
        let what = format!("the first batch of partition {partition} after the kill");
        let (last, next) = crate::cluster::await_some(&what, PATIENCE, look)?;
        let last = last.with_context(|| format!("no batch of partition {partition} before the kill"))?;
        gaps.push(millis(next.seen_at.duration_since(last.seen_at)));
    }
    Ok(gaps)
}
