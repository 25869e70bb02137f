//! S14: the disk under an instance's state is full, then has room again. The instance must say that it is not ready, commit
//! nothing that it can't keep, and go on by itself.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::steps::{all_alive, conclude, millis, note, quiet_window};
use crate::cluster::{PATIENCE, await_that};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::nemesis::SmallDisk;
use crate::rng::Rng;

const NOTICED_MAX: Duration = Duration::from_secs(5);
const HEALED_MAX: Duration = Duration::from_secs(30);

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    if !SmallDisk::is_possible() {
        return Ok(Outcome::not_run("needs root: a tmpfs is mounted"));
    }
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let mut grid = Grid::start(lab, "s14", GridOptions::new(1), &mut rng)?;
    // On a disk of its own from its next life on, which rebuilds everything there.
    grid.at(0)?.kill()?;
    let disk = SmallDisk::mount(&grid.at(0)?.state_dir(), 512)?;
    grid.all_ready()?;
    for trial in 1..=lab.plan.trials(3) {
        outcome.trials += 1;
        grid.probe()?;
        fill(lab, &mut grid, &disk, trial, &mut outcome)?;
        if !quiet_window(&grid, &format!("trial {trial}"), &mut outcome) {
            break;
        }
        all_alive(&mut grid, &format!("trial {trial}"), &mut outcome);
    }
    conclude(lab, &mut grid, "S14", lab.plan.seed, &mut outcome)?;
    // The process first, then its disk.
    drop(grid);
    drop(disk);
    Ok(outcome)
}

fn fill(lab: &Lab, grid: &mut Grid, disk: &SmallDisk, trial: u32, outcome: &mut Outcome) -> Result<()> {
    let (used, _) = disk.figures()?;
    disk.resize_kb(used + 64)?;
    note(lab, "disk full", &format!("{used} KiB"));
    let full_at = Instant::now();
    let noticed =
        await_that("the instance to say that it is not ready", PATIENCE, || !grid.instances[0].is_ready());
    // What does not fit yet is written within the write buffer's room: the disk counts as full from the first refusal.
    let (_, left) = disk.figures()?;
    match noticed {
        Err(error) => {
            outcome.invalid.push(format!("trial {trial}: {error:#}; {left} KiB were still free"));
        }
        Ok(()) => say("S14", &format!("trial {trial}: not ready after {} ms", millis(full_at.elapsed()))),
    }
    thread::sleep(NOTICED_MAX);
    if grid.at(0)?.is_ready() {
        outcome.violations.push(format!("trial {trial}: it says that it is ready on a full disk"));
    }
    disk.resize_kb(512 << 10)?;
    let healed_at = Instant::now();
    note(lab, "disk has room", "512 MiB");
    let ready = await_that("the instance to be ready again", HEALED_MAX, || grid.instances[0].is_ready());
    say("S14", &format!("trial {trial}: ready again after {} ms", millis(healed_at.elapsed())));
    if let Err(error) = ready {
        outcome.violations.push(format!("I11: trial {trial}: {error:#}; {}", grid.at(0)?.last_words()));
    }
    Ok(())
}
