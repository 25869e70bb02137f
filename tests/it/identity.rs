//! A store follows from its topics: whatever does not fit together any more stops its partitions before they process a
//! record, with what was found, what was expected and the way out.

use serde_json::{Value, json};
use yardmaster::kafka::{Connection, Topics};
use yardmaster::runtime::Names;
use yardmaster_state::BatchRecord;
use yardmaster_topologies::event::Local;

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, add_partitions, await_some, bootstrap,
    configure_topic, create_topic, delete_records, produce, reader, submit, submit_range,
};
use crate::stale::copy;

/// What `/readyz` says about a partition once it is halted for this reason.
pub(crate) fn halted(server: &Server, partition: i32, cause: &str) -> String {
    let what = format!("the halt of partition {partition} for {cause}");
    let detail = await_some(
        &what,
        || server.last_words(),
        || {
            let answer = server.http.try_get("/readyz")?;
            let halt = answer.json()["halted"][partition.to_string()].clone();
            (answer.status == 503 && halt["cause"] == cause)
                .then(|| halt["detail"].as_str().unwrap().to_owned())
        },
    );
    let metric = format!("yardmaster_partition_halted{{cause=\"{cause}\",partition=\"{partition}\"}} 1");
    assert!(server.http.get("/metrics").body.contains(&metric), "{metric}");
    assert!(server.log().contains("this partition is halted"), "{}", server.last_words());
    eprintln!("{what}: {detail}");
    detail
}

/// The server does not start, and says why.
fn refused_at_start(server: &mut Server) -> String {
    server.restart_unready();
    let code = server.await_end();
    assert!(code.is_some_and(|code| code != 0), "{code:?}\n{}", server.last_words());
    let words = server.last_words();
    eprintln!("refused with exit code {code:?}: {}", words.lines().last().unwrap_or_default());
    words
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} in: {text}");
    }
}

fn accepted(watch: &Watch) -> usize {
    watch.find(|event| event["type"] == "accepted").len()
}

/// Deletes a topic and makes it again.
fn make_again(name: &str, partitions: i32, config: &[(&str, &str)]) {
    let topics = Topics::new(&Connection::new(bootstrap())).unwrap();
    topics.delete(name).unwrap();
    await_some("the topic's end", String::new, || {
        topics.exists(name).is_ok_and(|exists| !exists).then_some(())
    });
    create_topic(name, partitions, config);
}

#[test]
fn a_topic_that_was_made_again() {
    let options = ServerOptions::new("identity").with("YARDMASTER_PARTITIONS", "2");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    submit(&options.namespace, "p", "before", &json!({"command":["true"]}));
    watch.end_of("p/before", &server);
    drop(fleet);
    server.stop();
    let names = Names::new(&options.namespace);
    make_again(&names.tasks(), 2, &[]);
    server.restart_unready();
    for partition in 0..2 {
        has(&halted(&server, partition, "directory"), &["with id", "remove the directory"]);
    }
}

#[test]
fn a_topic_that_is_made_again_while_running() {
    let options = ServerOptions::new("identity-live").with("YARDMASTER_PARTITIONS", "1");
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let tasks = server.topic("tasks");
    // Many records: the new ones stay below the old position.
    let (topic, before) = (Topic::new(&tasks), 100);
    for number in 0..before {
        submit_range(&topic, "p", "before", number..number + 1, &json!({"command":["true"]}));
    }
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == before).then_some(()));
    make_again(&tasks, 1, &[]);
    for number in 0..20 {
        submit(&options.namespace, "p", &format!("after-{number}"), &json!({"command":["true"]}));
    }
    let text = await_some(
        "the refusal of the new topic",
        || server.last_words(),
        || Some(halted(&server, 0, "topics")).filter(|text| text.contains("was created again")),
    );
    has(&text, &["found is the id", "expected is", "remove the namespace's topics and state directories"]);
    assert_eq!(accepted(&watch), before, "records of the new topic were processed");
}

