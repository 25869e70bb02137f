//! Every example of `docs/protocol.md` is read, and read again after it was written.

use std::path::Path;

use super::generate::filled_in;
use crate::event::Action;
use crate::task::TaskSpec;
use crate::wire::{
    Defaults, decode_command, decode_event, decode_status, decode_to_worker, encode_command, encode_event,
    encode_status_batch, encode_to_worker,
};

/// The examples: the schema that the comment above the block names, and the block.
#[expect(clippy::disallowed_methods, reason = "the document is read by this test, not by a decision")]
fn examples() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut found = Vec::new();
    for part in text.split("<!-- schema: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let block = rest.trim_start().strip_prefix("```json\n").unwrap();
        found.push((name.to_owned(), block.split_once("\n```").unwrap().0.to_owned()));
    }
    found
}

fn check(topic: &str, example: &str) {
    let (bytes, defaults) = (example.as_bytes(), Defaults::default());
    match topic {
        "command" => {
            let mut command = decode_command(bytes, &defaults).unwrap();
            if let Action::Requeue { task } = &mut command.action {
                **task = filled_in(TaskSpec::clone(task));
            }
            assert_eq!(decode_command(&encode_command(&command), &defaults).unwrap(), command);
        }
        "status" => {
            let statuses = decode_status(bytes, &defaults).unwrap();
            assert_eq!(decode_status(&encode_status_batch(&statuses), &defaults).unwrap(), statuses);
        }
        "to-worker" => {
            let message = decode_to_worker(bytes).unwrap();
            assert_eq!(decode_to_worker(&encode_to_worker(&message)).unwrap(), message);
        }
        "event" => {
            let event = decode_event(bytes).unwrap();
            assert_eq!(decode_event(&encode_event(&event)).unwrap(), event);
        }
        other => panic!("`{other}` is no schema"),
    }
}

#[test]
fn examples_of_the_protocol_are_read() {
    let examples = examples();
    assert!(examples.len() >= 30, "only {} examples were found", examples.len());
    for (name, example) in examples {
        let (topic, kind) = name.split_once('.').unwrap();
        let value: serde_json::Value = serde_json::from_str(&example).unwrap();
        assert_eq!(value["type"], kind, "{name}");
        check(topic, &example);
    }
}
