//! Runs cargo: the same one, in the workspace's root, in the one profile that everything is built with.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The workspace's root. As `cargo run` says it now, not as it was when this was compiled: checkouts that share a target
/// directory share this program, too.
pub(crate) fn root() -> PathBuf {
    let xtask =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().unwrap_or(&xtask).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo command; the words are separated by spaces.
pub(crate) fn cargo(words: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words.split_whitespace()).current_dir(root());
    command
}

/// Runs a command to its end with this process's own stdout and stderr.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// What a person would type.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = command.get_args().map(|word| word.to_string_lossy());
    [program.to_string_lossy()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// Says once how long this will take, when RocksDB has not been built yet.
pub(crate) fn announce_cold_build() {
    if is_cold(&target_dir()) {
        eprintln!(
            "The first build compiles RocksDB and librdkafka from their sources: about 25 minutes on 2 cores, once.\n\
             Cargo's progress follows; it stands still for a long time at librocksdb-sys and rdkafka-sys."
        );
    }
}

/// Whether no build of RocksDB has ended in this target directory: its build script's output holds the library.
fn is_cold(target: &Path) -> bool {
    let Ok(entries) = fs::read_dir(target.join("release").join("build")) else {
        return true;
    };
    let built = |entry: &fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with("librocksdb-sys-")
            && entry.path().join("out").join("librocksdb.a").exists()
    };
    !entries.flatten().any(|entry| built(&entry))
}
