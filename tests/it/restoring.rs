//! A restore that can't go on: somebody else's transaction is open in the changelog. It waits, says for what, and takes
//! nothing less for all.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;

use crate::cluster::{Server, ServerOptions, await_some, bootstrap};

/// A transaction of a producer that is none of ours, with one record in it.
fn foreign_transaction(topic: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", format!("foreign-{topic}"))
        .set("transaction.timeout.ms", "300000")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<[u8], [u8]>::to(topic).partition(0).key(b"foreign").payload(b"row");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    let sent = || (producer.in_flight_count() == 0).then_some(());
    await_some("the foreign record's arrival", String::new, || {
        producer.poll(Duration::from_millis(10));
        sent()
    });
    producer
}

/// Enough that each of two partitions has some.
const POOLS: [&str; 8] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];

fn submit(server: &Server, pool: &str, id: &str) {
    let task = json!({"id":id,"pool":pool,"command":["true"]});
    server.http.post("/v1/tasks?wait=applied&wait_ms=20000", &task).expect(201);
}

/// What is answered about a task in each pool.
fn statuses(server: &Server, id: &str) -> Vec<u16> {
    let status = |pool: &&str| server.http.get(&format!("/v1/pools/{pool}/tasks/{id}")).status;
    POOLS.iter().map(status).collect()
}

#[test]
fn a_foreign_transaction_is_waited_for_and_named() {
    let options = ServerOptions::new("foreign").with("YARDMASTER_PARTITIONS", "2");
    let mut server = Server::start(&options);
    POOLS.iter().for_each(|pool| submit(&server, pool, "before"));
    server.kill();
    // All of the changelog has to be read, so that what lies before the open transaction is not all there is.
    server.wipe();
    let foreign = foreign_transaction(&server.topic("changelog"));
    server.restart_unready();
    let place = format!("a transaction is open in {}-0 since offset", server.topic("changelog"));
    let named = |server: &Server| {
        server.log_since_start().lines().find(|line| line.contains(&place)).map(str::to_owned)
    };
    let line =
        await_some("the restore's word about what it waits for", || server.last_words(), || named(&server));
    eprintln!("restoring: {line}");
    assert!(line.contains("a record with the key \"foreign\"") && line.contains("--start-offset"), "{line}");
    let ready = server.http.get("/readyz").expect(503);
    let restoring = &ready["restoring"][0];
    assert_eq!((&restoring["partition"], &ready["moving"]), (&json!(0), &json!([0])), "{ready}");
    assert!(restoring["waits_for"].as_str().unwrap().contains("since offset"), "{ready}");
    assert!(restoring["done"].as_u64() < restoring["total"].as_u64(), "{ready}");
    // Nobody else waits for it: the other partition takes work meanwhile.
    let while_waiting = statuses(&server, "before");
    assert!(while_waiting.contains(&503) && while_waiting.contains(&200), "{while_waiting:?}");
    for (pool, _) in POOLS.iter().zip(&while_waiting).filter(|(_, status)| **status == 200) {
        submit(&server, pool, "meanwhile");
    }
    assert_eq!(server.restored().len(), 1, "it took less for all\n{}", server.last_words());
    // A server that waits here can be stopped, and waits again.
    assert_eq!(server.stop(), Some(0));
    assert!(server.log_since_start().contains("stopped"), "{}", server.last_words());
    server.restart_unready();
    await_some("the restore's word, once more", || server.last_words(), || named(&server));
    foreign.abort_transaction(Duration::from_secs(30)).unwrap();
    server.wait_ready();
    assert_eq!(statuses(&server, "before"), [200; POOLS.len()]);
    POOLS.iter().for_each(|pool| submit(&server, pool, "after"));
    assert_eq!(statuses(&server, "after"), [200; POOLS.len()]);
}
