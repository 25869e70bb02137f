//! `lint`: what can be said about the sources without running them, and the steps of it that `test` shares.

use anyhow::{Result, bail};

use crate::cargo::{announce_cold_build, cargo, run};
use crate::steps::{Step, run_steps};

/// The native libraries that deciding must not need.
const NATIVE_CRATES: [&str; 4] = ["rocksdb", "librocksdb-sys", "rdkafka", "rdkafka-sys"];

/// Format, clippy, tidy.
pub(crate) fn run_lint() -> Result<()> {
    announce_cold_build();
    run_steps(&[
        Step { name: "format", work: format },
        Step { name: "clippy", work: clippy },
        Step { name: "tidy", work: tidy },
    ])
}

pub(crate) fn format() -> Result<()> {
    run(&mut cargo("fmt --all --check"))
}

pub(crate) fn clippy() -> Result<()> {
    run(&mut cargo("clippy --workspace --all-targets --release -- -D warnings"))
}

fn tidy() -> Result<()> {
    run(&mut cargo("test --release -p yardmaster --test it tidy"))
}

/// The pure crate builds alone, and then without the native libraries.
pub(crate) fn pure_crate() -> Result<()> {
    let tree = cargo("tree -p yardmaster-topologies -e normal,build --prefix none --format {p}").output()?;
    if !tree.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr).trim());
    }
    let text = String::from_utf8_lossy(&tree.stdout);
    if let Some(name) = native_crate_in(&text) {
        bail!("yardmaster-topologies depends on {name}: deciding must build without RocksDB and librdkafka");
    }
    run(&mut cargo("check --release -p yardmaster-topologies"))
}

/// The first native crate in the lines of `cargo tree` ("name vX.Y.Z").
fn native_crate_in(tree: &str) -> Option<&str> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names.into_iter().find(|name| NATIVE_CRATES.contains(name))
}

#[cfg(test)]
mod tests {
    use super::native_crate_in;

    #[test]
    fn a_native_crate_is_found_by_its_whole_name() {
        assert_eq!(native_crate_in("serde v1.0.0\nlibrocksdb-sys v0.17.0\n"), Some("librocksdb-sys"));
        assert_eq!(native_crate_in("yardmaster-topologies v0.1.0\nnot-rocksdb v1.0.0\n"), None);
    }
}
