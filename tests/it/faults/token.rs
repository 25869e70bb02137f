//! Who does not know an attempt's token has no say in it.

use std::time::Duration;

use rdkafka::message::Message as _;
use serde_json::{Value, json};

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Watch, await_some, produce, reader, submit,
};

#[test]
fn wrong_token_counts_for_nothing() {
    let options = ServerOptions::new("token").with("YARDMASTER_PARTITIONS", "1");
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let mut fleet = FleetOptions::new(&options.namespace, "p");
    (fleet.workers, fleet.runs) = (1, None);
    let fleet = Fleet::start(fleet);
    submit(&options.namespace, "p", "t", &json!({"command":["true"]}));
    watch.event("the assignment", &server, |event| event["type"] == "assigned");
    let told = assignment(&format!("{}.assign.p.sim-0", options.namespace), &server);
    let say = |kind: &str, token: &Value, note: &Value| {
        let mut status = json!({"v":1,"type":kind,"pool":"p","worker":told["worker"],
            "incarnation":told["incarnation"],"task":"t","attempt":told["attempt"],"token":token});
        if !note.is_null() {
            status["note"] = note.clone();
        }
        produce(&server.topic("status"), "p", &status.to_string());
    };
    say("completed", &json!("0".repeat(32)), &Value::Null);
    // On the same partition: once this is heard, the word before it was heard too. After an end it would not be heard.
    say("progress", &told["token"], &json!("behind it"));
    let heard = |event: &Value| event["type"] == "progress" || event["type"] == "ended";
    watch.event("the progress behind it", &server, heard);
    assert!(watch.find(|event| event["type"] == "ended").is_empty(), "a wrong token has ended the task");
    say("completed", &told["token"], &Value::Null);
    assert_eq!(watch.end_of("p/t", &server)["state"], "COMPLETED");
    drop(fleet);
}

/// The first assignment on a channel. The channel is made for the worker's first hello, so it is there by the event.
fn assignment(channel: &str, server: &Server) -> Value {
    let consumer = reader(channel);
    await_some(
        "an assignment",
        || server.last_words(),
        || {
            let message = consumer.poll(Duration::from_millis(50))?.ok()?;
            let json: Value = serde_json::from_slice(message.payload()?).ok()?;
            (json["type"] == "assign").then_some(json)
        },
    )
}
