//! S4: an instance stands still in the middle of a batch, for half a timeout to three of them, and wakes when another may
//! have its partitions. What it does then must be without effect.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::points::POINTS;
use super::s01::arm;
use super::steps::{conclude, note, quiet_window, seeds};
use crate::cluster::await_that;
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;

const VICTIM: usize = 0;
/// K1 to K9.
const MIDDLE: std::ops::Range<usize> = 1..10;
/// In parts of the instance's timeout.
const PAUSES: [f64; 3] = [0.5, 1.5, 3.0];
/// Each combination once.
const ROUND: u32 = 27;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let trials = lab.plan.trials(ROUND);
    Ok(seeds(
        lab,
        |_, outcome| outcome.trials < trials,
        |lab, seed, outcome| round(lab, seed, trials, outcome),
    ))
}

fn round(lab: &Lab, seed: u64, trials: u32, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut grid = Grid::start(lab, "s4", GridOptions::new(2), &mut rng)?;
    let mut choices = rng.fork("nemesis");
    for point in POINTS.get(MIDDLE).unwrap_or_default() {
        for parts in PAUSES {
            if outcome.trials >= trials {
                break;
            }
            grid.all_ready()?;
            let pass = 1 + choices.below(point.passes);
            let trial = format!("seed {seed}, {} pass {pass}, {parts} timeouts", point.id);
            outcome.trials += 1;
            arm(&mut grid, point, &format!("{}@{pass}=stop", point.name))?;
            if let Err(error) = stand_still(lab, &mut grid, parts) {
                outcome.invalid.push(format!("{trial}: {error:#}"));
                // It may still be armed, or stand still.
                grid.at(VICTIM)?.kill().ok();
                grid.at(VICTIM)?.start(&[])?;
            }
            if !quiet_window(&grid, &trial, outcome) {
                return Ok(());
            }
            if !grid.at(VICTIM)?.is_running() {
                let words = grid.at(VICTIM)?.last_words();
                outcome.violations.push(format!("{trial}: the instance ended after it woke; {words}"));
            }
            say("S4", &format!("{trial}: recovered, {} tasks ended", grid.ends()));
        }
    }
    conclude(lab, &mut grid, "S4", seed, outcome)
}

fn stand_still(lab: &Lab, grid: &mut Grid, parts: f64) -> Result<()> {
    let pause: Duration = grid.options.instance_timeout.mul_f64(parts);
    let victim = grid.at(VICTIM)?;
    await_that("the instance to stand still", Duration::from_secs(45), || victim.is_stopped())?;
    note(lab, "stopped", &victim.name);
    thread::sleep(pause);
    if !victim.is_stopped() {
        bail!("it did not stand still for {} ms", pause.as_millis());
    }
    victim.signal(Signal::SIGCONT)?;
    note(lab, "woken", &victim.name);
    Ok(())
}
