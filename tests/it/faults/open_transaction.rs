//! Somebody else's transaction is open in the changelog: a restore waits for its end, and never takes what lies before it
//! for the whole.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;

use super::judged;
use crate::cluster::{Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, bootstrap, submit_range};

const EACH: usize = 20;
/// How long a restore that ends too early has for it.
const TOO_EARLY: Duration = Duration::from_secs(8);

#[test]
fn foreign_transaction_in_the_changelog() {
    let options = ServerOptions::new("foreign").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    let (topic, fields) = (Topic::new(&server.topic("tasks")), json!({"command":["true"]}));
    submit_range(&topic, "p", "t", 0..EACH, &fields);
    watch.await_ends(EACH, &server);
    let foreign = open_transaction(&server.topic("changelog"));
    // Nobody can see these batches yet, not even the server itself after a death.
    submit_range(&topic, "p", "t", EACH..2 * EACH, &fields);
    watch.await_ends(2 * EACH, &server);
    server.kill();
    // A restart that has the disk needs only the tail: this one needs all.
    server.wipe();
    server.restart_unready();
    let deadline = Instant::now() + TOO_EARLY;
    while Instant::now() < deadline
        && server.http.try_get("/readyz").is_none_or(|answer| answer.status != 200)
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    foreign.abort_transaction(Duration::from_secs(30)).unwrap();
    server.wait_ready();
    submit_range(&topic, "p", "t", 2 * EACH..3 * EACH, &fields);
    watch.await_ends(3 * EACH, &server);
    drop(fleet);
    assert_eq!(judged(&mut server, &["p"]).accepted, 3 * EACH);
}

/// With one record in it.
fn open_transaction(topic: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", format!("foreign-to-{topic}"))
        .set("transaction.timeout.ms", "120000")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(topic).partition(0).key("foreign").payload("x")).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
    producer
}
