//! Runs one measurement: what the plan says becomes JSON.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::child::Broker;
use super::ground::Ground;
use super::peers::Peer;
use super::plan::{How, Measurement, Ours, Own, Sweep};
use super::record::Record;
use super::spread::Spread;
use super::verdict::at;
use super::{curves, idle, processes};

/// Its outcome. `record` is what was measured before.
pub(crate) fn measure(ground: &Ground, measurement: &Measurement, record: &Record) -> Result<Value> {
    match &measurement.how {
        How::Own(own) => run_own(ground, own, &[], ground.rounds()),
        How::AtHalf { own, of, path } => {
            let full = record.outcome(of).and_then(|outcome| Spread::read(at(outcome, path)?));
            let full =
                full.with_context(|| format!("the rate is half of what {of} gives: run that first"))?;
            let rate = format!("{:.0}", full.median / 2.0);
            run_own(ground, own, &["--rate".to_owned(), rate], ground.rounds())
        }
        How::Versus { ours, peer } => run_versus(ground, ours, peer),
        How::Sweep(sweep) => run_sweep(ground, measurement.name, sweep),
        How::Idle => idle::run(ground),
    }
}

/// `yardmaster bench`, on a broker of its own unless `further` names one.
fn run_own(ground: &Ground, own: &Own, further: &[String], rounds: u32) -> Result<Value> {
    let mut command = ground.yardmaster("bench");
    command.args(own.words.split_whitespace());
    if ground.is_quick {
        command.args(own.quick.split_whitespace());
    }
    command.args(further).args(["--rounds", &rounds.to_string(), "--json", "--data"]);
    command.arg(ground.directory("own")?).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("could not run {}", ground.program.display()))?;
    let words = own.words;
    match output.status.code() {
        Some(0) => {}
        Some(2) => bail!("`yardmaster bench {words}` is refused: this program can't measure that"),
        Some(_) | None => bail!("`yardmaster bench {words}` failed ({})", output.status),
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`yardmaster bench {words} --json` printed something else"))
}

/// Both sides in turns on one broker. The first round warms it up and does not count.
fn run_versus(ground: &Ground, ours: &Ours, peer: &Peer) -> Result<Value> {
    peer.prepare(ground)?;
    let mut broker = Broker::start(ground)?;
    let (mut of_ours, mut of_peer, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut said = Value::Null;
    for round in 0..=ground.rounds() {
        let our = run_ours(ground, ours, &broker.bootstrap, round, peer.tasks(ground))?;
        said = peer.run(ground, &broker.bootstrap)?;
        let their = said.get("tasks_per_s").and_then(Value::as_f64).unwrap_or(f64::NAN);
        broker.check()?;
        let word = if round == 0 { "warming up".to_owned() } else { format!("round {round}") };
        eprintln!("{word}: {our:.0} tasks/s, the peer {their:.0}");
        if round > 0 {
            of_ours.push(our);
            of_peer.push(their);
            ratios.push(our / their);
        }
    }
    let spread = |rounds: &[f64]| Spread::of(rounds).map(Spread::json).context("no round was run");
    Ok(json!({
        "ours": spread(&of_ours)?, "peer": spread(&of_peer)?, "ratio": spread(&ratios)?, "unit": "tasks/s", "peer_said": said,
    }))
}

fn run_ours(ground: &Ground, ours: &Ours, bootstrap: &str, round: u32, tasks: u32) -> Result<f64> {
    match ours {
        Ours::Processes => processes::round(ground, bootstrap, round, tasks),
        Ours::Own(own, path) => {
            let outcome = run_own(ground, own, &["--kafka".to_owned(), bootstrap.to_owned()], 1)?;
            figure(&outcome, path)
        }
    }
}

fn run_sweep(ground: &Ground, name: &str, sweep: &Sweep) -> Result<Value> {
    let mut figures = Vec::new();
    for value in sweep.values {
        eprintln!("{} {value}", sweep.flag);
        let further = [sweep.flag.to_owned(), value.to_string()];
        let outcome = run_own(ground, &sweep.own, &further, ground.rounds())?;
        let row: Result<Vec<f64>> = sweep.lines.iter().map(|(_, path)| figure(&outcome, path)).collect();
        figures.push((*value, row?));
        ground.clear()?;
    }
    Ok(curves::outcome(name, sweep, &figures))
}

fn figure(outcome: &Value, path: &str) -> Result<f64> {
    let spread = at(outcome, path).and_then(Spread::read);
    Ok(spread.with_context(|| format!("`yardmaster bench --json` has no figure {path}"))?.median)
}
