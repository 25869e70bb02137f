//! S3: one to three instances are killed at random moments, on average every 8 s; a quiet window after every few kills.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::steps::{conclude, note, quiet_window, seeds};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;

const INSTANCES: usize = 3;
const KILLS_BETWEEN_WINDOWS: u32 = 4;
/// A namespace lasts so long, then it is judged and another seed begins.
const ROUND: Duration = Duration::from_secs(300);

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let until = Instant::now() + lab.plan.minutes(2.0);
    Ok(seeds(
        lab,
        |_, _| Instant::now() < until,
        |lab, seed, outcome| round(lab, seed, until.min(Instant::now() + ROUND), outcome),
    ))
}

fn round(lab: &Lab, seed: u64, until: Instant, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut grid =
        Grid::start(lab, "s3", GridOptions { processes: 1, ..GridOptions::new(INSTANCES) }, &mut rng)?;
    let mut choices = rng.fork("nemesis");
    while Instant::now() < until {
        for _ in 0..KILLS_BETWEEN_WINDOWS {
            thread::sleep(choices.millis(2_000, 14_000));
            outcome.trials += kill_some(lab, &mut grid, &mut choices, outcome)?;
        }
        grid.all_ready()?;
        say("S3", &format!("seed {seed}: {} kills so far, {} tasks ended", outcome.trials, grid.ends()));
        if !quiet_window(&grid, &format!("seed {seed}"), outcome) {
            return Ok(());
        }
    }
    let began = Instant::now();
    conclude(lab, &mut grid, "S3", seed, outcome)?;
    outcome.notes.push(format!("seed {seed}: drained and judged in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Kills one to three of those that run, and starts them again after a while; how many.
fn kill_some(lab: &Lab, grid: &mut Grid, rng: &mut Rng, outcome: &mut Outcome) -> Result<u32> {
    let count = 1 + rng.below(INSTANCES as u64);
    let mut killed = Vec::new();
    for _ in 0..count {
        let number = usize::try_from(rng.below(INSTANCES as u64)).unwrap_or(0);
        let instance = grid.at(number)?;
        if !killed.contains(&number) && instance.is_running() {
            match instance.kill() {
                Ok(()) => {
                    note(lab, "kill", &instance.name);
                    killed.push(number);
                }
                // It died by itself, which nobody asked for.
                Err(error) => outcome.violations.push(format!("{error:#}")),
            }
        }
    }
    for number in &killed {
        thread::sleep(rng.millis(0, 3_000));
        grid.at(*number)?.start(&[])?;
    }
    Ok(u32::try_from(killed.len()).unwrap_or(0))
}
