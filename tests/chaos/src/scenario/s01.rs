//! S1: killed at each failpoint, for as many seeds as `--trials` says; K12 to K25 are reached only when they are provoked.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::points::{POINTS, Point, Provocation};
use super::steps::{conclude, note, quiet_window};
use crate::cluster::PATIENCE;
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::proxy::api;
use crate::rng::Rng;

/// The instance that dies, and the one that takes over.
const VICTIM: usize = 0;
const PEER: usize = 1;
/// How long a failpoint may take to be reached.
const REACHED: Duration = Duration::from_secs(45);

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for turn in 0..u64::from(lab.plan.trials(2)) {
        let seed = lab.plan.seed + turn;
        // What was found so far stays found.
        if let Err(error) = round(lab, seed, &mut outcome) {
            outcome.invalid.push(format!("seed {seed} broke off: {error:#}"));
            break;
        }
        if !outcome.violations.is_empty() {
            break;
        }
    }
    Ok(outcome)
}

fn round(lab: &Lab, seed: u64, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut grid = Grid::start(lab, "s1", GridOptions::new(2), &mut rng)?;
    let mut choices = rng.fork("nemesis");
    for point in &POINTS {
        grid.all_ready()?;
        let pass = 1 + choices.below(point.passes);
        let trial = format!("seed {seed}, {} {} pass {pass}", point.id, point.name);
        outcome.trials += 1;
        match die_at(lab, &mut grid, point, pass) {
            Ok(()) => {}
            Err(error) => {
                // The instance may still be armed.
                grid.at(VICTIM)?.kill().ok();
                outcome.invalid.push(format!("{trial}: {error:#}"));
            }
        }
        lab.heal();
        grid.at(VICTIM)?.start(&[])?;
        if !quiet_window(&grid, &trial, outcome) {
            return Ok(());
        }
        say("S1", &format!("{trial}: recovered, {} tasks ended", grid.ends()));
    }
    grid.all_ready()?;
    conclude(lab, &mut grid, "S1", seed, outcome)
}

/// Until the victim has killed itself there, which its exit status and its last line show.
fn die_at(lab: &Lab, grid: &mut Grid, point: &Point, pass: u64) -> Result<()> {
    arm(grid, point, &format!("{}@{pass}=kill", point.name))?;
    provoke(lab, grid, point.provocation)?;
    let status = grid.at(VICTIM)?.await_own_death(REACHED)?;
    if status.signal() != Some(Signal::SIGKILL as i32) {
        bail!("it ended with {status} and not at the failpoint; {}", grid.at(VICTIM)?.last_words());
    }
    note(lab, "failpoint", point.name);
    Ok(())
}

/// Starts the victim again with the failpoint in it.
pub(super) fn arm(grid: &mut Grid, point: &Point, value: &str) -> Result<()> {
    let victim = grid.at(VICTIM)?;
    victim.kill()?;
    match point.provocation {
        Provocation::FreshDisk => std::fs::remove_dir_all(victim.state_dir())?,
        Provocation::Work
        | Provocation::Placement
        | Provocation::PeerDeath
        | Provocation::Stop
        | Provocation::Doubt => {}
    }
    victim.start(&[("YARDMASTER_FAILPOINT", value.to_owned())])
}

/// What leads to the failpoint, besides work.
pub(super) fn provoke(lab: &Lab, grid: &mut Grid, provocation: Provocation) -> Result<()> {
    match provocation {
        Provocation::Work | Provocation::FreshDisk => {}
        Provocation::PeerDeath => {
            ready_unless_dead(grid)?;
            grid.at(PEER)?.kill()?;
            owns_all_unless_dead(grid)?;
            grid.at(PEER)?.start(&[])?;
        }
        Provocation::Placement => {
            ready_unless_dead(grid)?;
            // A placement changes when it wants to; that it does so in the middle of a batch takes some luck.
            for _ in 0..4 {
                grid.at(PEER)?.kill()?;
                owns_all_unless_dead(grid)?;
                grid.at(PEER)?.start(&[])?;
                grid.at(PEER)?.await_ready(PATIENCE)?;
                if !grid.at(VICTIM)?.is_running() {
                    break;
                }
            }
        }
        Provocation::Stop => {
            ready_unless_dead(grid)?;
            grid.at(VICTIM)?.signal(Signal::SIGTERM).ok();
        }
        Provocation::Doubt => {
            ready_unless_dead(grid)?;
            let proxy = lab.proxies.get(VICTIM);
            if let Some(proxy) = proxy {
                proxy.faults.mute(&[api::END_TXN]);
                // Long enough for the client's own patience to end.
                std::thread::sleep(Duration::from_secs(12));
                proxy.faults.heal();
            }
        }
    }
    Ok(())
}

/// A victim that reaches its failpoint before it is ready is as good.
fn ready_unless_dead(grid: &mut Grid) -> Result<()> {
    let victim = grid.at(VICTIM)?;
    crate::cluster::await_that("the armed instance to be ready", PATIENCE, || {
        victim.is_ready() || !victim.is_running() || victim.is_stopped()
    })
}

/// Until it has everything that its peer had.
fn owns_all_unless_dead(grid: &mut Grid) -> Result<()> {
    let partitions = grid.options.partitions;
    let victim = grid.at(VICTIM)?;
    crate::cluster::await_that("the armed instance to own everything", PATIENCE, || {
        victim.owned().len() == partitions || !victim.is_running()
    })
}
