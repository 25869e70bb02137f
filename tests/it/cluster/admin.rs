//! What an operator, or an accident, does to topics.

use std::future::Future;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use super::bootstrap;

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

/// Sets the whole configuration of a topic.
pub(crate) fn configure_topic(topic: &str, config: &[(&str, &str)]) {
    configure(ResourceSpecifier::Topic(topic), config);
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

/// Deletes a partition's records before an offset, as retention does.
pub(crate) fn delete_records(topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(before)).unwrap();
    let deleted = wait(admin().delete_records(&list, &AdminOptions::new())).unwrap();
    deleted.elements().iter().for_each(|place| place.error().unwrap());
}
