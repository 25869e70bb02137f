//! S30: all nemeses in turn, for as long as there is time, each followed by a quiet window in which a task of every pool must
//! come to its end. What memory does over the whole time is noted.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::points::{POINTS, Provocation};
use super::s01::arm;
use super::steps::{conclude, note, quiet_window, seeds};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::proxy::{COORDINATOR, Wanted, api};
use crate::rng::Rng;

const INSTANCES: usize = 3;
/// A grid is judged after so many faults.
const FAULTS: u32 = 25;

#[derive(Debug, Clone, Copy)]
enum Nemesis {
    Kill,
    KillAll,
    Stop,
    Pause,
    Failpoint,
    CutOff,
    CutCoordinator,
    HoldEnd,
    Slow,
    Trickle,
    BrokerKill,
    BrokerPause,
}

const ALL: [Nemesis; 12] = [
    Nemesis::Kill,
    Nemesis::KillAll,
    Nemesis::Stop,
    Nemesis::Pause,
    Nemesis::Failpoint,
    Nemesis::CutOff,
    Nemesis::CutCoordinator,
    Nemesis::HoldEnd,
    Nemesis::Slow,
    Nemesis::Trickle,
    Nemesis::BrokerKill,
    Nemesis::BrokerPause,
];

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let until = Instant::now() + lab.plan.minutes(10.0);
    Ok(seeds(lab, |_, _| Instant::now() < until, |lab, seed, outcome| round(lab, seed, until, outcome)))
}

fn round(lab: &mut Lab, seed: u64, until: Instant, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut grid =
        Grid::start(lab, "s30", GridOptions { processes: 1, ..GridOptions::new(INSTANCES) }, &mut rng)?;
    let mut choices = rng.fork("nemesis");
    for number in 1..=FAULTS {
        if Instant::now() >= until {
            break;
        }
        let nemesis = *choices.pick(&ALL).context("a nemesis")?;
        let victim = usize::try_from(choices.below(INSTANCES as u64)).unwrap_or(0);
        let trial = format!("seed {seed}, fault {number}: {nemesis:?} i{victim}");
        outcome.trials += 1;
        note(lab, "fault", &trial);
        if let Err(error) = strike(lab, &mut grid, nemesis, victim, &mut choices) {
            outcome.invalid.push(format!("{trial}: {error:#}"));
        }
        lab.heal();
        grid.all_ready()?;
        if !quiet_window(&grid, &trial, outcome) {
            return Ok(());
        }
        say("S30", &format!("{trial}: recovered, {} tasks ended", grid.ends()));
    }
    let memory: Vec<u64> = grid.instances.iter().filter_map(crate::cluster::Instance::rss_kb).collect();
    outcome.notes.push(format!("seed {seed}: memory of the instances at the end: {memory:?} KiB"));
    conclude(lab, &mut grid, "S30", seed, outcome)
}

fn strike(lab: &mut Lab, grid: &mut Grid, nemesis: Nemesis, victim: usize, rng: &mut Rng) -> Result<()> {
    let length = rng.millis(1_000, 9_000);
    match nemesis {
        Nemesis::Kill => {
            grid.at(victim)?.kill()?;
            thread::sleep(length);
        }
        Nemesis::KillAll => {
            for number in 0..INSTANCES {
                grid.at(number)?.kill()?;
            }
            thread::sleep(length);
        }
        Nemesis::Stop => drop(grid.at(victim)?.stop()?),
        Nemesis::Pause => {
            grid.at(victim)?.signal(Signal::SIGSTOP)?;
            thread::sleep(length);
            grid.at(victim)?.signal(Signal::SIGCONT)?;
        }
        Nemesis::Failpoint => return strike_failpoint(grid, rng),
        Nemesis::CutOff | Nemesis::CutCoordinator | Nemesis::HoldEnd | Nemesis::Slow | Nemesis::Trickle => {
            return strike_network(lab, nemesis, victim, length);
        }
        Nemesis::BrokerKill => {
            lab.broker.kill()?;
            thread::sleep(length);
            lab.broker.restart()?;
        }
        Nemesis::BrokerPause => {
            lab.broker.pause()?;
            thread::sleep(length * 2);
            lab.broker.resume()?;
        }
    }
    Ok(())
}

/// Of those that work alone leads to.
fn strike_failpoint(grid: &mut Grid, rng: &mut Rng) -> Result<()> {
    let reached: Vec<_> = POINTS.iter().filter(|point| point.provocation == Provocation::Work).collect();
    let point = rng.pick(&reached).context("a failpoint")?;
    arm(grid, point, &format!("{}@{}=kill", point.name, 1 + rng.below(point.passes)))?;
    match grid.at(0)?.await_own_death(Duration::from_secs(45)) {
        Ok(_) => Ok(()),
        Err(error) => {
            grid.at(0)?.kill()?;
            Err(error)
        }
    }
}

fn strike_network(lab: &Lab, nemesis: Nemesis, victim: usize, length: Duration) -> Result<()> {
    let proxy = lab.proxies.get(victim).context("a proxy")?;
    let before = proxy.faults.counts();
    match nemesis {
        Nemesis::CutOff => proxy.cut_off(),
        Nemesis::CutCoordinator => proxy.faults.swallow(&COORDINATOR),
        Nemesis::HoldEnd => {
            proxy.faults.hold(Wanted { api: api::END_TXN, transactional_id: None, skip: 0 });
        }
        Nemesis::Trickle => proxy.faults.trickle(20_000),
        Nemesis::Slow
        | Nemesis::Kill
        | Nemesis::KillAll
        | Nemesis::Stop
        | Nemesis::Pause
        | Nemesis::Failpoint
        | Nemesis::BrokerKill
        | Nemesis::BrokerPause => proxy.faults.delay(Duration::from_millis(200), Duration::from_millis(100)),
    }
    thread::sleep(length * 2);
    if proxy.faults.counts() == before {
        bail!("the network's fault touched nothing");
    }
    Ok(())
}
