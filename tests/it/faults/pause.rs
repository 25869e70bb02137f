//! A server that stands still for longer than a lease has not heard its workers: none of them is lost for it.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::judged;
use crate::cluster::{Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, submit_range};

const TASKS: usize = 8;

#[test]
fn paused_server_loses_no_worker() {
    let options = ServerOptions::new("paused")
        .with("YARDMASTER_PARTITIONS", "1")
        // What workers said meanwhile is not read in one go with the jump of the wall's clock.
        .with("YARDMASTER_BATCH_RECORDS_MAX", "1")
        .with("YARDMASTER_WORKER_HEARTBEAT", "1s")
        .with("YARDMASTER_WORKER_LEASE", "3s");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let mut fleet = FleetOptions::new(&options.namespace, "p");
    fleet.runs = Some(Duration::from_secs(9));
    let fleet = Fleet::start(fleet);
    let topic = Topic::new(&server.topic("tasks"));
    submit_range(&topic, "p", "t", 0..TASKS, &json!({"command":["true"],"retry":{"max_losses":50}}));
    let all_run = || (fleet.running().len() == TASKS).then_some(());
    await_some("all tasks to run", || server.last_words(), all_run);
    server.signal(Signal::SIGSTOP);
    // Twice a lease, while the workers go on to report.
    std::thread::sleep(Duration::from_secs(6));
    server.signal(Signal::SIGCONT);
    watch.await_ends(TASKS, &server);
    drop(fleet);
    let report = judged(&mut server, &["p"]);
    assert_eq!((report.attempts, report.closed.len()), (TASKS, 0), "an attempt was lost: {report:?}");
}
