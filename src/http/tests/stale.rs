//! Reads from copies: when one answers, what it says of itself, and what it must not answer.

use std::collections::BTreeMap;

use axum::http::header;
use tokio::sync::watch;
use yardmaster_state::{Checkpoint, NextOffset};

use super::others::{Instance, pool_of, two};
use crate::runtime::{Behind, StandbyPartition};

/// `keeper` has what `owner` has of its partition 1, and has heard that the changelog goes further.
fn keep(keeper: &Instance, owner: &Instance, missing: i64) -> watch::Sender<Behind> {
    let (next, end) = (NextOffset(40), NextOffset(40 + missing));
    let (told, behind) = watch::channel(Behind { next, end, sequence: 7, wall_ms: 1_000 });
    let store = owner.cluster.store();
    let checkpoint =
        Checkpoint { inputs: vec![NextOffset(2), NextOffset(0)], sequence: 7, ..Checkpoint::default() };
    owner.cluster.write_checkpoint(checkpoint);
    keeper.cluster.registry().standbys().add(StandbyPartition { partition: 1, store, behind });
    told
}

#[tokio::test]
async fn a_copy_here_answers_and_says_how_far_behind_it_is() {
    let [here, there] = two().await;
    let pool = pool_of(1, 0);
    there.post(&format!("/v1/tasks?wait=applied&pool={pool}"), r#"{"id":"t"}"#).await.ok(201);
    let _behind = keep(&here, &there, 3);
    let path = format!("/v1/pools/{pool}/tasks/t");
    let fresh = here.get(&path).await;
    assert_eq!(fresh.ok(200)["id"], "t");
    assert_eq!(fresh.headers["yardmaster-answered-by"], there.url.as_str());
    let stale = here.get(&format!("{path}?stale=ok")).await;
    assert_eq!(stale.ok(200)["id"], "t");
    assert_eq!(stale.headers["yardmaster-stale-records"], "3");
    assert!(stale.headers["yardmaster-stale-ms"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert!(!stale.headers.contains_key("yardmaster-answered-by"));
    // The owner itself has nothing to be behind of.
    let owned = there.get(&format!("{path}?stale=ok")).await;
    assert_eq!(owned.ok(200)["id"], "t");
    assert!(!owned.headers.contains_key("yardmaster-stale-records"));
    assert_eq!(here.get(&format!("{path}?stale=yes")).await.problem(400).1, "stale");
    for order in ["tasks/t/requeue?stale=ok", "jobs/j/results?stale=ok"] {
        let path = format!("/v1/pools/{pool}/{order}");
        let reply =
            if order.starts_with("jobs") { here.get(&path).await } else { here.post(&path, "").await };
        assert!(reply.status.is_client_error(), "{order}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_position_that_the_copy_lacks_is_for_the_owner() {
    let [here, there] = two().await;
    let pool = pool_of(1, 0);
    for n in 0..3 {
        there
            .post(&format!("/v1/tasks?wait=applied&pool={pool}"), &format!(r#"{{"id":"t-{n}"}}"#))
            .await
            .ok(201);
    }
    let _behind = keep(&here, &there, 1);
    let path = |offset: i32| format!("/v1/pools/{pool}/tasks/t-0?stale=ok&min_position=p1.1-{offset}");
    let held = here.get(&path(1)).await;
    held.ok(200);
    assert_eq!(held.headers["yardmaster-stale-records"], "1");
    let asked = here.get(&path(2)).await;
    asked.ok(200);
    assert_eq!(asked.headers["yardmaster-answered-by"], there.url.as_str());
    // Without the owner nobody has it, and what the copy has is not given out for it.
    for owners in [BTreeMap::new(), BTreeMap::from([(1, "http://127.0.0.1:1".to_owned())])] {
        here.cluster.registry().place_elsewhere(owners);
        here.get(&path(1)).await.ok(200);
        let reply = here.get(&path(2)).await;
        assert_eq!(reply.problem(503), ("not_applied".into(), "min_position".into()));
        assert_eq!(reply.headers[header::RETRY_AFTER], "1");
    }
}

#[tokio::test]
async fn a_copy_elsewhere_is_asked_when_the_owner_is_gone() {
    let [keeper, owner] = two().await;
    let pool = pool_of(1, 0);
    owner.post(&format!("/v1/tasks?wait=applied&pool={pool}"), r#"{"id":"t"}"#).await.ok(201);
    let _behind = keep(&keeper, &owner, 2);
    let other = Instance::start(5, crate::http::Access::default()).await;
    let keepers = vec!["http://127.0.0.1:1".to_owned(), keeper.url.clone()];
    other.cluster.registry().standbys().place_elsewhere(BTreeMap::from([(1, keepers)]));
    let path = format!("/v1/pools/{pool}/tasks/t");
    for owners in [BTreeMap::new(), BTreeMap::from([(1, "http://127.0.0.1:2".to_owned())])] {
        other.cluster.registry().place_elsewhere(owners);
        other.get(&path).await.problem(503);
        let stale = other.get(&format!("{path}?stale=ok")).await;
        assert_eq!(stale.ok(200)["id"], "t");
        assert_eq!(stale.headers["yardmaster-answered-by"], keeper.url.as_str());
        assert_eq!(stale.headers["yardmaster-stale-records"], "2");
    }
    // The copy is given up: nobody has it.
    keeper.cluster.registry().standbys().remove(1);
    keeper.cluster.registry().place_elsewhere(BTreeMap::new());
    let reply = other.get(&format!("{path}?stale=ok")).await;
    assert_eq!(reply.problem(503).0, "moving");
}

#[tokio::test]
async fn lists_are_whole_with_copies_of_what_their_owners_don_t_tell() {
    let [keeper, owner] = two().await;
    let (mine, theirs) = (pool_of(0, 0), pool_of(1, 0));
    for (instance, pool) in [(&keeper, &mine), (&owner, &theirs)] {
        let path = format!("/v1/tasks?wait=applied&pool={pool}");
        instance.post(&path, &format!(r#"{{"id":"of-{pool}"}}"#)).await.ok(201);
    }
    let _behind = keep(&keeper, &owner, 2);
    let fresh = keeper.get("/v1/pools?stale=ok").await;
    assert!(
        !fresh.headers.contains_key("yardmaster-stale-records"),
        "the owner has answered: {}",
        fresh.text
    );
    // Nobody has partition 1 any more, but for the copy; another instance knows who keeps it.
    keeper.cluster.registry().place_elsewhere(BTreeMap::new());
    let other = Instance::start(5, crate::http::Access::default()).await;
    let keepers = vec!["http://127.0.0.1:1".to_owned(), keeper.url.clone()];
    other.cluster.registry().standbys().place_elsewhere(BTreeMap::from([(1, keepers)]));
    let gone = "http://127.0.0.1:2".to_owned();
    other.cluster.registry().place_elsewhere(BTreeMap::from([(0, keeper.url.clone()), (1, gone)]));
    for instance in [&keeper, &other] {
        for path in ["/v1/pools", "/v1/tasks/none"] {
            instance.get(path).await.problem(503);
        }
        let pools = instance.get("/v1/pools?stale=ok").await;
        assert_eq!(pools.ok(200)["pools"].as_array().unwrap().len(), 2, "{}", pools.text);
        assert_eq!(pools.headers["yardmaster-stale-records"], "2");
        assert!(!pools.headers.contains_key("yardmaster-missing-partitions"));
        let task = instance.get(&format!("/v1/tasks/of-{theirs}?stale=ok")).await;
        assert_eq!(task.ok(200)["pool"], theirs.as_str());
        assert_eq!(task.headers["yardmaster-stale-records"], "2");
        instance.get("/v1/tasks/none?stale=ok").await.problem(404);
        instance.get("/v1/tasks/none?stale=ok&min_position=p1.1-99").await.problem(503);
    }
}
