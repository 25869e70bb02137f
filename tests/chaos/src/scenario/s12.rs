//! S12: each instance in turn is told to stop and started again, as a deployment does it; then one stops while the broker is
//! away.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::s11::gaps_after;
use super::steps::{conclude, millis, note, quiet_window};
use crate::cluster::{PATIENCE, await_that};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::report::percentiles;
use crate::rng::Rng;
use crate::workload::Manners;

const EXIT_MAX: Duration = Duration::from_secs(10);
const GAP_MS_MAX: u64 = 1_000;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let options = GridOptions {
        manners: Manners::good(),
        every: Duration::from_millis(100),
        over_http: false,
        ..GridOptions::new(3)
    };
    let mut grid = Grid::start(lab, "s12", options, &mut rng)?;
    let mut gaps = Vec::new();
    for trial in 0..lab.plan.trials(10) {
        let number = trial as usize % grid.instances.len();
        grid.all_ready()?;
        await_that("every instance to own something", PATIENCE, || {
            grid.instances.iter().all(|instance| !instance.owned().is_empty())
        })?;
        grid.probe()?;
        let lost = grid.at(number)?.owned();
        let told_at = Instant::now();
        let (took, code) = grid.at(number)?.stop()?;
        note(lab, "stop", &format!("i{number}"));
        outcome.trials += 1;
        if took > EXIT_MAX || code != Some(0) {
            outcome.violations.push(format!("i{number} ended with {code:?} after {} ms", millis(took)));
        }
        // The largest pause between two batches since it was told to stop.
        let found = longest_pauses(&grid, &lost, told_at)?;
        say(
            "S12",
            &format!("stop {}: exit after {} ms, pauses of {lost:?}: {found:?} ms", trial + 1, millis(took)),
        );
        gaps.extend(found);
        grid.at(number)?.start(&[])?;
    }
    outcome.recoveries_ms.clone_from(&gaps);
    let (_, p99) = percentiles(&gaps);
    if p99 > GAP_MS_MAX {
        outcome.violations.push(format!("a handover took p99 {p99} ms: at most {GAP_MS_MAX} are wanted"));
    }
    stop_without_broker(lab, &mut grid, &mut outcome)?;
    if quiet_window(&grid, "after all", &mut Outcome::default()) {
        conclude(lab, &mut grid, "S12", lab.plan.seed, &mut outcome)?;
    } else {
        outcome.violations.push("I11: nothing is completed after the broker came back".to_owned());
    }
    Ok(outcome)
}

fn longest_pauses(grid: &Grid, partitions: &[i32], told_at: Instant) -> Result<Vec<u64>> {
    // Something was committed after it: then no pause is still open.
    gaps_after(grid, partitions, Instant::now())?;
    let seen = grid.observers[0].seen();
    let longest = |partition: &i32| {
        let mut times: Vec<Instant> = seen
            .batches
            .iter()
            .filter(|batch| batch.partition == *partition)
            .map(|batch| batch.seen_at)
            .collect();
        times.sort_unstable();
        let pairs = times.iter().zip(times.iter().skip(1)).filter(|(_, next)| **next >= told_at);
        pairs.map(|(one, next)| millis(next.duration_since(*one))).max().unwrap_or(0)
    };
    Ok(partitions.iter().map(longest).collect())
}

fn stop_without_broker(lab: &mut Lab, grid: &mut Grid, outcome: &mut Outcome) -> Result<()> {
    grid.all_ready()?;
    lab.broker.kill()?;
    let stopped = grid.at(0)?.stop();
    lab.broker.restart()?;
    let (took, code) = stopped?;
    outcome.trials += 1;
    say("S12", &format!("without a broker: exit with {code:?} after {} ms", millis(took)));
    outcome.notes.push(format!("exit without a broker: {} ms", millis(took)));
    if took > EXIT_MAX {
        outcome.violations.push(format!("without a broker the exit took {} ms", millis(took)));
    }
    grid.all_ready()
}
