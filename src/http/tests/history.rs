//! What has ended: told once, told whole, or not at all; and no reader keeps a store that has to go.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::Value;
use tower::ServiceExt;
use yardmaster_topologies::id::{Generation, TaskId};
use yardmaster_topologies::keep_record;
use yardmaster_topologies::tables::{HistoryMark, HistoryPositionTable, TaskTable};
use yardmaster_topologies::task::EndedTask;
use yardmaster_topologies::time::WallMs;

use super::cluster::{Cluster, pool};

const RESULTS: &str = "/v1/pools/default/jobs/j/results";

/// A task of job `j` that was cancelled.
async fn ended() -> (Arc<Cluster>, EndedTask) {
    let cluster = Cluster::new();
    cluster.post("/v1/tasks?wait=applied", r#"{"id":"t-1","job":"j"}"#).await.ok(201);
    cluster.post("/v1/pools/default/tasks/t-1/cancel?wait=applied", "").await.ok(200);
    let record = cluster.record("t-1");
    (cluster, record)
}

/// The same task, ended some hours earlier.
fn earlier(record: &EndedTask, hours: u64, generation: u32) -> EndedTask {
    let mut record = record.clone();
    record.ended_at = WallMs(record.ended_at.0 - hours * 3_600_000);
    record.generation = Generation(generation);
    record
}

async fn told(cluster: &Arc<Cluster>) -> (usize, usize) {
    let list = cluster.get("/v1/pools/default/tasks").await.ok(200);
    (list["tasks"].as_array().unwrap().len(), cluster.get(RESULTS).await.text.lines().count())
}

#[tokio::test]
async fn a_task_that_ended_several_times_is_told_once() {
    let (cluster, record) = ended().await;
    // Its id was used before, and forgotten; and it failed before it was requeued.
    for (hours, generation) in [(2, 0), (5, 0), (7, 1)] {
        cluster.write(|txn| keep_record(txn, earlier(&record, hours, generation).into()).unwrap());
    }
    assert_eq!(told(&cluster).await, (1, 1));
    // The same once it is forgotten: only the newest of its records counts.
    let key = (pool(), TaskId::parse("t-1").unwrap());
    cluster.write(|txn| txn.delete::<TaskTable>(&key).unwrap());
    assert_eq!(told(&cluster).await, (1, 1));
    let list = cluster.get("/v1/pools/default/tasks").await.ok(200);
    assert_eq!(list["tasks"][0]["ended_at_ms"], record.ended_at.0);
}

#[tokio::test]
async fn results_are_not_given_while_history_is_read_back() {
    let (cluster, _) = ended().await;
    let mark = |next: i64| {
        cluster.write(|txn| {
            txn.put::<HistoryPositionTable>(&HistoryMark::RefillNext, &next).unwrap();
            txn.put::<HistoryPositionTable>(&HistoryMark::RefillEnd, &10).unwrap();
        });
    };
    mark(9);
    let reply = cluster.get(RESULTS).await;
    assert_eq!(reply.problem(503).0, "refilling");
    assert!(reply.headers.contains_key(header::RETRY_AFTER));
    mark(10);
    assert_eq!(cluster.get(RESULTS).await.text.lines().count(), 1);
}

#[tokio::test]
async fn a_partition_that_leaves_cuts_results_off_and_is_let_go() {
    let (cluster, record) = ended().await;
    cluster.write(|txn| {
        for n in 0..5_000 {
            let mut other = record.clone();
            Arc::make_mut(&mut other.spec).id = TaskId::parse(&format!("t-{n}")).unwrap();
            keep_record(txn, other.into()).unwrap();
        }
    });
    let request = || Request::get(RESULTS).header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let whole = cluster.router().oneshot(request()).await.unwrap();
    let lines = to_bytes(whole.into_body(), 64 << 20).await.unwrap();
    assert_eq!(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 5_000);
    let last: Value =
        serde_json::from_slice(lines.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(last["state"], "CANCELLED");

    // A client that doesn't read.
    let idle = cluster.holders();
    let response = cluster.router().oneshot(request()).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    cluster.registry().remove(0);
    // The registry has one hold less; the reader must give up its own without waiting for the client.
    while cluster.holders() >= idle {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cut = to_bytes(response.into_body(), 64 << 20).await;
    assert!(cut.is_err(), "the body looks whole");
}
