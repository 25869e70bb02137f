//! `docs/protocol.md` is true: its examples and every record that was produced keep the schemas beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use yardmaster_checker::{Raw, Topics};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn schema(name: &str) -> Validator {
    let path = docs().join("schemas").join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is wrong with it; nothing if it keeps the schema.
fn faults(validator: &Validator, value: &Value) -> String {
    let faults: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    faults.join("\n")
}

/// Every record of a clean run keeps its schema.
pub(crate) fn all_records_are_valid(topics: &Topics) {
    let ended: Vec<Raw> = topics.dead_letter.iter().filter(|raw| is_ended(raw)).cloned().collect();
    for (name, records) in [
        ("command", &topics.tasks),
        ("status", &topics.status),
        ("to-worker", &topics.assign),
        ("event", &topics.events),
        ("event", &ended),
    ] {
        let validator = schema(name);
        for raw in records {
            let value = raw.json().unwrap_or_else(|| panic!("{} is not JSON", raw.place()));
            let faults = faults(&validator, &value);
            assert!(faults.is_empty(), "{} breaks the schema {name}:\n{faults}\n{value}", raw.place());
        }
    }
}

fn is_ended(raw: &Raw) -> bool {
    raw.json().is_some_and(|json| json["type"] == "ended")
}

/// The name of the schema, the type, and the text of each example.
fn examples() -> Vec<(String, String, Value)> {
    let text = fs::read_to_string(docs().join("protocol.md")).expect("docs/protocol.md");
    let mut found = Vec::new();
    for part in text.split("<!-- schema: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let (_, block) = rest.split_once("```json\n").unwrap();
        let (block, _) = block.split_once("\n```").unwrap();
        let value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{name}: {error}\n{block}"));
        let (schema, kind) = name.split_once('.').unwrap();
        found.push((schema.to_owned(), kind.to_owned(), value));
    }
    found
}

#[test]
fn every_example_of_the_protocol_keeps_its_schema() {
    let mut validators: BTreeMap<String, Validator> = BTreeMap::new();
    let examples = examples();
    assert!(examples.len() >= 30, "only {} examples were found", examples.len());
    for (name, kind, value) in examples {
        let validator = validators.entry(name.clone()).or_insert_with(|| schema(&name));
        assert_eq!(value["type"], kind.as_str(), "{name}.{kind}: {value}");
        let faults = faults(validator, &value);
        assert!(faults.is_empty(), "{name}.{kind}:\n{faults}\n{value}");
    }
}

#[test]
fn the_schemas_are_strict_about_what_matters() {
    for name in ["command", "status", "to-worker", "event"] {
        let validator = schema(name);
        for bad in [r"{}", r#"{"v":1}"#, r#"{"v":2,"type":"submit"}"#, r#"{"v":1,"type":7}"#, "[]", "null"] {
            let value: Value = serde_json::from_str(bad).unwrap();
            assert!(!validator.is_valid(&value), "{name} takes {bad}");
        }
    }
    // A required field that is missing is found in each example that has one.
    for (name, kind, value) in examples() {
        let validator = schema(&name);
        let mut bare = value.clone();
        bare.as_object_mut().unwrap().retain(|field, _| field == "v" || field == "type");
        let needs_more = bare != value;
        assert!(!needs_more || !validator.is_valid(&bare), "{name}.{kind} takes a record without any field");
    }
}
