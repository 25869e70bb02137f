//! Records that are gone before a server has read them are not passed over: it halts, and says so.

use nix::sys::signal::Signal;
use serde_json::json;
use yardmaster_checker::end_offsets;

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, bootstrap, delete_records, submit_range,
};
use crate::identity::halted;

#[test]
fn lost_input_halts() {
    let options = ServerOptions::new("lost").with("YARDMASTER_PARTITIONS", "1");
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    let (name, fields) = (server.topic("tasks"), json!({"command":["true"]}));
    let topic = Topic::new(&name);
    submit_range(&topic, "p", "read", 0..10, &fields);
    watch.await_ends(10, &server);
    server.signal(Signal::SIGSTOP);
    // More than one answer of the broker holds: for the rest it has to ask again.
    submit_range(&topic, "p", "lost", 0..3_000, &json!({"command":["true"],"env":{"PAD":"x".repeat(2_000)}}));
    delete_records(&name, 0, end_offsets(&bootstrap(), &name)[0]);
    submit_range(&topic, "p", "after", 0..10, &fields);
    server.signal(Signal::SIGCONT);
    let text = halted(&server, 0, "input_lost");
    assert!(text.contains("are gone"), "{text}");
    let passed = watch.find(|event| event["id"].as_str().is_some_and(|id| id.starts_with("after")));
    assert!(passed.is_empty(), "it went on behind the gap: {passed:?}");
    drop(fleet);
}
