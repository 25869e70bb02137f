//! A store follows from its topics: one that was made again under the same name stops its partitions, by name.

use serde_json::json;
use yardmaster::kafka::{Connection, Topics};
use yardmaster::runtime::Names;

use crate::cluster::{Fleet, FleetOptions, Server, ServerOptions, Watch, await_some, bootstrap, submit};

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
    let topics = Topics::new(&Connection::new(bootstrap())).unwrap();
    let names = Names::new(&options.namespace);
    topics.delete(&names.tasks()).unwrap();
    await_some("the topic's end", String::new, || {
        topics.exists(&names.tasks()).is_ok_and(|exists| !exists).then_some(())
    });
    // The start makes it again; the stores are of another one.
    server.restart_unready();
    let words = await_some(
        "the halt",
        || server.last_words(),
        || {
            let words = server.last_words();
            (words.matches("this partition is halted").count() >= 2).then_some(words)
        },
    );
    assert!(words.contains("with id"), "{words}");
    assert!(words.contains("remove the directory"), "the way out: {words}");
    assert_eq!(server.http.get("/readyz").status, 503);
}
