//! The checker's eyes, on the real broker: what was aborted is not there, and an end of commit markers is an end.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use yardmaster::http::{EventFeed as _, KafkaFeed};
use yardmaster::kafka::Connection;

use crate::cluster::{Topic, await_some, bootstrap, fresh_namespace};
use yardmaster_checker::read_all;

const CALL: Duration = Duration::from_secs(30);

/// With the settings that the server gives them, as far as they matter.
pub(crate) fn create_topics(names: &[String], partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap();
    let topics: Vec<NewTopic<'_>> =
        names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
    let made = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(admin.create_topics(&topics, &AdminOptions::new().operation_timeout(Some(CALL))))
        .unwrap();
    for one in made {
        one.unwrap();
    }
}

fn transaction(producer: &BaseProducer, topic: &str, value: &str, commit: bool) {
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(topic).key("p").payload(value).partition(0)).unwrap();
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(5));
    }
    if commit {
        producer.commit_transaction(CALL).unwrap();
    } else {
        producer.abort_transaction(CALL).unwrap();
    }
}

#[test]
fn a_stream_that_begins_now_meets_what_is_committed_later() {
    let topic = format!("{}.events", fresh_namespace("following"));
    create_topics(std::slice::from_ref(&topic), 2);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", format!("{topic}-tx"))
        .create()
        .unwrap();
    producer.init_transactions(CALL).unwrap();
    transaction(&producer, &topic, "before", true);
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(&topic).key("p").payload("open").partition(0)).unwrap();
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(5));
    }
    let connection = Connection { bootstrap: bootstrap(), extra: Vec::new() };
    let feed = KafkaFeed { connection, topic, partitions: 2 };
    let from = feed.ends().unwrap();
    let mut stream = feed.open(from).unwrap();
    producer.commit_transaction(CALL).unwrap();
    let met = await_some("the record", String::new, || stream.poll(Duration::from_millis(100)).unwrap());
    assert_eq!(met.value.as_deref(), Some(b"open".as_slice()), "and not what was committed before");
}

#[test]
fn the_checker_reads_what_was_committed_and_comes_to_the_end() {
    let namespace = fresh_namespace("reading");
    let topic = |name: &str| format!("{namespace}.{name}");
    let names = ["tasks", "status", "events", "dead-letter", "assign.p.w"].map(topic);
    create_topics(&names, 2);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", format!("{namespace}-tx"))
        .create()
        .unwrap();
    producer.init_transactions(CALL).unwrap();
    transaction(&producer, &topic("events"), "one", true);
    transaction(&producer, &topic("events"), "never", false);
    transaction(&producer, &topic("events"), "two", true);
    transaction(&producer, &topic("assign.p.w"), "never", false);
    let tasks = Topic::new(&topic("tasks"));
    tasks.send_to(Some(1), Some(b"p"), None);
    tasks.flush();
    let topics = read_all(&bootstrap(), &namespace);
    let values: Vec<_> = topics.events.iter().map(|raw| raw.value.clone().unwrap()).collect();
    assert_eq!(values, [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!((topics.assign.len(), topics.dead_letter.len(), topics.status.len()), (0, 0, 0));
    assert_eq!((topics.tasks.len(), topics.tasks[0].partition), (1, 1));
}
