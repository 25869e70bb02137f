//! `mutants`: shows that the tests have teeth. A server can be told to make one of fourteen mistakes; for each there is a
//! test that must fail with it, and pass without.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo::{announce_cold_build, cargo};
use crate::program::chaos_program;
use crate::python::test_python;

/// Each mutant, and the cheapest integration test that finds it. `src/chaos` says what they do.
const HUNTS: [(&str, &str); 13] = [
    ("M1", "faults::open_transaction::foreign_transaction_in_the_changelog"),
    ("M2", "faults::late_owner::late_owner_commits_once_more"),
    ("M3", "faults::deaths::death_after_the_commit"),
    ("M4", "faults::deaths::death_before_the_commit"),
    ("M5", "faults::deaths::death_after_the_commit"),
    ("M7", "faults::deaths::death_before_the_commit"),
    ("M8", "faults::token::wrong_token_counts_for_nothing"),
    ("M9", "faults::pause::paused_server_loses_no_worker"),
    ("M10", "tasks::idempotent_submit"),
    ("M11", "faults::lost_input::lost_input_halts"),
    ("M12", "identity::a_topic_that_was_made_again"),
    ("M13", "faults::deaths::death_before_the_commit"),
    ("M14", "faults::deaths::death_before_the_commit"),
];

/// M6 needs a proxy that holds a request back: `tests/chaos` finds it.
const ELSEWHERE: &str = "M6 is found by the held EndTxn of tests/chaos";

/// All of them, or those that are named.
pub(crate) fn run_mutants(named: &[String]) -> Result<()> {
    announce_cold_build();
    if let Some(unknown) = named.iter().find(|name| !HUNTS.iter().any(|(mutant, _)| mutant == name)) {
        bail!("there is no mutant {unknown} here; {ELSEWHERE}");
    }
    let chaos = chaos_program()?;
    let (mut survivors, mut passed) = (Vec::new(), BTreeMap::new());
    for (mutant, test) in
        HUNTS.iter().filter(|(mutant, _)| named.is_empty() || named.iter().any(|name| name == mutant))
    {
        if !passed.contains_key(test) {
            let (is_green, words) = one_test(test, &chaos, None)?;
            eprintln!("{test} without a mutant: {}", if is_green { "passes" } else { "FAILS" });
            if !is_green {
                bail!("a test that fails without a mutant shows nothing:\n{words}");
            }
            passed.insert(test, ());
        }
        let (is_green, words) = one_test(test, &chaos, Some(mutant))?;
        if is_green {
            eprintln!("{mutant} SURVIVED {test}");
            survivors.push(*mutant);
        } else {
            eprintln!("{mutant} is found by {test}:\n{}", shown(&words));
        }
    }
    if !survivors.is_empty() {
        bail!("the tests did not find {}", survivors.join(", "));
    }
    eprintln!("all were found; {ELSEWHERE}");
    Ok(())
}

/// Whether it passes, and what it says.
fn one_test(test: &str, chaos: &Path, mutant: Option<&&str>) -> Result<(bool, String)> {
    let mut command: Command = cargo("test --release -q -p yardmaster --test it -- --exact");
    command.arg(test).env("YARDMASTER_TEST_PYTHON", test_python()?);
    let programs = ["YARDMASTER_TEST_PROGRAM", "YARDMASTER_TEST_CHAOS_PROGRAM"];
    command.envs(programs.map(|name| (name, chaos)));
    command.envs(mutant.map(|mutant| ("YARDMASTER_TEST_MUTANT", OsStr::new(*mutant))));
    let output = command.stdin(Stdio::null()).output().context("could not run cargo test")?;
    let words =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if !words.contains("running 1 test") {
        bail!("there is no test {test}:\n{words}");
    }
    Ok((output.status.success(), words))
}

/// The first lines of the panic.
fn shown(words: &str) -> String {
    let lines = words.lines().skip_while(|line| !line.contains("panicked at"));
    lines.take(6).map(|line| format!("    {}\n", line.chars().take(200).collect::<String>())).collect()
}
