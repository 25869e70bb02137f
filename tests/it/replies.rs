//! Answers where they are wanted: a task's end on a topic of its submitter, and what a topic does that can't take it.

use rdkafka::message::Message as _;
use serde_json::{Value, json};
use yardmaster::kafka::{Connection, Topics};

use crate::cluster::{
    Fleet, FleetOptions, Rng, Server, ServerOptions, Watch, await_some, bootstrap, reader, submit,
};
use yardmaster_checker::{must_be_clean, read_all};

pub(crate) fn create(topic: &str, bytes_max: &str) {
    let topics = Topics::new(&Connection::new(bootstrap())).unwrap();
    topics.create_one(topic, 1, &[("max.message.bytes".to_owned(), bytes_max.to_owned())]).unwrap();
}

/// Submits under other ids until the server has seen that the topic is there. Returns the id that was accepted.
pub(crate) fn submit_until_known(server: &Server, watch: &Watch, name: &str, fields: &Value) -> String {
    let mut tries = 0;
    await_some(
        "the reply topic to be known",
        || server.last_words(),
        || {
            tries += 1;
            let id = format!("{name}-{tries}");
            submit(&server.options.namespace, "p", &id, fields);
            let decided = watch.event("a decision", server, |event| {
                event["id"] == id.as_str() && (event["type"] == "accepted" || event["type"] == "refused")
            });
            (decided["type"] == "accepted").then_some(id)
        },
    )
}

fn read_one(topic: &str) -> Value {
    let consumer = reader(topic);
    await_some(&format!("a reply on {topic}"), String::new, || {
        let message = consumer.poll(std::time::Duration::from_millis(200))?.ok()?;
        serde_json::from_slice(message.payload()?).ok()
    })
}

#[test]
fn reply_topics() {
    let options = ServerOptions::new("replies");
    let prefix = format!("answers.{}.", options.namespace);
    let options = options.with("YARDMASTER_REPLY_PREFIXES", &prefix);
    let server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    let (good, narrow) = (format!("{prefix}good"), format!("{prefix}narrow"));
    create(&good, "1048576");
    create(&narrow, "2048");

    let id = submit_until_known(&server, &watch, "good", &json!({"command":["true"],"reply_to":good}));
    let ended = watch.end_of(&format!("p/{id}"), &server);
    let reply = read_one(&good);
    assert_eq!((&reply["type"], &reply["id"]), (&json!("ended"), &json!(id)), "{reply}");
    assert_eq!(reply, ended, "it is the event itself");

    // A reply that its topic never takes must not stop the partition: the task ends without it.
    let mut rng = Rng::new(3);
    let noise: String = (0..1_000).map(|_| format!("{:016x}", rng.next())).collect();
    let fields = json!({"command":["true"],"reply_to":narrow,"payload":noise});
    let id = submit_until_known(&server, &watch, "narrow", &fields);
    let ended = watch.end_of(&format!("p/{id}"), &server);
    assert_eq!(ended["state"], "COMPLETED", "{ended}");
    submit(&options.namespace, "p", "after", &json!({"command":["true"]}));
    watch.end_of("p/after", &server);
    drop(fleet);
    must_be_clean(&read_all(&bootstrap(), &options.namespace));
}
