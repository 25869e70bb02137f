//! What operators see: dashboards and rules name only what exists, and a real Prometheus finds data for every panel.

mod load;
mod names;
mod panels;
mod promtool;
mod scrape;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn grafana() -> PathBuf {
    root().join("grafana")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
