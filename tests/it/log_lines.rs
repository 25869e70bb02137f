//! What the real program logs, as a program reads it: JSON in each line, and of which batch.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::{Server, ServerOptions, Watch, await_some, guarded_program, submit};

/// Every line; one that is not JSON fails the test.
fn lines(text: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

#[test]
fn each_line_is_json_and_says_of_which_batch() {
    let options = ServerOptions::new("log-lines")
        .with("YARDMASTER_LOG_FORMAT", "json")
        .with("YARDMASTER_LOG", "info,yardmaster=debug")
        .with("YARDMASTER_LOG_FORMATT", "a mistyped name");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    for id in ["t-1", "t-2"] {
        submit(&options.namespace, "default", id, &json!({"command":["true"]}));
        watch.event("the submit", &server, |event| event["type"] == "accepted" && event["id"] == id);
    }
    let committed = |text: &str| text.lines().filter(|line| line.contains("\"committed\"")).count();
    // An event can be read before the line about its batch is written.
    await_some(
        "lines of two batches",
        || server.last_words(),
        || (committed(&server.log()) >= 2).then_some(()),
    );
    assert_eq!(server.stop(), Some(0));
    let lines = lines(&server.log());
    let mut last: BTreeMap<i64, u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["message"] == "committed") {
        let span = &line["span"];
        assert_eq!(span["name"], "batch", "{line}");
        let (partition, sequence) = (span["partition"].as_i64().unwrap(), span["sequence"].as_u64().unwrap());
        let before = last.insert(partition, sequence);
        assert!(before < Some(sequence), "batch {sequence} of partition {partition} came after {before:?}");
    }
    let told = lines.iter().find(|line| line["level"] == "WARN").unwrap();
    assert!(told["message"].as_str().unwrap().contains("YARDMASTER_LOG_FORMATT"), "{told}");
}

#[test]
fn a_start_that_fails_says_so_in_the_same_format() {
    let mut command = guarded_program();
    command.args(["server", "--http", "0.0.0.0:9733", "--set", "log.format=json"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let lines = lines(&String::from_utf8_lossy(&output.stderr));
    assert_eq!((lines.len(), &lines[0]["level"]), (1, &json!("ERROR")), "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("http.advertise"), "{lines:?}");
}
