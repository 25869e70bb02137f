//! Two servers share the partitions; when one is killed the other takes over, and nothing is lost or doubled.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap, scaled, submit_range,
};
use yardmaster_checker::{must_be_clean, read_all};

/// Enough names that both servers own some, wherever the hash puts them.
const POOLS: usize = 12;

fn pool(number: usize) -> String {
    format!("pool{number}")
}

/// What a server says about a pool: 421 when it doesn't own it, 503 while that is not decided.
fn status_of(server: &Server, number: usize) -> u16 {
    let answer = server.http.try_get(&format!("/v1/pools/{}/stats", pool(number)));
    answer.map_or(0, |answer| answer.status)
}

fn owned(server: &Server) -> Vec<usize> {
    (0..POOLS).filter(|number| matches!(status_of(server, *number), 200 | 404)).collect()
}

#[test]
fn two_instances() {
    let options = ServerOptions::new("instances");
    let mut one = Server::start(&options);
    let other = Server::start(&options.named("two"));
    let watch = Watch::start(&options.namespace);
    let words = || format!("{}\n{}", one.last_words(), other.last_words());
    await_some("both servers owning something, and each pool one owner", words, || {
        let (first, second) = (owned(&one), owned(&other));
        let disjoint = !first.iter().any(|number| second.contains(number));
        (!first.is_empty() && !second.is_empty() && disjoint && first.len() + second.len() == POOLS)
            .then_some(())
    });
    elsewhere_names_the_owner(&one, &other);
    let fleets: Vec<Fleet> = (0..POOLS)
        .map(|number| {
            let mut fleet = FleetOptions::new(&options.namespace, &pool(number));
            (fleet.workers, fleet.runs, fleet.seed) = (1, Some(Duration::from_millis(20)), 1);
            Fleet::start(fleet)
        })
        .collect();
    let topic = Topic::new(&one.topic("tasks"));
    let each = scaled(100);
    let fields = json!({"command":["true"],"retry":{"max_losses":50}});
    let submit = |half: usize| {
        for number in 0..POOLS {
            submit_range(&topic, &pool(number), "t", half * each..(half + 1) * each, &fields);
        }
    };
    submit(0);
    watch.await_ends(each * POOLS / 3, &other);
    one.kill();
    submit(1);
    await_some("the takeover", || other.last_words(), || (owned(&other).len() == POOLS).then_some(()));
    watch.await_ends(2 * each * POOLS, &other);
    drop(fleets);
    let report = must_be_clean(&read_all(&bootstrap(), &options.namespace));
    assert_eq!((report.accepted, report.refused), (2 * each * POOLS, 0), "{report:?}");
}

fn elsewhere_names_the_owner(one: &Server, other: &Server) {
    let theirs = *owned(other).first().unwrap();
    let path = format!("/v1/pools/{}/stats", pool(theirs));
    // 503 until the owner has said that it serves the partition.
    let answer = await_some(
        "the owner's address",
        || one.last_words(),
        || Some(one.http.get(&path)).filter(|answer| answer.status == 421),
    );
    assert!(answer.content_type.starts_with("application/problem+json"), "{answer:?}");
    assert_eq!(answer.json()["owner"], other.http.url.as_str(), "{answer:?}");
    let there = format!("{}/v1/pools/{}/stats", other.http.url, pool(theirs));
    assert_eq!(answer.location.as_deref(), Some(there.as_str()), "{answer:?}");
}
