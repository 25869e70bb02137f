//! A server dies between everything being at the broker and the commit, and between the commit and its own store.

use std::time::Duration;

use serde_json::json;

use super::judged;
use crate::cluster::{Server, ServerOptions, Topic, Watch, await_some, submit_range};
use crate::outside::real_worker;

/// The commit at which it dies, in each of its lives; the first ones are about settings and workers.
const PASSES: [u32; 3] = [9, 6, 7];
const EACH: usize = 4;

/// Nothing of the batch may be seen, and all of it is made again.
#[test]
fn death_before_the_commit() {
    dies("dies-before", "before_endtxn");
}

/// All of the batch is there, and nothing of it is made again.
#[test]
fn death_after_the_commit() {
    dies("dies-after", "commit_ok_before_apply");
}

fn dies(test: &str, point: &str) {
    let armed = |pass: u32| format!("{point}@{pass}=kill");
    let options = ServerOptions::new(test).with("YARDMASTER_PARTITIONS", "1").armed(&armed(PASSES[0]));
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let worker = real_worker(&server);
    let topic = Topic::new(&server.topic("tasks"));
    let (mut sent, mut bad) = (0, 0);
    for life in 1..=PASSES.len() {
        await_some("the death at the failpoint", String::new, || {
            // A batch has tasks to be given out and a record to be put aside, whenever it dies.
            let fields = json!({"command":["true"],"job":"j","retry":{"max_losses":50}});
            submit_range(&topic, "default", "t", sent..sent + EACH, &fields);
            topic.send(Some(b"default"), Some(b"no JSON"));
            topic.flush();
            (sent, bad) = (sent + EACH, bad + 1);
            std::thread::sleep(Duration::from_millis(20));
            server.has_died().then_some(())
        });
        server.arm(PASSES.get(life).map(|pass| armed(*pass)).as_deref());
        // It may die again before it says that it is ready.
        server.restart_unready();
    }
    server.wait_ready();
    watch.await_ends(sent, &server);
    drop(worker);
    let report = judged(&mut server, &["default"]);
    assert_eq!((report.accepted, report.dead_letters), (sent, bad), "{report:?}");
}
