//! Records that are gone before a server has read them are not passed over: it halts, and says so.

use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap, submit_range,
};

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
    delete_all(&name);
    submit_range(&topic, "p", "after", 0..10, &fields);
    server.signal(Signal::SIGCONT);
    let halted = || server.log().contains("this partition is halted").then_some(());
    await_some("the halt", || server.last_words(), halted);
    assert!(server.log().contains("are gone"), "{}", server.last_words());
    assert_eq!(server.http.get("/readyz").status, 503);
    let passed = watch.find(|event| event["id"].as_str().is_some_and(|id| id.starts_with("after")));
    assert!(passed.is_empty(), "it went on behind the gap: {passed:?}");
    drop(fleet);
}

/// As retention does it, or `kafka-delete-records`.
fn delete_all(topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::End).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    runtime.block_on(admin.delete_records(&list, &options)).unwrap();
}
