//! `yardmaster-chaos`: breaks a running yardmaster in every way that is known, and lets a checker decide what was kept.
//!
//! Several real instances of the program, simulated workers that lie and die, a real broker, and a Kafka-aware proxy before
//! each instance. `./yard chaos` builds the program with its failpoints (feature `chaos`) and starts this:
//!
//! ```text
//! ./yard chaos --list                                   what there is
//! ./yard chaos --scenario S3 --minutes 20               one row of the scorecard; the seed is printed first
//! ./yard chaos --scenario S1 --trials 5 --seed 7        five seeds from 7 on
//! ./yard chaos --scenario S5,S6,S11                     several, one after the other
//! ./yard chaos --minutes 60                             S30: all nemeses in turn, with quiet windows
//! ./yard chaos --report                                 docs/reliability.md from docs/reliability.json
//! ```
//!
//! Each run writes into a directory of its own (`--dir`, by default a new one under the system's temporary directory): logs,
//! `history-*.jsonl`, and after a violation `topics.jsonl`. Its row is merged into `docs/reliability.json` at its end. A failing
//! seed is printed and repeats with `--seed`; what a seed repeats is the choices, not the scheduling of processes. **Invalid**
//! is not passed: a trial is invalid when its fault left no trace, or when nothing was completed in its grid.
//!
//! Exit code 0: nothing was found. 1: a violation. 3: none, but a trial was invalid.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "progress goes to stderr, what was asked for to stdout; JSON and short arrays of its own are indexed"
)]

mod cluster;
mod grid;
mod history;
mod judge;
mod lab;
mod nemesis;
mod proxy;
mod report;
mod rng;
mod scenario;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;

use lab::{Lab, Outcome, Plan, say};
use scenario::{SCENARIOS, Scenario};

/// Breaks a running yardmaster in every way that is known.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long, for scenarios that go on for a time.
    #[arg(long)]
    minutes: Option<f64>,
    /// Repeats the choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Rows of the scorecard: S3, or S3,S5; S30 when left out.
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// How often, for scenarios that are counted.
    #[arg(long)]
    trials: Option<u32>,
    /// Size of S25's backlog, and of S23's load.
    #[arg(long)]
    tasks: Option<u64>,
    /// Workers of S23.
    #[arg(long)]
    workers: Option<usize>,
    /// Breaks the program itself, to see whether that is found: M1 to M14.
    #[arg(long)]
    mutant: Option<String>,
    /// Writes docs/reliability.md and ends.
    #[arg(long)]
    report: bool,
    /// Lists the scenarios and ends.
    #[arg(long)]
    list: bool,
    /// Everything that is written; by default a new directory under the system's temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The program under test, built with the feature `chaos`.
    #[arg(long, env = "YARDMASTER_CHAOS_PROGRAM")]
    program: Option<PathBuf>,
    /// The checkout: where docs/ and the integration tests are.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("yardmaster-chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<4} {}", scenario.id, scenario.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.report {
        report::write(&arguments.root)?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = arguments.program.as_deref().context("--program is needed: ./yard chaos gives it")?;
    let program = program.canonicalize().with_context(|| format!("no program at {}", program.display()))?;
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let plan = Plan {
        seed,
        trials: arguments.trials,
        minutes: arguments.minutes,
        tasks: arguments.tasks,
        workers: arguments.workers,
        mutant: arguments.mutant.clone(),
        root: arguments.root.clone(),
    };
    let dir = arguments.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("yardmaster-chaos-{seed}-{}", std::process::id()))
    });
    let wanted =
        if arguments.scenario.is_empty() { vec!["S30".to_owned()] } else { arguments.scenario.clone() };
    let scenarios = wanted.iter().map(|id| scenario::find(id)).collect::<Result<Vec<_>>>()?;
    let mut code = 0;
    for scenario in scenarios {
        let outcome = run_one(scenario, &dir.join(scenario.id), &program, &plan)?;
        // A mutant's run says nothing about the program, only about who looks for it; S31's row is for all of them.
        if plan.mutant.is_none() {
            report::merge(&arguments.root, scenario.id, &outcome)?;
            if outcome.compared > 0 {
                report::merge(&arguments.root, "S32", &outcome.of_readers())?;
            }
        }
        code = code.max(verdict(scenario, &outcome, seed, &dir));
    }
    Ok(ExitCode::from(code))
}

fn run_one(
    scenario: &Scenario,
    dir: &std::path::Path,
    program: &std::path::Path,
    plan: &Plan,
) -> Result<Outcome> {
    say(scenario.id, &format!("seed {}, in {}", plan.seed, dir.display()));
    let mut lab = Lab::open(dir, program, plan.clone())?;
    // The checker panics when the topics can't be read: the scenarios after this one are to have their turn all the same.
    let ran = catch_unwind(AssertUnwindSafe(|| (scenario.run)(&mut lab)));
    let mut outcome = ran.unwrap_or_else(|_| Err(anyhow!("a panic, see above"))).unwrap_or_else(|error| {
        Outcome { invalid: vec![format!("the run broke off: {error:#}")], ..Outcome::default() }
    });
    if outcome.seeds.is_empty() {
        outcome.seeds.push(plan.seed);
    }
    Ok(outcome)
}

/// Says it in one line, with the ways to go on; the exit code.
fn verdict(scenario: &Scenario, outcome: &Outcome, seed: u64, dir: &std::path::Path) -> u8 {
    for violation in outcome.violations.iter().take(20) {
        say(scenario.id, &format!("VIOLATION: {violation}"));
    }
    for why in outcome.invalid.iter().take(20) {
        say(scenario.id, &format!("invalid: {why}"));
    }
    for note in &outcome.notes {
        say(scenario.id, note);
    }
    if let Some(why) = &outcome.not_run {
        say(scenario.id, &format!("NOT RUN: {why}"));
        return 3;
    }
    let (p50, p99) = report::percentiles(&outcome.recoveries_ms);
    let (word, code) = match (outcome.violations.is_empty(), outcome.invalid.is_empty()) {
        (false, _) => ("VIOLATED", 1),
        (true, false) => ("INVALID", 3),
        (true, true) => ("KEPT", 0),
    };
    say(
        scenario.id,
        &format!(
            "{word}: {} trials, {} violations, {} invalid, recovery p50 {p50} ms, p99 {p99} ms, seed {seed}",
            outcome.trials,
            outcome.violations.len(),
            outcome.invalid.len()
        ),
    );
    if code != 0 {
        say(
            scenario.id,
            &format!("again: --scenario {} --seed {seed}; the run lies in {}", scenario.id, dir.display()),
        );
    }
    code
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (u64::from(since.subsec_nanos()) ^ since.as_secs()) % 1_000_000_000
}
