//! Two living processes want one partition. The server claims it again three times, then it leaves it alone and says who
//! has it: neither of them would ever get to work.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer as _};
use serde_json::json;

use crate::cluster::{Server, ServerOptions, Topic, await_some, bootstrap};

/// Claims a transactional id: whoever had it is fenced.
fn claim(id: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", id)
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_partition_that_is_taken_again_and_again_is_left_alone() {
    let options = ServerOptions::new("fencing").with("YARDMASTER_PARTITIONS", "1");
    let server = Server::start(&options);
    let topic = Topic::new(&server.topic("tasks"));
    let claims = |log: &str| log.lines().filter(|line| line.contains(" processing")).count();
    for round in 1..=4 {
        await_some(
            "the next claim",
            || server.last_words(),
            || (claims(&server.log()) == round).then_some(()),
        );
        claim(&format!("{}-0", options.namespace));
        // The server sees that it was fenced when it has something to commit.
        let submit = json!({"v":1,"type":"submit","pool":"default","task":{"id":format!("t-{round}"),"command":["true"]}});
        topic.send(Some(b"default"), Some(submit.to_string().as_bytes()));
        topic.flush();
    }
    let left = || server.log().lines().find(|line| line.contains("is left alone")).map(str::to_owned);
    let line = await_some("the word that the partition is left alone", || server.last_words(), left);
    eprintln!("fencing: {line}");
    let id = format!("another program uses the transactional id {}-0", options.namespace);
    assert!(line.contains(&id) && line.contains("Stop that process"), "{line}");
    assert_eq!(claims(&server.log()), 4, "the first claim, and three more\n{}", server.last_words());
    let ready = server.http.get("/readyz").expect(503);
    assert_eq!(ready["moving"], json!([0]), "{ready}");
}
