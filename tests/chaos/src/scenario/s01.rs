//! S1: killed at each failpoint, for as many seeds as `--trials` says; K12 to K25 are reached only when they are provoked.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::points::{POINTS, Point, Provocation};
use super::steps::{conclude, note, quiet_window, seeds};
use crate::cluster::{PATIENCE, await_that};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::proxy::{Wanted, api};
use crate::rng::Rng;

/// The instance that dies, and the one that takes over.
const VICTIM: usize = 0;
const PEER: usize = 1;
/// How long a failpoint may take to be reached.
const REACHED: Duration = Duration::from_secs(45);
/// How long a batch takes that is to be met in its middle, and how many do: some minutes' worth.
const LONG_MS: u32 = 400;
const LONG_BATCHES: u32 = 1_500;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let end = lab.plan.seed + u64::from(lab.plan.trials(2));
    Ok(seeds(lab, |seed, _| seed < end, |lab, seed, outcome| round(lab, seed, outcome)))
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
    arm(grid, point, &armed(point, pass))?;
    provoke(lab, grid, point.provocation)?;
    let status = grid.at(VICTIM)?.await_own_death(REACHED)?;
    if status.signal() != Some(Signal::SIGKILL as i32) {
        bail!("it ended with {status} and not at the failpoint; {}", grid.at(VICTIM)?.last_words());
    }
    note(lab, "failpoint", point.name);
    Ok(())
}

/// The failpoint, and what makes it sure that a process gets there.
fn armed(point: &Point, pass: u64) -> String {
    let mut value = format!("{}@{pass}=kill", point.name);
    if point.provocation == Provocation::Placement {
        // A batch takes some milliseconds; when each takes long, a placement that changes finds one in its middle.
        value.extend((1..=LONG_BATCHES).map(|batch| format!(",after_decide@{batch}=delay:{LONG_MS}")));
    }
    value
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
            grid.at(PEER)?.kill()?;
            owns_all_unless_dead(grid)?;
            grid.at(PEER)?.start(&[])?;
            // Once the peer's copies are warm it gets its share back.
            let partitions = grid.options.partitions;
            let victim = grid.at(VICTIM)?;
            await_that("the armed instance to give something away", PATIENCE, || {
                victim.owned().len() < partitions || !victim.is_running()
            })?;
        }
        Provocation::Stop => {
            ready_unless_dead(grid)?;
            grid.at(VICTIM)?.signal(Signal::SIGTERM).ok();
        }
        Provocation::Doubt => {
            ready_unless_dead(grid)?;
            // Before it started again it may have given everything to its peer.
            let victim = grid.at(VICTIM)?;
            await_that("the armed instance to own something", PATIENCE, || !victim.owned().is_empty())?;
            let proxy = lab.proxies.get(VICTIM).context("the victim's proxy")?;
            let end = proxy.faults.hold(Wanted { api: api::END_TXN, transactional_id: None, skip: 0 });
            await_that("a transaction's end", PATIENCE, || proxy.faults.is_caught(end))?;
            // Whether it was committed can't be known now.
            proxy.cut();
            proxy.faults.release(end);
        }
    }
    Ok(())
}

/// A victim that reaches its failpoint before it is ready is as good.
fn ready_unless_dead(grid: &mut Grid) -> Result<()> {
    let victim = grid.at(VICTIM)?;
    await_that("the armed instance to be ready", PATIENCE, || {
        victim.is_ready() || !victim.is_running() || victim.is_stopped()
    })
}

/// Until it has everything that its peer had.
fn owns_all_unless_dead(grid: &mut Grid) -> Result<()> {
    let partitions = grid.options.partitions;
    let victim = grid.at(VICTIM)?;
    await_that("the armed instance to own everything", PATIENCE, || {
        victim.owned().len() == partitions || !victim.is_running()
    })
}
