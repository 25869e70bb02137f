//! The cluster as it is shown, and what operators want of it, without a placer behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use yardmaster_state::NextOffset;

use super::cluster::Cluster;
use crate::runtime::{ClusterView, InstanceView, PartitionView, Progress, Wish};

fn view() -> ClusterView {
    let copy = Progress { next: NextOffset(40), end: NextOffset(45) };
    let b = InstanceView {
        url: "http://b:9733".to_owned(),
        rack: "r1".to_owned(),
        since_ms: 7,
        standing: "settled",
        serves: Vec::new(),
        copies: BTreeMap::from([(0, copy)]),
    };
    let a = InstanceView { serves: vec![0], rack: String::new(), copies: BTreeMap::new(), ..b.clone() };
    let place = PartitionView { owner: "a".to_owned(), is_served: true, standbys: vec!["b".to_owned()] };
    ClusterView {
        epoch: 3,
        me: "b".to_owned(),
        placer: Some("a".to_owned()),
        instances: BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]),
        drained: vec!["gone".to_owned()],
        partitions: BTreeMap::from([(0, place)]),
    }
}

/// Answers the first wish that comes, and returns it.
async fn carry_out(cluster: Arc<Cluster>, outcome: Result<(), String>) -> Wish {
    loop {
        if let Some((wish, asker)) = cluster.registry().cluster().take_wishes().into_iter().next() {
            asker.send(outcome).unwrap();
            return wish;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_cluster_is_shown_once_it_was_seen() {
    let cluster = Cluster::new();
    assert_eq!(cluster.get("/v1/cluster").await.problem(503).0, "starting");
    cluster.registry().cluster().show(view());
    let shown = cluster.get("/v1/cluster").await.ok(200);
    assert_eq!((&shown["answered_by"], &shown["placer"]), (&"b".into(), &"a".into()), "{shown}");
    let (a, b) = (&shown["instances"][0], &shown["instances"][1]);
    assert_eq!((&a["placer"], &a["owns"][0]), (&true.into(), &0.into()), "{shown}");
    assert!(a.get("rack").is_none(), "{shown}");
    assert_eq!((&b["copies"][0]["next"], &b["copies"][0]["behind"]), (&40.into(), &5.into()), "{shown}");
    assert_eq!(shown["partitions"][0]["standbys"][0], "b", "{shown}");
    assert_eq!(shown["drained"][0], "gone", "{shown}");
}

#[tokio::test]
async fn what_is_wanted_is_written_down_before_it_is_answered() {
    let cluster = Cluster::new();
    cluster.registry().cluster().show(view());
    let drain = |instance: &str, drained| Wish::Drain { instance: instance.to_owned(), drained };
    for (path, wanted) in [
        ("/v1/cluster/instances/a/drain", drain("a", true)),
        ("/v1/cluster/instances/a/undrain", drain("a", false)),
        // It need not be there to be let in again.
        ("/v1/cluster/instances/gone/undrain", drain("gone", false)),
        ("/v1/cluster/rebalance", Wish::Rebalance),
    ] {
        let placer = tokio::spawn(carry_out(Arc::clone(&cluster), Ok(())));
        assert_eq!(cluster.post(path, "{}").await.ok(202)["outcome"], "ordered", "{path}");
        assert_eq!(placer.await.unwrap(), wanted);
    }
    let placer = tokio::spawn(carry_out(Arc::clone(&cluster), Err("no broker".to_owned())));
    assert_eq!(cluster.post("/v1/cluster/rebalance", "{}").await.problem(503).0, "placement");
    placer.await.unwrap();
}

#[tokio::test]
async fn a_name_that_nobody_has_is_refused() {
    let cluster = Cluster::new();
    cluster.registry().cluster().show(view());
    let refused = cluster.post("/v1/cluster/instances/c/drain", "{}").await;
    assert_eq!(refused.problem(404), ("not_found".into(), "instance".into()));
    assert!(cluster.registry().cluster().take_wishes().is_empty());
}