#[test]
fn partitions_that_are_added_while_running() {
    let options = ServerOptions::new("identity-grown").with("YARDMASTER_PARTITIONS", "2");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let tasks = server.topic("tasks");
    submit(&options.namespace, "p", "before", &json!({"command":["true"]}));
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == 1).then_some(()));
    add_partitions(&tasks, 4);
    // Whoever counts four partitions sends pools to the new ones.
    let (topic, mut sent) = (Topic::new(&tasks), 0);
    let halts = || server.http.get("/readyz").json()["halted"].as_object().map_or(0, serde_json::Map::len);
    while halts() < 2 {
        for partition in [2, 3] {
            let task = json!({"id":format!("n-{sent}"),"command":["true"]});
            let record = json!({"v":1,"type":"submit","pool":format!("new{sent}"),"task":task}).to_string();
            topic.send_to(Some(partition), Some(b"new"), Some(record.as_bytes()));
            sent += 1;
        }
        topic.flush();
    }
    for partition in 0..2 {
        let text = halted(&server, partition, "topics");
        has(&text, &[&tasks, "has 4 partitions", "computed with 2", "--set partitions=4"]);
    }
    let processed = watch.find(|event| event["pool"].as_str().is_some_and(|pool| pool.starts_with("new")));
    eprintln!("{sent} records sent to new partitions, {} processed", processed.len());
    assert_eq!((processed.len(), accepted(&watch)), (0, 1));
    server.stop();
    has(&refused_at_start(&mut server), &[&tasks, "has 4 partitions, wanted are 2"]);
}

#[test]
fn a_changelog_that_would_forget_rows() {
    let options = ServerOptions::new("identity-policy").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let changelog = server.topic("changelog");
    configure_topic(&changelog, &[("cleanup.policy", "delete"), ("retention.ms", "604800000")]);
    let text = halted(&server, 0, "topics");
    let remedy = format!("--entity-name {changelog} --add-config cleanup.policy=compact");
    has(&text, &["cleanup.policy=delete", "wanted is compact", &remedy]);
    submit(&options.namespace, "p", "waits", &json!({"command":["true"]}));
    // Mended, it goes on by itself.
    configure_topic(&changelog, &[("cleanup.policy", "compact"), ("delete.retention.ms", "86400000")]);
    server.wait_ready();
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == 1).then_some(()));
    server.stop();
    configure_topic(&changelog, &[("cleanup.policy", "compact"), ("delete.retention.ms", "3600000")]);
    let remedy = format!("--entity-name {changelog} --add-config delete.retention.ms=86400000");
    has(&refused_at_start(&mut server), &["delete.retention.ms=3600000", &remedy, "delete_retention_min"]);
    configure_topic(&changelog, &[("cleanup.policy", "delete")]);
    has(&refused_at_start(&mut server), &["cleanup.policy=delete", "wanted is compact"]);
}

#[test]
fn input_that_retention_took() {
    let mut options = ServerOptions::new("identity-lost").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let (tasks, plain) = (server.topic("tasks"), json!({"command":["true"]}));
    submit(&options.namespace, "p", "before", &plain);
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == 1).then_some(()));
    server.stop();
    for number in 0..5 {
        submit(&options.namespace, "p", &format!("lost-{number}"), &plain);
    }
    submit(&options.namespace, "p", "kept", &plain);
    delete_records(&tasks, 0, 6);
    server.restart_unready();
    let text = halted(&server, 0, "input_lost");
    let range = format!("{tasks}:0:1-6");
    has(&text, &[&format!("--accept-data-loss {range}")]);
    // Another range is not this one.
    server.stop();
    options.clone_from(&server.options);
    server.options = options.clone().flag("--accept-data-loss", &format!("{tasks}:0:1-5"));
    server.restart_unready();
    halted(&server, 0, "input_lost");
    assert_eq!(accepted(&watch), 1);
    server.stop();
    server.options = options.clone().flag("--accept-data-loss", &range);
    server.restart();
    watch.event("what came behind the loss", &server, |event| event["id"] == "kept");
    has(&server.log(), &["AUDIT", &range]);
    let audit = audits(&server.topic("changelog"));
    eprintln!("the changelog's record: {audit:?}");
    let [Local::DataLossAccepted { topic, partition, from, to, .. }] = audit.as_slice() else {
        panic!("one record of the loss: {audit:?}");
    };
    assert_eq!((topic, *partition, *from, *to), (&tasks, 0, 1, 6));
    // Once is enough.
    server.stop();
    server.options = options;
    server.restart();
    assert_eq!(accepted(&watch), 2);
}

