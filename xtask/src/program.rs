//! `demo`, `dev`, `kafka` and `chaos`: builds the program, then becomes it, with the arguments passed through.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{announce_cold_build, cargo, root, run, target_dir};

/// Builds `yardmaster` and replaces this process with `yardmaster CHORE ARGUMENTS`.
pub(crate) fn run_program(chore: &str, arguments: &[String]) -> Result<()> {
    let binary = build_program()?;
    // Becoming the program, and not waiting for it, gives it the terminal's signals and its own exit code.
    let error = Command::new(&binary).arg(chore).args(arguments).exec();
    Err(error).with_context(|| format!("could not run {}", binary.display()))
}

/// Builds the program with failpoints and mutants, and puts it beside the one without, which it must not replace.
pub(crate) fn chaos_program() -> Result<PathBuf> {
    run(&mut cargo("build --release -p yardmaster --bin yardmaster --features chaos"))?;
    set_aside()
}

/// Builds that and the harness, both with the feature so that the library is built once, and becomes the harness.
pub(crate) fn run_chaos(arguments: &[String]) -> Result<()> {
    announce_cold_build();
    run(&mut cargo("build --release -p yardmaster -p yardmaster-chaos --bins --features yardmaster/chaos"))?;
    let program = set_aside()?;
    let harness = target_dir().join("release").join("chaos-harness");
    let error =
        Command::new(&harness).arg("--root").arg(root()).arg("--program").arg(program).args(arguments).exec();
    Err(error).with_context(|| format!("could not run {}", harness.display()))
}

/// Shows that the tests have teeth: each mistake that a server can be told to make, or the one that is named, must be found.
/// It is a row of the scorecard, so the harness does it.
pub(crate) fn run_mutants(named: &[String]) -> Result<()> {
    let named = named.iter().flat_map(|name| ["--mutant".to_owned(), name.clone()]);
    run_chaos(&["--scenario".to_owned(), "S31".to_owned()].into_iter().chain(named).collect::<Vec<_>>())
}

fn set_aside() -> Result<PathBuf> {
    let built = target_dir().join("release").join("yardmaster");
    let chaos = built.with_file_name("yardmaster-chaos");
    // A link would follow the next build.
    fs::copy(&built, &chaos).with_context(|| format!("could not copy {}", built.display()))?;
    Ok(chaos)
}

/// Builds `yardmaster`; returns where it lies.
pub(crate) fn build_program() -> Result<PathBuf> {
    announce_cold_build();
    run(&mut cargo("build --release -p yardmaster --bin yardmaster"))?;
    Ok(target_dir().join("release").join("yardmaster"))
}
