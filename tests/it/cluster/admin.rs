//! What an operator, or an accident, does to topics.

use std::future::Future;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use yardmaster::kafka::{Connection, Topics};

use super::{await_some, bootstrap};

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap()).create().expect("a client's settings")
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A topic with this configuration.
pub(crate) fn create_topic(name: &str, partitions: i32, config: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in config {
        topic = topic.set(key, value);
    }
    let created = wait(admin().create_topics([&topic], &AdminOptions::new())).unwrap();
    created.into_iter().for_each(|topic| drop(topic.unwrap()));
}

/// Raises the number of partitions.
pub(crate) fn add_partitions(topic: &str, count: usize) {
    let wanted = NewPartitions::new(topic, count);
    let added = wait(admin().create_partitions([&wanted], &AdminOptions::new())).unwrap();
    added.into_iter().for_each(|topic| drop(topic.unwrap()));
}

/// Sets the whole configuration of a topic, and waits until it is in force.
pub(crate) fn configure_topic(topic: &str, config: &[(&str, &str)]) {
    configure(ResourceSpecifier::Topic(topic), config);
    let topics = Topics::new(&Connection::new(bootstrap())).unwrap();
    await_some("the topic's configuration", String::new, || {
        let found = topics.settings(topic).ok()?;
        let is_set = |(key, value): &(&str, &str)| found.get(*key).is_some_and(|found| found == value);
        config.iter().all(is_set).then_some(())
    });
}

/// Sets the whole dynamic configuration of the broker.
pub(crate) fn configure_broker(config: &[(&str, &str)]) {
    configure(ResourceSpecifier::Broker(1), config);
}

fn configure(resource: ResourceSpecifier<'_>, config: &[(&str, &str)]) {
    let mut wanted = AlterConfig::new(resource);
    for (key, value) in config {
        wanted = wanted.set(key, value);
    }
    let altered = wait(admin().alter_configs([&wanted], &AdminOptions::new())).unwrap();
    altered.into_iter().for_each(|resource| drop(resource.unwrap()));
}

/// Deletes a partition's records before an offset, as retention does. Waits until the broker does it.
pub(crate) fn delete_records(topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(before)).unwrap();
    let admin = admin();
    await_some(
        "the end of the records",
        || format!("{topic}-{partition} before {before}"),
        || {
            let deleted = wait(admin.delete_records(&list, &AdminOptions::new())).ok()?;
            deleted.elements().iter().all(|place| place.error().is_ok()).then_some(())
        },
    );
}
