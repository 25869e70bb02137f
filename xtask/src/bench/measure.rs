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

#[cfg(test)]
mod tests {
    use super::super::ground::tests::Stage;
    use super::super::plan::Words;
    use super::*;

    /// Prints its arguments as the outcome, and as its figure the number after --rate.
    const ECHO: &str = r#"
        rate=0; for word; do [ "$before" = --rate ] && rate=$word; before=$word; done
        printf '{"said":"%s","figure":{"median":%s,"min":1,"max":9,"rounds":2}}' "$*" "$rate""#;

    fn own(words: &'static str) -> Own {
        Own { words, quick: "--tasks 9" }
    }

    fn run(stage: &Stage, how: How, record: &Record) -> Result<Value> {
        measure(&stage.ground, &Measurement { name: "test", how, only_full: false }, record)
    }

    #[test]
    fn the_programs_json_is_the_outcome() {
        let stage = Stage::new("own", ECHO);
        let outcome = run(&stage, How::Own(own("lives --workers 4")), &Record::default()).unwrap();
        let said = at(&outcome, "said").and_then(Value::as_str).unwrap();
        assert!(said.starts_with("bench lives --workers 4 --tasks 9 --rounds 2 --json --data /"), "{said}");
    }

    #[test]
    fn half_of_another_figure_is_the_rate_and_without_it_nothing_runs() {
        let stage = Stage::new("half", ECHO);
        let how = || How::AtHalf { own: own("dispatch"), of: "lives", path: "lives.rate" };
        let mut record = Record::default();
        let refused = run(&stage, how(), &record).unwrap_err().to_string();
        assert!(refused.contains("half of what lives gives"), "{refused}");
        record.add("lives", json!({"lives": {"rate": 20_001}}), json!({}));
        let outcome = run(&stage, how(), &record).unwrap();
        assert_eq!(figure(&outcome, "figure").unwrap(), 10_000.0);
    }

    #[test]
    fn a_sweep_runs_once_per_value() {
        let stage = Stage::new("sweep", ECHO);
        let sweep = Sweep {
            own: own("dispatch"),
            flag: "--rate",
            values: &[10, 100],
            words: Words { title: "t", x: "x", y: "y" },
            lines: &[("ours", "figure")],
        };
        let outcome = run(&stage, How::Sweep(sweep), &Record::default()).unwrap();
        let (_, chart) = curves::find(&outcome).pop().unwrap();
        assert_eq!(chart.lines.first().unwrap().points, [(10.0, 10.0), (100.0, 100.0)]);
    }

    #[test]
    fn what_the_program_does_not_know_is_told_apart_from_what_failed() {
        for (code, part) in [(2, "is refused"), (1, "failed")] {
            let stage = Stage::new(&format!("code-{code}"), &format!("exit {code}"));
            let error = run(&stage, How::Own(own("warp")), &Record::default()).unwrap_err().to_string();
            assert!(error.contains("`yardmaster bench warp`") && error.contains(part), "{error}");
        }
        let stage = Stage::new("words", "echo fast");
        let error = run(&stage, How::Own(own("lives")), &Record::default()).unwrap_err().to_string();
        assert!(error.contains("printed something else"), "{error}");
    }
}
