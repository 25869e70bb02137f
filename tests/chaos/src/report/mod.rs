//! Results: merged into docs/reliability.json as they come, rendered as docs/reliability.md.

mod render;
mod rows;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::lab::Outcome;

const RESULTS: &str = "docs/reliability.json";
const PAGE: &str = "docs/reliability.md";

/// The median, and what 99 of 100 don't exceed; 0 of none.
pub(crate) fn percentiles(all: &[u64]) -> (u64, u64) {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).copied().unwrap_or(0)
    };
    (at(50), at(99))
}

/// Adds a run to its row: in the same commit trials add up, another commit begins anew.
pub(crate) fn merge(root: &Path, id: &str, outcome: &Outcome) -> Result<()> {
    let path = root.join(RESULTS);
    let mut all = read(&path)?;
    let commit = commit(root);
    let merged = merged(all.get(id), outcome, &commit, &today());
    all.insert(id.to_owned(), merged);
    let text = serde_json::to_string_pretty(&Value::Object(all))?;
    fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

/// Renders the page; the block that is kept by hand stays.
pub(crate) fn write(root: &Path) -> Result<()> {
    let all = read(&root.join(RESULTS))?;
    let path = root.join(PAGE);
    let old = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, render::page(&all, &old)).with_context(|| format!("writing {}", path.display()))
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(Map::new());
    };
    serde_json::from_str(&text).with_context(|| format!("{} is not what this program wrote", path.display()))
}

fn merged(old: Option<&Value>, outcome: &Outcome, commit: &str, date: &str) -> Value {
    if let Some(why) = &outcome.not_run {
        return json!({"not_run":why,"commit":commit,"date":date});
    }
    let same = old.filter(|old| old.get("commit").and_then(Value::as_str) == Some(commit));
    let same = same.filter(|old| old.get("not_run").is_none());
    let count = |field: &str| same.and_then(|old| old.get(field)).and_then(Value::as_u64).unwrap_or(0);
    let list = |field: &str| {
        same.and_then(|old| old.get(field)).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut recoveries: Vec<u64> = list("recoveries_ms").iter().filter_map(Value::as_u64).collect();
    recoveries.extend(&outcome.recoveries_ms);
    let (p50, p99) = percentiles(&recoveries);
    let mut seeds = list("seeds");
    seeds.extend(outcome.seeds.iter().map(|seed| json!(seed)));
    let mut notes = list("notes");
    notes.extend(outcome.notes.iter().map(|note| json!(note)));
    let violations: Vec<Value> =
        outcome.violations.iter().take(5).map(|one| json!(first_line(one))).collect();
    json!({
        "trials": count("trials") + u64::from(outcome.trials),
        "violations": count("violations") + outcome.violations.len() as u64,
        "invalid": count("invalid") + outcome.invalid.len() as u64,
        "p50_ms": p50, "p99_ms": p99, "recoveries_ms": recoveries,
        "seeds": seeds, "notes": notes, "first_violations": violations,
        "commit": commit, "date": date, "broker": yardmaster::embedded::KAFKA_VERSION,
        "librdkafka": rdkafka::util::get_rdkafka_version().1,
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn commit(root: &Path) -> String {
    let output = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).current_dir(root).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        assert_eq!(percentiles(&[]), (0, 0));
        assert_eq!(percentiles(&[7]), (7, 7));
        let all: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentiles(&all), (100, 198));
    }

    #[test]
    fn runs_of_one_commit_add_up_and_another_commit_begins_anew() {
        let outcome =
            Outcome { trials: 5, recoveries_ms: vec![10, 30], seeds: vec![1], ..Outcome::default() };
        let first = merged(None, &outcome, "aaa", "2026-01-01");
        let second =
            merged(Some(&first), &Outcome { seeds: vec![2], ..outcome.clone() }, "aaa", "2026-01-02");
        assert_eq!((&second["trials"], &second["seeds"]), (&json!(10), &json!([1, 2])));
        assert_eq!(second["p99_ms"], 30);
        let third = merged(Some(&second), &outcome, "bbb", "2026-01-03");
        assert_eq!(third["trials"], 5);
    }
}