/// The accepted losses that the batch records of a changelog's first partition tell of.
fn audits(changelog: &str) -> Vec<Local> {
    use rdkafka::message::Message as _;
    let end = yardmaster_checker::end_offsets(&bootstrap(), changelog)[0];
    let consumer = reader(changelog);
    let mut found = Vec::new();
    // The last offset is a commit's marker.
    await_some("the changelog's end", String::new, || {
        let record = consumer.poll(std::time::Duration::from_millis(100))?.unwrap();
        let (key, value) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
        if yardmaster_state::is_batch_key(key) {
            let batch = BatchRecord::decode(value).unwrap();
            let local: Vec<Local> = if batch.local.is_empty() {
                Vec::new()
            } else {
                yardmaster_state::decode(1, &batch.local).unwrap().1
            };
            found.extend(local.into_iter().filter(|local| matches!(local, Local::DataLossAccepted { .. })));
        }
        (record.offset() + 2 >= end).then_some(())
    });
    found
}

#[test]
fn an_input_that_was_cut_below_the_position() {
    let options = ServerOptions::new("identity-cut").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    submit(&options.namespace, "p", "before", &json!({"command":["true"]}));
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == 1).then_some(()));
    server.stop();
    // Another disk, and another topic: only the changelog tells that there was one before.
    server.wipe();
    make_again(&server.topic("tasks"), 1, &[]);
    server.restart_unready();
    let text = halted(&server, 0, "input_lost");
    has(
        &text,
        &[
            "offset 1 is gone, there are 0 to 0",
            &format!("--accept-data-loss {}:0:0-1", server.topic("tasks")),
        ],
    );
    produce(&server.topic("tasks"), "p", &json!({"v":1}).to_string());
    assert_eq!(server.http.get("/readyz").json()["owned"], Value::Array(Vec::new()));
}

#[test]
fn a_changelog_that_was_cut() {
    let options = ServerOptions::new("identity-log").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let changelog = server.topic("changelog");
    submit(&options.namespace, "p", "before", &json!({"command":["true"]}));
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == 1).then_some(()));
    server.stop();
    let (state, old) = (server.state_dir(), server.state_dir().with_file_name("old"));
    copy(&state, &old);
    let end = yardmaster_checker::end_offsets(&bootstrap(), &changelog)[0];
    // Its beginning is gone. A store that has it goes on...
    cut(&changelog, end - 1);
    server.restart();
    submit(&options.namespace, "p", "after", &json!({"command":["true"]}));
    await_some("the acceptance", || server.last_words(), || (accepted(&watch) == 2).then_some(()));
    server.stop();
    // ...one that does not can't be rebuilt...
    server.wipe();
    server.restart_unready();
    has(&halted(&server, 0, "changelog_lost"), &[&changelog, "offset 0 is gone", "backup"]);
    server.stop();
    // ...nor can one go on that lacks what was committed since.
    server.wipe();
    std::fs::rename(&old, &state).unwrap();
    cut(&changelog, yardmaster_checker::end_offsets(&bootstrap(), &changelog)[0]);
    server.restart_unready();
    has(&halted(&server, 0, "changelog_lost"), &[&changelog, "backup"]);
    assert_eq!(accepted(&watch), 2, "what was decided is not decided again");
}

/// Deletes what a compacted topic has before an offset, which no broker does as long as it is compacted.
fn cut(changelog: &str, before: i64) {
    configure_topic(changelog, &[("cleanup.policy", "delete")]);
    delete_records(changelog, 0, before);
    configure_topic(changelog, &[("cleanup.policy", "compact"), ("max.message.bytes", "4194304")]);
}
