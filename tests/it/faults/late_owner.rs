//! An owner that stood still comes back while the next one is about to fence it, and commits once more: the next one has
//! to know.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::judged;
use crate::cluster::{Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, submit_range};

const EACH: usize = 40;

#[test]
fn late_owner_commits_once_more() {
    let options = ServerOptions::new("late").with("YARDMASTER_PARTITIONS", "1");
    let mut old = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let mut fleet = FleetOptions::new(&options.namespace, "p");
    fleet.runs = Some(Duration::from_millis(5));
    let fleet = Fleet::start(fleet);
    let (topic, fields) =
        (Topic::new(&old.topic("tasks")), json!({"command":["true"],"retry":{"max_losses":50}}));
    submit_range(&topic, "p", "t", 0..EACH, &fields);
    watch.await_ends(EACH, &old);
    let mut new = Server::start_unready(&options.named("two").armed("claimed_before_init_txn@1=delay:5000"));
    old.signal(Signal::SIGSTOP);
    submit_range(&topic, "p", "t", EACH..2 * EACH, &fields);
    let claims = || new.log().contains("failpoint claimed_before_init_txn").then_some(());
    await_some("the new owner's claim", || new.last_words(), claims);
    let before = watch.ends();
    old.signal(Signal::SIGCONT);
    // The fault is there only if the old one does something.
    let goes_on = || (watch.ends() > before).then_some(());
    await_some("a commit of the old owner", || old.last_words(), goes_on);
    watch.await_ends(2 * EACH, &new);
    new.wait_ready();
    submit_range(&topic, "p", "t", 2 * EACH..3 * EACH, &fields);
    watch.await_ends(3 * EACH, &new);
    drop(fleet);
    old.kill();
    assert_eq!(judged(&mut new, &["p"]).accepted, 3 * EACH);
}
