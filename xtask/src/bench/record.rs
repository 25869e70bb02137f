//! What was measured, by measurement: kept in `docs/benchmarks.json`, so that one measurement can be repeated without the
//! others. Figures of another machine are not kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    entries: BTreeMap<String, Entry>,
    /// Why there is no newer figure, by measurement: of this run only.
    hindrances: BTreeMap<String, String>,
}

/// What a measurement gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Its figures.
    pub(crate) outcome: Value,
    /// When, of what, and how it was run.
    pub(crate) run: Value,
}

impl Record {
    /// What lies there from this machine; nothing when there is nothing.
    pub(crate) fn load(path: &Path, machine: &Value) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        let value: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON; delete it to begin anew", path.display()))?;
        Ok(Self::read(&value, machine))
    }

    fn read(value: &Value, machine: &Value) -> Self {
        let mut record = Self::default();
        if value.get("machine") != Some(machine) {
            return record;
        }
        let entries = value.get("measurements").and_then(Value::as_object).into_iter().flatten();
        for (name, entry) in entries {
            let member = |member: &str| entry.get(member).cloned().unwrap_or_default();
            record.add(name, member("outcome"), member("run"));
        }
        record
    }

    /// Replaces what this measurement gave before.
    pub(crate) fn add(&mut self, name: &str, outcome: Value, run: Value) {
        self.hindrances.remove(name);
        self.entries.insert(name.to_owned(), Entry { outcome, run });
    }

    /// It could not be run; an older figure stays.
    pub(crate) fn add_hindrance(&mut self, name: &str, why: String) {
        self.hindrances.insert(name.to_owned(), why);
    }

    /// The newest figures of a measurement.
    pub(crate) fn outcome(&self, name: &str) -> Option<&Value> {
        self.entries.get(name).map(|entry| &entry.outcome)
    }

    /// Why it could not be run this time.
    pub(crate) fn hindrance(&self, name: &str) -> Option<&str> {
        self.hindrances.get(name).map(String::as_str)
    }

    /// By name.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// For the file.
    pub(crate) fn json(&self, machine: &Value) -> Value {
        let entry = |(name, entry): (&String, &Entry)| {
            (name.clone(), json!({"run": entry.run, "outcome": entry.outcome}))
        };
        let measurements: Map<String, Value> = self.entries.iter().map(entry).collect();
        json!({"machine": machine, "measurements": measurements})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_on_the_same_machine_only() {
        let machine = json!({"cores": 2});
        let mut record = Record::default();
        record.add("lives", json!({"rate": 1}), json!({"date": "2026-01-01"}));
        record.add("idle", json!({"rss_mib": 1}), json!({}));
        let written = record.json(&machine);
        assert_eq!(Record::read(&written, &machine), record);
        assert_eq!(Record::read(&written, &json!({"cores": 64})), Record::default());
    }

    #[test]
    fn a_measurement_that_fails_does_not_take_an_older_figure_away() {
        let mut record = Record::default();
        record.add("lives", json!({"rate": 1}), json!({}));
        record.add_hindrance("lives", "no Java".to_owned());
        assert_eq!(record.outcome("lives"), Some(&json!({"rate": 1})));
        assert_eq!(record.hindrance("lives"), Some("no Java"));
        record.add("lives", json!({"rate": 2}), json!({}));
        assert_eq!(record.hindrance("lives"), None);
    }
}
