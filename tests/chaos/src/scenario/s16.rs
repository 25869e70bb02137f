//! S16: while an instance is down one file of its state is damaged. It must find that and rebuild, and never answer with
//! something wrong: some tasks that wait for ever are asked for again and again, and must be as they were submitted.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::steps::{conclude, note, quiet_window, seeds};
use crate::cluster::{PATIENCE, await_some, await_that};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::nemesis::{Damage, FileClass, damage_one};
use crate::rng::Rng;

/// Tasks in a pool that nobody serves.
const KEPT: usize = 200;
const POOL: &str = "kept";
/// A grid is judged after so many damages.
const ROUND: u32 = 18;

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
    let mut grid = Grid::start(lab, "s16", GridOptions::new(1), &mut rng)?;
    keep_some(lab, &grid)?;
    let mut choices = rng.fork("nemesis");
    for class in FileClass::ALL {
        for damage in Damage::ALL {
            if outcome.trials >= trials {
                break;
            }
            outcome.trials += 1;
            // A clean stop leaves table files, a kill leaves a log.
            if class == FileClass::Table {
                grid.at(0)?.stop()?;
            } else {
                grid.at(0)?.kill()?;
            }
            let done = damage_one(&grid.at(0)?.state_dir(), class, damage, &mut choices)?;
            grid.at(0)?.start(&[])?;
            let Some(done) = done else {
                outcome.invalid.push(format!("seed {seed}: there was no {class:?} to damage"));
                continue;
            };
            note(lab, "damage", &done);
            let trial = format!("seed {seed}, {done}");
            if let Err(error) = grid.at(0)?.await_ready(Duration::from_secs(60)) {
                outcome.violations.push(format!("{trial}: {error:#}"));
                return Ok(());
            }
            if !quiet_window(&grid, &trial, outcome) {
                return Ok(());
            }
            outcome
                .violations
                .extend(wrong_answers(&grid).into_iter().map(|wrong| format!("I6: {trial}: {wrong}")));
            say("S16", &format!("{trial}: ready, {} tasks ended", grid.ends()));
        }
    }
    conclude_kept(lab, &mut grid, seed, outcome)
}

fn name(number: usize) -> String {
    format!("kept-{number}")
}

fn kept(number: usize) -> Value {
    json!({"id":name(number),"priority":number,"command":["true"],"tags":{"number":number.to_string()},
        "payload":{"number":number,"text":"x".repeat(number)}})
}

fn keep_some(lab: &Lab, grid: &Grid) -> Result<()> {
    let outbox = grid.client.outbox("tasks")?;
    let tasks: Vec<Value> = (0..KEPT).map(kept).collect();
    outbox.send(
        POOL,
        &json!({"v":1,"type":"submit_many","pool":POOL,"tasks":tasks}).to_string(),
        Vec::new(),
    )?;
    outbox.flush(PATIENCE)?;
    await_that("the kept tasks to be there", PATIENCE, || wrong_answers(grid).is_empty())?;
    lab.history.log("kept", crate::history::Kind::Ok, "submit", &json!(KEPT));
    Ok(())
}

/// What the instance says of each kept task that is not what was submitted.
fn wrong_answers(grid: &Grid) -> Vec<String> {
    let Some(instance) = grid.instances.first() else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for number in (0..KEPT).step_by(7) {
        let path = format!("/v1/pools/{POOL}/tasks/{}", name(number));
        let answer = await_some("an answer", Duration::from_secs(20), || {
            instance.http.get(&path).filter(|answer| answer.status != 503)
        });
        let json = answer.map(|answer| answer.json()).unwrap_or_default();
        // Found wherever the answer has it.
        let text = json.to_string();
        let is_right = text.contains("\"QUEUED\"")
            && text.contains(&format!("\"priority\":{number}"))
            && text.contains(&format!("\"number\":\"{number}\""));
        if !is_right {
            wrong.push(format!("{path} was answered with {text}"));
        }
    }
    wrong
}

/// The kept tasks are cancelled, so that every accepted task has an end.
fn conclude_kept(lab: &Lab, grid: &mut Grid, seed: u64, outcome: &mut Outcome) -> Result<()> {
    let outbox = grid.client.outbox("tasks")?;
    for number in 0..KEPT {
        let cancel = json!({"v":1,"type":"cancel","pool":POOL,"id":name(number),"reason":"over"});
        outbox.send(POOL, &cancel.to_string(), Vec::new())?;
    }
    outbox.flush(PATIENCE)?;
    conclude(lab, grid, "S16", seed, outcome)
}
