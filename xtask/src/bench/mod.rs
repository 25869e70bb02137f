//! `bench`: measures yardmaster beside what its broker allows and beside its peers, and writes the table into `docs/`.
//!
//! What is measured and what it should reach is data (`plan.rs`, `rows.rs`); `measure.rs` runs it, `record.rs` keeps it,
//! `verdict.rs` judges it, `report.rs` writes it down. `yardmaster bench` is the program's own part of it.

mod arguments;
mod child;
mod curves;
mod grid;
mod ground;
mod idle;
mod machine;
mod measure;
mod peers;
mod plan;
mod processes;
mod record;
mod report;
mod rows;
mod spread;
mod svg;
mod verdict;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use self::arguments::{Arguments, usage};
use self::ground::Ground;
use self::plan::{MEASUREMENTS, Measurement};
use self::record::Record;
use crate::cargo::root;
use crate::program::build_program;

/// Runs what was asked for; the table goes to stdout, what goes on meanwhile to stderr.
pub(crate) fn run_bench(words: &[String]) -> Result<()> {
    let arguments = Arguments::read(words)?;
    if arguments.is_help {
        return print(&usage());
    }
    let program = match &arguments.program {
        Some(program) => {
            fs::canonicalize(program).with_context(|| format!("there is no {}", program.display()))?
        }
        None => build_program()?,
    };
    let out = arguments.out.clone().unwrap_or_else(|| root().join("docs"));
    fs::create_dir_all(&out).with_context(|| format!("could not create {}", out.display()))?;
    let ground = Ground::take(program, arguments.is_quick)?;
    let machine = machine::machine();
    let mut record = Record::load(&out.join("benchmarks.json"), &machine)?;
    let mut failed = Vec::new();
    for measurement in MEASUREMENTS.iter().filter(|one| arguments.wants(one)) {
        let name = measurement.name;
        eprintln!("\n=== {name} ===");
        match measure::measure(&ground, measurement, &record) {
            Ok(outcome) => {
                let run = describe(&ground, &arguments, measurement, &outcome);
                record.add(name, outcome, run);
                // At once: an hour's work is not to be lost by what comes after it.
                write(&out, &record, &machine)?;
            }
            Err(error) => {
                eprintln!("{name} was not measured: {error:#}");
                record
                    .add_hindrance(name, format!("{error:#}").lines().next().unwrap_or_default().to_owned());
                failed.push(name);
            }
        }
        ground.clear()?;
    }
    let is_wanted = |name: &str| MEASUREMENTS.iter().any(|one| one.name == name && arguments.wants(one));
    print(report::terminal(&report::verdicts(&record, is_wanted)).trim_end())?;
    // Of everything, something may be missing; what was named must be there.
    if !arguments.names.is_empty() && !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(())
}

/// When, of what and how.
fn describe(ground: &Ground, arguments: &Arguments, measurement: &Measurement, outcome: &Value) -> Value {
    let version = ground.yardmaster("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let version = version.unwrap_or_default().replace("yardmaster ", "");
    let mut versions = json!({"yardmaster": version, "commit": machine::commit(), "kafka": kafka_version()});
    let said = |member: &str| outcome.get("peer_said").and_then(|said| said.get(member));
    if let (Some(object), Some(peer), Some(version)) =
        (versions.as_object_mut(), said("peer").and_then(Value::as_str), said("version"))
    {
        object.insert(peer.to_owned(), version.clone());
    }
    json!({
        "date": machine::date(), "rounds": ground.rounds(), "versions": versions,
        "command": arguments.command(measurement.name),
    })
}

/// Of the embedded broker, as its pom says.
fn kafka_version() -> String {
    let pom = fs::read_to_string(root().join("src/embedded/kafka-pom.xml")).unwrap_or_default();
    let after = pom.split_once("<artifactId>kafka_2.13</artifactId>").map_or("", |(_, after)| after);
    let version = after.split_once("<version>").and_then(|(_, after)| after.split_once("</version>"));
    version.map_or("", |(version, _)| version).to_owned()
}

fn write(out: &Path, record: &Record, machine: &Value) -> Result<()> {
    let charts = record.entries().flat_map(|(_, entry)| curves::find(&entry.outcome));
    for (name, chart) in charts {
        save(&out.join("benchmarks").join(format!("{name}.svg")), &svg::draw(&chart))?;
    }
    let json = serde_json::to_string_pretty(&record.json(machine)).context("figures that are no JSON")?;
    save(&out.join("benchmarks.json"), &(json + "\n"))?;
    save(&out.join("benchmarks.md"), &report::markdown(record, machine))
}

fn save(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("could not write to stdout")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_brokers_version_is_found_in_its_pom() {
        let version = super::kafka_version();
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version:?}");
    }
}
