//! `test`: everything that CI runs, cheap checks first.

use anyhow::Result;

use crate::cargo::{announce_cold_build, cargo, run};
use crate::lint::{clippy, format, pure_crate};
use crate::program::chaos_program;
use crate::python::test_python;
use crate::steps::{Step, run_steps};

/// Runs all steps. What cargo prints on stdout stays there as it is; headings and the summary go to stderr.
pub(crate) fn run_test() -> Result<()> {
    announce_cold_build();
    run_steps(&[
        Step { name: "format", work: format },
        Step { name: "clippy", work: clippy },
        Step { name: "deciding builds without native libraries", work: pure_crate },
        Step { name: "examples in the documentation", work: documentation },
        Step { name: "unit and integration tests", work: tests },
    ])
}

fn documentation() -> Result<()> {
    run(&mut cargo("test --release --workspace --doc"))
}

/// The program's binaries are built first: the integration tests start them as processes.
fn tests() -> Result<()> {
    let (python, chaos) = (test_python()?, chaos_program()?);
    let words = "test --release --workspace --lib --bins --tests --examples";
    let mut tests = cargo(words);
    run(tests.env("YARDMASTER_TEST_PYTHON", python).env("YARDMASTER_TEST_CHAOS_PROGRAM", chaos))
}
