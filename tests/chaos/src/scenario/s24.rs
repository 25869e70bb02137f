//! S24: the wall's clock of an instance steps by hours, forth and back, from one life to the next. Leases and timers go by
//! processor time, so no worker is lost. Needs libfaketime.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::steps::{conclude, note, quiet_window};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;
use crate::workload::Manners;

const STEPS: [&str; 4] = ["+2h", "-2h", "+2h x10", "+0"];

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let Some(library) = library() else {
        return Ok(Outcome::not_run("libfaketime is not installed"));
    };
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let options = GridOptions { manners: Manners::good(), ..GridOptions::new(2) };
    let mut grid = Grid::start(lab, "s24", options, &mut rng)?;
    for step in STEPS {
        grid.all_ready()?;
        outcome.trials += 1;
        grid.at(0)?.kill()?;
        let armed = [("LD_PRELOAD", library.display().to_string()), ("FAKETIME", step.to_owned())];
        grid.at(0)?.start(&armed)?;
        note(lab, "clock", step);
        if !quiet_window(&grid, &format!("clock {step}"), &mut outcome) {
            return Ok(outcome);
        }
        std::thread::sleep(Duration::from_secs(10));
        say("S24", &format!("clock {step}: {} tasks ended", grid.ends()));
    }
    let lost = grid.observers[0].seen().count("worker_lost");
    if lost > 0 {
        outcome.violations.push(format!("{lost} workers were lost, though only a clock was set"));
    }
    conclude(lab, &mut grid, "S24", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

fn library() -> Option<PathBuf> {
    let mut found = Vec::new();
    for dir in std::fs::read_dir("/usr/lib").ok()?.flatten() {
        found.push(dir.path().join("faketime/libfaketime.so.1"));
    }
    found.into_iter().find(|path| path.exists())
}
