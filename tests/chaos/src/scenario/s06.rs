//! S6: the broker is killed and started again under load. S8: it stands still for longer than any client's patience.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::steps::{conclude, millis, note, quiet_window, seeds};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::report::percentiles;
use crate::rng::Rng;
use crate::workload::Manners;

const RECOVERY_P99_MS: u64 = 15_000;
/// A grid is judged after so many cycles.
const CYCLES: u32 = 5;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let trials = lab.plan.trials(5);
    let mut outcome = seeds(
        lab,
        |_, outcome| outcome.trials < trials,
        |lab, seed, outcome| cycles(lab, seed, trials, outcome),
    );
    let (_, p99) = percentiles(&outcome.recoveries_ms);
    if p99 > RECOVERY_P99_MS {
        outcome.violations.push(format!("recovery took p99 {p99} ms: at most {RECOVERY_P99_MS} are wanted"));
    }
    Ok(outcome)
}

fn cycles(lab: &mut Lab, seed: u64, trials: u32, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut grid = Grid::start(lab, "s6", options(), &mut rng)?;
    let mut choices = rng.fork("nemesis");
    for _ in 0..CYCLES {
        if outcome.trials >= trials {
            break;
        }
        outcome.trials += 1;
        thread::sleep(choices.millis(500, 4_000));
        let pid = lab.broker.kill()?;
        note(lab, "broker killed", &pid.to_string());
        thread::sleep(choices.millis(0, 5_000));
        let took = lab.broker.restart()?;
        let trial = format!("seed {seed}, cycle {}", outcome.trials);
        if !quiet_window(&grid, &trial, outcome) {
            return Ok(());
        }
        let recovered = outcome.recoveries_ms.last().copied().unwrap_or(0);
        say("S6", &format!("{trial}: broker back after {} ms, recovered {recovered} ms later", millis(took)));
        super::steps::all_alive(&mut grid, &trial, outcome);
    }
    conclude(lab, &mut grid, "S6", seed, outcome)
}

/// S8.
pub(super) fn run_pauses(lab: &mut Lab) -> Result<Outcome> {
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let mut grid = Grid::start(lab, "s8", options(), &mut rng)?;
    for trial in 1..=lab.plan.trials(1) {
        outcome.trials += 1;
        lab.broker.pause()?;
        note(lab, "broker paused", "70 s");
        thread::sleep(Duration::from_secs(70));
        lab.broker.resume()?;
        if !quiet_window(&grid, &format!("pause {trial}"), &mut outcome) {
            return Ok(outcome);
        }
        say("S8", &format!("pause {trial}: recovered, {} tasks ended", grid.ends()));
        super::steps::all_alive(&mut grid, &format!("pause {trial}"), &mut outcome);
    }
    conclude(lab, &mut grid, "S8", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

/// Workers fail and lie, but don't die: how soon a task ends is to be the servers' doing.
fn options() -> GridOptions {
    GridOptions { manners: Manners { deaths: 0, ..Manners::bad() }, ..GridOptions::new(2) }
}
