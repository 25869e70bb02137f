//! A small grid with something of everything: work that is done, fails, waits, is cancelled and lost, and bad records.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{Fleet, FleetOptions, Server, Topic, await_some, cancel, produce, submit, submit_range};

/// Tasks that one turn adds.
const TURN: usize = 10;

/// Who works, and how much was submitted.
pub(super) struct Load {
    _works: Fleet,
    topic: Topic,
    submitted: usize,
}

impl Load {
    /// Starts it. Two seconds' lease is expected, so that workers are lost soon.
    pub(super) fn start(server: &Server) -> Self {
        let namespace = &server.options.namespace;
        let mut options = FleetOptions::new(namespace, "default");
        (options.slots, options.failures, options.runs) = (4, 20, Some(Duration::from_millis(200)));
        let works = Fleet::start(options);
        let topic = Topic::new(&server.topic("tasks"));
        let mut load = Self { _works: works, topic, submitted: 0 };
        load.turn();
        say_goodbye(namespace, server);
        lose_workers(namespace, server);
        wait_for_ever(namespace);
        bad_records(server);
        load
    }

    /// More of it, in two queues.
    pub(super) fn turn(&mut self) {
        let numbers = self.submitted..self.submitted + TURN;
        self.submitted += TURN;
        for queue in ["day", "night"] {
            let fields = json!({"command":["true"],"queue":queue,"job":"load"});
            submit_range(&self.topic, "default", queue, numbers.clone(), &fields);
        }
    }
}

fn say_goodbye(namespace: &str, server: &Server) {
    let mut options = FleetOptions::new(namespace, "short");
    options.workers = 1;
    let fleet = Fleet::start(options);
    await_some("a welcome", || server.last_words(), || (fleet.welcomed() > 0).then_some(()));
}

/// A worker that falls silent with a task.
fn lose_workers(namespace: &str, server: &Server) {
    let mut options = FleetOptions::new(namespace, "lost");
    (options.workers, options.runs) = (1, None);
    let fleet = Fleet::start(options);
    submit(namespace, "lost", "gone", &json!({"command":["sleep","60"]}));
    await_some("a task that runs", || server.last_words(), || (!fleet.running().is_empty()).then_some(()));
    fleet.go_silent();
}

/// A pool without workers.
fn wait_for_ever(namespace: &str) {
    submit(namespace, "idle", "waits", &json!({"command":["true"],"queue":"long"}));
    submit(namespace, "idle", "waits", &json!({"command":["true"],"queue":"long"}));
    submit(namespace, "idle", "ends", &json!({"command":["true"],"queue":"long"}));
    cancel(namespace, "idle", "ends");
}

/// Dead letters, a refusal, and a record on the wrong partition.
fn bad_records(server: &Server) {
    let tasks = server.topic("tasks");
    produce(&tasks, "default", "not JSON");
    produce(
        &tasks,
        "default",
        r#"{"v":1,"type":"submit","pool":"default","task":{"id":"x","no_such_field":1}}"#,
    );
    let wrong =
        json!({"v":1,"type":"submit","pool":"idle","task":{"id":"strayed","command":["true"]}}).to_string();
    let topic = Topic::new(&tasks);
    // On one of the two it is wrong.
    for partition in [0, 1] {
        topic.send_to(Some(partition), Some(b"idle"), Some(wrong.as_bytes()));
    }
    topic.flush();
}
