//! A store that was away while the changelog forgot deletions: to continue it would bring rows back to life.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use serde_json::{Value, json};
use yardmaster_state::{BlockCache, DiskOptions, DiskStore, prefix_end, scan_rows};
use yardmaster_topologies::tables::{PayloadTable, byte};

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Watch, await_some, bootstrap, configure_broker, create_topic,
    reader, submit,
};
use yardmaster_checker::{end_offsets, must_be_clean, read_all};

const TASKS: usize = 10;

/// A payload that has a row of its own, which is deleted when its task ends.
fn with_payload() -> Value {
    json!({"command":["true"],"payload":{"filler":"x".repeat(3_000)}})
}

/// A directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn store_of(server: &Server) -> PathBuf {
    server.state_dir().join(&server.options.namespace).join("0/store")
}

fn payload_rows(store: &Path) -> usize {
    let store = DiskStore::open(store, &DiskOptions::new(BlockCache::new(1 << 20))).unwrap();
    let all = [byte::PAYLOAD];
    scan_rows::<PayloadTable>(&store, &all, &prefix_end(&all), usize::MAX).unwrap().len()
}

/// Records about payloads, deletions included, that the changelog still has.
fn payload_records(changelog: &str) -> usize {
    let end = end_offsets(&bootstrap(), changelog)[0];
    let consumer = reader(changelog);
    let mut found = 0;
    await_some("the changelog's end", String::new, || {
        if let Some(record) = consumer.poll(Duration::from_millis(20)) {
            found += usize::from(record.unwrap().key().unwrap_or_default().first() == Some(&byte::PAYLOAD));
        }
        let position = consumer.position().unwrap().elements()[0].offset();
        (matches!(position, rdkafka::Offset::Offset(next) if next >= end)).then_some(())
    });
    found
}

#[test]
fn a_store_that_missed_deletions_is_rebuilt() {
    let options = ServerOptions::new("stale")
        .with("YARDMASTER_PARTITIONS", "1")
        .with("YARDMASTER_CHANGELOG_DELETE_RETENTION_MIN", "1s");
    let namespace = &options.namespace;
    configure_broker(&[("log.cleaner.backoff.ms", "500")]);
    let changelog = format!("{namespace}.changelog");
    create_topic(
        &changelog,
        1,
        &[
            ("cleanup.policy", "compact"),
            ("delete.retention.ms", "4000"),
            ("segment.ms", "500"),
            ("min.cleanable.dirty.ratio", "0.0"),
            ("max.message.bytes", "4194304"),
        ],
    );
    let mut server = Server::start(&options);
    let watch = Watch::start(namespace);
    for number in 0..TASKS {
        submit(namespace, "p", &format!("t-{number}"), &with_payload());
    }
    let accepted = || watch.find(|event| event["type"] == "accepted").len();
    await_some("the acceptance", || server.last_words(), || (accepted() == TASKS).then_some(()));
    server.stop();
    let stale = server.state_dir().with_file_name("stale");
    copy(&server.state_dir(), &stale);
    let before = payload_rows(&store_of(&server));
    server.restart();
    let fleet = Fleet::start(FleetOptions::new(namespace, "p"));
    watch.await_ends(TASKS, &server);
    // Each batch makes a new segment, so that the old ones are cleaned, again and again.
    let mut more = 0;
    let left = await_some(
        "the changelog's forgetting of deletions",
        || server.last_words(),
        || {
            submit(namespace, "p", &format!("more-{more}"), &json!({"command":["true"]}));
            more += 1;
            watch.await_ends(TASKS + more, &server);
            std::thread::sleep(Duration::from_millis(300));
            Some(payload_records(&changelog)).filter(|left| *left == 0)
        },
    );
    drop(fleet);
    server.stop();
    fs::remove_dir_all(server.state_dir()).unwrap();
    copy(&stale, &server.state_dir());
    server.restart();
    let log = server.log();
    let said = log.lines().find(|line| line.contains("it was last current")).unwrap_or("nothing").to_owned();
    server.stop();
    let after = payload_rows(&store_of(&server));
    eprintln!(
        "the stale store had {before} payloads; the changelog has {left} records of them; after the restart there are {after}; \
         the log: {said}"
    );
    assert_eq!((before, after), (TASKS, 0), "rows that were deleted are back\n{}", server.last_words());
    assert!(said.contains("the store is set aside"), "{said}");
    must_be_clean(&read_all(&bootstrap(), namespace));
}
