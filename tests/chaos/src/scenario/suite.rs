//! The integration tests (`tests/it`), run one at a time with a program that makes a mistake.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::lab::{Lab, say};

/// The tests, of a checkout.
pub(super) struct Suite {
    root: PathBuf,
    program: PathBuf,
    /// Those that pass without a mutant.
    passed: BTreeSet<&'static str>,
}

/// How a test ended, and what it said.
struct Ran {
    is_green: bool,
    words: String,
}

impl Suite {
    pub(super) fn new(lab: &Lab) -> Self {
        Self { root: lab.plan.root.clone(), program: lab.program.clone(), passed: BTreeSet::new() }
    }

    /// Who found the mutant, and by what: the line of the test's failure that has one of the signs. None when the test passes.
    pub(super) fn finds(
        &mut self,
        mutant: &str,
        test: &'static str,
        signs: &[&str],
    ) -> Result<Option<String>> {
        if !self.passed.contains(test) {
            let Ran { is_green, words } = self.run(test, None)?;
            if !is_green {
                bail!("{test} fails without a mutant, too, so it shows nothing:\n{}", failure(&words));
            }
            say("S31", &format!("{test} passes without a mutant"));
            self.passed.insert(test);
        }
        let Ran { is_green, words } = self.run(test, Some(mutant))?;
        if is_green {
            return Ok(None);
        }
        let failure = failure(&words);
        let sign = failure.lines().find(|line| signs.iter().any(|sign| line.contains(sign)));
        match sign {
            Some(line) => Ok(Some(format!("{test}: {}", line.trim()))),
            None => bail!("{test} failed, and not for one of {signs:?}:\n{failure}"),
        }
    }

    fn run(&self, test: &str, mutant: Option<&str>) -> Result<Ran> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args("test --release -q -p yardmaster --test it -- --exact".split(' ')).arg(test);
        let programs = ["YARDMASTER_TEST_PROGRAM", "YARDMASTER_TEST_CHAOS_PROGRAM"];
        command.envs(programs.map(|name| (name, &self.program)));
        command.envs(mutant.map(|mutant| ("YARDMASTER_TEST_MUTANT", mutant)));
        command.current_dir(&self.root).stdin(Stdio::null());
        let output = command.output().context("could not run cargo test")?;
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let words = words.concat();
        if !words.contains("running 1 test") {
            bail!("there is no test {test}:\n{words}");
        }
        Ok(Ran { is_green: output.status.success(), words })
    }
}

/// From the panic on.
fn failure(words: &str) -> String {
    let lines = words.lines().skip_while(|line| !line.contains("panicked at"));
    lines.take(60).map(|line| format!("{}\n", line.chars().take(300).collect::<String>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_begins_with_the_panic() {
        let words = "running 1 test\nF\nthread 'x' panicked at tests/it/a.rs:3:5:\nI5: torn\nthe last lines";
        let failure = failure(words);
        assert!(failure.starts_with("thread 'x' panicked") && failure.contains("I5: torn"), "{failure}");
        assert_eq!(super::failure("running 1 test\n."), "");
    }
}
