//! Virtual environments of Python in the cache, made once per set of requirements: that of the tests, for the examples and
//! for YAML, and those of the bench's peers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{root, run, target_dir};

/// What the examples need, and what only the tests need.
const REQUIREMENTS: [&str; 2] = ["examples/python/requirements.txt", "tests/it/requirements.txt"];

/// The environment's `python`, made if need be. `YARDMASTER_TEST_PYTHON` names another one to use as it is.
pub(crate) fn test_python() -> Result<PathBuf> {
    if let Some(python) = env::var_os("YARDMASTER_TEST_PYTHON") {
        return Ok(PathBuf::from(python));
    }
    // Beside the target directory: in the user's cache, and thrown away with it.
    environment(&target_dir().join("python"), &REQUIREMENTS.map(Path::new))
}

/// The `python` of a virtual environment with what these files of the workspace require; made if need be.
pub(crate) fn environment(venv: &Path, requirements: &[&Path]) -> Result<PathBuf> {
    let mut wanted = String::new();
    for path in requirements {
        wanted += &fs::read_to_string(root().join(path))
            .with_context(|| format!("could not read {}", path.display()))?;
    }
    let stamp = venv.join("requirements.txt");
    let python = venv.join("bin").join("python");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) && python.exists() {
        return Ok(python);
    }
    make(venv, &python, requirements)?;
    // Written last: an environment that was cut short is made again.
    fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(python)
}

fn make(venv: &Path, python: &Path, requirements: &[&Path]) -> Result<()> {
    eprintln!("making a Python environment in {}", venv.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    let mut install = Command::new(python);
    install.args(["-m", "pip", "install", "-q"]).current_dir(root());
    requirements.iter().for_each(|path| {
        install.arg("-r").arg(path);
    });
    run(&mut install)
}
