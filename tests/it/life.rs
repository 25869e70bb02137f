//! The whole life of many tasks, over several pools, with nothing going wrong but what workers report.

use serde_json::json;

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap, scaled, submit_range,
};
use crate::schemas::all_records_are_valid;
use yardmaster_checker::{must_be_clean, read_all};

const POOLS: [&str; 3] = ["alpha", "beta", "gamma"];

#[test]
fn whole_life() {
    let options = ServerOptions::new("life");
    let server = Server::start(&options);
    let namespace = &options.namespace;
    let watch = Watch::start(namespace);
    let fleets = POOLS.map(|pool| {
        let mut fleet = FleetOptions::new(namespace, pool);
        (fleet.workers, fleet.slots, fleet.failures) = (3, 32, 5);
        Fleet::start(fleet)
    });
    let each = scaled(10_000).div_ceil(POOLS.len());
    let topic = Topic::new(&server.topic("tasks"));
    let fields = json!({"job":"whole","tags":{"kind":"life"},"command":["true"],
        "retry":{"max_failures":4,"backoff_ms":20,"backoff_max_ms":100}});
    for pool in POOLS {
        submit_range(&topic, pool, "t", 0..each, &fields);
    }
    watch.await_ends(each * POOLS.len(), &server);
    for pool in POOLS {
        stats_agree(&server, pool, each);
    }
    let finished: usize = fleets.iter().map(Fleet::finished).sum();
    drop(fleets);
    let topics = read_all(&bootstrap(), namespace);
    let report = must_be_clean(&topics);
    assert_eq!((report.submitted, report.accepted), (each * POOLS.len(), each * POOLS.len()));
    assert_eq!(report.ended_as("COMPLETED") + report.ended_as("FAILED"), report.accepted, "{report:?}");
    assert!(report.ended_as("COMPLETED") * 100 >= report.accepted * 99, "{report:?}");
    assert_eq!(report.attempts, finished, "each attempt was run and reported once");
    assert_eq!((report.refused, report.dead_letters), (0, 0));
    all_records_are_valid(&topics);
}

/// The counts that a person sees come to the same number.
fn stats_agree(server: &Server, pool: &str, count: usize) {
    let path = format!("/v1/pools/{pool}/stats");
    await_some(
        &format!("{count} ended tasks in {path}"),
        || format!("{:?}\n{}", server.http.try_get(&path), server.last_words()),
        || {
            let stats = server.http.get(&path).json();
            let counts = stats.get("counts")?;
            let of = |state: &str| counts[state].as_u64().unwrap_or(0);
            let sum = of("COMPLETED") + of("FAILED");
            (usize::try_from(sum).unwrap() == count && of("QUEUED") + of("RUNNING") == 0).then_some(())
        },
    );
}
